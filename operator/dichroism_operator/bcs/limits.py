"""How much of a file is read at most. Files come from outside, so nothing of them is trusted, not even their size."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one reading. Beyond one of them reading stops, and what was read until then is kept.

    The greatest files known have 12,000 rows of 65 columns (10 MB of text, 6 MB of numbers).
    """

    header_lines: int = 2000
    """Lines before the table. Known headers have 10 to 20; the JSON of the newer form may have hundreds."""
    columns: int = 1000
    """Known files have up to 115."""
    line_bytes: int = 1 << 17
    """Length of one line. Known lines have up to 3 kB."""
    rows: int = 1_000_000
    numbers: int = 4_000_000
    """Rows times columns: each takes 8 bytes of memory."""
    seconds: float | None = None
    """Time for the whole reading, looked at after every megabyte."""


@dataclass(slots=True)
class Stopwatch:
    """Whether the time of a reading is over."""

    seconds: float | None
    began: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        """True once the time has passed; never without a limit."""
        return self.seconds is not None and time.monotonic() - self.began > self.seconds
