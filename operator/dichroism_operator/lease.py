"""A Kubernetes Lease: one holder at a time for the operator's lanes, and for the pruning of each beamline.

Expiry is judged by our own monotonic clock since we last saw the record change, so clocks of two nodes need not agree.
"""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from dichroism_crds.client import AlreadyExists, Api, ApiError, Conflict, NotFound
from dichroism_crds.timestamps import format_time, now

DURATION_S = 15
"""Seconds after which a Lease that nobody renews may be taken; it is renewed three times as often."""
GROUP_VERSION = "coordination.k8s.io/v1"

log = logging.getLogger(__name__)


def identity() -> str:
    """Name of this process for people, unique among restarts."""
    return f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}"


class LeaseLostError(Exception):
    """The Lease could not be renewed in time, or somebody else holds it: stop at once."""


class Lease:
    """One named Lease; :meth:`acquire` once, :meth:`hold` for as long as the work runs, :meth:`release` at the end."""

    def __init__(self, api: Api, name: str, holder: str, duration_s: int = DURATION_S) -> None:
        self.name = name
        self.holder = holder
        self._duration_s = duration_s
        self._renew_s = duration_s / 3
        self._api = api
        self._path = api.builtin_path(GROUP_VERSION, "leases", name)
        self._seen: tuple[str, str] | None = None
        self._seen_at = 0.0
        self._renewed_at = 0.0
        self.annotations: dict[str, str] = {}
        """Notes of the holder that outlive it: read when the Lease is taken, written with each renewal."""
        self.say: Callable[[], Mapping[str, str]] = dict
        """Further annotations, asked for with each renewal: what the holder says of its present state."""

    async def try_acquire(self) -> bool:
        """Take the Lease when it is free, expired or ours.

        Raises:
            ApiError: the API server does not answer or refuses.
        """
        asked = time.monotonic()
        try:
            lease = await self._api.request("GET", self._path)
        except NotFound:
            return await self._write("POST", self._body({}), asked)
        spec = lease.get("spec", {})
        holder = spec.get("holderIdentity") or ""
        record = (holder, str(spec.get("renewTime")))
        if record != self._seen:
            self._seen, self._seen_at = record, time.monotonic()  # when it was seen: the answer may have taken long
        expired = asked - self._seen_at > float(spec.get("leaseDurationSeconds") or self._duration_s)
        if holder not in ("", self.holder) and not expired:
            return False
        return await self._write("PUT", self._body(lease), asked)

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        told = False
        while True:
            try:
                if await self.try_acquire():
                    log.info("Lease %s is ours", self.name)
                    return
            except ApiError as error:
                log.warning("Lease %s: %s", self.name, error)
            if not told:
                log.info("Lease %s is held by %s, waiting", self.name, self._seen[0] if self._seen else "somebody")
                told = True
            await asyncio.sleep(self._renew_s / 2)

    async def hold(self) -> None:
        """Renew until cancelled.

        Raises:
            LeaseLostError: two thirds of the Lease's time passed without a renewal, or somebody else has it.
        """
        while True:
            await asyncio.sleep(self._renew_s)
            try:
                async with asyncio.timeout(self._renew_s):
                    ours = await self.try_acquire()
                if not ours:
                    raise LeaseLostError(f"Lease {self.name} is held by {self._seen[0] if self._seen else 'another'}")
            except (ApiError, TimeoutError) as error:
                why = str(error) or "no answer in time"
                log.warning("Lease %s was not renewed: %s", self.name, why)
                if time.monotonic() - self._renewed_at > self._duration_s * 2 / 3:
                    raise LeaseLostError(f"Lease {self.name} could not be renewed: {why}") from error

    def check_held(self) -> None:
        """See that nobody else can have it yet, without a request; it says so even right after a long standstill.

        A frozen process, or one whose event loop was blocked, goes on where it stood, before :meth:`hold` can look.

        Raises:
            LeaseLostError: two thirds of the Lease's time passed since it was renewed.
        """
        stale = time.monotonic() - self._renewed_at
        if stale > self._duration_s * 2 / 3:
            raise LeaseLostError(f"Lease {self.name} was not renewed for {stale:.0f} s: this process stood still")

    async def release(self) -> None:
        """Give the Lease back, so that the next one need not wait for its expiry."""
        try:
            lease = await self._api.request("GET", self._path)
            if lease.get("spec", {}).get("holderIdentity") == self.holder:
                lease["spec"]["holderIdentity"] = ""
                lease["metadata"] = self._metadata(lease)
                await self._api.request("PUT", self._path, body=lease)
        except ApiError as error:
            log.warning("Lease %s could not be released, it expires by itself: %s", self.name, error)

    def _body(self, lease: dict[str, Any]) -> dict[str, Any]:
        spec = dict(lease.get("spec", {}))
        taken = spec.get("holderIdentity") != self.holder
        moment = format_time(now())
        return {
            "apiVersion": GROUP_VERSION,
            "kind": "Lease",
            "metadata": self._metadata(lease),
            "spec": {
                "holderIdentity": self.holder,
                "leaseDurationSeconds": self._duration_s,
                "acquireTime": moment if taken else spec.get("acquireTime", moment),
                "renewTime": moment,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (1 if taken and lease else 0),
            },
        }

    def _metadata(self, lease: dict[str, Any]) -> dict[str, Any]:
        metadata: dict[str, Any] = lease.get("metadata", {"name": self.name})
        if self._renewed_at:  # only a holder's notes are newer than those that the Lease has
            metadata["annotations"] = {**(metadata.get("annotations") or {}), **self.annotations, **self.say()}
        return metadata

    async def _write(self, method: str, body: dict[str, Any], asked: float) -> bool:
        path = self._path if method == "PUT" else self._api.builtin_path(GROUP_VERSION, "leases")
        try:
            await self._api.request(method, path, body=body)
        except (Conflict, AlreadyExists):
            return False
        if not self._renewed_at:
            self.annotations |= body["metadata"].get("annotations") or {}
        # Counted from before the request: the record is at least as young as this.
        self._renewed_at = asked
        self._seen, self._seen_at = (self.holder, body["spec"]["renewTime"]), asked
        return True
