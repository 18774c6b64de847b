"""What a person asks about: the name of a Scan, a path anywhere, or a part of one; and the Scans that it may be."""

from collections.abc import Collection
from dataclasses import dataclass

from dichroism_crds.client import Api, NotFound
from dichroism_crds.config import Config
from dichroism_crds.kinds import Scan
from dichroism_crds.names import ANNOTATION_MOVED_TO, PRIVATE_DIR, scan_name
from dichroism_operator import addresses

MOST_SIMILAR = 50
"""Scans that are read because a part of their path was given."""


class NotUnderstoodError(ValueError):
    """The text can be no file of ours; it says why and what could be asked instead."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be meant: its beamline, its path below every endpoint of it, and where the person saw it."""

    beamline: str
    path: str
    endpoint: str | None = None

    def scan(self, config: Config) -> str:
        """Name of its Scan."""
        return scan_name(self.beamline, config.beamlines[self.beamline].watch.root, self.path)


def candidates(text: str, config: Config, beamline: str | None) -> list[Candidate]:
    """The files that a path may mean; the name of a Scan means none.

    Raises:
        NotUnderstoodError: an absolute path that lies nowhere, a whole endpoint, a folder of ours, an unknown beamline.
    """
    if beamline and beamline not in config.beamlines:
        raise NotUnderstoodError(f"no beamline {beamline}; known: {', '.join(config.beamlines)}")
    chosen = [one for one in config.beamlines.values() if beamline in (None, one.name)]
    if addresses.is_scan_name(text):
        return []
    if text.startswith("/"):
        found = [
            Candidate(one.name, path, name) for one, name, path in addresses.below(text.rstrip("/"), chosen, config)
        ]
        if not found:
            raise NotUnderstoodError(
                f"{text} is below no root_path, globus_path or mount of an endpoint. Give a path relative to the "
                "endpoint's root, or the name of a Scan"
            )
    else:
        path = text.removeprefix("./").rstrip("/")
        found = [Candidate(one.name, path) for one in chosen]
    if any(one.path.split("/", 1)[0] == PRIVATE_DIR for one in found):
        raise NotUnderstoodError(
            f"{text} lies in {PRIVATE_DIR}, a folder of dichroism itself. A Prune is named by the folder below "
            f"{PRIVATE_DIR}/trash: kubectl describe prune NAME"
        )
    files = [one for one in found if one.path]
    if not files:
        raise NotUnderstoodError(f"{text!r} names a whole endpoint: name a file or a folder in it, or a Scan")
    return files


async def scans(api: Api, text: str, config: Config, files: Collection[Candidate]) -> list[Scan]:
    """The Scans that are meant, those of exactly that file first; only where there is none, those of a part of a path.

    Raises:
        ApiError: they can't be read.
    """
    exact = await _existing(api, [one.scan(config) for one in files] or [text])
    return exact or await _existing(api, await _similar(api, files))


async def _existing(api: Api, names: Collection[str]) -> list[Scan]:
    found = []
    for name in dict.fromkeys(names):
        try:
            found.append(await api.get(Scan, name))
        except NotFound:
            continue
    return found


async def _similar(api: Api, files: Collection[Candidate]) -> list[str]:
    """Scans whose file was moved there; else those of a folder, or whose path ends so."""
    if not files:
        return []
    paths = {one.path for one in files}
    moved = [one.name async for one in api.list_metadata(Scan) if one.annotations.get(ANNOTATION_MOVED_TO) in paths]
    if moved:
        return moved[:MOST_SIMILAR]
    rows = [row async for row in api.list_columns(Scan)]
    return [
        str(row["Name"])
        for row in rows
        if any(row["Beamline"] == one.beamline and _fits(str(row["Path"]), one.path) for one in files)
    ][:MOST_SIMILAR]


def _fits(path: str, part: str) -> bool:
    return path.endswith(f"/{part}") or path.startswith(f"{part}/")
