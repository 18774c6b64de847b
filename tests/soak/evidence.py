"""Reads what is there in the end: disks with os.walk, bundles with tarfile, the cluster with kubectl, services' books.

Nothing of the product is used for it but the names of its folders and annotations.
"""

import hashlib
import json
import os
import sqlite3
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from dichroism_crds.names import ANNOTATION_MOVED_TO, PRIVATE_DIR
from tests.fault.instrument import Outcome, outcomes_in
from tests.site import BEAMLINES, GlobusSite
from tests.soak.records import Entry, Found, Place, Planned, Told, ToldCopy, Written

MANIFEST = "MANIFEST.tsv"
_OURS = "type = 'TRANSFER' AND label LIKE 'dichroism %'"
"""Tasks that carry a batch; those that delete from the trash have one label for all."""


def written_of(beamline: str, outcome: Outcome, quiet_s: float) -> Written:
    """What an instrument told of a file."""
    return Written(
        beamline=beamline,
        path=outcome.path,
        left=tuple((sha256, size) for sha256, size in outcome.left),
        scan=outcome.scan,
        deleted=outcome.style == "deleted at once",
        former=outcome.former,
        at=outcome.at,
        hesitated=outcome.pause >= quiet_s,
    )


def read_outcomes(log: Path, beamline: str, quiet_s: float) -> list[Written]:
    """Every file that an instrument is done with, by its log."""
    return [written_of(beamline, one, quiet_s) for one in outcomes_in(log)]


def files_on(root: Path, beamline: str, places: Mapping[str, Place]) -> Iterator[Found]:
    """Every regular file of a disk; ``places`` are those of the folders of ours that hold data, by name."""
    own = root / PRIVATE_DIR
    for place, start in ((places[""], root), *((place, own / name) for name, place in places.items() if name)):
        for folder, names, files in os.walk(start):
            if start is root and Path(folder) == root:
                names.remove(PRIVATE_DIR)
            for name in files:
                file = Path(folder) / name
                if not file.is_symlink():
                    content = file.read_bytes()
                    path = str(file.relative_to(start))
                    yield Found(place, beamline, path, hashlib.sha256(content).hexdigest(), len(content))


SOURCE_PLACES = {"": Place.SOURCE, "trash": Place.SOURCE_TRASH}
DISK_PLACES = {"": Place.DISK, "trash": Place.DISK_TRASH, "superseded": Place.DISK_SUPERSEDED}


def members_on(root: Path, beamline: str, unreadable: list[str]) -> Iterator[Found]:
    """Every member of every bundle on tape, read to its end; what can't be is added to ``unreadable``."""
    for bundle in sorted(root.rglob("*.tar")):
        where = str(bundle.relative_to(root))
        if PRIVATE_DIR in bundle.relative_to(root).parts:
            continue  # a half one, which has no name yet
        try:
            with tarfile.open(bundle) as tar:
                for member in tar:
                    content = tar.extractfile(member)
                    assert content is not None, member.name
                    data = content.read()
                    if member.name != MANIFEST:
                        digest = hashlib.sha256(data).hexdigest()
                        yield Found(Place.TAPE, beamline, member.name, digest, len(data), where)
        except (tarfile.TarError, OSError, AssertionError) as error:
            unreadable.append(f"{where}: {error}")


def everything_found(site: GlobusSite, unreadable: list[str]) -> Iterator[Found]:
    """All bytes of all beamlines."""
    for beamline, number in BEAMLINES.items():
        yield from files_on(site.mount(f"data{number}"), beamline, SOURCE_PLACES)
        yield from files_on(site.mount(f"nersc{number}"), beamline, DISK_PLACES)
        yield from members_on(site.mount(f"hpss{number}"), beamline, unreadable)


def objects(site: GlobusSite, plural: str) -> list[dict[str, Any]]:
    """All objects of a kind, as the API server has them."""
    answer = site.cluster.kubectl("get", plural, "-n", site.namespace, "-o", "json", "--chunk-size=0")
    items: list[dict[str, Any]] = json.loads(answer)["items"]
    return items


def told_of(scan: Mapping[str, Any]) -> Told:
    """What a Scan says."""
    status = scan.get("status", {})
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    return Told(
        name=scan["metadata"]["name"],
        beamline=scan["spec"]["beamline"],
        path=scan["spec"]["path"],
        done=conditions.get("Succeeded", {}).get("status") == "True",
        reasons=tuple(one.get("reason", "") for one in conditions.values() if one.get("status") != "True"),
        message=status.get("message", ""),
        moved_to=scan["metadata"].get("annotations", {}).get(ANNOTATION_MOVED_TO),
        copies={
            one["endpoint"]: ToldCopy(one["path"], one.get("checksum", {}).get("value"))
            for one in status.get("copies", [])
        },
        superseded=tuple(one.get("checksum", {}).get("value", "") for one in status.get("superseded", [])),
        pid=(status.get("dataset") or {}).get("pid"),
    )


def planned_in(prunes: Sequence[Mapping[str, Any]]) -> list[Planned]:
    """Every file on the calendar."""
    return [
        Planned(
            prune["spec"]["endpoint"]["name"],
            item["path"],
            item.get("checksum", {}).get("value", ""),
        )
        for prune in prunes
        for item in prune["spec"]["items"]
    ]


def deliveries_of(transfers: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, int, str]]:
    """What ended Transfers say that they brought: destination, path, size and time.

    One that ended early does not name the files that it never came to: what it brought is not known from it.
    """
    for transfer in transfers:
        spec, status = transfer["spec"], transfer.get("status", {})
        if status.get("phase") not in ("Succeeded", "Failed") or status.get("files", 0) == 0:
            continue
        failed = {one["path"] for one in status.get("failedItems", [])}
        if len(failed) != status.get("failedCount", 0):
            continue
        for item in spec["items"]:
            if item["path"] not in failed:
                yield spec["destination"], item["path"], item["size"], item["modifiedAt"]


def entry_of(dataset: Mapping[str, Any]) -> Entry:
    """A dataset with what its file lists say."""

    def listed(kind: str) -> tuple[str, ...]:
        return tuple(one.get("chk", "") for block in dataset.get(kind, []) for one in block["dataFileList"])

    return Entry(dataset["pid"], listed("origdatablocks"), listed("datablocks"))


def tasks_in(books: Path) -> list[str]:
    """Labels of the tasks of ours in the transfer service's database."""
    with closing(sqlite3.connect(f"file:{books}?mode=ro", uri=True)) as database:
        return [label for (label,) in database.execute(f"SELECT label FROM task WHERE {_OURS}")]
