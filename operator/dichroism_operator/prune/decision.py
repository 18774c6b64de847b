"""Whether one file may go from its endpoint at this moment: pure functions, no I/O, no clock.

A file goes only when every single check says nothing. The same checks stand before the rename into the trash and before
the deletion out of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from dichroism_crds.config import Config, Hold, PruneRule
from dichroism_crds.kinds import Content, Copy, Prune, PruneBundle, PruneItem, RecordedEndpoint, Scan
from dichroism_crds.names import ANNOTATION_MOVED_TO, ANNOTATION_UNDO, PRIVATE_DIR
from dichroism_crds.paths import PathError, check_relative_path
from dichroism_crds.reasons import KeptReason
from dichroism_crds.timestamps import kept_time, same_time
from dichroism_operator.calendar import recorded
from dichroism_operator.movers.base import CopyState, CopyToVerify, FileStat

BACKOFF_FIRST = timedelta(hours=1)
BACKOFF_LONGEST = timedelta(days=7)
BACKOFF_PROOF = timedelta(hours=8)
"""A proof that a job makes holds 24 hours: whoever waits for one must come back while it does."""

PUT_BACK = frozenset(
    {
        KeptReason.NOT_DUE,
        KeptReason.HELD,
        KeptReason.NO_COPY_RECORDED,
        KeptReason.COPY_MISSING,
        KeptReason.COPY_DIFFERS,
        KeptReason.SOURCE_CHANGED,
        KeptReason.SUPERSEDED,
    }
)
"""Reasons that bring a file back from the trash. With the others it waits there: they may pass by themselves."""


@dataclass(frozen=True, slots=True)
class Case:
    """One file and everything that is known about it without looking at storage. ``scan`` may be gone."""

    config: Config
    prune: Prune
    item: PruneItem
    scan: Scan | None
    moment: datetime

    @property
    def rule(self) -> PruneRule | None:
        """Today's rule for the endpoint; None when it is pruned no more."""
        beamline = self.config.beamlines.get(self.prune.spec.beamline)
        return beamline.prune.get(self.prune.spec.endpoint.name) if beamline else None


def decide(case: Case, found: FileStat | None, states: Mapping[str, CopyState]) -> KeptReason | None:
    """Why the file stays; None when it may go.

    Args:
        case: what the objects and the configuration say.
        found: the file as it lies on the endpoint now, at its path or in the trash.
        states: outcome of the verification just made, by needed endpoint.
    """
    return endpoint_changed(case) or not_as_scheduled(case, found) or forbidden(case) or unproven(case, states)


def endpoint_changed(case: Case) -> KeptReason | None:
    """The endpoint is not the recorded one: nothing may even be looked for there."""
    return None if _same(case, case.prune.spec.endpoint) else KeptReason.ENDPOINT_CHANGED


def not_as_scheduled(case: Case, found: FileStat | None) -> KeptReason | None:
    """The file is not there, or is another one by now."""
    try:
        check_relative_path(case.item.path)
    except PathError:
        return KeptReason.UNREADABLE
    if case.item.path.split("/", 1)[0] == PRIVATE_DIR:
        return KeptReason.UNREADABLE
    if found is None:
        return KeptReason.SOURCE_MOVED if _moved_at_source(case) else KeptReason.ALREADY_GONE
    if is_item(case.item, found):
        return None
    if case.scan and _same_content(case.scan.content, found.size, found.modified_at):
        return KeptReason.SUPERSEDED
    return KeptReason.SOURCE_CHANGED


def _moved_at_source(case: Case) -> bool:
    """Whether the watcher told that the file has another path by now; copies elsewhere stay where they are."""
    beamline = case.config.beamlines.get(case.prune.spec.beamline)
    at_source = beamline is not None and beamline.watch.root == case.prune.spec.endpoint.name
    return at_source and case.scan is not None and ANNOTATION_MOVED_TO in case.scan.metadata.annotations


def forbidden(case: Case) -> KeptReason | None:
    """People, the calendar or the records forbid it, whatever lies on the endpoints."""
    if suspended(case.prune) or (case.scan and case.scan.spec.suspend):
        return KeptReason.SUSPENDED
    if holds_on(case):
        return KeptReason.HELD
    due = due_at(case)
    if due is None or case.moment < due:
        return KeptReason.NOT_DUE
    if not all(_same(case, need) for need in case.prune.spec.needs):
        return KeptReason.ENDPOINT_CHANGED
    copies = needed_copies(case)
    if copies and case.item.checksum is None:
        return KeptReason.AWAITING_VERIFICATION  # There is nothing to compare a copy with.
    if not copies or None in copies.values():
        return KeptReason.NO_COPY_RECORDED
    return None


def unproven(case: Case, states: Mapping[str, CopyState]) -> KeptReason | None:
    """A needed copy was not proven just now; what is certainly wrong is told before what is unknown."""
    outcomes = {states.get(need, CopyState.UNKNOWN) for need in needed_copies(case)}
    if CopyState.MISSING in outcomes:
        return KeptReason.COPY_MISSING
    if CopyState.DIFFERS in outcomes:
        return KeptReason.COPY_DIFFERS
    return None if outcomes == {CopyState.VERIFIED} else KeptReason.AWAITING_VERIFICATION


def undo_asked(prune: Prune) -> bool:
    """Whether a person wants back what lies in the trash; as long as they say so, nothing of the Prune goes."""
    return ANNOTATION_UNDO in prune.metadata.annotations


def suspended(prune: Prune) -> bool:
    """Whether a person stopped the whole Prune."""
    return prune.spec.suspend or undo_asked(prune)


def holds_on(case: Case) -> list[Hold]:
    """The configuration's holds that cover the file at the case's moment."""
    return [
        hold
        for hold in case.config.holds
        if any(
            hold.covers(
                beamline=case.prune.spec.beamline,
                path=case.item.path,
                scan=case.item.scan,
                proposal=proposal,
                at=case.moment,
            )
            for proposal in _proposals(case)
        )
    ]


def due_at(case: Case) -> datetime | None:
    """When the file may go: never before the Prune's moment, nor before today's retention is over; None: never."""
    if case.rule is None:
        return None
    later = [copy.verified_at for need in _unrecorded_needs(case) if (copy := _copy_of_scan(case, need))]
    return max(case.prune.spec.not_before, max([case.item.anchor, *later]) + case.rule.retention(*_proposals(case)))


def needed_copies(case: Case) -> dict[str, CopyToVerify | None]:
    """The copy to prove on each endpoint in the union of today's needs and the recorded ones; None: none is known."""
    copies = {need.name: _recorded_copy(case, need.name) for need in case.prune.spec.needs}
    for need in _unrecorded_needs(case):
        copy = _copy_of_scan(case, need)
        tape = copy.path if copy and copy.member else None
        copies[need] = _to_verify(case, (copy.member or copy.path) if copy else None, tape)
    # The file that is to go can't be the reason for its own deletion.
    return {need: None if need == case.prune.spec.endpoint.name else copy for need, copy in copies.items()}


def is_item(item: PruneItem, found: FileStat) -> bool:
    """Whether a file is exactly the one that was scheduled, as far as size and modification time tell."""
    return found.size == item.size and kept_time(found.modified_at, item.modified_at)


def backoff(attempts: int) -> timedelta:
    """How long an incomplete Prune waits after that many runs in a row: 1 h doubling to 7 days."""
    doublings: int = min(max(attempts, 1) - 1, 10)
    return min(BACKOFF_FIRST * (1 << doublings), BACKOFF_LONGEST)


def _proposals(case: Case) -> set[str | None]:
    """It may have become known, or been corrected, after the Prune was written: what either one says holds."""
    return {case.item.proposal, *([case.scan.spec.proposal] if case.scan else [])}


def _same(case: Case, then: RecordedEndpoint) -> bool:
    today = case.config.endpoints.get(then.name)
    return today is not None and recorded(today) == then


def _unrecorded_needs(case: Case) -> list[str]:
    known = {need.name for need in case.prune.spec.needs}
    return [need for need in case.rule.needs if need not in known] if case.rule else []


def _recorded_copy(case: Case, need: str) -> CopyToVerify | None:
    """Where the Prune says that the copy is: in its bundle, or at the same path; on tape never without a bundle."""
    item, spec = case.item, case.prune.spec
    bundle: PruneBundle | None = None
    if item.bundle is not None and item.bundle < len(spec.bundles):
        bundle = spec.bundles[item.bundle]
    if bundle and bundle.endpoint == need:
        return _to_verify(case, item.member or item.path, bundle.path)
    beamline = case.config.beamlines.get(spec.beamline)
    tape = {one.endpoint for one in spec.bundles}
    if beamline and beamline.archive:
        tape.add(beamline.archive.destination)
    return None if need in tape else _to_verify(case, item.path, None)


def _copy_of_scan(case: Case, need: str) -> Copy | None:
    """The copy that the Scan records of exactly this content."""
    scan, item = case.scan, case.item
    if scan is None or scan.spec.path != item.path or scan.status.content is None:
        return None
    return scan.copy_on(need) if _same_content(scan.status.content, item.size, item.modified_at) else None


def _to_verify(case: Case, path: str | None, bundle: str | None) -> CopyToVerify | None:
    """The copy must have the checksum that the Prune recorded, whoever names its place."""
    if path is None or case.item.checksum is None:
        return None
    read_back = bundle is not None and _must_be_read_back(case)
    digest = case.item.checksum.value
    return CopyToVerify(path=path, size=case.item.size, sha256=digest, bundle=bundle, read_back=read_back)


def _must_be_read_back(case: Case) -> bool:
    """Whether nobody may have read the bundle since it was stored, and the file that goes is the one it was made of."""
    beamline = case.config.beamlines.get(case.prune.spec.beamline)
    archive = beamline.archive if beamline else None
    return archive is not None and archive.verify == "full" and case.prune.spec.endpoint.name == archive.source


def _same_content(content: Content, size: int, modified_at: datetime) -> bool:
    return content.size == size and same_time(content.modified_at, modified_at)
