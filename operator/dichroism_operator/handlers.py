"""kopf wiring and nothing else: settings, and thin handlers that hand watch events to the intake.

kopf is used as an informer. It patches nothing, adds no finalizer (``kubectl delete`` never hangs) and keeps no state:
no create/update handlers, timers, daemons or indices. The measured reasons are in docs/explanation/kopf.md.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import kopf
from pydantic import ValidationError

from dichroism_crds.kinds import Scan
from dichroism_crds.names import GROUP, VERSION

log = logging.getLogger(__name__)


class _NoDiffs(kopf.DiffBaseStorage):
    """No handler asks what changed between two versions, so no event is copied whole to find out."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        """Nothing is written into Scans."""


def settings() -> kopf.OperatorSettings:
    """Settings that work with a namespaced Role, behind proxies, and with ten thousand objects."""
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True  # a namespaced Role may not watch CRDs and namespaces
    chosen.peering.standalone = True  # a Lease of our own decides who works
    chosen.posting.enabled = False  # Events are posted by the recorder, de-duplicated
    chosen.watching.server_timeout = 10 * 60  # proxies cut idle streams without a word
    chosen.watching.inactivity_timeout = 70
    chosen.watching.chunk_size = 500
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 10
    chosen.queueing.worker_limit = None
    chosen.queueing.idle_timeout = 1.0
    chosen.persistence.diffbase_storage = _NoDiffs()
    return chosen


def registry(seen: Callable[[Scan], object], gone: Callable[[str], object]) -> kopf.OperatorRegistry:
    """Handlers that call ``seen`` for every version of a Scan and ``gone`` for a deleted one."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**context: Any) -> kopf.ConnectionInfo | None:
        # The same order as Api.connect; called again when the server answers 401, so a rotated token is picked up.
        if os.environ.get("KUBECONFIG"):
            return kopf.login_with_kubeconfig(**context)
        return kopf.login_with_service_account(**context) or kopf.login_with_kubeconfig(**context)

    @kopf.on.event(GROUP, VERSION, Scan.plural, registry=handlers)
    async def scan_event(event: kopf.RawEvent, name: str | None, body: kopf.Body, **_: Any) -> None:
        if event["type"] == "DELETED":
            gone(name or "")
            return
        try:
            scan = Scan.parse(dict(body))
        except ValidationError as error:
            log.error("Scan %s cannot be read by this version, it is left alone: %s", name, error)
            return
        seen(scan)

    return handlers


class Informer:
    """kopf in a thread with an event loop of its own: at its end kopf cancels every task of the loop it runs in."""

    def __init__(
        self,
        namespace: str,
        *,
        seen: Callable[[Scan], object],
        gone: Callable[[str], object],
        ended: Callable[[], object],
    ) -> None:
        """The three functions are called in the thread."""
        self._namespace = namespace
        self._seen = seen
        self._gone = gone
        self._ended = ended
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; nobody waits for it, it writes nothing."""
        self._stop.set()

    def _run(self) -> None:
        # Among peers, of which there are none here. kopf would ask for the name of the user, and the one whose number a
        # cluster gives a pod need not have one.
        identity: Any = self._namespace
        try:
            asyncio.run(
                kopf.operator(
                    registry=registry(self._seen, self._gone),
                    settings=settings(),
                    namespaces=[self._namespace],
                    identity=identity,
                    standalone=True,
                    stop_flag=self._stop,
                )
            )
        except BaseException:
            log.exception("the watch failed")
        if not self._stop.is_set():
            self._ended()
