"""When the tape bundle of one beamline closes: looks at what waits, at a person's word, and shows both in metrics.

The rules are in ``filling``; the word is in ``archive_request``.
"""

import logging
import time
from collections.abc import Sequence

from dichroism_crds.client import ApiError
from dichroism_crds.config import Beamline, BundleLimits
from dichroism_crds.timestamps import now
from dichroism_operator import archive_request, wording
from dichroism_operator.board import Card
from dichroism_operator.filling import Cause, Filling, Request, filling
from dichroism_operator.lanes.base import Context
from dichroism_operator.metrics import BUNDLE_AGE, BUNDLE_BYTES, BUNDLE_FILES

READ_EVERY_S = 5.0

log = logging.getLogger(__name__)


class Closing:
    """For the archive lane of one beamline. The word is read every few seconds, and only while something waits."""

    def __init__(self, context: Context, beamline: Beamline, bundle: BundleLimits) -> None:
        self._context = context
        self._beamline = beamline.name
        self._bundle = bundle
        self._request: Request | None = None
        self._read_next = 0.0
        self._complaint = ""

    async def why(self, cards: Sequence[Card]) -> str | None:
        """Why the bundle of these files closes now, in words for people; None while it fills."""
        state = filling(cards, self._bundle, now(), self._request)
        self._show(state)
        if state.files and state.cause is None and time.monotonic() >= self._read_next:
            await self._read()
            state = filling(cards, self._bundle, now(), self._request)
        if state.cause is None:
            return None
        asked = f" of {self._request}" if state.cause == Cause.REQUEST else ""
        return f"{state.cause}{asked}: {wording.files(state.files)}, {wording.size(state.bytes)} waited"

    async def _read(self) -> None:
        """A word that can't be read holds nothing up: the bundle then closes at its limits."""
        self._read_next = time.monotonic() + READ_EVERY_S
        complaint = ""
        try:
            self._request = await archive_request.read(self._context.api, self._beamline)
        except ValueError as error:
            complaint = str(error)
        except ApiError as error:
            complaint = f"whether somebody asks for the tape bundle of {self._beamline} can't be read: {error}"
        if complaint and complaint != self._complaint:
            log.warning("%s", complaint, extra={"beamline": self._beamline})
        self._complaint = complaint

    def _show(self, state: Filling) -> None:
        BUNDLE_FILES.labels(self._beamline).set(state.files)
        BUNDLE_BYTES.labels(self._beamline).set(state.bytes)
        age = (now() - state.oldest).total_seconds() if state.oldest else 0.0
        BUNDLE_AGE.labels(self._beamline).set(max(age, 0.0))
