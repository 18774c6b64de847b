"""Asking the three sources. Each answers with the tape copies that it knows of what is asked for."""

import os
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from dichroism_crds.client import Api, NotFound
from dichroism_crds.config import Beamline, Config
from dichroism_crds.kinds import Scan
from dichroism_crds.paths import is_relative_path
from dichroism_crds.timestamps import from_ns
from dichroism_operator import planning
from dichroism_operator.catalogue.base import Catalogue, TapeRecord
from dichroism_operator.movers import bundle
from dichroism_operator.movers.mount import MANIFESTS
from dichroism_operator.restore.asked import Asked
from dichroism_operator.restore.found import Source, TapeCopy


async def from_scans(api: Api, asked: Asked) -> list[TapeCopy]:
    """What the Scans record, of the present contents and of those that were replaced.

    Raises:
        ApiError: the API can't be asked.
    """
    scans = [scan async for scan in _named(api, asked.scans())]
    if not scans and not asked.scan:
        scans = [scan async for scan in api.list(Scan, on_unreadable=lambda *_: None)]
    return [copy for scan in scans for copy in _recorded(scan, asked)]


async def _named(api: Api, names: Iterable[str]) -> AsyncIterator[Scan]:
    for name in names:
        try:
            yield await api.get(Scan, name)
        except NotFound:
            continue


def _recorded(scan: Scan, asked: Asked) -> Iterator[TapeCopy]:
    beamline = next((one for one in asked.beamlines if one.name == scan.spec.beamline), None)
    if beamline is None or beamline.archive is None or not asked.means(beamline, scan.spec.path):
        return
    tape, content = scan.copy_on(beamline.archive.destination), scan.status.content
    if tape and tape.sha256 and content:
        yield TapeCopy(
            beamline.name,
            tape.member or scan.spec.path,
            tape.path,
            tape.size,
            tape.sha256,
            content.modified_at,
            Source.SCAN,
            superseded=content != scan.content,
        )
    for old in scan.status.superseded:
        if old.endpoint == beamline.archive.destination and old.sha256:
            yield TapeCopy(
                beamline.name,
                old.member or scan.spec.path,
                old.path,
                old.size,
                old.sha256,
                old.modified_at,
                Source.SCAN,
                superseded=True,
            )


def from_catalogue(catalogue: Catalogue, config: Config, asked: Asked) -> list[TapeCopy]:
    """What the catalogue records; of a folder all tape copies are paged through. Blocks.

    Raises:
        CatalogueUnavailable: it can't be asked.
        EntryRefused: our account may not ask.
    """
    records: Iterable[TapeRecord]
    if asked.pid:
        records = catalogue.tape_copies(catalogue.full_pid(asked.pid))
    else:
        pids = [catalogue.pid(name) for name in asked.scans()]
        records = [record for pid in pids for record in catalogue.tape_copies(pid)]
        if not records and not asked.scan:
            records = catalogue.all_tape_copies()
    return [copy for record in records for copy in _on_tape(record, config, asked)]


def _on_tape(record: TapeRecord, config: Config, asked: Asked) -> Iterator[TapeCopy]:
    """The record as a place below the tape endpoint of a beamline; none when it lies elsewhere or is not asked for."""
    for beamline in asked.beamlines:
        root = PurePosixPath(config.endpoints[beamline.archive.destination].root_path) if beamline.archive else None
        where = PurePosixPath(record.bundle)
        if root is None or not record.sha256 or not where.is_relative_to(root):
            continue
        path = str(where.relative_to(root))
        if is_relative_path(record.member) and is_relative_path(path) and asked.means(beamline, record.member):
            yield TapeCopy(
                beamline.name,
                record.member,
                path,
                record.size,
                record.sha256,
                record.modified_at,
                Source.CATALOGUE,
                record.superseded,
            )


def from_manifests(folders: Iterable[Path], asked: Sequence[Asked]) -> list[TapeCopy]:
    """What the manifests in these folders list, each read once. Blocks.

    A manifest is called like its bundle with ``.tsv`` behind, and the bundle's name begins with the beamline's.

    Raises:
        OSError: a folder can't be read.
        BundleDamagedError: a manifest can't be read; it is named.
    """
    return [copy for folder in folders for file in sorted(folder.glob("*.tar.tsv")) for copy in _listed(file, asked)]


def manifest_folders(config: Config, beamlines: Iterable[Beamline]) -> list[Path]:
    """Where the manifests of these beamlines lie on this host; none where the endpoint is not mounted."""
    mounts = {config.endpoints[one.archive.source].mount for one in beamlines if one.archive}
    return [folder for mount in sorted(filter(None, mounts)) if (folder := Path(mount) / MANIFESTS).is_dir()]


def _listed(file: Path, asked: Sequence[Asked]) -> Iterator[TapeCopy]:
    try:
        named = planning.bundle_of_manifest(file.name)
    except ValueError:
        return
    beamline = next((one for wish in asked for one in wish.beamlines if one.name.lower() == named.beamline), None)
    if beamline is None:
        return
    try:
        members = bundle.parse_manifest(file.read_bytes().decode())
    except (bundle.BundleDamagedError, UnicodeDecodeError) as error:
        raise bundle.BundleDamagedError(
            f"manifest {os.fspath(file)} can't be read: {error}. Make it anew from its bundle with dichroism archive "
            "rebuild-manifest"
        ) from error
    for member in members:
        if member.sha256 and is_relative_path(member.path) and any(one.means(beamline, member.path) for one in asked):
            moment = from_ns(member.modified_us * 1000)
            yield TapeCopy(beamline.name, member.path, named.path, member.size, member.sha256, moment, Source.MANIFEST)
