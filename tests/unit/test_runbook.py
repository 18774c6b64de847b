"""Whoever meets a reason, a warning or an alert finds in the runbook what it means and what to do."""

import re

import pytest

from dichroism_crds.reasons import EventReason, KeptReason, Reason
from tests.runbook import KEPT, RUNBOOK, entries, entry_of


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_every_reason_of_a_condition_has_an_entry(reason: Reason) -> None:
    assert entry_of(reason), f"docs/runbook.md says nothing of {reason}: give it a row where it belongs"


@pytest.mark.parametrize("reason", KeptReason, ids=str)
def test_every_reason_for_a_kept_file_stands_in_the_entry_of_prunes(reason: KeptReason) -> None:
    assert f"`{reason}`" in entries()[KEPT]


@pytest.mark.parametrize("reason", [one for one in EventReason if one.warning], ids=str)
def test_every_warning_stands_in_the_list_of_warnings(reason: EventReason) -> None:
    assert f"`{reason}`" in entries()["Warnings among the Events"]


def test_every_symptom_has_its_meaning_and_says_what_is_safe() -> None:
    for section in re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]:
        if "**Means.**" in section:
            assert re.search(r"\*\*Safe\.\*\*|\bSafe:", section), section.splitlines()[0]


def test_a_word_that_nobody_explains_has_no_entry() -> None:
    assert entry_of("NeverHeardOf") is None
