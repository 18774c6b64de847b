"""Kubernetes Events: for people, best effort, repeated ones left out for ten minutes."""

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass

from dichroism_crds.client import Api, ApiError
from dichroism_crds.kinds import Resource
from dichroism_crds.names import API_VERSION
from dichroism_crds.reasons import EventReason
from dichroism_crds.timestamps import format_time, now
from dichroism_operator.metrics import EVENTS_DROPPED

QUEUE = 1000
QUIET_S = 600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class About:
    """The object that an Event is about, where only its name and uid are at hand."""

    kind: str
    name: str
    uid: str | None = None
    api_version: str = API_VERSION

    @classmethod
    def of(cls, resource: Resource) -> "About":
        """Reference to an object."""
        return cls(resource.kind, resource.name, resource.metadata.uid)


class Recorder:
    """Posts Events from a bounded queue; what does not fit is counted and dropped."""

    def __init__(self, api: Api, component: str) -> None:
        self._api = api
        self._component = component
        self._queue: asyncio.Queue[dict[str, object]] = asyncio.Queue(QUEUE)
        self._recent: dict[tuple[str, str, str], float] = {}

    def event(self, about: Resource | About, reason: EventReason, message: str) -> None:
        """Tell about an object; the same words about the same object are not repeated for ten minutes."""
        about = about if isinstance(about, About) else About.of(about)
        key = (about.uid or about.name, reason, message[:64])
        moment = time.monotonic()
        if moment - self._recent.get(key, -QUIET_S) < QUIET_S:
            return
        if len(self._recent) > QUEUE:
            self._recent = {one: then for one, then in self._recent.items() if moment - then < QUIET_S}
        self._recent[key] = moment
        level = logging.WARNING if reason.warning else logging.INFO
        log.log(level, "%s %s: %s", reason, about.name, message, extra={"object": f"{about.kind}/{about.name}"})
        try:
            self._queue.put_nowait(self._build(about, reason, message))
        except asyncio.QueueFull:
            EVENTS_DROPPED.inc()

    def _build(self, about: About, reason: EventReason, message: str) -> dict[str, object]:
        moment = format_time(now())
        seconds = f"{moment[:19]}Z"  # what `kubectl get events --sort-by=.lastTimestamp` looks at has whole seconds
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about.name}.{secrets.token_hex(8)}", "namespace": self._api.namespace},
            "involvedObject": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "name": about.name,
                "namespace": self._api.namespace,
                "uid": about.uid,
            },
            "reason": reason.value,
            "message": message[:1000],
            "type": "Warning" if reason.warning else "Normal",
            "eventTime": moment,
            "firstTimestamp": seconds,
            "lastTimestamp": seconds,
            "count": 1,
            "action": reason.value,
            "reportingComponent": self._component,
            "reportingInstance": self._component,
        }

    async def run(self) -> None:
        """Post until cancelled."""
        while True:
            body = await self._queue.get()
            await self._post(body)

    async def drain(self) -> None:
        """Post what is queued, before the process ends."""
        while not self._queue.empty():
            await self._post(self._queue.get_nowait())

    async def _post(self, body: dict[str, object]) -> None:
        try:
            await self._api.request("POST", self._api.builtin_path("v1", "events"), body=body)
        except ApiError as error:
            EVENTS_DROPPED.inc()
            log.warning("an Event could not be posted: %s", error)
