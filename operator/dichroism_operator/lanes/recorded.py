"""Tape copies that a Scan already records: proven again where a bundle would otherwise be packed a second time."""

import asyncio
import time
from collections.abc import Iterable

from dichroism_crds.config import Endpoint
from dichroism_crds.kinds import Copy, Scan
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator import lifecycle
from dichroism_operator.board import Card
from dichroism_operator.lanes.base import StepLane
from dichroism_operator.movers.base import CopyState, CopyToVerify, Mover
from dichroism_operator.statuswriter import Change

AGAIN_S = 60.0
"""A copy that could not be verified is asked about again after this."""


class RecordedCopies:
    """For one lane: a Scan that waits for the lane's step although it records a copy at its destination."""

    def __init__(self, lane: StepLane, destination: Endpoint, mover: Mover) -> None:
        self._lane = lane
        self._destination = destination
        self._mover = mover
        self._asked: dict[str, float] = {}

    def concerns(self, card: Card) -> bool:
        """Whether the Scan records a copy, so that it must not go into a bundle before that one was looked at."""
        return self._destination.name in card.copies

    async def verify(self, cards: Iterable[Card]) -> None:
        """Verify what is recorded. A copy that is missing or differs is struck from its Scan, which is packed again.

        Raises:
            MoverUnavailable: the endpoint does not work for anybody now.
        """
        moment = time.monotonic()
        self._asked = {name: then for name, then in self._asked.items() if moment - then < AGAIN_S}
        names = [card.name for card in cards if self.concerns(card) and card.name not in self._asked]
        for scan in await self._lane.read_scans(names):
            copy = scan.copy_on(self._destination.name)
            if copy is None or not self._lane.may_work(scan):
                continue
            self._asked[scan.name] = moment
            state = await asyncio.to_thread(self._state, copy)
            if state != CopyState.UNKNOWN:
                change = self._verdict(copy, state)
                await self._lane.context.writer.update(scan, change)

    def _state(self, copy: Copy) -> CopyState:
        """What a fresh look says; without a checksum there is nothing to compare with, and a new bundle has one."""
        if copy.sha256 is None:
            return CopyState.DIFFERS
        wanted = CopyToVerify(copy.member or copy.path, copy.size, copy.sha256, copy.path)
        return self._mover.verify(self._destination, [wanted])[wanted]

    def _verdict(self, copy: Copy, state: CopyState) -> Change:
        def change(fresh: Scan) -> bool:
            if lifecycle.content_changed(fresh) or fresh.copy_on(copy.endpoint) != copy:
                return False
            if state == CopyState.VERIFIED:
                lifecycle.add_copy(fresh, copy.model_copy(update={"verified_at": now()}))
                text = f"on {copy.endpoint}, verified again"
                lifecycle.succeed(fresh, self._lane.step, Reason.ALREADY_THERE, text, now())
                return True
            fresh.status.copies = [one for one in fresh.status.copies if one != copy]
            reason = Reason.COPY_MISSING if state == CopyState.MISSING else Reason.COPY_DIFFERS
            text = f"{copy.member or copy.path} in {copy.path} on {copy.endpoint}: {reason}; it is packed again"
            lifecycle.wait(fresh, self._lane.step, reason, text, now())
            return True

        return change
