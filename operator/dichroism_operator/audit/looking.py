"""Listing the places of one beamline into the index: folders, catalogue, manifests, bundles. Everything here blocks.

What can't be looked at is noted in the :class:`~dichroism_operator.audit.findings.Sight`, and the rest goes on.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol, runtime_checkable

from dichroism_crds.config import Beamline, Config, Endpoint
from dichroism_crds.config.quantities import MAX_SIZE
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.paths import PathError, check_relative_path, is_relative_path
from dichroism_crds.reasons import Reason
from dichroism_crds.scan_files import Rules, join
from dichroism_operator import planning
from dichroism_operator.audit.facts import Dataset, Member, OnDisk, microseconds_of, moment_of
from dichroism_operator.audit.findings import Disk, Finding, Kind, Place, Sight
from dichroism_operator.audit.index import Index
from dichroism_operator.catalogue.base import Catalogue, DatasetRecord
from dichroism_operator.catalogue.errors import CatalogueError
from dichroism_operator.movers.base import FileStat, Mover
from dichroism_operator.movers.bundle import MAX_MANIFEST_BYTES, BundleDamagedError, parse_manifest
from dichroism_operator.movers.errors import FileTrouble, MoverUnavailable
from dichroism_operator.movers.listing import Listed, ListsFolders, What, list_mounted
from dichroism_operator.movers.mount import MANIFESTS, Mount
from dichroism_operator.movers.retrieval import BringsBack
from dichroism_operator.previews.places import ReadsOverHttps
from dichroism_operator.wording import printable

TOLD_EVERY = 5000
"""Files between two words about progress."""

Progress = Callable[[str, int], None]
"""Told what is looked at, and how many entries were seen."""


@dataclass(frozen=True)
class Looking:
    """One beamline, and by what its endpoints are reached: the mount where there is one, else the mover."""

    config: Config
    beamline: Beamline
    mover_of: Callable[[str], Mover]
    index: Index
    sight: Sight
    progress: Progress = lambda *_: None

    # folders

    def at_source(self) -> Disk:
        """List the source."""
        return self._at(self.beamline.watch.root, Place.SOURCE)

    def at_disk(self) -> Disk:
        """List the disk to which files are copied."""
        return self._at(self.beamline.transfer.destination, Place.DISK)

    def _at(self, name: str, place: Place) -> Disk:
        endpoint, on_source = self.config.endpoints[name], place == Place.SOURCE
        capacity = free = None
        try:
            with ExitStack() as stack:
                mount = stack.enter_context(Mount(endpoint)) if endpoint.mount else None
                self.index.add_files(self.beamline.name, self._walk(endpoint, mount, place), on_source=on_source)
                if mount:
                    mount.probe()  # a mount that went away meanwhile has shown an empty folder
                    capacity, free = _fill(mount)
        except (MoverUnavailable, OSError) as error:
            self.sight.miss(place, f"{name} can't be listed: {_said(error)}")
        disk = self.index.disk(self.beamline.name, name, on_source=on_source)
        disk.capacity, disk.free = capacity, free
        return disk

    def _walk(self, endpoint: Endpoint, mount: Mount | None, place: Place) -> Iterator[tuple[str, OnDisk]]:
        """Files below the root. On the source what is shut out is not entered; a copy of such a file is still one."""
        rules = Rules(self.beamline.watch.exclude, self.beamline.watch.sentinel)
        waiting, seen = [("", True)], 0
        while waiting:
            folder, is_open = waiting.pop()
            try:
                for listed in self._entries(endpoint, mount, folder):
                    seen += 1
                    if seen % TOLD_EVERY == 0:
                        self.progress(endpoint.name, seen)
                    if listed.name == PRIVATE_DIR and not folder:
                        continue
                    taken = is_open and not rules.excludes(folder, listed.name)
                    if not taken and place == Place.SOURCE:
                        continue
                    path = self._legal(join(folder, listed.name), listed, endpoint, place)
                    if path is None:
                        continue
                    if listed.what == What.FILE:
                        is_scan = taken and not rules.is_sentinel(listed.name)
                        yield path, OnDisk(listed.size, listed.modified_us, listed.changed_us, is_scan)
                    elif listed.what == What.FOLDER:
                        waiting.append((path, taken))
                    elif listed.what == What.UNREADABLE:
                        self.sight.miss(place, f"{path} on {endpoint.name}: {listed.trouble}", path)
            except FileNotFoundError:
                if not folder:
                    raise
                continue  # removed since its parent was listed
            except PermissionError as error:
                if not folder:
                    raise
                self.sight.miss(place, f"{folder} on {endpoint.name} can't be listed: {_said(error)}", folder)
        self.progress(endpoint.name, seen)

    def _entries(self, endpoint: Endpoint, mount: Mount | None, folder: str) -> Iterator[Listed]:
        if mount:
            return list_mounted(mount, folder)
        mover = self.mover_of(endpoint.name)
        if not isinstance(mover, ListsFolders):
            text = f"it is not mounted here, and {type(mover).__name__} lists no folders"
            raise MoverUnavailable(Reason.ENDPOINT_UNAVAILABLE, text)
        return mover.list_folder(endpoint, folder)

    def _legal(self, path: str, listed: Listed, endpoint: Endpoint, place: Place) -> str | None:
        """The path, or None where no Scan can have it, which is told of files and folders on the source."""
        try:
            return check_relative_path(path)
        except PathError as error:
            if place == Place.SOURCE and listed.what != What.OTHER:
                shown = printable(path.encode("utf-8", "backslashreplace").decode())
                text = printable(str(error).encode("utf-8", "backslashreplace").decode())
                since = moment_of(max(listed.modified_us, 0))
                name = self.beamline.name
                self.index.keep([Finding(name, Kind.QUARANTINED, endpoint.name, shown, listed.size, since, text)])
            return None

    # catalogue

    def at_catalogue(self, catalogue: Catalogue | None, location: str) -> None:
        """List the datasets whose files lie, or lay, on the disk of this beamline."""
        if catalogue is None:
            self.sight.miss(Place.CATALOGUE, "the configuration has no scicat section")
            return
        try:
            seen = 0
            for page in catalogue.datasets(location):
                self.index.add_datasets(self.beamline.name, self._claims(page))
                seen += len(page)
                self.progress("catalogue", seen)
        except CatalogueError as error:
            self.sight.miss(Place.CATALOGUE, f"the catalogue can't be read: {error}")

    def _claims(self, records: Iterable[DatasetRecord]) -> Iterator[tuple[str, Dataset]]:
        for record in records:
            if claim := claim_of(record, self.config, self.beamline):
                yield claim

    # tape

    def at_manifests(self) -> None:
        """Read the manifests that bundles left on the disk from which they were made."""
        archive = self.beamline.archive
        if archive is None:
            return
        disk = self.config.endpoints[archive.source]
        try:
            names = self._private_names(disk)
            for number, (name, stat) in enumerate(sorted(names.items())):
                try:
                    named = planning.bundle_of_manifest(name)
                except ValueError:
                    continue
                if named.beamline == self.beamline.name.lower():
                    self._manifest(disk, name, stat, named.path)
                self.progress("manifests", number + 1)
        except (MoverUnavailable, OSError) as error:
            self.sight.miss(Place.MANIFESTS, f"the manifests on {disk.name} can't be listed: {_said(error)}")

    def _private_names(self, disk: Endpoint) -> Mapping[str, FileStat]:
        """The manifests by name; each was made when it was modified."""
        if not disk.mount:
            return self.mover_of(disk.name).list_private(disk, MANIFESTS)
        with Mount(disk) as mount:
            try:
                return {
                    one.name: FileStat(one.size, moment_of(one.modified_us)) for one in list_mounted(mount, MANIFESTS)
                }
            except FileNotFoundError:
                return {}

    def _manifest(self, disk: Endpoint, name: str, stat: FileStat, bundle: str) -> None:
        path = f"{MANIFESTS}/{name}"
        try:
            members = parse_manifest(self.content(disk, path, stat.size).decode())
            if not all(0 <= one.size <= MAX_SIZE for one in members):
                raise BundleDamagedError("a size in it makes no sense")
        except (BundleDamagedError, UnicodeDecodeError, MoverUnavailable, FileTrouble, OSError) as error:
            text = f"manifest {name} on {disk.name} can't be read: {_said(error)}. Its bundle still says what it holds"
            self.sight.miss(Place.MANIFESTS, text, path)
            return
        made_us = microseconds_of(stat.modified_at)
        self.index.add_members(
            self.beamline.name,
            (
                (one.path, Member(bundle, one.size, one.modified_us, made_us, one.sha256))
                for one in members
                if is_relative_path(one.path)
            ),
        )

    def content(self, disk: Endpoint, path: str, size: int) -> bytes:
        """A small file of the disk, of which the size is known, read by whatever way there is.

        Raises:
            OSError, FileTrouble: it is not there, or can't be read.
            MoverUnavailable: there is no way to it now.
        """
        if disk.mount:
            with Mount(disk) as mount, mount.file(path) as file:
                return file.read(MAX_MANIFEST_BYTES)
        assert self.beamline.archive
        near = self.mover_of(self.beamline.archive.destination)
        if isinstance(near, BringsBack):
            return near.retrievals.read(disk, path, size)
        mover = self.mover_of(disk.name)
        if isinstance(mover, ReadsOverHttps):
            return mover.read_https(disk, path, MAX_MANIFEST_BYTES)
        text = f"{disk.name} is not mounted here, and {type(mover).__name__} reads no files"
        raise MoverUnavailable(Reason.ENDPOINT_UNAVAILABLE, text)

    def at_tape(self) -> None:
        """List the bundles: of the mounted archive, or by one command at the site."""
        archive = self.beamline.archive
        if archive is None:
            return
        tape = self.config.endpoints[archive.destination]
        try:
            if tape.mount:
                with Mount(tape) as mount:
                    self.index.add_bundles(self.beamline.name, _bundles(mount))
                    mount.probe()
                return
            mover = self.mover_of(tape.name)
            if not isinstance(mover, ListsBundles):
                text = f"it is not mounted here, and {type(mover).__name__} lists no bundles"
                raise MoverUnavailable(Reason.ENDPOINT_UNAVAILABLE, text)
            self.index.add_bundles(self.beamline.name, mover.bundle_names(tape))
        except (MoverUnavailable, OSError) as error:
            self.sight.miss(Place.TAPE, f"the bundles on {tape.name} can't be listed: {_said(error)}")


@runtime_checkable
class ListsBundles(Protocol):
    """A mover that can tell which bundles are on tape without a job."""

    def bundle_names(self, tape: Endpoint) -> Collection[str]:
        """Names of the bundles, without folders."""


def claim_of(record: DatasetRecord, config: Config, beamline: Beamline) -> tuple[str, Dataset] | None:
    """Path and claim of a dataset whose file belongs to the disk of the beamline; None for any other one."""
    disk = PurePosixPath(config.endpoints[beamline.transfer.destination].root_path)
    path = PurePosixPath(record.path)
    if not path.is_relative_to(disk) or not is_relative_path(relative := str(path.relative_to(disk))):
        return None
    dataset = Dataset(
        pid=record.pid,
        size=record.size,
        modified_us=microseconds_of(record.modified_at),
        changed_us=microseconds_of(record.changed_at),
        on_disk=record.on_disk,
        bundle=_bundle_of(record, config, beamline),
        removed_from=record.removed_from,
        proposal=record.proposal,
    )
    return relative, dataset


def _bundle_of(record: DatasetRecord, config: Config, beamline: Beamline) -> str | None:
    if record.bundle is None or beamline.archive is None:
        return None
    tape = PurePosixPath(config.endpoints[beamline.archive.destination].root_path)
    bundle = PurePosixPath(record.bundle)
    return str(bundle.relative_to(tape)) if bundle.is_relative_to(tape) else None


def _bundles(mount: Mount) -> Iterator[str]:
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for one in list_mounted(mount, folder):
            if one.name == PRIVATE_DIR and not folder:
                continue
            if one.what == What.FOLDER:
                waiting.append(join(folder, one.name))
            elif one.what == What.UNREADABLE:
                raise OSError(f"{join(folder, one.name)}: {one.trouble}")
            elif one.what == What.FILE and one.name.endswith(".tar"):
                yield one.name


def _fill(mount: Mount) -> tuple[int, int]:
    """Bytes of the file system, and those that are free for us."""
    found = os.fstatvfs(mount.fd)
    return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize


def _said(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
