"""One Prune in one run: bring the trash in order, fill it with what is due, empty it when its time has come, tell.

Nothing is remembered between runs but the status and the trash itself, so a run that is killed at any instruction is
repeated as a whole with the same outcome.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from dichroism_crds.client import ApiError
from dichroism_crds.kinds import Prune, PruneItem, PrunePhase
from dichroism_crds.reasons import EventReason, KeptReason
from dichroism_crds.timestamps import now
from dichroism_operator import killpoints
from dichroism_operator.movers.base import CopyState, FileStat
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.prune import decision, outcome
from dichroism_operator.prune.account import Account
from dichroism_operator.prune.audit import Action, Audit
from dichroism_operator.prune.decision import Case, decide
from dichroism_operator.prune.folders import remove_emptied
from dichroism_operator.prune.gate import PruningStoppedError
from dichroism_operator.prune.ledger import Entry, Ledger
from dichroism_operator.prune.record import Record
from dichroism_operator.prune.run import Row, Run
from dichroism_operator.prune.trash import Trash
from dichroism_operator.prune.verification import Verification

BATCH = 50
"""Files between two looks at the stop switch and at the Prune itself."""
FRESH_S = 60.0
"""After a longer verification, people's words (suspend, holds of a Scan's proposal, the switch) are read again."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class PruneWork:
    """One Prune, once."""

    def __init__(self, run: Run, prune: Prune) -> None:
        self.run = run
        self.record = Record(run.api, prune, dry_run=run.dry_run)
        self.trash = Trash(run.mover_of(run.endpoint.name), run.endpoint, prune)
        self.items = prune.spec.items
        self.ledger: Ledger | None = None
        self.account = Account.of(prune)
        self.audit = Audit(run, prune)
        self.started = False
        self.emptied = False

    @property
    def prune(self) -> Prune:
        """The Prune as the API server last gave it."""
        return self.record.prune

    async def do(self) -> None:
        """Do what can be done now and write the status.

        Raises:
            PruningStoppedError: the run must end; what was done is told as far as the API server answers.
            LeaseLostError: the run must end, nothing was told.
            OvertakenError: somebody else works on this Prune.
        """
        try:
            if decision.endpoint_changed(self._case(0)):
                self.account.keep_rest(KeptReason.ENDPOINT_CHANGED, self.ledger)
            else:
                await self._work()
        except PruningStoppedError as stopped:
            self.account.unfinished = True
            if not self.run.dry_run:
                self.run.recorder.event(self.prune, EventReason.PRUNE_STOPPED, str(stopped))
            if self.account.worked:
                await self._read_again()
                try:
                    await self._conclude()
                except ApiError as error:
                    log.warning("%s: what was done can't be told now, the next run does: %s", self.prune.name, error)
            raise
        except MoverUnavailable as outage:
            log.error("%s: %s", self.prune.name, outage, extra={"prune": self.prune.name})
            self.run.summary.troubles.append(f"{self.prune.name}: {outage}")
            await self._read_again()
            self.account.keep_rest(KeptReason.ENDPOINT_UNAVAILABLE, self.ledger)
        await self._conclude()

    async def _work(self) -> None:
        self.ledger = await self.trash.read()
        if self.ledger.strangers:
            log.warning("%s: unknown in the trash: %s", self.prune.name, ", ".join(self.ledger.strangers[:10]))
        await self._correct(self.ledger)
        if decision.undo_asked(self.prune):
            await self._undo(self.ledger)
            return
        await self._return_misfits(self.ledger)
        await self._fill()
        if self._emptying_due():
            await self._empty()
        if self.emptied:
            left = {*self.account.kept, *self.ledger.indexes}
            deleted = [item.path for index, item in enumerate(self.items) if index not in left]
            await remove_emptied(self.run, self.prune, deleted, self.audit)

    async def _correct(self, ledger: Ledger) -> None:
        """Set the counts right that a killed run left ahead of its deletions."""
        self.emptied = outcome.is_emptying(self.prune.status) and not self.run.dry_run
        await self.record.write(lambda prune: outcome.corrected(prune, len(ledger.entries), ledger.bytes))
        self.account.before = outcome.corrected(self.prune, len(ledger.entries), ledger.bytes)

    async def _return_misfits(self, ledger: Ledger) -> None:
        """Put back what a race brought into the trash: another content than the scheduled one."""
        misfits = [entry for entry in ledger.entries if not entry.intact]
        if misfits:
            await self.run.before_batch()
            for entry in misfits:
                await self._put_back(entry, KeptReason.SOURCE_CHANGED)
            self.ledger = await self.trash.read()

    async def _undo(self, ledger: Ledger) -> None:
        """Put everything back that still lies in the trash, even while pruning is stopped: nothing is lost by it."""
        todo = self._not_settled()
        for batch in _batches(ledger.entries):
            for entry in batch:
                await self._put_back(entry, KeptReason.SUSPENDED if entry.intact else KeptReason.SOURCE_CHANGED)
            self.audit.close()
        for indexes in _batches(todo):
            await self._sight(indexes)
        if ledger.entries:
            self.ledger = await self.trash.read()

    # into the trash

    async def _fill(self) -> None:
        """Rename what is due, batch by batch."""
        todo = self._not_settled()
        bundles = Verification(self.run.config, self.run.verifier_of, self.prune, self._all_cases())
        for batch in _batches(todo):
            if self.run.into_trash.files < 1:
                self.account.unfinished = True
                break
            await self.run.before_batch()
            await self.record.refresh()
            await self._fill_batch(batch, bundles)
        if self.account.moved or KeptReason.ORIGINAL_OCCUPIED in self.account.kept.values():
            self.ledger = await self.trash.read()
        if self.account.moved:
            self.account.trashed_at = self.run.latest

    def _not_settled(self) -> list[int]:
        """Items to look at: not in the trash, and not settled by an earlier run."""
        self.account.keep_settled()
        if self.account.before.phase == PrunePhase.TRASHED:
            # Then all others are settled, even those that the status had no room to name.
            self.account.unnamed = max(0, self.account.before.kept_count - len(self.account.kept))
            return []
        done = {*(self.ledger.indexes if self.ledger else ()), *self.account.kept}
        return [index for index in range(len(self.items)) if index not in done]

    async def _sight(self, batch: Sequence[int]) -> tuple[dict[int, Case], dict[int, FileStat]]:
        """Look at the files: what stays whatever its copies are is kept; the others are given back as they lie."""
        found = await self.trash.look([self.items[index].path for index in batch])
        cases = await self._cases(batch)
        there: dict[int, FileStat] = {}
        for index in batch:
            looked = found[self.items[index].path]
            if isinstance(looked, KeptReason):
                self.account.keep(index, looked)
            elif reason := decision.not_as_scheduled(cases[index], looked) or decision.forbidden(cases[index]):
                self.account.keep(index, reason)
            elif looked:
                there[index] = looked
        return cases, there

    async def _fill_batch(self, batch: Sequence[int], bundles: Verification) -> None:
        cases, there = await self._sight(batch)
        fitting = [list(there)[at] for at in self.run.into_trash.fitting([self.items[one].size for one in there])]
        for index in there.keys() - set(fitting):
            self._leave_for_later(self.items[index])
        cases, states = await self._prove(bundles, {index: cases[index] for index in fitting})
        for index in fitting:
            if reason := self._judge(cases[index], there[index], states[index]):
                self.account.keep(index, reason)
            else:
                await self._into_trash(index, cases[index])
        self.audit.close()

    async def _into_trash(self, index: int, case: Case) -> None:
        size = case.item.size
        if self.run.dry_run:
            straight_on = not self.run.config.trash.keep
            self._would("trash and delete" if straight_on else "trash", case.item.path, size)
            self.run.summary.deleted += straight_on
            self.run.summary.deleted_bytes += size * straight_on
        else:
            self.run.gate.before_file()
            if not self.started:
                await self.record.write(lambda prune: outcome.running(prune, now()))
                self.started = self.account.worked = True
            if decision.suspended(self.prune):
                return self.account.keep(index, KeptReason.SUSPENDED)
            result = await self.trash.put_in(index)
            if isinstance(result, KeptReason):
                return self.account.keep(index, result)
            self.account.moved.add(index)
            self.audit.note(Action.TRASHED, case.item.path, size)
            log.debug("%s is in the trash", case.item.path, extra={"prune": self.prune.name})
        self.run.into_trash.take(size)
        self.run.summary.trashed += 1
        self.run.summary.trashed_bytes += size
        return None

    # out of the trash

    def _emptying_due(self) -> bool:
        """Whether the files lay in the trash for as long as the configuration says."""
        if not self.ledger or not self.ledger.entries or self.account.trashed_at is None:
            return False
        return self.run.earliest >= self.account.trashed_at + self.run.config.trash.keep

    async def _empty(self) -> None:
        """Prove the copies once more, put back what lost its reason to go, delete the others."""
        doomed: list[Entry] = []
        started = time.monotonic()
        bundles = Verification(self.run.config, self.run.verifier_of, self.prune, self._all_cases())
        for batch in _batches(self._affordable()):
            await self.run.before_batch()
            await self.record.refresh()
            cases, states = await self._prove(bundles, await self._cases([entry.index for entry in batch]))
            for entry in batch:
                reason = self._judge(cases[entry.index], entry.found, states[entry.index])
                if reason in decision.PUT_BACK:
                    await self._put_back(entry, reason)
                elif reason:
                    self.account.kept[entry.index] = reason
                else:
                    doomed.append(entry)
        if time.monotonic() - started > FRESH_S:
            doomed = await self._still_allowed(doomed)
        if self.run.dry_run:
            for entry in doomed:
                self._would("delete", entry.item.path, entry.found.size)
            self._account_deleted(doomed)
        elif doomed:
            await self._delete(doomed)

    def _affordable(self) -> list[Entry]:
        """Entries that may be deleted as far as the run's budget goes; the others are left for the next run."""
        entries = [entry for entry in (self.ledger.entries if self.ledger else ()) if entry.intact]
        fitting = [entries[at] for at in self.run.out_of_trash.fitting([entry.found.size for entry in entries])]
        for entry in entries:
            if entry not in fitting:
                self._leave_for_later(entry.item)
        return fitting

    async def _still_allowed(self, doomed: Sequence[Entry]) -> list[Entry]:
        """Ask people's words again after a long verification."""
        await self.record.refresh()
        cases = await self._cases([entry.index for entry in doomed])
        allowed = []
        for entry in doomed:
            if reason := decision.forbidden(cases[entry.index]):
                self.account.kept[entry.index] = reason
            else:
                allowed.append(entry)
        return allowed

    async def _delete(self, doomed: Sequence[Entry]) -> None:
        """Delete, with the counts written ahead: see ``outcome.EMPTYING``."""
        self.ledger = await self.trash.read()
        files, size = len(self.ledger.entries), self.ledger.bytes
        self.run.gate.before_file()
        await self.record.write(lambda prune: outcome.emptying(prune, files, size, now()))
        self.account.worked = True
        told: set[str] = set()
        try:
            for batch in _batches(doomed):
                await self.run.before_batch()
                await self.record.refresh()
                if decision.suspended(self.prune):
                    self.account.kept.update({entry.index: KeptReason.SUSPENDED for entry in batch})
                    continue
                self.run.gate.before_file()  # the last look may have taken long
                await self.trash.delete(batch)
                for entry in batch:
                    self.audit.note(Action.DELETED, entry.item.path, entry.found.size)
                    told.add(entry.path)
                self.audit.close()
        except OSError as error:
            log.error("%s: its trash can't be emptied: %s", self.prune.name, error)
            self.run.summary.troubles.append(f"{self.prune.name}: {error}")
        self.ledger = await self.trash.read()
        left = {entry.path for entry in self.ledger.entries}
        gone = [entry for entry in doomed if entry.path not in left]
        self._account_deleted(gone)
        self.emptied = self.emptied or bool(gone)
        for entry in gone:
            if entry.path not in told:  # of a batch that failed half-way
                self.audit.note(Action.DELETED, entry.item.path, entry.found.size)
        for entry in doomed:
            if entry.path in left:
                self.account.kept.setdefault(entry.index, KeptReason.UNREADABLE)
        if not left:
            killpoints.reach("trash-emptied")

    def _account_deleted(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.run.out_of_trash.take(entry.found.size)
            self.run.summary.deleted += 1
            self.run.summary.deleted_bytes += entry.found.size

    async def _put_back(self, entry: Entry, reason: KeptReason) -> None:
        """Back to the original path where it is free; ``reason`` is why the file may not go."""
        if self.run.dry_run:
            self._would("put back", entry.item.path, entry.found.size, reason)
        else:
            self.run.gate.before_file()
            self.account.worked = True
            hindered = await self.trash.put_back(entry)
            if hindered is None:
                self.audit.note(Action.PUT_BACK, entry.item.path, entry.found.size)
            reason = hindered or reason
        self.run.summary.put_back += reason not in (KeptReason.ORIGINAL_OCCUPIED, KeptReason.UNREADABLE)
        self.account.kept[entry.index] = reason

    # what both ways need

    def _case(self, index: int) -> Case:
        return Case(self.run.config, self.prune, self.items[index], None, self.run.earliest)

    def _all_cases(self) -> list[Case]:
        return [self._case(index) for index in range(len(self.items))]

    async def _cases(self, indexes: Sequence[int]) -> dict[int, Case]:
        """The files with their Scans as they are now."""
        scans = await self.run.scans(self.items[index].scan for index in indexes)
        return {index: replace(self._case(index), scan=scans.get(self.items[index].scan)) for index in indexes}

    async def _prove(
        self, bundles: Verification, cases: dict[int, Case]
    ) -> tuple[dict[int, Case], dict[int, dict[str, CopyState]]]:
        """Verify the needed copies; after a long one everything that people may have changed is read again."""
        started = time.monotonic()
        states = await bundles.states(cases)
        killpoints.reach("copies-verified")
        if time.monotonic() - started > FRESH_S:
            await self.run.before_batch()
            await self.record.refresh()
            cases = await self._cases(list(cases))
        return cases, states

    def _judge(self, case: Case, found: FileStat, states: dict[str, CopyState]) -> KeptReason | None:
        return decide(replace(case, prune=self.prune, moment=self.run.earliest), found, states)

    def _leave_for_later(self, item: PruneItem) -> None:
        """The run has done as much as it may."""
        self.account.unfinished = True
        if item.size > self.run.config.prune.max_bytes:
            log.error("%s has %d bytes, more than prune.max_bytes: it stays until that is raised", item.path, item.size)

    def _would(self, action: str, path: str, size: int, reason: str = "") -> None:
        self.run.summary.rows.append(Row(self.prune.name, action, path, size, reason))

    # telling

    async def _read_again(self) -> None:
        """Look at the trash once more before telling; when it can't be, the next run sets the counts right."""
        try:
            self.ledger = await self.trash.read()
        except MoverUnavailable as outage:
            log.warning("%s: %s", self.prune.name, outage)
            self.ledger = None

    async def _conclude(self) -> None:
        summary, account = self.run.summary, self.account
        if self.run.dry_run:
            for index, reason in account.kept.items():
                self._would("keep", self.items[index].path, self.items[index].size, reason)
            summary.kept += list(account.kept.values())
            return
        summary.unfinished += account.unfinished
        untouched = account.unfinished and not account.worked
        if untouched or (self.ledger is None and outcome.is_emptying(self.prune.status)):
            return
        moment, keep = self.run.latest, self.run.config.trash.keep
        await self.record.write(
            lambda prune: outcome.conclude(prune, account.tally(prune, self.ledger, moment), keep, moment)
        )
        summary.kept += list(account.kept.values())
        self._tell()

    def _tell(self) -> None:
        """Log and post what people should know, once."""
        status = self.prune.status
        if status.message == self.account.before.message and status.phase == self.account.before.phase:
            return
        fields = {"prune": self.prune.name, "beamline": self.prune.spec.beamline, "phase": status.phase}
        log.info("%s: %s: %s", self.prune.name, status.phase, status.message, extra=fields)
        if status.phase == PrunePhase.PRUNED:
            self.run.recorder.event(self.prune, EventReason.PRUNED, status.message)
        elif self.account.moved:
            self.run.recorder.event(self.prune, EventReason.TRASHED, status.message)
        if self.account.kept:
            self.run.recorder.event(self.prune, EventReason.KEPT, status.message)


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
