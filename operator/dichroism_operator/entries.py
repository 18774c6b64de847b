"""What the catalogue is told about a Scan: pure functions from Scan and configuration to catalogue entries."""

from pathlib import PurePosixPath

from dichroism_crds.config import Beamline, Config, Ingest
from dichroism_crds.kinds import Copy, Scan
from dichroism_operator.catalogue.base import ArchiveEntry, DatasetEntry, FileEntry


def dataset_entry(scan: Scan, copy: Copy, beamline: Beamline, ingest: Ingest, config: Config) -> DatasetEntry:
    """The dataset of a Scan whose copy on disk was verified; its folder is the one at the site of the copy."""
    where = PurePosixPath(config.endpoints[copy.endpoint].root_path) / copy.path
    return DatasetEntry(
        scan=scan.name,
        beamline=beamline.name,
        location=ingest.location or f"ALS {beamline_number(beamline.name)}",
        source_folder=str(where.parent),
        file=_file(scan, copy, where.name),
        owner_group=scan.spec.proposal or ingest.owner_group,
        access_groups=ingest.access_groups,
        owner=ingest.owner,
        contact_email=ingest.contact_email,
        proposal=scan.spec.proposal,
        keywords=("ALS", beamline_number(beamline.name)),
    )


def archive_entry(scan: Scan, disk: Copy, tape: Copy, config: Config) -> ArchiveEntry:
    """The tape copy of a Scan: absolute path of the bundle, name of the member in it."""
    bundle = PurePosixPath(config.endpoints[tape.endpoint].root_path) / tape.path
    name = PurePosixPath(disk.path).name
    return ArchiveEntry(
        bundle=str(bundle), member=tape.member or scan.spec.path, file=_file(scan, disk, name), packed_size=tape.size
    )


def beamline_number(name: str) -> str:
    """``BL402`` is beamline 4.0.2; any other form of name is left as it is."""
    digits = name.removeprefix("BL")
    return ".".join(digits) if name.startswith("BL") and digits.isdigit() else name


def _file(scan: Scan, copy: Copy, name: str) -> FileEntry:
    known = (one.sha256 for one in (copy, *scan.status.copies) if one.sha256)
    return FileEntry(path=name, size=copy.size, modified_at=scan.spec.modified_at, sha256=next(known, None))
