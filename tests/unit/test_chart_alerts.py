"""Alert rules and dashboard: promtool takes them, each alert fires when it should, and all that they name exists."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from dichroism_crds.kinds import SCAN_CONDITIONS, PrunePhase, ScanPhase
from dichroism_crds.reasons import KeptReason
from dichroism_operator.metrics import REGISTRY
from tests.chart import CHART, objects, of_kind, render
from tests.cluster import promtool_path
from tests.pages import anchor
from tests.runbook import entries

pytestmark = pytest.mark.usefixtures("chart_tools")
ROOT = CHART.parents[1]
CONFIG = (ROOT / "config.yml").read_text()
RUNBOOK = "https://example.org/runbook.md"
SERIES = Path(__file__).parent / "alert_series.yaml"
"""For every alert: series that make it fire, and when."""


@cache
def groups() -> list[dict[str, Any]]:
    """The rules as the cluster gets them."""
    values = {"prometheusRule": {"enabled": True, "runbookUrl": RUNBOOK}}
    (rule,) = of_kind(objects(render("als", CONFIG, metrics=values)), "PrometheusRule").values()
    found: list[dict[str, Any]] = rule["spec"]["groups"]
    return found


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in groups() for rule in group["rules"]}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rules as a file for promtool."""
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups()}, sort_keys=False))
    return file


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run([promtool_path(), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_takes_the_rules(rules: Path) -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", "--lint=all", "--lint-fatal", rules)


def test_every_alert_fires_when_it_should_and_not_before(rules: Path) -> None:
    cases = yaml.safe_load(SERIES.read_text())
    assert {case["alert"] for case in cases if "fires" in case} == set(alerts()), "an alert without a test"
    whole = {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [promtool_test(one) for one in cases]}
    file = rules.with_name("tests.yaml")
    file.write_text(yaml.safe_dump(whole, sort_keys=False))
    assert "SUCCESS" in promtool("test", "rules", file)


def promtool_test(case: dict[str, Any]) -> dict[str, Any]:
    """One case in the words of promtool. Every series is of the namespace `als`."""
    name = case["alert"]
    firing = f'ALERTS{{alertname="{name}", alertstate="firing"}}'
    said = {"severity": alerts()[name]["labels"]["severity"], "namespace": "als", **case.get("labels", {})}
    labels = ", ".join(f'{key}="{value}"' for key, value in said.items())
    looks = [{"expr": firing, "eval_time": case["silent"], "exp_samples": []}]
    if "fires" in case:
        sample = {"labels": f"{firing[:-1]}, {labels}}}", "value": 1}
        looks.append({"expr": firing, "eval_time": case["fires"], "exp_samples": [sample]})
    series = [
        {"series": one.replace("{", '{namespace="als",'), "values": values} for one, values in case["series"].items()
    ]
    return {"name": f"{name} {case['series']}", "interval": "1m", "input_series": series, "promql_expr_test": looks}


def test_every_alert_says_what_to_do() -> None:
    anchors = set(map(anchor, entries()))
    for name, rule in alerts().items():
        address, _, place = rule["annotations"]["runbook_url"].partition("#")
        assert address == RUNBOOK
        assert place in anchors, name
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert {"summary", "description"} <= rule["annotations"].keys()


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((CHART / "files" / "dashboard.json").read_text())
    return document


def queries() -> dict[str, str]:
    """Every query of rules and dashboard, by who asks."""
    asked = {name: rule["expr"] for name, rule in alerts().items()}
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            asked[f"{panel['title']} {target['refId']}"] = target["expr"]
    return asked


def series() -> dict[str, set[str]]:
    """Every series that the operator has, with its labels."""
    found: dict[str, set[str]] = {}
    for collector, names in REGISTRY._collector_to_names.items():
        for name in names:
            found[name] = set(getattr(collector, "_labelnames", ()))
    return found


@pytest.mark.parametrize("who", queries())
def test_a_query_names_series_and_labels_that_exist(who: str) -> None:
    query, known = queries()[who], series()
    given = {"namespace", "pod"}  # by Prometheus
    named = re.findall(r"\b(dichroism_\w+)(?:\{([^}]*)\})?", query)
    assert named
    for name, selectors in named:
        assert name in known, f"{name} is no series of the operator"
        assert set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", selectors)) <= known[name] | given
    grouped = {label for labels in re.findall(r"(?:by|on) \(([^)]*)\)", query) for label in labels.split(", ")}
    assert grouped <= given.union(*(known[name] for name, _ in named))


def test_words_in_queries_are_words_of_the_program() -> None:
    words = {*ScanPhase, *PrunePhase, *KeptReason, *SCAN_CONDITIONS, "done", "quarantined"}
    for query in queries().values():
        chosen = re.findall(r'(?:phase|reason|step|result|state)(?:=~|!=|=)"([^"]*)"', query)
        assert {word for one in chosen for word in one.split("|")} <= words


def test_every_metric_of_the_operator_is_shown_or_watched() -> None:
    asked = "\n".join(queries().values())
    hidden = {metric.name for metric in REGISTRY.collect() if metric.name not in asked}
    assert hidden <= NOT_SHOWN


NOT_SHOWN = {
    "dichroism_audit_disk_fill_ratio",
    "dichroism_audit_oldest_file_seconds",
    "dichroism_flight_check_failed",
    "dichroism_pictures",
    "dichroism_prune_trashed_files",
    "dichroism_mirror_waiting",
    "dichroism_mirror_states",
    "dichroism_mirror_requests",
    "dichroism_mirror_dropped",
    "dichroism_mirror_refused",
}
"""For looking into one corner; docs/reference/metrics.md tells of them."""


def test_panels_of_the_dashboard_do_not_overlap_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or panel["description"]
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])
