"""One battle: some Prunes full of traps, runs of the real command, and a look at every byte after each run."""

import asyncio
import hashlib
import json
import os
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from dichroism_crds.config import load
from dichroism_crds.kinds import (
    Checksum,
    Content,
    Copy,
    Metadata,
    Prune,
    PrunePhase,
    PruneStatus,
    Scan,
    ScanSpec,
    ScanStatus,
)
from dichroism_crds.names import ANNOTATION_UNDO, scan_name
from dichroism_crds.timestamps import from_ns, now
from dichroism_operator import calendar
from dichroism_operator.movers.bundle import Member, pack
from dichroism_operator.prune import stopswitch
from tests.fault.adversary import faults
from tests.fault.adversary.folders import folder_changes, folder_violations
from tests.fault.adversary.subjects import CFS, DATA, TAPE, Shelves, Subject
from tests.integration.prune.site import Site, ended

PER_PRUNE = 4
FIRST_RUN = "first run"
VERIFIED_AGO = timedelta(days=10)
HELD_PROPOSAL, LONG_PROPOSAL = "ALS-HELD", "ALS-LONG"
EVERY = (*faults.ON_FILES, *faults.WORDS, *faults.ON_ITEMS)
LATER = (*faults.LATER_ON_FILES, *faults.LATER_WORDS)
KILLS = ("file-renamed:1", "file-renamed:7", "file-renamed:23", "trash-emptied:1", "trash-emptied:3")


class Battle:
    """``violations`` is empty when nothing was lost and everything that may go went."""

    def __init__(self, site: Site, seed: int, files: int, *, here: bool = False) -> None:
        """``here`` runs the job in this process: quicker than the real command, and without kills."""
        self.site = site
        self.random = random.Random(seed)
        self.seed = seed
        self.here = here
        self.shelves = Shelves(site.roots)
        self.subjects = [self._subject(number) for number in range(files)]
        self.violations: list[str] = []
        self.prune_faults: dict[str, str] = {}
        self.outcomes: Counter[str] = Counter()

    def _subject(self, number: int) -> Subject:
        path = f"2026/{number // PER_PRUNE:05d}/{number:05d}/scan {number} \N{GREEK SMALL LETTER MU}.txt"
        content = self.random.randbytes(self.random.randint(200, 2000))
        mtime_ns = 1_770_000_000_000_000_000 + self.random.randrange(10**15)
        return Subject(number, path, content, mtime_ns, bundle=f"2026/bundle-{number // PER_PRUNE:05d}.tar")

    async def fight(self) -> None:
        """Everything, in order."""
        self._choose()
        self._configure(later=False)
        self._write_copies()
        await self._schedule()
        self._damage()
        await self._run_in_vain()
        folders = {endpoint: self.site.folders(endpoint) for endpoint in (DATA, CFS)}
        with self._somebody_writes():
            await self._run(kill=not self.here and self.seed % 3 == 0)
        self._look(FIRST_RUN)
        for endpoint, before in folders.items():
            if self.site.folders(endpoint) != before:
                self.violations.append(f"seed {self.seed}: folders of {endpoint} went before their files")
        await self._change_minds()
        copies = self._copies()
        changes = {endpoint: folder_changes(self.site, endpoint) for endpoint in (DATA, CFS)}
        await self._run(kill=not self.here and self.seed % 3 == 1)
        self._look("second run")
        self._look_at_the_end(copies)
        wrong = folder_violations(self.site, self.shelves, self.subjects, changes)
        self.violations += [f"seed {self.seed}, folders: {one}" for one in wrong]

    # the world

    def _configure(self, *, later: bool) -> None:
        holds: list[dict[str, str]] = [{"proposal": HELD_PROPOSAL, "by": "adversary", "reason": "held"}]
        for subject in self.subjects:
            if subject.fault == "held_by_path" or (later and "held" in subject.later):
                holds.append({"path": subject.path, "by": "adversary", "reason": "held"})
            if subject.fault == "held_by_scan":
                holds.append({"scan": self._scan_name(subject), "by": "adversary", "reason": "held"})
        longer = {LONG_PROPOSAL: "3650d"}
        self.site.configure(also_disk=True, longer=longer, remove_empty_folders=True, holds=holds)

    def _write_copies(self) -> None:
        for subject in self.subjects:
            for endpoint in (DATA, CFS):
                faults.put(self.site.roots[endpoint] / subject.path, subject.content, subject.mtime_ns)
        root = os.open(self.site.roots[CFS], os.O_RDONLY)
        for bundle, group in self._grouped().items():
            tape = self.site.roots[TAPE] / bundle
            tape.parent.mkdir(parents=True, exist_ok=True)
            members = [Member(one.path, len(one.content), one.mtime_ns // 1000) for one in group]
            with tape.open("w+b") as out:
                assert not pack(root, members, out).left_out
        os.close(root)

    def _grouped(self) -> dict[str, list[Subject]]:
        groups: dict[str, list[Subject]] = defaultdict(list)
        for subject in self.subjects:
            groups[subject.bundle].append(subject)
        return groups

    def _choose(self) -> None:
        """Faults in turn, so that even a small battle has each; more than half of the files get none."""
        turn, later, whole = (
            iter(_endless(EVERY)),
            iter(_endless(LATER)),
            iter(_endless((*faults.ON_PRUNES, faults.UNTOLD))),
        )
        every = 4 if self.here else 7  # a short battle needs each of them once
        for number, (bundle, group) in enumerate(sorted(self._grouped().items())):
            if number % every == 3:
                self.prune_faults[bundle] = next(whole)
                for subject in group:
                    subject.goes = False
            for subject in group:
                dice = self.random.random()
                if dice < 0.35:
                    subject.fault = next(turn)
                    subject.goes = False
                elif dice < 0.55:
                    subject.later = next(later)
                elif dice < 0.6:
                    # Whichever of the two goes first, the other one may miss it or may not.
                    subject.both, subject.goes = True, None if subject.goes else subject.goes
                subject.proposal = {"held_by_proposal": HELD_PROPOSAL, "kept_longer_by_proposal": LONG_PROPOSAL}.get(
                    subject.fault
                )
            # A bundle is damaged once at most; what becomes of the other members depends on where.
            damaged = [one for one in group if "tape" in one.fault or "tape" in one.later]
            for subject in damaged[1:]:
                subject.fault, subject.later, subject.goes = "none", "none", None
            if any("tape" in one.fault for one in damaged):
                _may(group)

    async def _schedule(self) -> None:
        config = load(self.site.config_file)
        beamline = config.beamlines["BL402"]
        slots = asyncio.Semaphore(16)

        async def one(number: int, bundle: str, group: list[Subject]) -> None:
            async with slots:
                scans = [self._scan(subject) for subject in group]
                for scan in scans:
                    if scan.spec.proposal == LONG_PROPOSAL:  # it becomes known only after the Prune was written
                        scan.spec.proposal = None
                built = calendar.build_prune(scans, beamline, DATA, config, number)
                spec = built.spec
                items = [
                    faults.ON_ITEMS[subject.fault](item) if subject.fault in faults.ON_ITEMS else item
                    for subject, item in zip(group, spec.items, strict=True)
                ]
                spec = spec.model_copy(update={"items": items})
                fault = self.prune_faults.get(bundle, "")
                if change := faults.ON_PRUNES.get(fault):
                    spec = change(spec)
                phase = None if fault == faults.UNTOLD else PrunePhase.SCHEDULED
                await self._create(built.model_copy(update={"spec": spec}), phase)
                for subject, scan in zip(group, scans, strict=True):
                    subject.prune = built.name
                    if subject.both:
                        await self._create(calendar.build_prune([scan], beamline, CFS, config, 5000 + subject.number))
                    if subject.fault in ("scan_suspended", "kept_longer_by_proposal") or self.random.random() < 0.5:
                        made = await self.site.api.create(self._scan(subject))
                        await self.site.api.replace_status(made.model_copy(update={"status": scan.status}))

        pairs = sorted(self._grouped().items())
        await asyncio.gather(*(one(number, *pair) for number, pair in enumerate(pairs, start=1)))

    async def _create(self, prune: Prune, phase: PrunePhase | None = PrunePhase.SCHEDULED) -> None:
        made = await self.site.api.create(prune)
        await self.site.api.replace_status(made.model_copy(update={"status": PruneStatus(phase=phase)}))

    def _scan_name(self, subject: Subject) -> str:
        return scan_name("BL402", DATA, subject.path)

    def _scan(self, subject: Subject) -> Scan:
        size = len(subject.content)
        digest = Checksum(value=hashlib.sha256(subject.content).hexdigest())
        proof: dict[str, Any] = {"size": size, "checksum": digest, "verified_at": now() - VERIFIED_AGO}
        content = Content(size=size, modified_at=from_ns(subject.mtime_ns))
        path = subject.path
        return Scan(
            metadata=Metadata(name=self._scan_name(subject)),
            spec=ScanSpec(
                beamline="BL402",
                path=path,
                size=size,
                modified_at=content.modified_at,
                proposal=subject.proposal,
                suspend=subject.fault == "scan_suspended",
            ),
            status=ScanStatus(
                content=content,
                copies=[
                    Copy(endpoint=CFS, path=path, **proof),
                    Copy(endpoint=TAPE, path=subject.bundle, member=path, **proof),
                ],
            ),
        )

    def _damage(self) -> None:
        for subject in self.subjects:
            if subject.fault in faults.ON_FILES:
                faults.ON_FILES[subject.fault](self.site.roots, subject)

    @contextmanager
    def _somebody_writes(self) -> Iterator[None]:
        """New scans of the same names come in by rename while a run is at work; the old content is overwritten."""
        victims = [one for one in self.subjects if one.fault == one.later == "none" and not one.both][::11]
        for victim in victims:
            victim.goes, victim.lost = None, True
            victim.foreign.append(b"came in by rename" + victim.content)
        stop = threading.Event()

        def write() -> None:
            for victim in victims:
                if stop.wait(0.03):
                    pass
                fresh = self.site.roots[DATA].parent / "incoming" / str(victim.number)
                faults.put(fresh, victim.foreign[-1], victim.mtime_ns + 7_000_000_000)
                fresh.replace(self.site.roots[DATA] / victim.path)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            yield
        finally:
            stop.set()
            writer.join()

    async def _change_minds(self) -> None:
        """What happens while the files lie in the trash, until its time is over."""
        for endpoint in (DATA, CFS):
            self.site.age_folders(endpoint)
        taken_back = _endless(faults.LATER_ON_PRUNES)
        for bundle, group in self._grouped().items():
            for subject in group:
                if subject.goes is not True:
                    continue
                if subject.later in faults.LATER_ON_FILES:
                    faults.LATER_ON_FILES[subject.later](self.site.roots, subject)
                    subject.goes = subject.later in faults.LATER_AND_GOES
                    if subject.later == "tape_flipped":
                        _may(one for one in group if one is not subject)
                elif subject.later != "none":
                    subject.goes = False
                if subject.later == "scan_suspended":
                    await self._suspend_scan(subject)
            if self.random.random() < 0.1 and bundle not in self.prune_faults:
                await self._take_back(group, next(taken_back))
        self._configure(later=True)
        await self._let_a_week_pass()

    async def _let_a_week_pass(self) -> None:
        for prune in [one async for one in self.site.api.list(Prune)]:
            if prune.status.trashed or prune.status.retry_at:
                await self.site.age_trash(prune)

    async def _suspend_scan(self, subject: Subject) -> None:
        wanted = self._scan(subject)
        found = [one.name async for one in self.site.api.list_metadata(Scan)]
        if wanted.name not in found:
            made = await self.site.api.create(wanted)
            await self.site.api.replace_status(made.model_copy(update={"status": wanted.status}))
        await self.site.api.patch(Scan, wanted.name, {"spec": {"suspend": True}})

    async def _take_back(self, group: list[Subject], how: str) -> None:
        change = (
            {"spec": {"suspend": True}} if how == "suspended" else {"metadata": {"annotations": {ANNOTATION_UNDO: "x"}}}
        )
        await self.site.api.patch(Prune, group[0].prune, change)
        for subject in group:
            subject.goes = False
            subject.waits = how == "suspended"

    # the runs

    async def _run(self, *, kill: bool) -> None:
        """Both endpoints at once; sometimes two jobs for one endpoint, sometimes one that is killed before."""
        if self.here:
            for endpoint in (DATA, CFS):
                summary = await self.site.run_here(endpoint=endpoint)
                self.violations += [f"seed {self.seed}: {trouble}" for trouble in summary.troubles]
            return
        if kill:
            self.site.environment = {"DICHROISM_KILL_AT": self.random.choice(KILLS)}
            ended(self.site.start())
            self.site.environment = {}
            await self.site.forget_lease()
        jobs = [self.site.start(), self.site.start(endpoint=CFS)]
        if self.seed % 4 == 3:
            jobs.append(self.site.start())
        for job in jobs:
            done = await asyncio.to_thread(ended, job)
            if "Traceback" in done.log:
                self.violations.append(f"seed {self.seed}: a run ended in a traceback: {done.log[-2000:]}")

    async def _run_in_vain(self) -> None:
        """While pruning is stopped a run moves nothing."""
        before = self.shelves.listing(DATA)
        await stopswitch.stop(self.site.api, "look first", "adversary")
        if self.here:
            await self.site.run_here()
        else:
            await asyncio.to_thread(ended, self.site.start())
        await stopswitch.resume(self.site.api)
        if self.shelves.listing(DATA) != before:
            self.violations.append(f"seed {self.seed}: a run moved files although pruning was stopped")

    # the verdict

    def _look(self, when: str) -> None:
        """No byte is gone whose copies are not there."""
        trash = self.shelves.trash(DATA)
        for subject in self.subjects:
            here = self.shelves.at(DATA, subject.path)
            for content in subject.foreign:
                if content != here and content not in trash:
                    self._violated(subject, when, "what was put in its place is lost")
            if subject.lost or subject.content == here:
                continue
            if when == FIRST_RUN and subject.goes is False:
                self._violated(subject, when, "moved into the trash although it had to stay")
            if subject.content in trash:
                continue
            if not self.shelves.on_tape(subject):
                self._violated(subject, when, "deleted without a good copy on tape")
            if not subject.both and self.shelves.at(CFS, subject.path) != subject.content:
                self._violated(subject, when, "deleted without a good copy on disk")
            if subject.goes is False:
                self._violated(subject, when, "deleted although it had to stay")

    def _look_at_the_end(self, copies: dict[str, bytes]) -> None:
        """Everything that may go went; nothing was done to copies and to files outside."""
        trash = self.shelves.trash(DATA)
        for subject in self.subjects:
            gone = subject.content != self.shelves.at(DATA, subject.path) and subject.content not in trash
            self.outcomes["gone" if gone and not subject.lost else "kept"] += 1
            if subject.goes and not gone:
                self._violated(subject, "the end", "still there although nothing keeps it")
            held = subject.later == faults.FOLDER_GONE and subject.goes is False and not subject.waits
            if held and subject.content in trash:
                self._violated(subject, "the end", "not put back although only its folder was gone")
            disk = self.shelves.at(CFS, subject.path)
            if subject.both and disk is None and not self.shelves.on_tape(subject):
                self._violated(subject, "the end", "the last copy is gone")
            outside = self.site.roots[DATA].parent / "outside" / str(subject.number) / Path(subject.path).name
            if subject.fault.endswith("_a_link") and not (outside.exists() and outside.read_bytes() == subject.content):
                self._violated(subject, "the end", "a file outside was changed")
        pruned_too = {f"{CFS}/{one.path}" for one in self.subjects if one.both}
        for path, body in self._copies().items():
            if path not in pruned_too and copies.get(path) != body:
                self.violations.append(f"seed {self.seed}: the copy {path} was changed")
        if missing := copies.keys() - self._copies().keys() - pruned_too:
            self.violations.append(f"seed {self.seed}: copies are gone: {sorted(missing)[:5]}")

    def _copies(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for endpoint in (CFS, TAPE):
            root = self.site.roots[endpoint]
            for file in root.rglob("*"):
                relative = file.relative_to(root)
                if relative.parts[0] != ".dichroism" and file.is_file() and not file.is_symlink():
                    found[f"{endpoint}/{relative}"] = file.read_bytes()
        return found

    def _violated(self, subject: Subject, when: str, what: str) -> None:
        case = {key: getattr(subject, key) for key in ("number", "path", "fault", "later", "goes", "both", "prune")}
        fault = self.prune_faults.get(subject.bundle, "none")
        self.violations.append(f"seed {self.seed}, {when}: {what}: {json.dumps(case)} prune fault {fault}")


def _may(group: Iterable[Subject]) -> None:
    for subject in group:
        if subject.goes:
            subject.goes = None


def _endless(names: tuple[str, ...]) -> Iterator[str]:
    while True:
        yield from names
