"""A prune run that is killed right before or right after its n-th outside action: a program for the crash tests.

Usage: python -m tests.integration.prune.mortal CONFIG NAMESPACE N. It ends by SIGKILL, or with 0 when it had fewer
actions.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dichroism_crds.client import Api
from dichroism_crds.config import Endpoint, load
from dichroism_operator.movers.filesystem import FilesystemMover
from dichroism_operator.prune.job import run_prunes
from tests.integration.prune.site import run_of


class Countdown:
    """Kills this process at its n-th tick."""

    def __init__(self, left: int) -> None:
        self.left = left

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalMover(FilesystemMover):
    """The real mover, counted before and after each change of the storage, file by file."""

    def __init__(self, countdown: Countdown) -> None:
        super().__init__()
        self.countdown = countdown

    def rename(self, endpoint: Endpoint, old: str, new: str) -> None:
        self.countdown.tick()
        super().rename(endpoint, old, new)
        self.countdown.tick()

    def delete_private(self, endpoint: Endpoint, paths: Sequence[str]) -> None:
        for path in paths:
            self.countdown.tick()
            super().delete_private(endpoint, [path])
            self.countdown.tick()

    def remove_folder(self, endpoint: Endpoint, folder: str) -> bool:
        self.countdown.tick()
        removed = super().remove_folder(endpoint, folder)
        self.countdown.tick()
        return removed


class MortalApi(Api):
    """The real client, counted before and after each status write."""

    countdown: Countdown

    async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        counted = path.endswith("/status")
        if counted:
            self.countdown.tick()
        answer = await super().request(method, path, **options)
        if counted:
            self.countdown.tick()
        return answer


async def main(config_file: Path, namespace: str, left: int) -> None:
    """Run once."""
    config = load(config_file)
    countdown = Countdown(left)
    async with await MortalApi.connect(namespace) as api:
        api.countdown = countdown
        await run_prunes(run_of(api, config, MortalMover(countdown)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
