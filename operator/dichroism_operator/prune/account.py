"""What one run learned and did about the files of one Prune, by index of its item; the status is made from it."""

from dataclasses import dataclass, field
from datetime import datetime

from dichroism_crds.kinds import Prune, PruneStatus
from dichroism_crds.reasons import KeptReason
from dichroism_operator.prune import outcome
from dichroism_operator.prune.ledger import Ledger


@dataclass(slots=True)
class Account:
    """The books of one run over one Prune.

    ``kept`` has the reason of each file that stays. ``gone`` are items that were not there although the status does not
    name them: most of them were deleted by earlier runs. ``unnamed`` counts files that an earlier run settled and that
    the status had no room to name. ``worked`` says that something was touched, ``unfinished`` that a run must follow.
    """

    items: list[str]
    before: PruneStatus
    kept: dict[int, KeptReason] = field(default_factory=dict)
    gone: list[int] = field(default_factory=list)
    moved: set[int] = field(default_factory=set)
    unnamed: int = 0
    unfinished: bool = False
    worked: bool = False
    trashed_at: datetime | None = None

    @classmethod
    def of(cls, prune: Prune) -> "Account":
        """Empty books for a Prune as it was read."""
        paths = [item.path for item in prune.spec.items]
        return cls(paths, prune.status, trashed_at=prune.status.trashed_at)

    def keep(self, index: int, reason: KeptReason) -> None:
        """A file stays."""
        named = {item.path for item in self.before.kept}
        if reason == KeptReason.ALREADY_GONE and self.before.deleted and self.items[index] not in named:
            # Most of these are the ones that we deleted; they are told apart by number only.
            self.gone.append(index)
        else:
            self.kept[index] = reason

    def keep_settled(self) -> None:
        """Files that earlier runs settled stay settled."""
        settled = outcome.settled_before(self.before)
        for index, path in enumerate(self.items):
            if path in settled:
                self.kept[index] = settled[path]

    def keep_rest(self, reason: KeptReason, ledger: Ledger | None) -> None:
        """Everything that was not decided, and does not lie in the trash, stays for the same reason."""
        elsewhere = {*self.gone, *self.moved, *(ledger.indexes if ledger else ())}
        for index in range(len(self.items)):
            if index not in elsewhere:
                self.kept.setdefault(index, reason)

    def tally(self, prune: Prune, ledger: Ledger | None, moment: datetime) -> outcome.Tally:
        """What the status is made of; without a ledger the trash could not be read, and the status is believed."""
        counted = outcome.corrected(prune, len(ledger.entries), ledger.bytes) if ledger else prune.status
        in_trash = len(ledger.entries) if ledger else prune.status.trashed
        return outcome.Tally(
            in_trash=in_trash,
            strangers=len(ledger.strangers) if ledger else 0,
            trashed_at=moment if self.moved else (self.trashed_at or (moment if in_trash else None)),
            deleted=counted.deleted,
            bytes_freed=counted.bytes_freed,
            kept={self.items[index]: reason for index, reason in sorted(self.kept.items())},
            unnamed=self.unnamed + max(0, len(self.gone) - self.before.deleted),
            unfinished=self.unfinished,
            worked=self.worked,
        )
