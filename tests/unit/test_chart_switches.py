"""Every switch of the chart, and what it changes: kept as differences to the chart with its defaults, for both Helms.

``SNAPSHOTS=write make chart`` writes them anew after a change that was meant; then read the difference that Git shows.
"""

import difflib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart import CHART, objects, render
from tests.chart_values import Value, values_of

pytestmark = pytest.mark.usefixtures("chart_tools")
KEPT = Path(__file__).parent / "snapshots" / "chart"
CONFIG = """\
data402: {root_path: /data, uri: als, name: data402}
nersc402: {root_path: /cfs, uri: nersc, name: nersc402}
beamlines:
  BL402:
    watch: {root: data402}
    transfer: {from: data402, to: nersc402, mover: filesystem}
    prune:
      data402: {after: 180d, needs: [nersc402]}
"""
"""A small one: what the chart makes of a larger one is looked at elsewhere."""
BASE: dict[str, Any] = {"crds": {"install": False}, "operator": {"enabled": True}}
GROUP = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "beamline-staff"}
SWITCHES: dict[str, dict[str, Any]] = {
    "image": {"image": {"repository": "r.example.org/d", "tag": "2", "pullPolicy": "Always"}},
    "image-digest": {"image": {"repository": "r.example.org/d", "digest": f"sha256:{'ab' * 32}"}},
    "image-pull-secrets": {"imagePullSecrets": [{"name": "registry"}]},
    "secret-existing": {"existingSecret": "credentials"},
    "secret-values": {"secretValues": {"SCICAT_USERNAME": "als", "SCICAT_PASSWORD": "secret"}},
    "secret-environment": {"existingSecret": "credentials", "secretsAs": "environment"},
    "secret-values-environment": {"secretValues": {"SCICAT_USERNAME": "als"}, "secretsAs": "environment"},
    "mounts": {
        "mounts": {
            "data402": {"persistentVolumeClaim": {"claimName": "site"}, "subPath": "data"},
            "nersc402": {"hostPath": {"path": "/global/cfs", "type": "Directory"}},
        }
    },
    "extra-pod": {
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
    },
    "extra-objects": {
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}},
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Namespace }}-text'}\n",
        ]
    },
    "operator-off": {"operator": {"enabled": False}},
    "operator-tuned": {
        "operator": {"resources": {"limits": {"memory": "4Gi"}}, "livenessProbe": {"periodSeconds": 60}},
    },
    "watcher": {"watcher": {"enabled": True}},
    "watcher-one-beamline": {
        "watcher": {
            "enabled": True,
            "beamlines": ["BL402"],
            "journal": {"persistentVolumeClaim": {"claimName": "journal"}},
            "readinessProbe": {"timeoutSeconds": 30},
        }
    },
    "people": {"steward": {"subjects": [GROUP]}, "viewer": {"subjects": [{**GROUP, "name": "users"}]}},
    "prune": {
        "prune": {
            "schedule": "H 2 * * *",
            "timeZone": "America/Los_Angeles",
            "suspend": True,
            "activeDeadlineSeconds": 7200,
            "startingDeadlineSeconds": 600,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 2,
            "resources": {"requests": {"cpu": "1"}},
        }
    },
    "flight-check": {
        "flightCheck": {
            "schedule": "H 6 * * *",
            "timeZone": "America/Los_Angeles",
            "timeout": 60,
            "activeDeadlineSeconds": 600,
            "tape": True,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 2,
            "resources": {"limits": {"memory": "1Gi"}},
        }
    },
    "audit": {
        "audit": {
            "schedule": "H 7 * * 1",
            "timeZone": "America/Los_Angeles",
            "suspend": True,
            "activeDeadlineSeconds": 7200,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 2,
            "resources": {"limits": {"memory": "1Gi"}},
        }
    },
    "audit-off": {
        "audit": {"enabled": False},
        "metrics": {"prometheusRule": {"enabled": True, "runbookUrl": "https://example.org/runbook.md"}},
    },
    "flight-check-off": {
        "flightCheck": {"enabled": False},
        "metrics": {"prometheusRule": {"enabled": True, "runbookUrl": "https://example.org/runbook.md"}},
    },
    "pod-monitor": {"metrics": {"podMonitor": {"enabled": True, "interval": "1m", "labels": {"release": "kps"}}}},
    "service-monitor": {"metrics": {"serviceMonitor": {"enabled": True, "interval": "1m", "labels": {"release": "k"}}}},
    "alerts": {
        "metrics": {
            "prometheusRule": {
                "enabled": True,
                "runbookUrl": "https://example.org/runbook.md",
                "labels": {"release": "kps"},
                "alertLabels": {"team": "als"},
            }
        }
    },
    "dashboard": {"metrics": {"dashboard": {"enabled": True, "annotations": {"folder": "ALS"}}}},
    "network-policy": {"networkPolicy": {"enabled": True}},
    "network-policy-narrow": {
        "networkPolicy": {
            "enabled": True,
            "httpsCidrs": ["128.55.0.0/16"],
            "apiServerCidrs": ["10.43.0.1/32"],
            "apiServerPorts": [6443],
            "extraEgress": [{"ports": [{"protocol": "TCP", "port": 4200}]}],
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        }
    },
    "security": {
        "podSecurityContext": {"runAsUser": 90001, "runAsGroup": 90001, "fsGroup": 90001, "supplementalGroups": [4711]},
        "containerSecurityContext": {"capabilities": {"drop": ["ALL"]}},
    },
    "pods": {
        "podLabels": {"cost": "als"},
        "podAnnotations": {"note": "x"},
        "nodeSelector": {"storage": "cfs"},
        "tolerations": [{"key": "storage", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "serviceAccountAnnotations": {"owner": "als"},
    },
    "names": {"nameOverride": "scans", "fullnameOverride": "als-scans"},
    "crds": {"crds": {"install": True, "clusterRoles": True}},
}
"""Values of each switch. A key of values.yaml that is in none of them makes a test fail."""
ELSEWHERE = {"config", "crds.install", "image.repository"}


@pytest.fixture(params=(3, 4), ids=lambda major: f"helm{major}")
def major(request: pytest.FixtureRequest) -> int:
    """Each Helm that people have."""
    chosen: int = request.param
    return chosen


@cache
def defaults(major: int) -> str:
    return shown(major, BASE)


def shown(major: int, values: dict[str, Any]) -> str:
    """What is installed, without what `crds` and the dashboard keep as files of their own."""
    documents = []
    for one in objects(render("als", CONFIG, major=major, **values)):
        if one["kind"] == "CustomResourceDefinition":
            one["spec"] = "..."
        if "dichroism.json" in one.get("data", {}):
            one["data"]["dichroism.json"] = "..."
        documents.append(one)
    documents.sort(key=lambda one: (one["kind"], one["metadata"]["name"]))
    return yaml.dump_all(documents, Dumper=yaml.CSafeDumper, sort_keys=True, width=200)


def compare(name: str, text: str) -> None:
    file = KEPT / name
    if os.environ.get("SNAPSHOTS") == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert file.exists(), f"{file} is missing: SNAPSHOTS=write make chart"
    assert text == file.read_text()


def test_the_chart_with_its_defaults(major: int) -> None:
    compare("defaults.yaml", defaults(major))


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_changes_this_and_nothing_else(major: int, switch: str) -> None:
    before, after = defaults(major), shown(major, BASE | SWITCHES[switch])
    changed = list(difflib.unified_diff(before.splitlines(), after.splitlines(), "defaults", switch, n=6, lineterm=""))
    assert changed, "a switch that changes nothing"
    # Without line numbers, which change with every line above.
    kept = ["@@" if line.startswith("@@ ") else line for line in changed]
    compare(f"{switch}.diff", "\n".join(kept) + "\n")


def test_every_value_is_in_some_switch() -> None:
    def keys(values: tuple[Value, ...]) -> Iterator[tuple[str, ...]]:
        for one in values:
            yield from keys(one.keys) if one.keys else [one.path]

    def given(path: tuple[str, ...]) -> bool:
        for values in SWITCHES.values():
            place: Any = values
            for key in path:
                place = place.get(key) if isinstance(place, dict) else None
            if place is not None:
                return True
        return False

    untried = {".".join(path) for path in keys(values_of(CHART)) if not given(path)}
    assert untried <= ELSEWHERE | {"watcher.livenessProbe", "watcher.resources", "operator.readinessProbe"} | {
        "metrics.dashboard.labels"
    }


def test_no_snapshot_is_left_over() -> None:
    assert {file.name for file in KEPT.iterdir()} == {"defaults.yaml", *(f"{switch}.diff" for switch in SWITCHES)}
