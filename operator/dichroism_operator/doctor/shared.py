"""What several checks need and only one of them is about: made once, by whoever asks first, for all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """A value, or the error with which making it failed."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._making: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """The value, for everybody the same; raises what making it raised."""
        if self._making is None:
            self._making = asyncio.ensure_future(self._made())
        # Shielded: a check that is cut off must not take it away from the others.
        return await asyncio.shield(self._making)

    async def _made(self) -> T:
        return await self._make()

    async def end(self) -> None:
        """Stop making it, at the end of the command."""
        if self._making:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)
