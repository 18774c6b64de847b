"""The one error of the reader."""


class BcsError(Exception):
    """This is no scan file that can be read at all: ``reason`` says why, ``name`` which file, where it has a name."""

    def __init__(self, reason: str, name: str | None = None) -> None:
        super().__init__(reason, name)
        self.reason = reason
        self.name = name

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}" if self.name else self.reason
