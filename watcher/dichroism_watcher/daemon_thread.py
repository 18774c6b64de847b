"""Blocking calls in threads that a dead file server can hold up without holding up our exit.

A call on a file system that hangs never returns and cannot be cancelled. The event loop's own threads would be waited
for when the process ends; daemon threads are not.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_daemon_thread(call: Callable[[], T]) -> T:
    """Run ``call`` in a thread of its own and return what it returns, or raise what it raises."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def finish(give: Callable[[], None]) -> None:
        if not answer.cancelled():
            give()

    def run() -> None:
        try:
            value = call()
        except BaseException as error:  # handed to the waiting coroutine
            failure = error
            report(lambda: answer.set_exception(failure))
        else:
            report(lambda: answer.set_result(value))

    def report(give: Callable[[], None]) -> None:
        try:
            loop.call_soon_threadsafe(finish, give)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    threading.Thread(target=run, name="dichroism-walk", daemon=True).start()
    return await answer
