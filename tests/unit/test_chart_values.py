"""What the chart's schema takes and refuses, and that schema and README say what values.yaml says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import chart_values
from tests.chart import CHART, helm, render
from tests.chart_values import CRDS, Value
from tests.cluster import CommandError

pytestmark = pytest.mark.usefixtures("chart_tools")
CONFIG = (CHART.parents[1] / "config.yml").read_text()
HELMS = (3, 4)
"""The last Helm 3, and Helm 4."""


@pytest.fixture(params=HELMS, ids=lambda major: f"helm{major}")
def major(request: pytest.FixtureRequest) -> int:
    """Each Helm that people have."""
    chosen: int = request.param
    return chosen


def refusal(major: int, config: Any = CONFIG, **values: Any) -> str:
    with pytest.raises(CommandError) as failed:
        render("als", config, major=major, **values)
    return failed.value.stderr


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"replicas": 2}, "additional properties 'replicas' not allowed"),
    "misspelt section": ({"watchers": {"enabled": True}}, "additional properties 'watchers' not allowed"),
    "misspelt key": ({"operator": {"enable": False}}, "at '/operator': additional properties 'enable' not allowed"),
    "wrong type": ({"watcher": {"enabled": "yes"}}, "at '/watcher/enabled': got string, want boolean"),
    "no word of the list": ({"secretsAs": "file"}, "at '/secretsAs': value must be one of 'files', 'environment'"),
    "no digest": ({"image": {"digest": "1.2.3"}}, "at '/image/digest'"),
    "a list as a text": ({"imagePullSecrets": "registry"}, "at '/imagePullSecrets': got string, want array"),
    "a name alone": ({"imagePullSecrets": ["registry"]}, "at '/imagePullSecrets/0': got string, want object"),
    "no volume source": ({"mounts": {"data402": {"pvc": {}}}}, "at '/mounts/data402': additional properties 'pvc'"),
    "a mount of nothing": ({"mounts": {"data402": {}}}, "at '/mounts/data402'"),
    "a misspelt limit": ({"prune": {"resources": {"limit": {}}}}, "at '/prune/resources': additional properties"),
    "no cron schedule": ({"prune": {"schedule": "hourly"}}, "at '/prune/schedule'"),
    "a fraction of a job": ({"prune": {"failedJobsHistoryLimit": 1.5}}, "at '/prune/failedJobsHistoryLimit'"),
    "no subject": ({"steward": {"subjects": [{"kind": "Team", "name": "x"}]}}, "at '/steward/subjects/0/kind'"),
    "no security field": ({"podSecurityContext": {"runAsUsr": 1}}, "at '/podSecurityContext': additional properties"),
    "no address range": ({"networkPolicy": {"httpsCidrs": ["nersc.gov"]}}, "at '/networkPolicy/httpsCidrs/0'"),
    "a secret that is a number": ({"secretValues": {"SCICAT_PASSWORD": 1}}, "at '/secretValues/SCICAT_PASSWORD'"),
    "both monitors": (
        {"metrics": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}},
        "Prometheus would count everything twice",
    ),
    "no runbook": ({"metrics": {"prometheusRule": {"enabled": True}}}, "runbookUrl is not set"),
    "two secrets": ({"existingSecret": "a", "secretValues": {"A": "b"}}, "both set"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_value_is_refused_and_its_key_named(major: int, case: str) -> None:
    values, told = REFUSED[case]
    assert told in refusal(major, **values)


def changed(*path: str, to: Any) -> dict[str, Any]:
    """The project's config as values, with one key set."""
    document: dict[str, Any] = yaml.safe_load(CONFIG)
    *above, last = path
    place = document
    for key in above:
        place = place[key]
    place[last] = to
    return document


WRONG_CONFIG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": (changed("beamlines", "BL402", "transfer", "speed", to=1), "/config/beamlines/BL402/transfer"),
    "wrong duration": (
        changed("beamlines", "BL402", "prune", "data402", "after", to="half a year"),
        "/config/beamlines/BL402/prune/data402/after",
    ),
    "unknown mover": (
        changed("beamlines", "BL402", "transfer", "mover", to="rsync"),
        "/config/beamlines/BL402/transfer/mover",
    ),
    "an endpoint without a folder": (changed("data402", to={"uri": "x", "name": "data402"}), "/config/data402"),
    "no beamlines": ({"data402": yaml.safe_load(CONFIG)["data402"]}, "'/config': missing property 'beamlines'"),
}


@pytest.mark.parametrize("case", WRONG_CONFIG)
def test_a_config_in_values_is_judged_by_its_own_schema(major: int, case: str) -> None:
    document, told = WRONG_CONFIG[case]
    assert told in refusal(major, document)


def test_the_projects_config_is_taken_as_text_and_as_values(major: int) -> None:
    assert render("als", CONFIG, major=major)
    assert render("als", yaml.safe_load(CONFIG), major=major)


@pytest.mark.parametrize("chart", [CHART, CRDS], ids=lambda chart: chart.name)
def test_the_chart_works_as_a_part_of_another(chart: Path) -> None:
    # Helm hands `global` to every part; a closed schema that forgets it fails there and nowhere else.
    helm("lint", values={"config": CONFIG, "image": {"repository": "x"}} if chart == CHART else {}, chart=chart)
    values = {"global": {"site": "als"}, **({"config": CONFIG, "image": {"repository": "x"}} if chart == CHART else {})}
    assert helm("template", values=values, chart=chart)


@pytest.mark.parametrize("chart", [CHART, CRDS], ids=lambda chart: chart.name)
def test_schema_and_readme_say_what_the_values_say(chart: Path) -> None:
    assert (chart / "values.schema.json").read_text() == chart_values.schema(chart), "run `make docs`"
    assert (chart / "README.md").read_text() == chart_values.readme(chart), "run `make docs`"


def leaves(values: tuple[Value, ...]) -> Iterator[Value]:
    for one in values:
        yield from leaves(one.keys) if one.keys else [one]


def test_every_value_is_described() -> None:
    assert not [".".join(one.path) for one in leaves(chart_values.values_of(CHART)) if len(one.text) < 10]
