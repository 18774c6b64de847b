"""What Kubernetes and Prometheus ask over HTTP: /livez, /readyz, /metrics.

Live means that every lane makes its turns and the watch delivers; a process that only answers is not live.
"""

import time
from collections.abc import Callable, Mapping

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from dichroism_operator.lanes.base import Lane
from dichroism_operator.metrics import REGISTRY

TURN_LIMIT_S = 900.0
"""A single turn may pack nothing and copy nothing itself, so a quarter of an hour without one is a dead lane."""
STALE_LIMIT_S = 180.0


class Health:
    """Collects what is wrong; an empty answer is good."""

    def __init__(self) -> None:
        self.lanes: Mapping[str, Lane] = {}
        self.not_ready: str | None = "starting"
        self.watch_stale_since: Callable[[], float | None] = lambda: None
        self.remarks: Callable[[], list[str]] = list
        """What people should know and Kubernetes should not act upon: further lines of /readyz."""

    def trouble(self) -> list[str]:
        """Why the process should be restarted."""
        moment = time.monotonic()
        found = [
            f"lane {name} made no turn for {moment - lane.last_turn:.0f} s"
            for name, lane in self.lanes.items()
            if moment - lane.last_turn > TURN_LIMIT_S
        ]
        stale = self.watch_stale_since()
        if stale is not None and moment - stale > STALE_LIMIT_S:
            found.append(f"the watch of Scans delivered nothing for {moment - stale:.0f} s although Scans changed")
        return found

    async def livez(self, _: web.Request) -> web.Response:
        """200 while alive, 500 with the reasons otherwise."""
        trouble = self.trouble()
        return web.Response(text="\n".join(trouble or ["ok"]) + "\n", status=500 if trouble else 200)

    async def readyz(self, _: web.Request) -> web.Response:
        """200 when config, CRDs and API are fine, whether or not this process holds the Lease."""
        lines = [self.not_ready or "ok", *self.remarks()]
        return web.Response(text="\n".join(lines) + "\n", status=503 if self.not_ready else 200)

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus text format."""
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def serve(self, host: str, port: int) -> web.AppRunner:
        """Listen; the caller cleans the runner up."""
        app = web.Application()
        app.add_routes(
            [web.get("/livez", self.livez), web.get("/readyz", self.readyz), web.get("/metrics", self.metrics)]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        return runner
