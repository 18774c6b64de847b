"""The project's chart for demo and tests: rendered by the pinned helm, applied by kubectl, never written a second time.

Operator and watcher are left out unless asked for. They run as local processes under the service accounts of the chart,
because the runner of the test cluster starts pods of Jobs alone.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import Cluster, CommandError, helm_path

CHART = Path(__file__).parents[1] / "charts" / "dichroism"
RELEASE = "dichroism"
OPERATOR = f"{RELEASE}-operator"
PRUNER = f"{RELEASE}-pruner"
WATCHER = f"{RELEASE}-watcher"
FLIGHT = f"{RELEASE}-flight"
AUDIT = f"{RELEASE}-audit"
"""Service accounts, of which each has a Role of the same name."""
DEFAULTS: Mapping[str, Any] = {"image": {"repository": "dichroism", "tag": "test"}, "operator": {"enabled": False}}
"""Values that demo and tests start from; what a caller gives is merged over them."""
_CRD = "CustomResourceDefinition"


def cronjob_name(endpoint: str) -> str:
    """Name of the CronJob that prunes an endpoint."""
    return f"{RELEASE}-prune-{endpoint}"


def flight_name(beamline: str) -> str:
    """Name of the CronJob that checks a beamline."""
    return f"{RELEASE}-flight-{beamline}".lower()


def helm(
    command: str,
    *arguments: str,
    values: Mapping[str, Any] | None = None,
    release: str | None = None,
    major: int = 3,
    chart: Path = CHART,
) -> str:
    """Run helm on the chart, without a cluster and without anything of this user's helm, and return what it wrote.

    Args:
        command: ``template`` or ``lint``.
        *arguments: further ones.
        values: values of the chart, merged over its own.
        release: name of the release, for ``template``.
        major: which Helm, 3 or 4.
        chart: another chart than the project's.

    Raises:
        CommandError: it failed; ``stderr`` says why.
    """
    with tempfile.TemporaryDirectory(prefix="dichroism-helm-") as folder:
        file = Path(folder) / "values.yaml"
        file.write_text(yaml.safe_dump(dict(values or {}), sort_keys=False))
        homes = {f"HELM_{kind}_HOME": folder for kind in ("CACHE", "CONFIG", "DATA")}
        named = [release] if release else []
        done = subprocess.run(
            [helm_path(major), command, *named, chart, "--values", file, *arguments],
            env={**os.environ, **homes, "KUBECONFIG": str(file)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    if done.returncode != 0:
        raise CommandError(f"helm {command}", done.returncode, done.stderr + done.stdout)
    return done.stdout


def render(namespace: str, config: Mapping[str, Any] | str, major: int = 3, **values: Any) -> str:
    """What `helm template` makes of the chart, without the pods of `helm test`.

    Args:
        namespace: where its objects go.
        config: the document, as data or as text.
        major: which Helm, 3 or 4.
        **values: values of the chart by their top-level key, merged over :data:`DEFAULTS`.

    Raises:
        CommandError: the chart refuses the values; ``stderr`` says why.
    """
    document = config if isinstance(config, str) else dict(config)
    chosen = _merged(DEFAULTS, {"config": document, **values})
    return helm("template", "--skip-tests", "--namespace", namespace, values=chosen, release=RELEASE, major=major)


def objects(manifest: str) -> list[dict[str, Any]]:
    """The objects of a rendered chart, in the order in which they are to be applied."""
    return [document for document in yaml.load_all(manifest, yaml.CSafeLoader) if document]


def install(cluster: Cluster, namespace: str, config: Mapping[str, Any] | str, **values: Any) -> None:
    """Apply the chart: CRDs first, until they are served, then the rest. Doing it again upgrades what is there.

    Args:
        cluster: where.
        namespace: in which namespace; it exists.
        config: the document, as data or as text.
        **values: as for :func:`render`.
    """
    rendered = objects(render(namespace, config, **values))
    definitions = [one for one in rendered if one["kind"] == _CRD]
    if definitions:
        apply(cluster, definitions)
        names = [one["metadata"]["name"] for one in definitions]
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{name}" for name in names))
        # For a moment more, lists are answered with 429 "storage is (re)initializing". kubectl asks again by itself.
        cluster.kubectl("get", ",".join(names), "-n", namespace)
    apply(cluster, [one for one in rendered if one["kind"] != _CRD])


def apply(cluster: Cluster, wanted: list[dict[str, Any]], *arguments: str) -> str:
    """Apply objects on the server's side, where an unknown field is an error; returns what kubectl wrote.

    Args:
        cluster: where.
        wanted: the objects.
        *arguments: further ones for `kubectl apply`.
    """
    strict = ("--server-side", "--force-conflicts", "--validate=strict")
    return cluster.kubectl("apply", *strict, *arguments, "-f", "-", input=yaml.safe_dump_all(wanted))


def of_kind(rendered: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """The objects of a kind, by name."""
    return {one["metadata"]["name"]: one for one in rendered if one["kind"] == kind}


def pod_specs(rendered: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pods that the objects would make: name of the object and spec of the pod."""
    for one in rendered:
        spec = one.get("spec", {})
        if one["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            yield one["metadata"]["name"], spec["template"]["spec"]


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, sections merged key by key as helm does it."""
    both = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
            both[key] = _merged(below[key], above[key])
    return both


def main() -> None:
    """Lint the chart and render it with the project's config.yml, as a person would see it."""
    config = (CHART.parents[1] / "config.yml").read_text()
    values = _merged(DEFAULTS, {"config": config, "operator": {"enabled": True}, "watcher": {"enabled": True}})
    print(helm("lint", "--strict", values=values).strip(), file=sys.stderr)
    print(helm("template", "--namespace", "dichroism", values=values, release=RELEASE))


if __name__ == "__main__":
    main()
