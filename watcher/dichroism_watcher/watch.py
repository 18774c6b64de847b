"""One beamline's watch: looks at the disk feed the ledger, what it asks for is submitted, what is held is journalled.

This is the wiring. What is decided where: finished and what to do next in ``ledger``, what a file is in ``recognise``,
when to look in ``passes``, requests in ``submitter`` and ``scan_feed``, pace in ``throttle``.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from pathlib import Path

from dichroism_crds import timestamps
from dichroism_crds.client import Api
from dichroism_crds.config import Beamline
from dichroism_watcher.journal import Journal
from dichroism_watcher.ledger import Ledger
from dichroism_watcher.passes import Passes
from dichroism_watcher.recognise import row_of
from dichroism_watcher.records import Changes, Counts, FileContent, Held, KnownScan, Missing, State
from dichroism_watcher.submitter import Submitter
from dichroism_watcher.throttle import Throttle

log = logging.getLogger(__name__)


class BeamlineWatch:
    """Watches one beamline's root until cancelled. Made in a running event loop."""

    def __init__(self, beamline: Beamline, root: Path, api: Api, throttle: Throttle, journal: Journal) -> None:
        self.name = beamline.name
        self.endpoint = beamline.watch.root
        self.vanished = 0
        self._journal = journal
        self.ledger = Ledger(beamline.watch.quiet_period.total_seconds(), timestamps.to_ns(beamline.watch.since))
        self.passes = Passes(self.name, root, beamline.watch, self.ledger, self._act, self._met_all)
        self.submitter = Submitter(
            self.name, self.endpoint, self.passes.root, api, throttle, journal, self.ledger, self._act
        )
        for row in journal.rows(self.name):
            if row.gone_at is None:
                held = Held(row.content, row.device, row.inode, row.safe, row.scan_path)
                self.ledger.restore(row.path, held)

    async def run(self, listed: asyncio.Event) -> None:
        """Watch for ever; nothing is asked of the API before the Scans were ``listed``."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.passes.run())
            tasks.create_task(self.submitter.run(listed))

    def counts(self) -> Counts:
        """Files by what is to be done for them."""
        return self.ledger.counts()

    @property
    def quarantined(self) -> dict[str, str]:
        """What cannot have a Scan, with the reason, by path; of a folder everything in it."""
        files = {path: record.reason for path, record in self.ledger.open_files(State.QUARANTINED)}
        return files | self.passes.tally.illegal_folders

    @property
    def watched_folders(self) -> int:
        """Folders of which the kernel gives notice."""
        return 0 if self.passes.notices is None else self.passes.notices.watched

    def oldest_pending_s(self) -> float:
        """For how long the API has kept a finished file waiting (s)."""
        waiting = (record.finished_at for _, record in self.ledger.open_files(State.FINISHED))
        return time.monotonic() - min(waiting, default=time.monotonic())

    # --- what the disk says

    def _met_all(self, newest_ns: int) -> None:
        """A pass met every file, the newest of which changed at that moment (ns)."""
        self._journal.met_all(self.name, self.endpoint, newest_ns)

    # --- what the Scans say

    def scans_listed(self, scans: Mapping[str, KnownScan], began: float) -> None:
        """All Scans of the beamline by path, from a list begun at that moment (s, monotonic)."""
        self._act(self.ledger.relisted(scans, began))
        self._journal.forget_gone(self.name, set(scans))

    def scan_told(self, path: str, known: KnownScan | None) -> None:
        """One Scan changed; None: it is gone."""
        self._act(self.ledger.told(path, known))

    # --- what a step brought about

    def _act(self, changes: Changes) -> None:
        for path in changes.to_submit:
            self.submitter.put(path)
        if self.passes.agenda.add(changes.due):
            self.passes.wake()
        self._tell(changes)
        self._remember(changes)

    def _tell(self, changes: Changes) -> None:
        for path, reason in changes.quarantined.items():
            log.warning("quarantined: the file is not copied under this name", extra=self._extra(path, reason=reason))
        for path in changes.empty:
            log.warning("the file stays empty; it is not taken before it has content", extra=self._extra(path))
        for path in changes.vanished:
            self.vanished += 1
            log.warning("the file was removed before it had a Scan", extra=self._extra(path))

    def _remember(self, changes: Changes) -> None:
        for path, held in changes.held.items():
            self._hold(path, held)
        for path, content in changes.succeeded.items():
            self._note_success(path, content)
        for folder, missing in changes.missing.items():
            self._note_missing(folder, missing)
        for path in changes.gone:
            row = self._journal.row(self.name, path)
            if row is not None:
                self._journal.put(row._replace(gone_at=_seconds()))

    def _hold(self, path: str, held: Held) -> None:
        self._journal.put(row_of(self.name, path, held, self._journal.row(self.name, path)))

    def _note_success(self, path: str, content: FileContent) -> None:
        row = self._journal.row(self.name, path)
        if row is not None and row.content == content:
            self._journal.put(row._replace(safe=True))

    def _note_missing(self, folder: str, missing: Missing) -> None:
        for row in self._journal.rows_in(self.name, folder):
            name = row.path.rpartition("/")[2]
            if name not in missing.present:
                if row.gone_at is None:
                    self._journal.put(row._replace(gone_at=_seconds()))
            elif name in missing.ignored:
                self.ledger.track(row.path)

    def _extra(self, path: str, **fields: object) -> dict[str, object]:
        return {"beamline": self.name, "path": path, **fields}


def _seconds() -> int:
    """Now, in s since the epoch: only to forget old rows by."""
    return timestamps.to_ns(timestamps.now()) // 1_000_000_000
