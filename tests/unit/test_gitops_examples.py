"""The examples for Argo CD and Flux: the chart takes their values, and the health checks judge as they should."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given

from dichroism_crds.kinds import PrunePhase, ScanPhase, TransferPhase
from dichroism_crds.reasons import Reason
from dichroism_operator import lifecycle
from tests.chart import CHART, helm, objects
from tests.cluster import lua_path
from tests.unit.scan_cases import HAPPENINGS, NOW, Happening, beamline, happen, scan

pytestmark = pytest.mark.usefixtures("chart_tools")
EXAMPLES = CHART.parents[1] / "docs" / "examples" / "gitops"
CUSTOM = "resource.customizations.health.dichroism.als.lbl.gov_"
ARGO_HEALTH = {"Healthy", "Progressing", "Degraded", "Suspended"}
HELM_RELEASE = {
    "interval": None,
    "timeout": None,
    "chart": {"spec": {"chart": None, "reconcileStrategy": None, "sourceRef": {"kind": None, "name": None}}},
    "upgrade": {"remediation": {"retries": None, "strategy": None}},
    "driftDetection": {"mode": None},
    "serviceAccountName": None,
    "values": None,
    "valuesFrom": None,
}
"""The fields of a HelmRelease (helm.toolkit.fluxcd.io/v2) that the example may use."""


def example(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((EXAMPLES / name).read_text())
    return document


def strange(found: Any, known: Any, at: str = "spec") -> list[str]:
    """Fields that are not among the known ones."""
    if known is None:
        return []
    return [f"{at}.{key}" for key in found if key not in known] + [
        one for key in found if key in known for one in strange(found[key], known[key], f"{at}.{key}")
    ]


def test_flux_example_has_only_fields_of_a_helm_release() -> None:
    assert not strange(example("flux/release.yaml")["spec"], HELM_RELEASE)
    assert strange({"interval": "1m", "chrat": {}}, HELM_RELEASE) == ["spec.chrat"]


@pytest.mark.parametrize("major", [3, 4])
def test_the_chart_takes_the_values_of_the_examples(major: int) -> None:
    argo = example("argocd/application.yaml")["spec"]["source"]["helm"]["valuesObject"]
    flux = example("flux/release.yaml")["spec"]["values"]
    document = yaml.safe_dump(argo["config"])
    rendered = [
        objects(helm("template", values=values, release="dichroism", major=major))
        for values in (argo, flux | {"config": document})
    ]
    names = [{(one["kind"], one["metadata"]["name"]) for one in each} for each in rendered]
    assert names[0] == names[1]
    assert not [one for each in rendered for one in each if one["kind"] in ("CustomResourceDefinition", "Secret")]


def test_paths_and_sources_of_the_examples_are_there() -> None:
    root = CHART.parents[1]
    for name in ("argocd/cluster.yaml", "argocd/application.yaml"):
        assert (root / example(name)["spec"]["source"]["path"] / "Chart.yaml").exists()
    release = example("flux/release.yaml")["spec"]
    assert (root / release["chart"]["spec"]["chart"] / "Chart.yaml").exists()
    assert release["chart"]["spec"]["sourceRef"]["name"] == example("flux/source.yaml")["metadata"]["name"]
    folder = example("flux/kustomization.yaml")
    assert all((EXAMPLES / "flux" / name).exists() for name in folder["resources"])
    assert {one["name"] for one in release["valuesFrom"]} == {one["name"] for one in folder["configMapGenerator"]}


def lua(value: Any) -> str:
    """A value as Lua writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{json.dumps(key)}] = {lua(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(lua(one) for one in value) + "}"
    return "nil" if value is None else json.dumps(value)


def health(kind: str, spec: dict[str, Any], status: dict[str, Any] | None, folder: Path) -> tuple[str, str]:
    """What Argo CD makes of an object: health and message."""
    script = example("argocd/argocd-cm.yaml")["data"][CUSTOM + kind]
    body = f"local obj = {lua({'spec': spec, 'status': status})}\nlocal function judge()\n{script}\nend\n"
    file = folder / "health.lua"
    file.write_text(body + 'local hs = judge()\nprint(hs.status .. "\\t" .. hs.message)\n')
    done = subprocess.run([lua_path(), file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    judged, _, message = done.stdout.rstrip("\n").partition("\t")
    return judged, message


SUCCEEDED = {"phase": "PruneScheduled", "message": "done", "conditions": [{"type": "Succeeded", "status": "True"}]}
WAITING = {"phase": "Transferred", "message": "on CFS", "conditions": [{"type": "Succeeded", "status": "Unknown"}]}
JUDGED: list[tuple[str, dict[str, Any], dict[str, Any] | None, str]] = [
    ("Scan", {}, None, "Progressing"),
    ("Scan", {}, WAITING, "Progressing"),
    ("Scan", {"suspend": True}, WAITING, "Suspended"),
    ("Scan", {"suspend": False}, SUCCEEDED, "Healthy"),
    ("Scan", {"suspend": True}, SUCCEEDED, "Healthy"),
    ("Scan", {}, {"phase": "Failed", "message": "SourceMissing"}, "Degraded"),
    ("Scan", {}, {"phase": "Refused", "message": "BeamlineUnknown"}, "Degraded"),
    ("Transfer", {}, {"phase": "Pending"}, "Progressing"),
    ("Transfer", {}, {"phase": "Active"}, "Progressing"),
    ("Transfer", {}, {"phase": "Succeeded"}, "Healthy"),
    ("Transfer", {}, {"phase": "Failed", "message": "x"}, "Degraded"),
    ("Prune", {}, None, "Healthy"),
    ("Prune", {}, {"phase": "Scheduled"}, "Healthy"),
    ("Prune", {"suspend": True}, {"phase": "Scheduled"}, "Suspended"),
    ("Prune", {}, {"phase": "Held"}, "Suspended"),
    ("Prune", {}, {"phase": "Running"}, "Progressing"),
    ("Prune", {}, {"phase": "Trashed"}, "Progressing"),
    ("Prune", {}, {"phase": "Pruned"}, "Healthy"),
    ("Prune", {"suspend": True}, {"phase": "Pruned"}, "Healthy"),
    ("Prune", {}, {"phase": "Incomplete", "message": "3 files kept"}, "Degraded"),
]


@pytest.mark.parametrize(("kind", "spec", "status", "expected"), JUDGED)
def test_argo_cd_judges_the_kinds(
    kind: str, spec: dict[str, Any], status: dict[str, Any] | None, expected: str, tmp_path: Path
) -> None:
    judged, message = health(kind, spec, status, tmp_path)
    assert judged == expected
    if status and "message" in status:
        assert message == status["message"]


def test_every_phase_is_judged() -> None:
    seen = {(kind, status["phase"]) for kind, _, status, _ in JUDGED if status}
    kinds = {"Transfer": TransferPhase, "Prune": PrunePhase}
    assert {(kind, str(phase)) for kind, phases in kinds.items() for phase in phases} <= seen
    assert {ScanPhase.FAILED, ScanPhase.REFUSED} <= {phase for kind, phase in seen if kind == "Scan"}
    assert {expected for *_, expected in JUDGED} == ARGO_HEALTH


def kstatus(wire: dict[str, Any]) -> str:
    """What kstatus, by which Flux and kpt wait, makes of an object whose kind it does not know."""
    status = wire.get("status", {})
    generation = wire["metadata"]["generation"]
    said = {one["type"]: one["status"] for one in status.get("conditions", [])}
    if status.get("observedGeneration", generation) != generation or said.get("Reconciling") == "True":
        return "InProgress"
    if said.get("Stalled") == "True":
        return "Failed"
    return "Current" if said.get("Ready", "True") == "True" else "InProgress"


@given(happenings=HAPPENINGS)
def test_whatever_happens_to_a_scan_holds_up_no_sync_that_waits_by_kstatus(happenings: list[Happening]) -> None:
    one = happen(scan(), happenings, beamline())
    if one.status.phase == ScanPhase.REFUSED:  # the operator decides anew after each change of its spec
        lifecycle.refuse(one, Reason.EXPORT_CONTROLLED, "not to be moved", NOW)
    assert kstatus(one.to_wire()) == "Current"
    one.metadata.generation += 1
    assert kstatus(one.to_wire()) == "InProgress", "a change that nobody has looked at is not current"
