"""What a person asks for: a Scan's name, a dataset's pid, a file or a folder. Pure: nothing is looked up here."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from dichroism_crds.config import Beamline, Config
from dichroism_crds.names import scan_name
from dichroism_crds.paths import PathError, check_relative_path
from dichroism_operator import addresses
from dichroism_operator.catalogue.scicat_documents import dataset_pid

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class AskedError(ValueError):
    """It can't be understood; the text says what could."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One wish. Exactly one of ``scan``, ``pid`` and ``path`` is set; the path "" is everything.

    ``beamlines`` are those that are looked at.
    """

    beamlines: tuple[Beamline, ...]
    scan: str | None = None
    pid: str | None = None
    """The UUID at the end of the pid: prefixes differ between sites."""
    path: str | None = None

    def means(self, beamline: Beamline, path: str) -> bool:
        """Whether a file of that beamline is asked for."""
        if not any(one is beamline for one in self.beamlines):
            return False
        if self.path is not None:
            return self.path in ("", path) or path.startswith(f"{self.path}/")
        name = scan_name(beamline.name, beamline.watch.root, path)
        return name == self.scan if self.scan else dataset_pid(name) == self.pid

    def scans(self) -> Iterator[str]:
        """Names of the Scans that it may be: of one file there are only so many. A folder has none."""
        if self.scan:
            yield self.scan
        elif self.path:
            yield from (scan_name(one.name, one.watch.root, self.path) for one in self.beamlines)


def understand(text: str, config: Config, beamline: str | None) -> Asked:
    """What a word of the command line means; ``beamline`` narrows it.

    Raises:
        AskedError: it means nothing here.
    """
    archived = tuple(one for one in config.beamlines.values() if one.archive and beamline in (None, one.name))
    if not archived:
        named = f"beamline {beamline} is not in the configuration or" if beamline else "no beamline of it"
        raise AskedError(f"{named} has no archive section, so nothing of it is on tape")
    last = text.rpartition("/")[2]
    if _UUID.fullmatch(last) and not text.startswith("/"):
        return Asked(archived, pid=last)
    if addresses.is_scan_name(text):
        return Asked(archived, scan=text)
    if text.startswith("/"):
        return _absolute(text.rstrip("/"), archived, config)
    return Asked(archived, path=_relative(text))


def _absolute(text: str, beamlines: Collection[Beamline], config: Config) -> Asked:
    """A path as a site or this host has it: below the root, the collection's folder or the mount of an endpoint."""
    for _, name, path in addresses.below(text, beamlines, config):
        users = tuple(one for one in beamlines if name in one.produces)
        return Asked(users, path=_relative(path))
    raise AskedError(
        f"{text} is below no root_path, globus_path or mount of an endpoint. Give a path relative to the endpoint's "
        "root, the name of a Scan, or a dataset's pid"
    )


def _relative(text: str) -> str:
    path = text.rstrip("/").removeprefix("./")
    if path in ("", "."):
        return ""
    try:
        return check_relative_path(path)
    except PathError as error:
        raise AskedError(f"nothing can be found: {error}") from error
