"""Runs checks: all at once, each bounded in time, none able to take another one down; told in their order."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from dichroism_operator.doctor.check import Check, Findings, NotCheckedHereError, problem


async def examine(checks: Sequence[Check], limit_s: float) -> AsyncIterator[tuple[Check, Findings]]:
    """Each check with its findings, in the given order, as soon as it and all before it have ended.

    Args:
        checks: what to look at; they run at the same time.
        limit_s: seconds after which a check is cut off, which is a problem.
    """
    tasks = [asyncio.create_task(_bounded(check, limit_s), name=check.name) for check in checks]
    try:
        for check, task in zip(checks, tasks, strict=True):
            yield check, await task
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _bounded(check: Check, limit_s: float) -> Findings:
    try:
        async with asyncio.timeout(limit_s) as limit:
            return await check.run()
    except NotCheckedHereError as error:
        return [error.finding]
    except Exception as error:
        if isinstance(error, TimeoutError) and limit.expired():
            text = f"no answer within {limit_s:g} s: something that this needs hangs"
            remedy = "Look whether the system answers other programs (a mount: `ls`), or allow more with --timeout"
            return [problem(text, remedy)]
        said = f"{type(error).__name__}: {error}"
        text = f"the check itself failed, so nothing is known: {said}"
        return [problem(text, "Please report this as a fault of dichroism, with this line")]
