"""Words to the service manager: systemd is told that we are ready, alive and how it goes, over its socket.

The protocol is one datagram of ``NAME=value`` lines to the socket that ``$NOTIFY_SOCKET`` names (sd_notify(3)). Outside
a service nothing is sent. A watchdog is fed while the work is alive only: what hangs is then started anew.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping

SOCKET = "NOTIFY_SOCKET"
WATCHDOG_TIME = "WATCHDOG_USEC"
"""Microseconds within which systemd wants to hear from us."""
WATCHDOG_PROCESS = "WATCHDOG_PID"
"""Process from which it wants to hear; any when it is not set."""
STATUS_EVERY_S = 10.0

log = logging.getLogger(__name__)


class ServiceManager:
    """The other end of the notification socket, or nobody."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get(SOCKET, "")
        self._watchdog_s = _watchdog_s(environment)
        self._told_trouble = False

    @property
    def listens(self) -> bool:
        """Whether a service manager asked to be told."""
        return self._address[:1] in ("/", "@")

    def tell(self, **values: str | int) -> None:
        """Send variables such as ``READY=1`` and ``STATUS="..."``; a manager that cannot be reached is logged once."""
        if not self.listens:
            return
        address = f"\0{self._address[1:]}" if self._address[0] == "@" else self._address
        message = "\n".join(f"{name}={_line(str(value))}" for name, value in values.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
                sending.setblocking(False)  # a full queue must not hold up the event loop
                sending.sendto(message.encode(errors="replace"), address)
        except OSError as error:
            if not self._told_trouble:
                log.warning("systemd cannot be told how it goes: %s", error)
            self._told_trouble = True

    async def keep_told(self, status: Callable[[], str], alive: Callable[[], bool]) -> None:
        """Say that we are ready, then feed the watchdog while ``alive``, and give the status, until cancelled.

        A status is one line for people, shown by ``systemctl status``. The watchdog is fed three times in its time.
        """
        if not self.listens:
            return
        self.tell(READY=1, STATUS=status())
        pause = STATUS_EVERY_S if self._watchdog_s is None else min(STATUS_EVERY_S, self._watchdog_s / 3)
        try:
            while True:
                await asyncio.sleep(pause)
                fed = {"WATCHDOG": 1} if self._watchdog_s is not None and alive() else {}
                self.tell(**fed, STATUS=status())
        finally:
            self.tell(STOPPING=1)


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Seconds of the watchdog, None when this process is not the one that is to feed it."""
    time, process = environment.get(WATCHDOG_TIME, ""), environment.get(WATCHDOG_PROCESS, "")
    if not time.isdigit() or int(time) == 0 or (process and process != str(os.getpid())):
        return None
    return int(time) / 1e6


def _line(value: str) -> str:
    """The value without line breaks, which would begin another variable."""
    return " ".join(value.split())
