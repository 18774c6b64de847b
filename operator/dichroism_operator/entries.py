"""What the catalogue is told about a Scan: pure functions from Scan, description and configuration to entries.

The proposal is also the owner group, so the rules for it are here, in one place.
"""

import re
from pathlib import PurePosixPath

from dichroism_crds.config import Beamline, Config, Ingest
from dichroism_crds.config.models import Proposals, ProposalSource
from dichroism_crds.kinds import Copy, Scan
from dichroism_crds.names import scan_name
from dichroism_operator.catalogue.base import ArchiveEntry, DatasetEntry, FileEntry, Relation
from dichroism_operator.previews.describer import is_sidecar, scans_of, sidecar_of
from dichroism_operator.previews.jobs import Description

_FORMATS = {"FITS": "FITS", "BCS sidecar": "JSON"}


def dataset_entry(
    scan: Scan, copy: Copy, beamline: Beamline, ingest: Ingest, config: Config, told: Description | None
) -> DatasetEntry:
    """The dataset of a Scan whose copy on disk was verified; its folder is the one at the site of the copy.

    ``told`` is what the file says of itself, None when it was not read: then a dataset that is there keeps what it
    says of the same content.
    """
    where = PurePosixPath(config.endpoints[copy.endpoint].root_path) / copy.path
    number = beamline_number(beamline.name)
    said = told or Description()
    proposal, decided = proposal_of(scan, told, ingest.proposals)
    return DatasetEntry(
        scan=scan.name,
        beamline=beamline.name,
        location=location_of(beamline, ingest),
        source_folder=str(where.parent),
        file=_file(scan, copy, where.name),
        owner_group=proposal or ingest.owner_group,
        access_groups=ingest.access_groups or (number,),
        owner=ingest.owner,
        contact_email=ingest.contact_email,
        proposal=proposal,
        owner_known=decided,
        sample=said.sample,
        keywords=("ALS", number, *said.keywords),
        data_format=_FORMATS.get(said.metadata.get("file_format", ""), "ALS BCS"),
        start_time=said.start_time,
        end_time=said.end_time,
        techniques=said.techniques,
        relations=_relations(scan, beamline, said),
        scientific_metadata=said.metadata or {"beamline": number},
        fields=said.fields,
        expected=scan.status.dataset is not None,
        disk=copy.endpoint,
        copied_at=copy.verified_at,
    )


def archive_entry(scan: Scan, disk: Copy, tape: Copy, config: Config) -> ArchiveEntry:
    """The tape copy of a Scan: absolute path of the bundle, name of the member in it."""
    bundle = PurePosixPath(config.endpoints[tape.endpoint].root_path) / tape.path
    name = PurePosixPath(disk.path).name
    return ArchiveEntry(
        bundle=str(bundle), member=tape.member or scan.spec.path, file=_file(scan, disk, name), packed_size=tape.size
    )


def proposal_of(scan: Scan, told: Description | None, rules: Proposals) -> tuple[str | None, bool]:
    """The proposal of a scan by the configured order, and whether that is decided.

    Not decided: a sidecar that might name one comes first and could not be read now.
    """
    for source in rules.order:
        if source == "sidecar" and (told is None or told.sidecar_unread):
            return _proposal(scan, None, rules, [one for one in rules.order if one != "sidecar"]), False
        if named := _proposal(scan, told, rules, [source]):
            return named, True
    return None, True


def _proposal(scan: Scan, told: Description | None, rules: Proposals, order: list[ProposalSource]) -> str | None:
    found = {
        "scan": scan.spec.proposal,
        "sidecar": _acceptable(told.proposal if told else None, rules.sidecar_pattern),
        "folders": rules.of_folder(scan.spec.path),
    }
    return next((found[source] for source in order if found[source]), None)


def _acceptable(proposal: str | None, pattern: str) -> str | None:
    return proposal if proposal and re.fullmatch(pattern, proposal) else None


def unaccepted_proposal(told: Description, rules: Proposals) -> str | None:
    """What a sidecar names as its proposal when it has not the form of one, for people to see."""
    if told.proposal and not _acceptable(told.proposal, rules.sidecar_pattern):
        return told.proposal
    return None


def scans_beside(scan: Scan, beamline: Beamline) -> list[str]:
    """Names of the Scans whose sidecar this Scan's file may be; the usual one first, none when it is no sidecar."""
    if not is_sidecar(scan.spec.path):
        return []
    return [scan_name(beamline.name, beamline.watch.root, path) for path in scans_of(scan.spec.path)]


def _relations(scan: Scan, beamline: Beamline, told: Description) -> tuple[Relation, ...]:
    if beside := scans_beside(scan, beamline):
        return (Relation(beside[0], "IsMetadataFor"),)
    if told.has_sidecar:
        return (Relation(scan_name(beamline.name, beamline.watch.root, sidecar_of(scan.spec.path)), "HasMetadata"),)
    return ()


def location_of(beamline: Beamline, ingest: Ingest) -> str:
    """Where the scans of a beamline are measured, as their datasets say it."""
    return ingest.location or f"ALS {beamline_number(beamline.name)}"


def beamline_number(name: str) -> str:
    """``BL402`` is beamline 4.0.2; any other form of name is left as it is."""
    digits = name.removeprefix("BL")
    return ".".join(digits) if name.startswith("BL") and digits.isdigit() else name


def _file(scan: Scan, copy: Copy, name: str) -> FileEntry:
    known = (one.sha256 for one in (copy, *scan.status.copies) if one.sha256)
    return FileEntry(path=name, size=copy.size, modified_at=scan.spec.modified_at, sha256=next(known, None))
