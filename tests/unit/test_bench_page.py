"""The page of figures has every figure that is measured, and none that nobody measures any more."""

import json
import re
from pathlib import Path

import pytest

from tests.bench import frame, page

KEYS = {key: one for one in frame.measurements().values() for key in one.keys}


def test_the_page_shows_every_key_with_its_goal_and_no_other() -> None:
    rows = re.findall(r"^\| `(\w+)` \| \S+ \| (.*?) \| (.*?) \|$", page.PAGE.read_text(), re.MULTILINE)
    shown = {key: goal.replace("&lt;", "<").replace("&gt;", ">") for key, goal, _ in rows}
    assert shown == {key: one.goals.get(key, "") for key, one in KEYS.items()}


def test_a_page_of_some_figures_only_is_refused_and_the_missing_ones_are_named(tmp_path: Path) -> None:
    kept = tmp_path / "bench.json"
    kept.write_text(json.dumps(dict.fromkeys(list(KEYS)[1:], 1.0)))
    with pytest.raises(ValueError, match=rf"lacks {next(iter(KEYS))}: run `make bench`"):
        page.write(kept)
