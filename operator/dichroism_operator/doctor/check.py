"""What a check is, and what it can find."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a finding means for the person who reads it."""

    OK = "ok"
    WARNING = "warning"
    """Works, but a person should know; the exit code does not mind."""
    PROBLEM = "problem"
    NOT_CHECKED = "not checked here"
    """Can't be known from where the command runs; the remedy says from where it can."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about a system, and what to do about it. Both may repeat untrusted text."""

    severity: Severity
    message: str
    remedy: str = ""

    def __post_init__(self) -> None:
        """Refuse a problem that leaves a person alone with it."""
        if self.severity in (Severity.PROBLEM, Severity.WARNING) and not self.remedy:
            raise ValueError(f"a finding without a remedy: {self.message}")


Findings = Sequence[Finding]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at by itself, whatever becomes of the others.

    Attributes:
        name: ``<system>/<what>``; people select by it or by the system alone.
        proves: what is known when it finds nothing, as one line.
        run: looks and judges. What it raises becomes a problem; it is cut off when it takes too long.
    """

    name: str
    proves: str
    run: Callable[[], Awaitable[Findings]]

    @property
    def system(self) -> str:
        """The part of the name that comes first."""
        return self.name.partition("/")[0]

    def selected_by(self, names: Sequence[str]) -> bool:
        """Whether one of the names is this check's or its system's."""
        return any(name in (self.name, self.system) for name in names)


class NotCheckedHereError(Exception):
    """What a check needs is not there where the command runs; what is missing is another check's business."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.finding = not_checked(message, remedy)


def ok(message: str) -> Finding:
    """It was tried and it works."""
    return Finding(Severity.OK, message)


def warning(message: str, remedy: str) -> Finding:
    """It works, but a person should know."""
    return Finding(Severity.WARNING, message, remedy)


def problem(message: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(Severity.PROBLEM, message, remedy)


def not_checked(message: str, remedy: str = "") -> Finding:
    """It can't be known from here."""
    return Finding(Severity.NOT_CHECKED, message, remedy)
