"""Lines of a binary file, in order, with bounded memory whatever the file holds."""

from collections.abc import Iterator
from typing import BinaryIO

from dichroism_operator.bcs.errors import BcsError
from dichroism_operator.bcs.limits import Limits

_BLOCK = 1 << 20


class Lines:
    """Reads ahead by blocks of a megabyte; line ends are LF or CRLF and are not part of the lines."""

    def __init__(self, stream: BinaryIO, limits: Limits) -> None:
        self._stream = stream
        self._limit = limits.line_bytes
        self._rest = b""
        self._at = 0
        self._ended = False
        self.cut = b""
        """The last line, when the file ends without a line end: it may be a part only."""
        self.broken: str | None = None
        """Why reading stopped before the end of the file."""

    def peek(self, size: int) -> bytes:
        """The first ``size`` bytes, which stay to be read."""
        while len(self._rest) < size and not self._ended:
            self._fill()
        return self._rest[:size]

    def line(self) -> bytes | None:
        """The next whole line, None at the end.

        Raises:
            BcsError: The line is too long to be one.
        """
        while (end := self._rest.find(b"\n", self._at)) < 0 and not self._ended and self._left <= self._limit:
            self._fill()
        line = self._rest[self._at : end if end >= 0 else len(self._rest)]
        if len(line) > self._limit:
            raise BcsError(f"a line is longer than {self._limit} bytes, so this is no table of a scan")
        self._at = end + 1 if end >= 0 else len(self._rest)
        if end < 0:
            self.cut = line
            return None
        return line.rstrip(b"\r")

    def blocks(self) -> Iterator[list[bytes]]:
        """All further whole lines, about a megabyte at a time."""
        self._rest, self._at = self._rest[self._at :], 0
        while True:
            whole, end, rest = self._rest.rpartition(b"\n")
            if end:
                self._rest = rest
                yield [line.rstrip(b"\r") for line in whole.split(b"\n")]
            if len(self._rest) > self._limit:
                self.broken = f"a line is longer than {self._limit} bytes; reading stopped there"
                return
            if self._ended:
                self.cut, self._rest = self._rest, b""
                return
            self._fill()

    @property
    def _left(self) -> int:
        return len(self._rest) - self._at

    def _fill(self) -> None:
        try:
            read = self._stream.read(_BLOCK)
        except (OSError, ValueError) as error:
            self.broken = f"the file could not be read to its end: {error}"
            read = b""
        if isinstance(read, str):
            raise BcsError("the file was opened as text; open it as binary (mode 'rb')")
        self._ended = not read
        self._rest += read or b""
