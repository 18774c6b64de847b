"""Proving the needed copies of one Prune again: grouped by endpoint, every bundle read once for all its members."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from dichroism_crds.config import Config
from dichroism_crds.kinds import Prune
from dichroism_operator.movers.base import CopyState, CopyToVerify, Mover
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.prune.decision import Case, needed_copies

log = logging.getLogger(__name__)


class Verification:
    """One round of proofs. The rename and the deletion each have a round of their own."""

    def __init__(self, config: Config, mover_of: Callable[[str], Mover], prune: Prune, cases: Iterable[Case]) -> None:
        """Prepare; ``cases`` are all files that may be asked about, so that a bundle's members are proven in one go."""
        self._config = config
        self._mover_of = mover_of
        self._prune = prune
        self._known: dict[tuple[str, CopyToVerify], CopyState] = {}
        self._members: dict[tuple[str, str], set[CopyToVerify]] = defaultdict(set)
        self._all: dict[str, set[CopyToVerify]] = defaultdict(set)
        for case in cases:
            for need, copy in needed_copies(case).items():
                if copy:
                    self._all[need].add(copy)
                if copy and copy.bundle:
                    self._members[need, copy.bundle].add(copy)

    async def states(self, cases: Mapping[int, Case]) -> dict[int, dict[str, CopyState]]:
        """State of every needed copy of each file, by index and endpoint; what can't be told now is UNKNOWN."""
        wanted = {index: needed_copies(case) for index, case in cases.items()}
        asked: dict[str, set[CopyToVerify]] = defaultdict(set)
        for copies in wanted.values():
            for need, copy in copies.items():
                if copy and (need, copy) not in self._known:
                    asked[need] |= {copy, *self._members[need, copy.bundle or ""]}
        for need, copies_there in asked.items():
            await self._prove(need, copies_there)
        return {
            index: {need: self._known.get((need, copy), CopyState.UNKNOWN) for need, copy in copies.items() if copy}
            for index, copies in wanted.items()
        }

    async def _prove(self, need: str, copies: set[CopyToVerify]) -> None:
        ordered: list[CopyToVerify] = []
        try:
            mover = self._mover_of(need)
            if mover.verifies_by_job:
                # One job for the whole Prune, and the same question in each run: its answer is found by the question.
                copies |= self._all[need]
            ordered = sorted(copies, key=lambda copy: (copy.bundle or "", copy.path))
            found = await asyncio.to_thread(mover.verify, self._config.endpoints[need], ordered)
        except (MoverUnavailable, OSError, ValueError, KeyError) as error:
            log.warning("copies on %s can't be verified now: %s", need, error, extra={"prune": self._prune.name})
            return
        for copy in ordered:
            self._known[need, copy] = found.get(copy, CopyState.UNKNOWN)
