"""What a Lease tells of paused lanes: whole as far as it fits, and visibly cut where it does not."""

import json

from dichroism_crds.kinds import Step
from dichroism_crds.names import ANNOTATION_PAUSED
from dichroism_operator.pauses import MOST_WORDS, of_lease, word


def told(text: str) -> str:
    lease = {"metadata": {"annotations": {ANNOTATION_PAUSED: word({("BL402", Step.ARCHIVED): text})}}}
    [pause] = of_lease(lease)
    return pause.text


def test_a_remedy_with_a_long_path_comes_out_whole() -> None:
    text = f"Archived waits: EndpointUnavailable, make the folder once: mkdir /{'deep/' * 150}.dichroism"
    assert told(text) == text


def test_what_does_not_fit_is_seen_to_be_cut() -> None:
    assert told("x" * MOST_WORDS) == "x" * MOST_WORDS
    assert told("x" * (MOST_WORDS + 1)) == "x" * (MOST_WORDS - 1) + "…"


def test_what_somebody_else_wrote_is_cut_too() -> None:
    lease = {"metadata": {"annotations": {ANNOTATION_PAUSED: json.dumps({"BL402/Archived": "y" * 10**6})}}}
    assert len(of_lease(lease)[0].text) == MOST_WORDS
