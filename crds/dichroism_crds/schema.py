"""The CRD YAML, generated from ``dichroism_crds.kinds``: one document per kind, committed and checked for drift.

``python -m dichroism_crds.schema --write`` writes the files, ``--check`` says whether they are what the models give.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from dichroism_crds.kinds import KINDS, Resource
from dichroism_crds.names import GROUP, VERSION
from dichroism_crds.schema_rules import COLUMNS, RULES, SELECTABLE, STATUS_DEFAULTS
from dichroism_crds.schema_served import OPENAPI_PATH, missing_fields
from dichroism_crds.schema_structural import Schema, SchemaError, parts, structural_schema

__all__ = [
    "CATEGORY",
    "FOLDERS",
    "OPENAPI_PATH",
    "SchemaError",
    "check",
    "crd_documents",
    "crd_yaml",
    "missing_fields",
    "write",
]

CATEGORY = "als"
"""``kubectl get als`` lists all three kinds."""

_REPOSITORY = Path(__file__).parents[2]
FOLDERS = (_REPOSITORY / "crds", _REPOSITORY / "charts" / "dichroism" / "charts" / "crds" / "files")
"""Where the generated files are committed: for people and kubectl, and for the chart."""

_HEADER = "# Generated from dichroism_crds.kinds. Do not edit: change the models and run `make crds`.\n"


class _Dumper(yaml.SafeDumper):
    """Plain YAML without anchors, which kubectl users stumble over; lists are indented like everywhere else."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def crd_documents() -> list[dict[str, Any]]:
    """The three CustomResourceDefinitions, ready to be sent to the API server."""
    return [_crd(kind) for kind in KINDS]


def crd_yaml() -> str:
    """All three as one YAML stream, for ``kubectl apply -f -``."""
    return "".join(f"---\n{_yaml(kind)}" for kind in KINDS)


def write(folder: Path) -> list[Path]:
    """Write ``scans.yaml``, ``transfers.yaml`` and ``prunes.yaml`` into a folder, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in _files().items():
        (folder / name).write_text(text, encoding="utf-8")
        written.append(folder / name)
    return written


def check(folder: Path) -> list[str]:
    """What is wrong with the files of a folder, one sentence each; empty when they are what the models give."""
    problems = []
    for name, text in _files().items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif path.read_text(encoding="utf-8") != text:
            problems.append(f"{path} is not what dichroism_crds.kinds gives")
    problems += [f"{path} belongs to no kind" for path in sorted(folder.glob("*.yaml")) if path.name not in _files()]
    return problems


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dichroism_crds.schema", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="write the CRD files")
    action.add_argument("--check", action="store_true", help="exit 1 when the committed CRD files are out of date")
    parser.add_argument(
        "--folder",
        type=Path,
        action="append",
        help="folder of CRD files, may be repeated (default: both committed ones)",
    )
    options = parser.parse_args(arguments)
    folders = options.folder or FOLDERS
    if options.write:
        for folder in folders:
            sys.stdout.writelines(f"{path}\n" for path in write(folder))
        return 0
    problems = [problem for folder in folders for problem in check(folder)]
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    if problems:
        sys.stderr.write("Run `make crds` (python -m dichroism_crds.schema --write) and commit the result.\n")
    return 1 if problems else 0


def _files() -> dict[str, str]:
    return {f"{kind.plural}.yaml": _HEADER + _yaml(kind) for kind in KINDS}


def _yaml(kind: type[Resource]) -> str:
    return yaml.dump(_crd(kind), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def _crd(kind: type[Resource]) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _object_schema(kind)},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": COLUMNS[kind],
                    "selectableFields": [{"jsonPath": path} for path in SELECTABLE],
                }
            ],
        },
    }


def _object_schema(kind: type[Resource]) -> Schema:
    """Schema of the whole object. metadata belongs to the API server and stays open."""
    fields = {name: structural_schema(model) for name, model in parts(kind).items()}
    schema: Schema = {
        "description": (kind.__doc__ or "").strip(),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "maxLength": 253},
            "kind": {"type": "string", "maxLength": 63},
            "metadata": {"type": "object"},
            **fields,
        },
    }
    if kind in STATUS_DEFAULTS:
        fields["status"]["default"] = STATUS_DEFAULTS[kind]
    for field, rules in RULES.get(kind, {}).items():
        node = schema
        for name in field.split("."):
            node = node["properties"][name]
        node["x-kubernetes-validations"] = rules
    return schema


if __name__ == "__main__":
    sys.exit(main())
