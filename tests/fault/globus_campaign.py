"""A campaign whose files go through an emulated Globus, what is done to it meanwhile, and what must be true at the end.

The checks read the folders, the service's own database and the cluster, each with other means than the operator does.
"""

import random
import re
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from dichroism_crds.kinds import ConditionStatus, Scan, ScanPhase, Step, Transfer, TransferItem
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import from_ns, same_time
from dichroism_operator.movers.choice import GLOBUS_GRACE, GLOBUS_POLL
from tests.emulators.globus.faults import Action
from tests.fault.campaign import Key, OperatedCampaign, files_below, original_of, succeeded
from tests.site import BEAMLINES, GlobusSite, Program

PATIENCE_S = 400.0
"""A lane that is paused again and again looks after five minutes at the latest, and what is waited for comes then."""
RATE = 20.0
"""Virtual seconds of the service in a real one."""
HOUR, DAY = 3600.0, 86400.0


class GlobusCampaign(OperatedCampaign):
    """Files on the way through the service, and the operator that is on it, if there is one now."""

    site: GlobusSite
    environment = OperatedCampaign.environment | {GLOBUS_POLL: "0.4", GLOBUS_GRACE: "1.5"}
    """It polls at once."""

    def __init__(self, site: GlobusSite, seed: int, wave: int, stalled_s: float = 0.0) -> None:
        """``wave``: files of each beamline told together; ``stalled_s``: how long a stopped operator stays stopped."""
        super().__init__(site, seed)
        self.rng = random.Random(seed)
        self.wave = wave
        self.stalled_s = stalled_s
        self.globus = site.globus
        self.hopeless: dict[Key, Reason] = {}
        """Files that cannot arrive, and why."""
        self.sent_again: set[str] = set()
        """Paths whose copy was taken away, so it has to be sent a second time."""
        self.ends: Counter[str] = Counter()
        """How the operator was killed, and how often."""
        self.foreign = 0
        """Tasks that somebody else posted under our identity."""
        self._log_from = 0
        self.globus.set_clock(rate=RATE)

    # the operator

    def start(self, **environment: str) -> Program:
        """Start an operator, of which nothing was heard yet."""
        self._log_from = 0
        return super().start(**environment)

    def kill(self, how: str) -> None:
        """SIGKILL from outside."""
        if self.operator and self.operator.running:
            self.operator.kill()
            self.ends[how] += 1
        self.operator = None

    def killed_at(self, point: str) -> None:
        """Let a new operator with work in flight run until it kills itself at the point."""
        assert self.operator is None or not self.operator.running
        self.start(DICHROISM_KILL_AT=point)
        self.tell_wave()
        while self._ended(point) != -signal.SIGKILL:
            self.start(DICHROISM_KILL_AT=point)  # a slow machine made it lose its Lease
        self.ends[point] += 1
        self.operator = None

    def _ended(self, point: str) -> int:
        operator = self.operator
        assert operator is not None
        self.site.wait_for(lambda: not operator.running, f"the operator was killed at {point}", PATIENCE_S)
        return operator.wait()

    # files

    def tell_wave(self) -> list[Key]:
        """Write and tell the next files."""
        keys = self.write(self.wave)
        self.tell(keys)
        return keys

    def chosen(self, keys: Sequence[Key], share: float = 0.5) -> str:
        """Pattern for the paths of some of the files, at least one."""
        count = max(1, int(len(keys) * share))
        return "|".join(f"/{re.escape(path)}$" for _, path in self.rng.sample(list(keys), count))

    # the service

    @contextmanager
    def held(self) -> Iterator[list[dict[str, Any]]]:
        """Tell files; the running tasks of which some are done and some are held up by the service until the end."""
        self.running()
        keys = self.write(self.wave)
        self.hold(self.chosen(keys))
        self.tell(keys)

        def held() -> list[dict[str, Any]]:
            self.running()
            return [task for task in self.unended() if task["nice_status"] == "TIMEOUT"]

        try:
            yield self.site.wait_for(held, "a task is held up", PATIENCE_S)
        finally:
            self.lift()

    def hold(self, pattern: str) -> None:
        """Files of these paths are not copied until :meth:`lift`; the service tries again and again."""
        self.globus.fault(Action.ERROR, path=pattern, code="TIMEOUT", times=None, lasting=HOUR)

    def lift(self) -> None:
        """What lasts for an hour is over, and whatever waits in the service is due."""
        self.globus.set_clock(advance=HOUR)

    def unended(self) -> list[dict[str, Any]]:
        """Tasks that have not ended."""
        return [task for task in self.globus.tasks() if task["completion_time"] is None]

    def wait_until_said(self, words: str) -> None:
        """Until the operator has logged these words since this was last waited for."""

        def said() -> bool:
            logged = self.running().words()
            at = logged.find(words, min(self._log_from, len(logged)))
            if at >= 0:
                self._log_from = at + len(words)
            return at >= 0

        self.site.wait_for(said, f"the operator says {words!r}", PATIENCE_S)

    def listen(self) -> None:
        """What was logged so far is no answer to the next wait."""
        self._log_from = len(self.running().words())

    def is_at_source(self, transfer: Transfer, item: TransferItem) -> bool:
        """Whether the source holds the content that the item names, as finely as the operator can tell."""
        file = self.source(transfer.spec.beamline) / item.path
        if not file.exists():
            return False
        found, unmounted = file.stat(), transfer.spec.source in self.site.unmounted
        resolution = timedelta(seconds=1) if unmounted else timedelta(microseconds=1)
        return found.st_size == item.size and same_time(from_ns(found.st_mtime_ns), item.modified_at, resolution)

    def transfer_of(self, task: dict[str, Any]) -> Transfer | None:
        """The Transfer that a task's label names."""
        return next((one for one in self.site.transfers() if one.name in task["label"].split()), None)

    # the end

    def finish(self, seconds: float = 240) -> dict[Key, Scan]:
        """Wait until every file has arrived or failed for good; a changed source is told again, as the watcher does."""
        end = time.monotonic() + seconds
        while True:
            self.running()
            scans = {(one.spec.beamline, one.spec.path): one for one in self.site.objects(Scan)}
            waiting = [key for key, scan in scans.items() if not (succeeded(scan) or scan.status.phase == "Failed")]
            for key in waiting:
                file = self.source(key[0]) / key[1]
                if file.exists() and original_of(file) != self.originals[key]:
                    self.originals[key] = original_of(file)
                    self.site.tell_content(scans[key].name, file)
                    self.sent_again.add(key[1])
            if not waiting and all(one.finished for one in self.site.transfers()):
                return scans
            if time.monotonic() > end:
                shown = "\n".join(f"{scans[key].status.phase} {key}: {scans[key].status.message}" for key in waiting)
                self.site.wait_for(lambda: False, f"every file has arrived or failed:\n{shown[-3000:]}", 0)
            self.globus.set_clock(advance=60)
            time.sleep(0.5)

    def check_hop(self, scans: dict[Key, Scan]) -> dict[str, int]:
        """Every file arrived byte for byte or failed for the true reason, and nothing was sent twice; the counts."""
        assert scans.keys() == self.originals.keys()
        failed = {key: self._check_failed(scan) for key, scan in scans.items() if not succeeded(scan)}
        wrong = {key: (failed.get(key), self.hopeless.get(key)) for key in failed.keys() | self.hopeless.keys()}
        wrong = {key: reasons for key, reasons in wrong.items() if reasons[0] != reasons[1]}
        assert not wrong, f"failed for one reason and should for the other: {wrong}; {[scans[key] for key in wrong]}"
        for key, scan in scans.items():
            if key not in failed:
                self._check_arrived(key, scan)
        for beamline, number in BEAMLINES.items():
            right = {path: one.sha256 for (name, path), one in self.originals.items() if name == beamline}
            found = dict(files_below(self.site.mount(f"nersc{number}")))
            gone = {path for name, path in self.hopeless if name == beamline}
            assert {path: one for path, one in found.items() if path not in gone} == {
                path: one for path, one in right.items() if path not in gone
            }
        counts = {"files": len(scans), "verified": len(scans) - len(failed), "failed": len(failed)}
        return counts | {"kills": self.ends.total()} | self._check_tasks()

    def _check_failed(self, scan: Scan) -> Reason:
        assert scan.status.phase == ScanPhase.FAILED
        assert not scan.status.copies
        return next(reason for reason in Reason if reason == scan.condition(Step.TRANSFERRED).reason)

    def _check_arrived(self, key: Key, scan: Scan) -> None:
        file = self.source(key[0]) / key[1]
        assert original_of(file) == self.originals[key], f"the source {file} was touched"
        (copy,) = scan.status.copies
        assert (copy.size, copy.sha256) == (self.originals[key].size, self.originals[key].sha256), key
        assert scan.condition(Step.TRANSFERRED).status == ConditionStatus.TRUE

    def _check_tasks(self) -> dict[str, int]:
        """From the service's own books: one task for one batch, no content sent twice without need."""
        transfers = self.site.transfers()
        with sqlite3.connect(f"file:{self.site.folder}/globus/globus.sqlite?mode=ro", uri=True) as books:
            tasks = dict(books.execute("SELECT id, task_id FROM submission WHERE task_id IS NOT NULL").fetchall())
            labels = [label for (label,) in books.execute("SELECT label FROM task WHERE label LIKE 'dichroism %'")]
            sent = books.execute(
                "SELECT t.destination, i.destination_path, i.checksum, count(*) FROM item i"
                " JOIN task t ON t.seq = i.task WHERE i.state = 'succeeded' GROUP BY 1, 2, 3 HAVING count(*) > 1"
            ).fetchall()
            items = books.execute("SELECT count(*) FROM item WHERE state = 'succeeded'").fetchone()[0]
            calls = books.execute("SELECT count(*) FROM call WHERE path LIKE '/v0.10/%'").fetchone()[0]
            refused = books.execute("SELECT count(*) FROM call WHERE status = 429").fetchone()[0]
        books.close()
        assert len(labels) == len(set(labels)), "two tasks for one batch"
        for transfer in transfers:
            if transfer.status.task_id:
                assert tasks.get(transfer.spec.submission_id) == transfer.status.task_id, transfer.name
        twice = {path.lstrip("/") for _, path, _, _ in sent}
        assert twice <= self.sent_again, "the same content was sent twice"
        return {
            "transfers": len(transfers),
            "tasks": len(tasks),
            "of somebody else": self.foreign,
            "files sent": items,
            "sent again with need": len(twice),
            "API calls": calls,
            "answers 429": refused,
        }
