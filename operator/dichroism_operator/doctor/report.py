"""How findings look: sections and lines for people, one JSON document for programs."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from dichroism_operator.doctor.check import Check, Finding, Findings, Severity
from dichroism_operator.wording import printable, wrapped

_WIDTH = 120
_MARKS = {
    Severity.OK: "ok",
    Severity.WARNING: "WARNING",
    Severity.PROBLEM: "PROBLEM",
    Severity.NOT_CHECKED: "not checked",
}
_NAMES = 12
"""Columns for the name of a check; endpoints may have longer ones, then the message moves."""
_COUNTED = {
    Severity.OK: ("ok", "ok"),
    Severity.WARNING: ("warning", "warnings"),
    Severity.PROBLEM: ("problem", "problems"),
    Severity.NOT_CHECKED: ("not checked here", "not checked here"),
}


class TextReport:
    """Lines for people. Give it the checks in their order, then ask for the last lines."""

    def __init__(self, seen_from: str) -> None:
        self._heading = [f"dichroism doctor, {seen_from}"]
        self._system = ""
        self._counts: Counter[Severity] = Counter()

    def lines(self, check: Check, findings: Findings) -> list[str]:
        """The lines of one check; the first one of a system begins with its heading."""
        heading = self._heading + ([] if check.system == self._system else ["", check.system])
        self._heading, self._system = [], check.system
        self._counts.update(finding.severity for finding in findings)
        name = check.name.partition("/")[2]
        return [*heading, *(line for finding in findings for line in _finding_lines(name, finding))]

    def summary(self) -> list[str]:
        """How many findings of which kind."""
        told = [
            f"{self._counts[kind]} {one if self._counts[kind] == 1 else many}"
            for kind, (one, many) in _COUNTED.items()
            if self._counts[kind] or kind == Severity.PROBLEM
        ]
        return ["", ", ".join(told)]


def json_report(seen_from: dict[str, Any], examined: Sequence[tuple[Check, Findings]]) -> str:
    """Everything as one document; ``ok`` is what the exit code says."""
    counts = Counter(finding.severity for _, findings in examined for finding in findings)
    document = {
        "seenFrom": seen_from,
        "ok": not counts[Severity.PROBLEM],
        "counts": {kind.name.lower(): counts[kind] for kind in Severity},
        "checks": [
            {
                "name": check.name,
                "proves": check.proves,
                "findings": [
                    {"severity": one.severity.name.lower(), "message": one.message, "remedy": one.remedy}
                    for one in findings
                ],
            }
            for check, findings in examined
        ],
    }
    return json.dumps(document, indent=2)


def _finding_lines(name: str, finding: Finding) -> list[str]:
    mark = f"  {_MARKS[finding.severity]:<13}"
    indent = " " * (len(mark) + _NAMES + 2)
    lines = wrapped(finding.message, _WIDTH, f"{mark}{name:<{_NAMES}}  ", indent)
    # On one line, however long: a command that was wrapped can't be copied.
    return [*lines, f"{indent}-> {printable(finding.remedy)}"] if finding.remedy else lines
