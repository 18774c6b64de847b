"""What all Prunes of one run share: connections, budgets, the gate, and the account of what was done."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dichroism_crds.client import Api, NotFound
from dichroism_crds.config import Config, Endpoint
from dichroism_crds.kinds import Prune, Scan
from dichroism_crds.reasons import KeptReason
from dichroism_crds.timestamps import now
from dichroism_operator import wording
from dichroism_operator.catalogue.base import Catalogue
from dichroism_operator.movers.base import Mover
from dichroism_operator.movers.choice import mover_for, verifier_for
from dichroism_operator.prune.budget import Budget
from dichroism_operator.prune.gate import Gate
from dichroism_operator.prune.outcome import count_reasons, is_untold
from dichroism_operator.recorder import Recorder

READS_AT_ONCE = 16
CLOCKS_AGREE = timedelta(seconds=5)
"""A Date header has whole seconds, and the answer takes its time; retention is counted in days."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a dry run: what would happen to a file, or why nothing does."""

    prune: str
    action: str
    path: str
    size: int
    reason: str = ""


@dataclass(slots=True)
class Summary:
    """What one run did. ``troubles`` are the unexpected; ``stopped`` says why the run ended early, if it did.

    ``folders`` counts empty ones that were removed. ``told`` and ``untold`` are Prunes of which the catalogue was told,
    and of which it has still to be.
    """

    prunes: int = 0
    trashed: int = 0
    trashed_bytes: int = 0
    deleted: int = 0
    deleted_bytes: int = 0
    put_back: int = 0
    folders: int = 0
    unfinished: int = 0
    told: int = 0
    untold: int = 0
    kept: list[KeptReason] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    stopped: str | None = None
    rows: list[Row] = field(default_factory=list)

    def line(self, endpoint: str, *, dry_run: bool) -> str:
        """The account in one line."""
        would = "would be " if dry_run else ""
        parts = [
            f"{self.prunes} Prunes",
            f"{wording.files(self.trashed)} ({wording.size(self.trashed_bytes)}) {would}moved into the trash",
            f"{self.deleted} ({wording.size(self.deleted_bytes)}) {would}deleted",
            f"{len(self.kept)} kept" + (f" ({count_reasons(self.kept)})" if self.kept else ""),
        ]
        if self.put_back:
            parts.append(f"{self.put_back} {would}put back")
        if self.folders:
            parts.append(f"{wording.count(self.folders, 'empty folder')} removed")
        if self.unfinished:
            parts.append(f"{self.unfinished} Prunes left for the next run")
        if self.told:
            parts.append(f"the catalogue was told of {wording.count(self.told, 'Prune')}")
        if self.untold:
            parts.append(f"the catalogue has still to be told of {wording.count(self.untold, 'Prune')}")
        if self.stopped:
            parts.append(f"stopped: {self.stopped}")
        if self.troubles:
            parts.append(f"{len(self.troubles)} troubles, see the log")
        return f"{endpoint}: {', '.join(parts)}"


@dataclass(slots=True)
class Run:
    """One run over the Prunes of one endpoint; ``untold`` are names of those of which the catalogue is to be told."""

    api: Api
    config: Config
    endpoint: Endpoint
    movers: Mapping[str, Mover]
    recorder: Recorder
    gate: Gate
    into_trash: Budget
    out_of_trash: Budget
    dry_run: bool = False
    undo_only: bool = False
    catalogue: Catalogue | None = None
    untold: dict[str, None] = field(default_factory=dict)
    thinned: set[str] = field(default_factory=set)
    """Folders that nobody had changed lately before this run removed an empty folder from them."""
    summary: Summary = field(default_factory=Summary)

    @property
    def earliest(self) -> datetime:
        """Now, by this machine's clock or the API server's, whichever is behind: what only one takes for due waits."""
        return now() + min(self._ahead, timedelta(0))

    @property
    def latest(self) -> datetime:
        """Now by the clock that is ahead: from here a time in the trash counts."""
        return now() + max(self._ahead, timedelta(0))

    @property
    def _ahead(self) -> timedelta:
        """By how much the API server's clock is ahead, where that is more than its Date header can tell."""
        ahead = self.api.server_ahead
        return ahead if abs(ahead) > CLOCKS_AGREE else timedelta(0)

    def note_untold(self, prune: Prune) -> None:
        """Have the catalogue told of a Prune at the end, if there is something to tell."""
        if is_untold(prune.status):
            self.untold[prune.name] = None

    def mover_of(self, endpoint: str) -> Mover:
        """Whoever looks after an endpoint."""
        return mover_for(self.config, self.movers, endpoint)

    def verifier_of(self, endpoint: str) -> Mover:
        """Whoever proves copies on an endpoint again."""
        return verifier_for(self.config, self.movers, endpoint)

    async def before_batch(self) -> None:
        """Ask whether to go on; a dry run changes nothing and needs no permission."""
        if not self.dry_run:
            await self.gate.before_batch()

    async def scans(self, names: Iterable[str]) -> dict[str, Scan]:
        """Scans by name, read now; one that is gone is absent."""
        slots = asyncio.Semaphore(READS_AT_ONCE)

        async def one(name: str) -> Scan | None:
            async with slots:
                try:
                    return await self.api.get(Scan, name)
                except NotFound:
                    return None

        found: Sequence[Scan | None] = await asyncio.gather(*map(one, dict.fromkeys(names)))
        return {scan.name: scan for scan in found if scan}
