"""What a Prune's status says after a run: pure functions from what was found and done to a status and to sentences."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dichroism_crds.kinds import (
    MAX_FAILED_SHOWN,
    Condition,
    ConditionStatus,
    KeptItem,
    Prune,
    PrunePhase,
    PruneStatus,
    find_condition,
)
from dichroism_crds.reasons import KeptReason, Reason
from dichroism_operator import wording
from dichroism_operator.prune.decision import BACKOFF_PROOF, backoff

COMPLETE = "Complete"
"""Condition: every file of the Prune is deleted, or settled for good."""
EMPTYING = "TrashEmptying"
"""Condition, True while the trash is deleted: ``deleted`` and ``bytesFreed`` already count all that lay in it.

They are corrected by what still lies there when the emptying ends, or at the next run after a crash. Without that
nobody could tell after a crash what was deleted, since a deleted file leaves no trace.
"""
CATALOGUE_TOLD = "CatalogueTold"
"""Condition, False from before the first file moves until the catalogue knows of all; absent where it lists none."""
WAITS_FOR_PEOPLE = frozenset({KeptReason.HELD, KeptReason.SUSPENDED})


@dataclass(slots=True)
class Tally:
    """What one run knows about a Prune at its end.

    ``kept`` has the reason by path, for files at their place and in the trash; ``unnamed`` counts files that had gone
    before and can't be told by name any more. ``unfinished`` says that the run stopped before it had seen all files.
    """

    in_trash: int = 0
    strangers: int = 0
    trashed_at: datetime | None = None
    deleted: int = 0
    bytes_freed: int = 0
    kept: dict[str, KeptReason] = field(default_factory=dict)
    unnamed: int = 0
    unfinished: bool = False
    worked: bool = False

    @property
    def open(self) -> list[KeptReason]:
        """Reasons that are tried again."""
        return [reason for reason in self.kept.values() if not reason.settled]


def conclude(prune: Prune, tally: Tally, keep: timedelta, moment: datetime) -> PruneStatus:
    """The status at the end of a run. ``keep`` is how long files lie in the trash."""
    before = prune.status
    phase = _phase(before, tally)
    again = phase == PrunePhase.INCOMPLETE and not tally.unfinished
    attempts = before.attempts + 1 if again else 0
    retry_at = _retry_at(tally, attempts, keep, moment) if again else None
    if phase == PrunePhase.INCOMPLETE and tally.unfinished:
        attempts, retry_at = before.attempts, before.retry_at
    shown = sorted(tally.kept.items(), key=lambda entry: entry[1].settled)[:MAX_FAILED_SHOWN]
    status = PruneStatus(
        phase=phase,
        message=_message(phase, tally, keep),
        trashed=tally.in_trash,
        trashed_at=tally.trashed_at,
        deleted=tally.deleted,
        bytes_freed=tally.bytes_freed,
        kept_count=min(len(tally.kept) + tally.unnamed, len(prune.spec.items) - tally.deleted),
        kept=[KeptItem(path=path, reason=reason.value) for path, reason in shown],
        attempts=attempts,
        retry_at=retry_at,
    )
    done = ConditionStatus.TRUE if phase == PrunePhase.PRUNED else ConditionStatus.FALSE
    complete = _condition(prune, COMPLETE, done, _reason(phase, tally), status.message, moment)
    changed = tally.worked or _absent(status) != _absent(before)
    told = _to_be_told(prune, moment) if changed else _told_before(before)
    return status.model_copy(update={"conditions": [complete, *told]})


def running(prune: Prune, moment: datetime) -> PruneStatus:
    """The status while files go into the trash; the emptying date is open until it is known when the last one went."""
    text = "files are being moved into the trash"
    complete = _condition(prune, COMPLETE, ConditionStatus.FALSE, Reason.IN_PROGRESS, text, moment)
    conditions = [complete, *_to_be_told(prune, moment)]
    update = {"phase": PrunePhase.RUNNING, "message": text, "trashed_at": None, "conditions": conditions}
    return prune.status.model_copy(update=update)


def emptying(prune: Prune, files: int, size: int, moment: datetime) -> PruneStatus:
    """The status before the first file of the trash is deleted; see :data:`EMPTYING`."""
    text = f"the trash is being emptied ({files} files)"
    before = prune.status
    update = {
        "phase": PrunePhase.RUNNING,
        "message": text,
        "deleted": before.deleted + files,
        "bytes_freed": before.bytes_freed + size,
        "conditions": [
            _condition(prune, COMPLETE, ConditionStatus.FALSE, Reason.IN_PROGRESS, text, moment),
            _condition(prune, EMPTYING, ConditionStatus.TRUE, Reason.IN_PROGRESS, text, moment),
            *_told_before(before),
        ],
    }
    return before.model_copy(update=update)


def corrected(prune: Prune, files: int, size: int) -> PruneStatus:
    """The status of an emptying that ended: ``files`` of ``size`` bytes still lie in the trash. Else unchanged."""
    before = prune.status
    if not is_emptying(before):
        return before
    update = {
        "deleted": max(0, before.deleted - files),
        "bytes_freed": max(0, before.bytes_freed - size),
        "trashed": files,
        "conditions": [condition for condition in before.conditions if condition.type != EMPTYING],
    }
    return before.model_copy(update=update)


def is_emptying(status: PruneStatus) -> bool:
    """Whether the counts run ahead of the deletions."""
    return find_condition(status.conditions, EMPTYING).status == ConditionStatus.TRUE


def is_untold(status: PruneStatus) -> bool:
    """Whether the catalogue has to be told what became of the files."""
    return find_condition(status.conditions, CATALOGUE_TOLD).status == ConditionStatus.FALSE


def told(prune: Prune, reason: Reason, message: str, moment: datetime) -> PruneStatus:
    """The status with what came of telling the catalogue."""
    status = ConditionStatus.TRUE if reason == Reason.TOLD else ConditionStatus.FALSE
    condition = _condition(prune, CATALOGUE_TOLD, status, reason, message, moment)
    return prune.status.model_copy(update={"conditions": [*_others(prune.status), condition]})


def same_work(one: PruneStatus, other: PruneStatus) -> bool:
    """Whether two statuses say the same about the files, whatever the catalogue was told."""
    return one.model_copy(update={"conditions": _others(one)}) == other.model_copy(
        update={"conditions": _others(other)}
    )


def settled_before(status: PruneStatus) -> dict[str, KeptReason]:
    """Files that earlier runs settled, as far as the status names them: they are not looked at again."""
    named = {item.path: item.reason for item in status.kept}
    settled = {reason.value: reason for reason in KeptReason if reason.settled}
    return {path: settled[reason] for path, reason in named.items() if reason in settled}


def count_reasons(reasons: Iterable[str]) -> str:
    """``2 Held, 1 CopyMissing``: the most frequent first."""
    return ", ".join(f"{count} {reason}" for reason, count in _by_frequency(reasons).items())


def _others(status: PruneStatus) -> list[Condition]:
    return [condition for condition in status.conditions if condition.type != CATALOGUE_TOLD]


def _told_before(status: PruneStatus) -> list[Condition]:
    return [condition for condition in status.conditions if condition.type == CATALOGUE_TOLD]


def _to_be_told(prune: Prune, moment: datetime) -> list[Condition]:
    """The condition for files that move; none when the catalogue lists none of them."""
    count = len({item.dataset for item in prune.spec.items if item.dataset})
    if not count:
        return []
    text = f"{wording.count(count, 'dataset')} to be told"
    return [_condition(prune, CATALOGUE_TOLD, ConditionStatus.FALSE, Reason.IN_PROGRESS, text, moment)]


def _absent(status: PruneStatus) -> int:
    """How many files are not at their paths, as far as the status tells: a change that a killed run did not tell."""
    gone = [item for item in status.kept if item.reason == KeptReason.ALREADY_GONE.value]
    return status.trashed + status.deleted + len(gone)


def _by_frequency(reasons: Iterable[str]) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[str(reason)] = counts.get(str(reason), 0) + 1
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _phase(before: PruneStatus, tally: Tally) -> PrunePhase:
    if tally.unfinished:
        idle = not tally.worked and before.phase is not None
        return before.phase if idle and before.phase else PrunePhase.RUNNING
    if tally.open:
        return PrunePhase.HELD if set(tally.open) <= WAITS_FOR_PEOPLE else PrunePhase.INCOMPLETE
    if tally.in_trash:
        return PrunePhase.TRASHED
    return PrunePhase.INCOMPLETE if tally.strangers else PrunePhase.PRUNED


def _retry_at(tally: Tally, attempts: int, keep: timedelta, moment: datetime) -> datetime:
    """After the back-off (shorter while a proof is awaited), or when the trash is to be emptied if that is sooner."""
    wait = backoff(attempts)
    if KeptReason.AWAITING_VERIFICATION in tally.open:
        wait = min(wait, BACKOFF_PROOF)
    again = moment + wait
    due = tally.trashed_at + keep if tally.in_trash and tally.trashed_at else None
    return min(again, due) if due and due > moment else again


def _message(phase: PrunePhase, tally: Tally, keep: timedelta) -> str:
    parts = []
    if tally.in_trash:
        until = f" until {tally.trashed_at + keep:%Y-%m-%d}" if tally.trashed_at else ""
        parts.append(f"{wording.files(tally.in_trash)} in the trash{until}")
    if tally.deleted:
        parts.append(f"{wording.files(tally.deleted)} deleted, {wording.size(tally.bytes_freed)} freed")
    if kept := len(tally.kept) + tally.unnamed:
        gone = [KeptReason.ALREADY_GONE] * tally.unnamed
        parts.append(f"{kept} kept ({count_reasons([*tally.kept.values(), *gone])})")
    if tally.strangers:
        parts.append(f"unknown in the trash, left alone: {wording.files(tally.strangers)}; look and move them away")
    if tally.unfinished and phase == PrunePhase.RUNNING:
        parts.append("the rest follows in the next run")
    return "; ".join(parts)[:1024]


def _reason(phase: PrunePhase, tally: Tally) -> str:
    """One word for the condition: done, under way, or the most frequent reason for which files stay."""
    if phase == PrunePhase.PRUNED:
        return Reason.COMPLETED
    if phase in (PrunePhase.HELD, PrunePhase.INCOMPLETE) and tally.open:
        return next(iter(_by_frequency(tally.open)))
    return Reason.SOME_ITEMS_FAILED if phase == PrunePhase.INCOMPLETE else Reason.IN_PROGRESS


def _condition(
    prune: Prune, kind: str, status: ConditionStatus, reason: str, message: str, moment: datetime
) -> Condition:
    old = find_condition(prune.status.conditions, kind)
    return old.moved(status, reason, message, prune.metadata.generation, moment)
