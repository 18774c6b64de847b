"""What the comments of the chart's values.yaml say, as values.schema.json and README.md; `make docs` writes both.

A value is described by the comment right above its key. A comment line that begins with ``@schema`` adds to the JSON
Schema that its default gives: ``{enum: [...]}``, ``{$ref: '#/$defs/Resources'}``. A key whose comment has such a line
or whose default is empty is one value; any other mapping is a section whose keys are described one by one. Nothing but
what is described here is taken, so a misspelt key is refused and named.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dichroism_crds.config import json_schema
from dichroism_crds.config.schema import DIALECT
from tests.chart import CHART

CRDS = CHART / "charts" / "crds"
"""The part for a cluster administrator, a chart of its own."""
Json = dict[str, Any]
_MARK = "@schema "
_KINDS = {bool: "bool", int: "int", str: "string", list: "list", dict: "object", type(None): "object or string"}
_TYPES = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}


@dataclass(frozen=True)
class Value:
    """One key of values.yaml.

    Attributes:
        path: keys from the top.
        text: its comment.
        default: what stands in the file.
        added: what its comment adds to the schema.
        keys: the keys below it, when it is a section.
    """

    path: tuple[str, ...]
    text: str
    default: Any
    added: Json
    keys: tuple["Value", ...]

    @property
    def schema(self) -> Json:
        """The JSON Schema of this value."""
        described: Json = {"description": self.text} if self.text else {}
        if self.keys:
            # Helm hands `global` to every part.
            inside: Json = {"global": _OPEN} if self.path == (CRDS.name,) else {}
            return described | _closed(**inside, **{one.path[-1]: one.schema for one in self.keys})
        kind = {} if "$ref" in self.added else {"type": _TYPES[type(self.default)]}
        return described | kind | self.added | ({} if self.default is None else {"default": self.default})

    @property
    def kind(self) -> str:
        """What it holds, in the word that README files of charts have for it."""
        return _KINDS[type(self.default)]

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Key, type, default and meaning of this value, or of all below it."""
        if not self.keys:
            yield ".".join(self.path), self.kind, json.dumps(self.default), self.text
        for one in self.keys:
            yield from one.rows()


def values_of(chart: Path) -> tuple[Value, ...]:
    """All values of a chart, in the order of its values.yaml."""
    text = (chart / "values.yaml").read_text()
    root = yaml.compose(text, yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return tuple(_values(root, text.splitlines(), ()))


def _values(node: yaml.MappingNode, lines: list[str], above: tuple[str, ...]) -> Iterator[Value]:
    for key, value in node.value:
        path = (*above, key.value)
        text, added = _comment(lines, key.start_mark.line)
        section = isinstance(value, yaml.MappingNode) and value.value and not added
        keys = tuple(_values(value, lines, path)) if section else ()
        default = yaml.safe_load(yaml.serialize(value))
        yield Value(path, text, default, added, keys)


def _comment(lines: list[str], line: int) -> tuple[str, Json]:
    """The comment that ends right above a line, as one text, and what it adds to the schema."""
    first = line
    while first and re.match(r"\s*#", lines[first - 1]):
        first -= 1
    said = [re.sub(r"^\s*# ?", "", one) for one in lines[first:line]]
    added = [yaml.safe_load(one.removeprefix(_MARK)) for one in said if one.startswith(_MARK)]
    return " ".join(one for one in said if not one.startswith(_MARK)), added[0] if added else {}


def schema(chart: Path = CHART) -> str:
    """The text of values.schema.json."""
    values = values_of(chart)
    # Helm hands `global` to every chart, and the switch of a part to the part as well.
    handed: Json = {"global": _OPEN} | ({"install": _FLAG} if chart == CRDS else {})
    document: Json = {
        "$schema": DIALECT,
        "title": f"Values of the chart {chart.name}",
        **_closed(**handed, **{one.path[-1]: one.schema for one in values}),
    }
    if chart == CHART:
        document["$defs"] = definitions()
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def definitions() -> Json:
    """What values share: parts of Kubernetes as far as they are told here, and the configuration's own."""
    config = json_schema()
    inside = config.pop("$defs")
    for name in ("$schema", "title", "type"):
        del config[name]
    both = _KUBERNETES.keys() & inside.keys()
    assert not both, f"names of the configuration's schema and of the chart's: {both}"
    return {"Config": {"type": ["object", "string", "null"], **config}, **_KUBERNETES, **inside}


def _closed(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "additionalProperties": False}


_TEXT: Json = {"type": "string"}
_INTEGER: Json = {"type": "integer"}
_ID: Json = {"type": ["integer", "null"], "minimum": 0}
_FLAG: Json = {"type": "boolean"}
_OPEN: Json = {"type": "object"}
_QUANTITIES: Json = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
_SECURITY: Json = {
    "runAsNonRoot": _FLAG,
    "runAsUser": _ID,
    "runAsGroup": _ID,
    "seccompProfile": _OPEN,
    "seLinuxOptions": _OPEN,
    "appArmorProfile": _OPEN,
}
_SOURCES = "persistentVolumeClaim hostPath nfs cephfs csi iscsi fc image emptyDir ephemeral configMap secret projected"
_SOURCE: Json = dict.fromkeys(_SOURCES.split(), _OPEN)
_KUBERNETES: Json = {
    "Texts": {"type": "object", "additionalProperties": _TEXT},
    "Named": {"type": "object", "required": ["name"], "properties": {"name": _TEXT}},
    "Cidr": {"type": "string", "pattern": r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"},
    "Resources": _closed(requests=_QUANTITIES, limits=_QUANTITIES, claims={"type": "array"}),
    "Probe": _closed(
        **{f"{name}Seconds": _INTEGER for name in ("initialDelay", "period", "timeout", "terminationGracePeriod")},
        failureThreshold=_INTEGER,
        successThreshold=_INTEGER,
    ),
    "Subject": {
        "type": "object",
        "required": ["kind", "name"],
        "properties": {
            "kind": {"enum": ["User", "Group", "ServiceAccount"]},
            "apiGroup": _TEXT,
            "name": _TEXT,
            "namespace": _TEXT,
        },
        "additionalProperties": False,
    },
    "VolumeSource": _closed(**_SOURCE) | {"maxProperties": 1},
    "Mount": _closed(**_SOURCE, subPath=_TEXT) | {"minProperties": 1},
    "PodSecurityContext": _closed(
        **_SECURITY,
        fsGroup=_ID,
        fsGroupChangePolicy={"enum": ["Always", "OnRootMismatch"]},
        supplementalGroups={"type": "array", "items": _ID},
        supplementalGroupsPolicy={"enum": ["Merge", "Strict"]},
        sysctls={"type": "array"},
        seLinuxChangePolicy=_TEXT,
    ),
    "SecurityContext": _closed(
        **_SECURITY,
        allowPrivilegeEscalation=_FLAG,
        privileged=_FLAG,
        procMount=_TEXT,
        readOnlyRootFilesystem=_FLAG,
        capabilities=_closed(add={"type": "array", "items": _TEXT}, drop={"type": "array", "items": _TEXT}),
    ),
}

_HEAD = """\
# {name}

{note}

{description}. Version {version}, for Kubernetes {kubernetes}.

{text}

## Values

{table}
"""
_TEXT_OF = {
    CHART: """\
## Install

```console
$ helm install dichroism charts/dichroism -n NAMESPACE --set-file config=config.yml \\
    --set image.repository=registry.example.org/als/dichroism --set existingSecret=dichroism-credentials
```

Step by step: [on NERSC Spin](../../docs/how-to/install-on-spin.md), [on k3s](../../docs/how-to/install-on-k3s.md),
[with Argo CD or Flux](../../docs/how-to/install-from-git.md). Helm is the last 3 or 4. What needs a cluster
administrator is the chart in `charts/crds`, which comes along unless `crds.install` is false. Everything else lies in
the release's namespace, and its pods pass the Pod Security level `restricted` where no mount is a `hostPath`.

## Upgrade

`helm upgrade` with the same arguments. A changed configuration starts a new operator, and the old one works until the
new one is ready. Where `crds.install` is false, the kinds are upgraded before.

## Uninstall

`helm uninstall` removes the programs. The kinds stay, and with them every Scan, Transfer and Prune: a new release goes
on with them. To remove these too, and with them the memory of what was copied where: `kubectl delete crd` of the three.

## What is refused

A value that is not listed here is refused, and so is a document under `config` that its own schema refuses.""",
    CRDS: """\
```console
$ helm install dichroism-crds charts/dichroism/charts/crds
```

For a cluster administrator. Uninstalling it leaves the kinds, and every Scan, Transfer and Prune, where they are.""",
}


def readme(chart: Path = CHART) -> str:
    """The text of README.md."""
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    rows = [row for one in values_of(chart) for row in one.rows()]
    table = ["| Key | Type | Default | Description |", "|---|---|---|---|"]
    table += [
        f"| `{key}` | {kind} | `{default}` | {text.replace('|', chr(92) + '|')} |" for key, kind, default, text in rows
    ]
    return _HEAD.format(
        name=chart.name if chart == CHART else f"dichroism: {chart.name}",
        note="<!-- Written by `make docs` from values.yaml; changes here are lost. -->",
        description=about["description"],
        version=about["version"],
        kubernetes=about["kubeVersion"].replace(">=", "").removesuffix("-0") + " or newer",
        text=_TEXT_OF[chart],
        table="\n".join(table),
    )
