"""The one image: what its file promises, without building it."""

import re

import yaml

from tests.chart import CHART

ROOT = CHART.parents[1]
CONTAINERFILE = (ROOT / "image" / "Containerfile").read_text()
STAGES = re.split(r"^FROM ", CONTAINERFILE, flags=re.MULTILINE)[1:]


def test_what_builds_stays_behind() -> None:
    assert len(STAGES) == 2
    assert "pip" in STAGES[0]
    assert not re.search(r"\b(pip|apt|gcc|RUN)\b", STAGES[1])


def test_any_base_can_be_taken() -> None:
    assert all(stage.startswith("${BASE}") for stage in STAGES)
    assert CONTAINERFILE.count("ARG BASE=") == 1


def test_the_build_asks_no_network() -> None:
    assert "--no-index" in CONTAINERFILE
    assert not re.search(r"https?://|apt-get|curl|wget", CONTAINERFILE)


def test_the_image_runs_as_the_user_that_the_chart_names() -> None:
    user = re.findall(r"^USER (\S+)$", STAGES[1], re.MULTILINE)
    security = yaml.safe_load((CHART / "values.yaml").read_text())["podSecurityContext"]
    assert user == [f"{security['runAsUser']}:{security['runAsGroup']}"]
    assert security["runAsUser"] > 0
