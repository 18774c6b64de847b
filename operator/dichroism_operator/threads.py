"""Blocking calls that may hang for ever, without holding up the end of the command.

A call on a file system whose server is gone never returns and can't be cancelled. The event loop would wait for its own
threads at the end; it does not wait for daemon threads.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_daemon_thread(call: Callable[[], T]) -> T:
    """Run ``call`` in a thread of its own; returns what it returns, raises what it raises."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(give: Callable[[], None]) -> None:
        if not answer.done():  # whoever waited was cut off meanwhile
            give()

    def hand_over(give: Callable[[], None]) -> None:
        try:
            loop.call_soon_threadsafe(settle, give)
        except RuntimeError:
            return  # the loop has ended: nobody waits any more

    def run() -> None:
        try:
            value = call()
        except BaseException as error:  # the waiting coroutine has to know
            failure = error
            hand_over(lambda: answer.set_exception(failure))
        else:
            hand_over(lambda: answer.set_result(value))

    threading.Thread(target=run, name="blocking", daemon=True).start()
    return await answer
