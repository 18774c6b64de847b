"""Group, labels, annotations and the naming functions. An object's name is a claim, so names are made only here."""

import base64
import hashlib
import re
from datetime import date
from enum import StrEnum

GROUP = "dichroism.als.lbl.gov"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

LABEL_BEAMLINE = f"{GROUP}/beamline"
LABEL_ORIGIN = f"{GROUP}/origin"
LABEL_LANE = f"{GROUP}/lane"
LABEL_ENDPOINT = f"{GROUP}/endpoint"

ANNOTATION_RETRY = f"{GROUP}/retry"
ANNOTATION_ABANDON = f"{GROUP}/abandon"
ANNOTATION_UNDO = f"{GROUP}/undo"
"""On a Prune: what lies in its trash is put back, and nothing of it goes while the annotation is there."""
ANNOTATION_CLOSED = f"{GROUP}/closed"
"""On a Transfer to tape: which limit closed its bundle, or who asked for it."""
ANNOTATION_REPLACES = f"{GROUP}/replaces"
"""On a Prune that a command put in the place of another: the other's name, which no Scan shall go on naming."""
ANNOTATION_PAUSED = f"{GROUP}/paused"
"""On the operator's Lease: the steps that wait for an outside system, and why (JSON)."""
ANNOTATION_HOLD = f"{GROUP}/hold"
"""On a suspended Scan or Prune: who wants it so, why, until when it was meant (JSON). A note: suspend acts."""
ANNOTATION_MOVED_TO = f"{GROUP}/moved-to"
"""On a Scan whose file was renamed or moved after it was copied: its present path below the source endpoint's root."""


class Origin(StrEnum):
    """Value of the label origin: how the watcher came to a file. Whatever is not live comes after what is."""

    LIVE = "live"
    """The file appeared while a watcher kept its journal."""
    BACKFILL = "backfill"
    """A person asked for files from before the beamline's ``since``."""
    RECOVERED = "recovered"
    """The file may have been carried before, but nothing proves it: copies and records are looked for first."""


OPERATOR_LEASE = "dichroism-operator"
STOP_PRUNE_CONFIGMAP = "dichroism-stop-prune"
ARCHIVE_NOW_PREFIX = "dichroism-archive-now-"
"""With the beamline's name in lower case: the ConfigMap in which somebody asks for its tape bundle to be closed."""

PRIVATE_DIR = ".dichroism"
"""Folder at the root of every endpoint that belongs to dichroism: incoming copies, trash, superseded, manifests."""

_SCAN_DIGEST_CHARS = 26
_NUMBER = re.compile(r"-(\d+)$")


def scan_name(beamline: str, source_endpoint: str, path: str) -> str:
    """Name of the Scan of one file: beamline + base32(sha256(beamline NUL endpoint NUL path))[:26], lower case.

    26 base32 characters are 130 bits, so two files never share a name in practice, and a second watcher, a retried
    request or a rebuilt cluster arrives at the same name.
    """
    digest = hashlib.sha256("\0".join((beamline, source_endpoint, path)).encode()).digest()
    return f"{beamline}-{base64.b32encode(digest).decode()[:_SCAN_DIGEST_CHARS]}".lower()


def lane_name(beamline: str, source: str, destination: str) -> str:
    """Label value and name prefix of all Transfers on one hop of one beamline, such as ``bl402-data402-nersc402``."""
    return f"{beamline}-{source}-{destination}".lower()


def transfer_name(beamline: str, source: str, destination: str, number: int) -> str:
    """Name of a Transfer; its creation claims the number in its lane."""
    return f"{lane_name(beamline, source, destination)}-{number:06d}"


def prune_name(endpoint: str, due: date, number: int) -> str:
    """Name of a Prune, such as ``data402-20270521-0001``; its creation claims the number of that endpoint and day."""
    return f"{endpoint}-{due:%Y%m%d}-{number:04d}".lower()


def number_of(name: str) -> int:
    """The claimed number at the end of a Transfer's or Prune's name, 0 when it carries none."""
    found = _NUMBER.search(name)
    return int(found[1]) if found else 0
