"""Reading the copies on disk again, where somebody asks for it: against the manifests, else against the catalogue."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from dichroism_crds.config import Beamline, Config
from dichroism_crds.names import scan_name
from dichroism_operator.audit.facts import Case, OnDisk, microseconds_of, moment_of, same_moment
from dichroism_operator.audit.findings import Finding, Kind, Place, Sight
from dichroism_operator.audit.index import Index
from dichroism_operator.audit.looking import Progress
from dichroism_operator.catalogue.base import Catalogue
from dichroism_operator.catalogue.errors import CatalogueError
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.hashing import no_checkpoint, sha256_from_disk
from dichroism_operator.movers.mount import Mount


@dataclass(frozen=True)
class Checksums:
    """All copies of one beamline."""

    config: Config
    beamline: Beamline
    index: Index
    sight: Sight
    catalogue: Catalogue | None
    progress: Progress

    def findings(self) -> Iterator[Finding]:
        """Copies that are not what is on record; what has no checksum on record, or can't be read, is noted."""
        disk = self.config.endpoints[self.beamline.transfer.destination]
        if not disk.mount:
            self.sight.miss(Place.DISK, f"checksums are read where {disk.name} is mounted, and it is not mounted here")
            return
        read = 0
        try:
            with Mount(disk) as mount:
                for case in self.index.cases(self.beamline.name):
                    if case.disk is None or not case.disk.is_scan or (expected := self._expected(case)) is None:
                        continue
                    found = self._found(mount, case)
                    if found and found != expected:
                        text = f"its sha256 is {found}, on record is {expected}"
                        since = moment_of(case.disk.since_us)
                        yield Finding(
                            *(self.beamline.name, Kind.CHECKSUM_DIFFERS, disk.name, case.path, case.disk.size, since),
                            text,
                        )
                    read += case.disk.size
                    self.progress("bytes read", read)
        except (MoverUnavailable, CatalogueError) as error:
            self.sight.miss(Place.DISK, f"not all checksums could be read: {error}")

    def _expected(self, case: Case) -> str | None:
        """The checksum on record of the content that lies there."""
        assert case.disk
        for member in case.members:
            if member.sha256 and member.size == case.disk.size and _at(member.modified_us, case.disk):
                return member.sha256
        if not case.datasets or self.catalogue is None:
            return None
        name = scan_name(self.beamline.name, self.beamline.watch.root, case.path)
        record = self.catalogue.dataset(self.catalogue.pid(name))
        if record and record.size == case.disk.size and _at(microseconds_of(record.modified_at), case.disk):
            return record.sha256
        return None

    def _found(self, mount: Mount, case: Case) -> str | None:
        """The checksum of what lies there now; None where it is another content by now, or none."""
        assert case.disk
        try:
            with mount.open(case.path) as fd:
                _, digest = sha256_from_disk(fd, no_checkpoint)
                after = os.fstat(fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.sight.miss(Place.DISK, f"{case.path} can't be read: {error.strerror or error}", case.path)
            return None
        same = (after.st_size, after.st_mtime_ns // 1000) == (case.disk.size, case.disk.modified_us)
        return digest if same else None


def _at(modified_us: int, disk: OnDisk) -> bool:
    return same_moment(modified_us, disk.modified_us)
