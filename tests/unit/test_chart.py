"""The chart as `helm template` renders it: no cluster needed."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dichroism_crds.config import load
from dichroism_crds.names import LABEL_BEAMLINE, LABEL_ENDPOINT, STOP_PRUNE_CONFIGMAP
from dichroism_crds.schema import crd_documents
from dichroism_operator.credentials import FOLDER
from tests.chart import AUDIT, CHART, cronjob_name, flight_name, helm, objects, of_kind, pod_specs, render
from tests.cluster import CommandError

pytestmark = pytest.mark.usefixtures("chart_tools")
REPOSITORY = CHART.parents[1]
CONFIG = (REPOSITORY / "config.yml").read_text()
BEAMLINES = ("BL402", "BL631")
PRUNED = ("data402", "data631", "nersc402", "nersc631")
EVERYTHING: dict[str, Any] = {
    "operator": {"enabled": True},
    "watcher": {"enabled": True, "beamlines": ["BL402"]},
    "existingSecret": "credentials",
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"storage": "cfs"},
    "tolerations": [{"key": "storage", "operator": "Exists"}],
    "mounts": {
        "data402": {"persistentVolumeClaim": {"claimName": "site"}, "subPath": "data402"},
        "nersc402": {"persistentVolumeClaim": {"claimName": "site"}, "subPath": "nersc402"},
        "hpss402": {"persistentVolumeClaim": {"claimName": "site"}, "subPath": "hpss402"},
    },
    "extraEnv": [{"name": "SCICAT_PASSWORD_FILE", "value": "/etc/scicat/password"}],
    "extraVolumes": [{"name": "scicat", "secret": {"secretName": "scicat"}}],
    "extraVolumeMounts": [{"name": "scicat", "mountPath": "/etc/scicat", "readOnly": True}],
}


DIGEST = f"sha256:{'ab' * 32}"


def rendered(config: Any = CONFIG, **values: Any) -> list[dict[str, Any]]:
    return objects(render("als", config, **values))


def prune_jobs(config: Any = CONFIG, **values: Any) -> dict[str, dict[str, Any]]:
    found = of_kind(rendered(config, **values), "CronJob")
    return {name: one for name, one in found.items() if LABEL_ENDPOINT in one["metadata"]["labels"]}


def flight_checks(config: Any = CONFIG, **values: Any) -> dict[str, dict[str, Any]]:
    found = of_kind(rendered(config, **values), "CronJob")
    return {name: one for name, one in found.items() if LABEL_BEAMLINE in one["metadata"]["labels"]}


def refusal(config: Any = CONFIG, **values: Any) -> str:
    with pytest.raises(CommandError) as failed:
        render("als", config, **values)
    return failed.value.stderr


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    return dict(only)


@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_lint_finds_nothing(values: dict[str, Any], major: int) -> None:
    whole = {"config": CONFIG, "image": {"repository": "dichroism"}, **values}
    assert "0 chart(s) failed" in helm("lint", "--strict", values=whole, major=major)


def test_chart_carries_the_version_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    part = yaml.safe_load((CHART / "charts" / "crds" / "Chart.yaml").read_text())
    assert {one[key] for one in (chart, part) for key in ("version", "appVersion")} == {project}
    assert [(one["name"], one["version"]) for one in chart["dependencies"]] == [(part["name"], project)]


def test_crds_are_those_of_the_models_and_stay_when_the_release_goes() -> None:
    installed = of_kind(rendered(), "CustomResourceDefinition")
    assert {name: one["spec"] for name, one in installed.items()} == {
        one["metadata"]["name"]: one["spec"] for one in crd_documents()
    }
    for one in installed.values():
        assert one["metadata"]["annotations"] == {
            "helm.sh/resource-policy": "keep",
            "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
            "kustomize.toolkit.fluxcd.io/prune": "disabled",
        }


def test_crds_can_be_left_to_somebody_else() -> None:
    assert not of_kind(rendered(crds={"install": False}), "CustomResourceDefinition")


def test_nothing_but_the_part_for_an_administrator_lies_outside_the_namespace() -> None:
    outside = [one for one in rendered(**EVERYTHING) if one["metadata"].get("namespace") != "als"]
    assert {one["kind"] for one in outside} == {"CustomResourceDefinition", "ClusterRole"}
    without = rendered(**EVERYTHING, crds={"install": False})
    assert {one["metadata"].get("namespace") for one in without} == {"als"}


def test_an_administrator_installs_the_same_part_alone() -> None:
    alone = objects(helm("template", release="cluster", chart=CHART / "charts" / "crds"))
    assert alone == [one for one in rendered() if one["kind"] in ("CustomResourceDefinition", "ClusterRole")]


def test_stop_switch_belongs_to_no_release() -> None:
    assert STOP_PRUNE_CONFIGMAP not in of_kind(rendered(), "ConfigMap")


@pytest.mark.parametrize("document", [CONFIG, yaml.safe_load(CONFIG)], ids=["text", "values"])
def test_pods_read_the_very_config_that_was_given(document: Any, tmp_path: Path) -> None:
    (configmap,) = of_kind(rendered(document), "ConfigMap").values()
    (tmp_path / "config.yml").write_text(configmap["data"]["config.yml"])
    assert load(tmp_path / "config.yml", {}) == load(REPOSITORY / "config.yml", {})


def test_config_given_as_text_keeps_its_comments_and_lines() -> None:
    (configmap,) = of_kind(rendered(), "ConfigMap").values()
    assert configmap["data"]["config.yml"] == CONFIG


def test_large_numbers_in_values_stay_whole() -> None:
    document = yaml.safe_load(CONFIG) | {"prune": {"max_files": 20_000_000}}
    (configmap,) = of_kind(rendered(document), "ConfigMap").values()
    assert "max_files: 20000000\n" in configmap["data"]["config.yml"]


def test_each_pruned_endpoint_has_one_cronjob_and_no_other_has() -> None:
    cronjobs = prune_jobs()
    assert {name: one["metadata"]["labels"][LABEL_ENDPOINT] for name, one in cronjobs.items()} == {
        cronjob_name(endpoint): endpoint for endpoint in PRUNED
    }


def test_a_beamline_without_prune_has_no_cronjob() -> None:
    document = yaml.safe_load(CONFIG)
    del document["beamlines"]["BL631"]["prune"]
    document["beamlines"]["BL402"]["prune"] = {}
    assert not prune_jobs(document)


def test_prune_runs_never_overlap_and_never_start_a_second_pod() -> None:
    for one in prune_jobs().values():
        job = one["spec"]["jobTemplate"]["spec"]
        assert one["spec"]["concurrencyPolicy"] == "Forbid"
        assert (job["backoffLimit"], job["podReplacementPolicy"]) == (0, "Failed")
        assert job["template"]["spec"]["restartPolicy"] == "Never"
        assert job["activeDeadlineSeconds"] < 3600


def test_prune_job_names_its_endpoint_and_runs_as_pruner() -> None:
    pods = dict(pod_specs(rendered()))
    pod = pods[cronjob_name("nersc402")]
    only = container(pod)
    assert [*only["command"], *only["args"]] == [
        "dichroism",
        "prune",
        "--endpoint",
        "nersc402",
        "--config",
        "/etc/dichroism/config.yml",
    ]
    assert pod["serviceAccountName"] == "dichroism-pruner"


def schedules(**values: Any) -> dict[str, str]:
    return {name: one["spec"]["schedule"] for name, one in prune_jobs(**values).items()}


def test_prune_jobs_are_spread_over_the_hour_always_in_the_same_way() -> None:
    first = schedules()
    assert all(re.fullmatch(r"[0-5]?\d \* \* \* \*", schedule) for schedule in first.values())
    assert len(set(first.values())) == len(PRUNED)
    assert schedules() == first


def test_a_schedule_without_h_is_used_as_it_is() -> None:
    assert set(schedules(prune={"schedule": "*/5 2-4 * * MON"}).values()) == {"*/5 2-4 * * MON"}


def test_upgrade_does_not_resume_jobs_that_a_person_suspended() -> None:
    assert not [one for one in prune_jobs().values() if "suspend" in one["spec"]]
    assert all(one["spec"]["suspend"] for one in prune_jobs(prune={"suspend": True}).values())


def test_cronjob_names_fit_and_differ_for_releases_with_the_same_long_beginning() -> None:
    document = yaml.safe_load(CONFIG)
    longest = "a" * 22
    document[longest] = document["data402"] | {"name": longest}
    document["beamlines"]["BL402"]["prune"][longest] = {"after": "180d", "needs": ["hpss402"]}
    values = {"config": document, "image": {"repository": "dichroism"}}
    names = [
        set(of_kind(objects(helm("template", values=values, release=release)), "CronJob"))
        for release in ("bl402-and-bl631-production-at-als", "bl402-and-bl631-production-at-als-2")
    ]
    assert all(len(name) <= 52 for name in names[0] | names[1])
    assert len(names[0]) == len(PRUNED) + 2 + len(BEAMLINES)
    assert not names[0] & names[1]


def test_each_beamline_is_checked_every_twelve_hours_and_not_twice_at_once() -> None:
    checks = flight_checks()
    assert set(checks) == {flight_name(name) for name in BEAMLINES}
    for one in checks.values():
        assert re.fullmatch(r"[0-5]?\d \*/12 \* \* \*", one["spec"]["schedule"])
        assert one["spec"]["concurrencyPolicy"] == "Forbid"
        assert one["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert not flight_checks(flightCheck={"enabled": False})


def test_a_flight_check_leaves_its_result_and_stores_nothing_on_tape_unless_told() -> None:
    pod = dict(pod_specs(rendered()))[flight_name("BL402")]
    arguments = container(pod)["args"]
    assert arguments[:3] == ["flight-check", "--beamline", "BL402"]
    assert (pod["serviceAccountName"], "--record" in arguments, "--tape" in arguments) == (
        "dichroism-flight",
        True,
        False,
    )
    assert "--tape" in container(dict(pod_specs(rendered(flightCheck={"tape": True})))[flight_name("BL402")])["args"]


def test_an_audit_of_all_beamlines_is_made_every_day_and_leaves_its_numbers() -> None:
    audit = of_kind(rendered(), "CronJob")[AUDIT]
    assert re.fullmatch(r"[0-5]?\d 5 \* \* \*", audit["spec"]["schedule"])
    assert audit["spec"]["concurrencyPolicy"] == "Forbid"
    pod = dict(pod_specs(rendered()))[AUDIT]
    assert (pod["serviceAccountName"], container(pod)["args"]) == (
        "dichroism-audit",
        ["audit", "--config", "/etc/dichroism/config.yml", "--record"],
    )
    assert AUDIT not in of_kind(rendered(audit={"enabled": False}), "CronJob")


def test_helm_test_makes_the_same_check_of_every_beamline() -> None:
    values = {"config": CONFIG, **EVERYTHING, "image": {"repository": "dichroism"}}
    only = ("--show-only", "templates/tests/flight-checks.yaml")
    pods = of_kind(objects(helm("template", *only, values=values, release="dichroism")), "Pod")
    jobs = dict(pod_specs(rendered(**EVERYTHING, image={"repository": "dichroism", "tag": ""})))
    assert {name: one["spec"] for name, one in pods.items()} == {
        f"{flight_name(name)}-test": jobs[flight_name(name)] for name in BEAMLINES
    }
    assert all(one["metadata"]["annotations"]["helm.sh/hook"] == "test" for one in pods.values())


def mounts(pod: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Endpoint folders that a pod sees: where, and whether they can be written."""
    return {
        one["subPath"]: (one["mountPath"], not one["readOnly"])
        for one in container(pod)["volumeMounts"]
        if "subPath" in one
    }


def test_endpoints_can_be_written_only_by_who_has_to() -> None:
    pods = {name: mounts(pod) for name, pod in pod_specs(rendered(**EVERYTHING))}
    writable = {name: {place for place, (_, write) in seen.items() if write} for name, seen in pods.items()}
    assert all(set(seen) == {"data402", "nersc402", "hpss402"} for seen in pods.values())
    assert writable == {
        "dichroism-operator": {"nersc402", "hpss402"},
        "dichroism-watcher": set(),
        cronjob_name("data402"): {"data402"},
        cronjob_name("nersc402"): {"nersc402"},
        cronjob_name("data631"): set(),
        cronjob_name("nersc631"): set(),
        flight_name("BL402"): {"data402", "nersc402", "hpss402"},
        flight_name("BL631"): set(),
        AUDIT: set(),
    }


def test_programs_find_the_mounts_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(CONFIG)
    for _, pod in pod_specs(rendered(**EVERYTHING)):
        environment = {one["name"]: one["value"] for one in container(pod)["env"]}
        endpoints = load(tmp_path / "config.yml", environment).endpoints
        assert {name: str(one.mount) for name, one in endpoints.items() if one.mount} == {
            name: place for name, (place, _) in mounts(pod).items()
        }


def test_credentials_come_from_the_named_secret_and_the_watcher_gets_none() -> None:
    pods = dict(pod_specs(rendered(**EVERYTHING, secretsAs="environment")))
    without = {name for name, pod in pods.items() if "envFrom" not in container(pod)}
    assert without == {"dichroism-watcher"}
    sources = [container(pod)["envFrom"] for name, pod in pods.items() if name not in without]
    assert all(one == [{"secretRef": {"name": "credentials"}}] for one in sources)
    assert all("envFrom" not in container(pod) for _, pod in pod_specs(rendered()))


def test_credentials_are_mounted_and_a_pod_starts_without_them() -> None:
    pods = dict(pod_specs(rendered(**EVERYTHING)))
    for name, pod in pods.items():
        volumes = [one["secret"] for one in pod["volumes"] if one["name"] == "credentials"]
        variables = {one["name"]: one["value"] for one in container(pod)["env"]}
        places = {one["name"]: one["mountPath"] for one in container(pod)["volumeMounts"]}
        if name == "dichroism-watcher":
            assert (volumes, variables.get(FOLDER)) == ([], None)
        else:
            assert volumes == [{"secretName": "credentials", "optional": True}]
            assert variables[FOLDER] == places["credentials"]


def test_operator_is_replaced_only_once_the_next_one_is_ready() -> None:
    operator = of_kind(rendered(**EVERYTHING), "Deployment")["dichroism-operator"]
    assert operator["spec"]["replicas"] == 1
    assert operator["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    only = container(operator["spec"]["template"]["spec"])
    probes = [only[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")]
    assert probes == ["/livez", "/readyz"]


def test_a_changed_config_starts_a_new_operator() -> None:
    def mark(config: str) -> str:
        operator = of_kind(rendered(config, operator={"enabled": True}), "Deployment")["dichroism-operator"]
        return str(operator["spec"]["template"]["metadata"]["annotations"]["checksum/config"])

    assert mark(CONFIG) != mark(CONFIG.replace("after: 180d", "after: 200d"))


def test_operator_and_watcher_can_run_elsewhere_under_their_accounts() -> None:
    rest = rendered(operator={"enabled": False}, watcher={"enabled": False})
    assert not of_kind(rest, "Deployment")
    accounts = {"dichroism-operator", "dichroism-pruner", "dichroism-watcher", "dichroism-flight", AUDIT}
    assert set(of_kind(rest, "ServiceAccount")) == set(of_kind(rest, "RoleBinding")) == accounts


def test_steward_role_is_bound_to_the_people_named_and_to_nobody_by_default() -> None:
    assert "dichroism-steward" in of_kind(rendered(), "Role")
    assert "dichroism-steward" not in of_kind(rendered(), "RoleBinding")
    group = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "beamline-staff"}
    bound = of_kind(rendered(steward={"subjects": [group]}), "RoleBinding")["dichroism-steward"]
    assert bound["subjects"] == [group]


def test_roles_have_no_wildcard_and_no_secrets() -> None:
    for role in of_kind(rendered(), "Role").values():
        for rule in role["rules"]:
            words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"*", "secrets"} & set(words)


def test_image_is_named_by_digest_where_one_is_given() -> None:
    image = {"repository": "registry.example.org/dichroism", "tag": "1.2.3"}
    assert {container(pod)["image"] for _, pod in pod_specs(rendered(image=image))} == {
        "registry.example.org/dichroism:1.2.3"
    }
    assert {container(pod)["image"] for _, pod in pod_specs(rendered(image=image | {"digest": DIGEST}))} == {
        f"registry.example.org/dichroism@{DIGEST}"
    }


@pytest.mark.parametrize("nothing", [None, ""])
def test_missing_config_is_told(nothing: Any) -> None:
    with pytest.raises(CommandError, match=r"config is not set.*--set-file config=config.yml"):
        helm("template", values={"config": nothing, "image": {"repository": "dichroism"}})


def test_missing_image_is_told() -> None:
    assert "image.repository is not set" in refusal(image={"repository": ""})


@pytest.mark.parametrize("document", ["a: [", "- a\n- b\n", "just words"])
def test_a_config_that_is_no_document_is_told(document: str) -> None:
    assert "config is not a YAML document with keys" in refusal(document)


def test_a_config_without_beamlines_is_told() -> None:
    assert "config has no beamlines" in refusal("data402: {root_path: /data}\n")


def test_a_beamline_that_is_no_section_is_told() -> None:
    assert "beamlines.BL402 is not a section" in refusal("beamlines: {BL402: soon}\n")


def test_pruning_an_unknown_endpoint_is_told() -> None:
    document = yaml.safe_load(CONFIG)
    document["beamlines"]["BL402"]["prune"]["data420"] = {"after": "180d", "needs": ["hpss402"]}
    assert 'beamlines.BL402.prune names "data420"' in refusal(document)


def test_a_mount_of_an_unknown_endpoint_is_told() -> None:
    assert "mounts.data420 names no endpoint" in refusal(mounts={"data420": {"hostPath": {"path": "/data"}}})


def test_watching_an_unknown_beamline_is_told() -> None:
    assert 'watcher.beamlines names "BL999"' in refusal(watcher={"enabled": True, "beamlines": ["BL999"]})
