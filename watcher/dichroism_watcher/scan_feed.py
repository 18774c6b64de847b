"""One watch over the Scans of all beamlines of this process: how the watcher learns what exists and what succeeded.

A list is the truth, the watch after it is quick. Whenever the server lost the thread, and every ``relist_s`` in any
case, it is listed again.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

from dichroism_crds.client import Api, ApiError, Denied, Gone, NotFound
from dichroism_crds.kinds import Scan
from dichroism_watcher.known_scans import read_scan
from dichroism_watcher.records import KnownScan
from dichroism_watcher.throttle import backoff

log = logging.getLogger(__name__)

RELIST_S = 600.0
"""Seconds between two lists of all Scans, should the watch have missed something without a word."""
_LEAST_PAUSE_S = 0.1
_GOOD_S = 30.0
"""A stream that lasted so long was good; that it broke begins a new count of failures."""


class Listener(Protocol):
    """Who wants to know of one beamline's Scans."""

    name: str
    endpoint: str

    def scans_listed(self, scans: Mapping[str, KnownScan], began: float) -> None:
        """All Scans of the beamline by path, from a list begun at that moment (s, monotonic)."""

    def scan_told(self, path: str, known: KnownScan | None) -> None:
        """One Scan changed; None: it is gone."""


class ScanFeed:
    """Lists and watches for ever. ``problem`` says why nothing is heard at present."""

    def __init__(self, api: Api, listeners: Mapping[str, Listener], relist_s: float = RELIST_S) -> None:
        self.listed = asyncio.Event()
        self.problem: str | None = None
        self.errors = 0
        self._api = api
        self._listeners = listeners
        self._relist_s = relist_s
        self._selector = f"spec.beamline={next(iter(listeners))}" if len(listeners) == 1 else ""

    async def run(self) -> None:
        """List, watch, list again, for ever."""
        failures = 0
        version = ""
        listed_at = 0.0
        while True:
            began = time.monotonic()
            try:
                if not version or time.monotonic() - listed_at >= self._relist_s:
                    listed_at = time.monotonic()
                    version = await self._list()
                    self.listed.set()
                self._recovered()
                version = await self._watch(version, listed_at + self._relist_s)
                failures = 0
            except ApiError as error:
                if isinstance(error, Gone) or failures:
                    version = ""
                failures = 1 if time.monotonic() - began > _GOOD_S else failures + 1
                if not isinstance(error, Gone):
                    self._failed(error)
                await asyncio.sleep(max(backoff(failures, error.retry_after), _LEAST_PAUSE_S))

    async def _list(self) -> str:
        began = time.monotonic()
        version = ""

        def note(told: str) -> None:
            nonlocal version
            version = told

        scans: dict[str, dict[str, KnownScan]] = {name: {} for name in self._listeners}
        pages = self._api.list_pages(self._api.path(Scan), field_selector=self._selector, on_version=note)
        async for item in pages:
            read = self._read(item)
            if read is not None and read[2] is not None:
                scans[read[0].name][read[1]] = read[2]
        for name, listener in self._listeners.items():
            listener.scans_listed(scans[name], began)
        return version

    async def _watch(self, version: str, until: float) -> str:
        seconds = max(1, min(int(until - time.monotonic()), 300))
        async for event in self._api.watch(
            self._api.path(Scan), version, field_selector=self._selector, seconds=seconds
        ):
            told = event["object"]
            version = str(told.get("metadata", {}).get("resourceVersion", version))
            if event["type"] == "BOOKMARK":
                continue
            read = self._read(told)
            if read is not None:
                listener, path, known = read
                listener.scan_told(path, None if event["type"] == "DELETED" else known)
        return version

    def _read(self, item: dict[str, Any]) -> tuple[Listener, str, KnownScan | None] | None:
        try:
            listener = self._listeners.get(item["spec"]["beamline"])
            read = None if listener is None else read_scan(item, listener.endpoint)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            name = str(item.get("metadata", {}).get("name"))
            log.warning(
                "a Scan cannot be read and is taken as absent",
                extra={"scan": name, "reason": f"{type(error).__name__}: {error}"},
            )
            return None
        return None if listener is None or read is None else (listener, *read)

    def _failed(self, error: ApiError) -> None:
        self.errors += 1
        first = self.problem is None
        self.problem = f"{type(error).__name__}: {error}"
        # Once, and again and again when only a person can mend it.
        if first or isinstance(error, Denied | NotFound):
            log.error(
                "the API does not serve us; files wait on disk and are tried again",
                extra={"reason": f"following the Scans: {self.problem}"},
            )

    def _recovered(self) -> None:
        if self.problem is not None:
            self.problem = None
            log.info("the Scans can be followed again")
