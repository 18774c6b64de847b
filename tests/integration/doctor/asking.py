"""Asking the doctor, and looking for one finding in what it says."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from dichroism_cli.main import main


@dataclass(frozen=True)
class Answer:
    """What the command said and how it ended."""

    code: int
    document: dict[str, Any]

    def found(self, check: str) -> list[tuple[str, str, str]]:
        """Severity, message and remedy of each finding of a check."""
        (only,) = [one for one in self.document["checks"] if one["name"] == check]
        return [(one["severity"], one["message"], one["remedy"]) for one in only["findings"]]

    def assert_found(self, check: str, severity: str, message: str, remedy: str = "") -> None:
        """One finding of the check is of this kind and has these words."""
        found = self.found(check)
        assert [one for one in found if one[0] == severity and message in one[1] and remedy in one[2]], found

    def assert_fine(self, check: str) -> None:
        """The check found nothing that a person should know."""
        assert {severity for severity, _, _ in self.found(check)} == {"ok"}, self.found(check)


def ask(environment: Mapping[str, str], *options: str) -> Answer:
    """Run the command in this process; starting one takes longer than most checks."""
    done = CliRunner(env=dict(environment)).invoke(main, ["doctor", "-o", "json", *options])
    assert done.exit_code in (0, 1), done.output
    answer = Answer(done.exit_code, json.loads(done.stdout))
    assert (answer.code == 0) == answer.document["ok"]
    return answer
