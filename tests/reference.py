"""Writes what comes from the code: the reference pages, and schema and README of the chart.

``python -m tests.reference --write`` after a change, ``--check`` in CI.
"""

import argparse
import re
import sys
import types
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import click
import yaml
from prometheus_client import CollectorRegistry
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from dichroism_cli.main import main as cli
from dichroism_crds.config import Config
from dichroism_crds.names import GROUP, VERSION
from dichroism_crds.reasons import EventReason, KeptReason, Reason
from dichroism_crds.schema import CATEGORY
from dichroism_operator.commands.options import EXIT_CODES
from dichroism_operator.metrics import REGISTRY
from tests import chart_values, reference_kinds
from tests.chart import CHART
from tests.chart_values import CRDS
from tests.runbook import KEPT, RUNBOOK, entry_of, link_to

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDER = REPOSITORY / "docs" / "reference"
_MADE_TABLE = re.compile(
    r"(?P<head><!-- (?P<kind>conditions|kept): (?P<words>[\w ]+)\. Made by `make docs`\. -->).*?(?P<end><!-- end -->)",
    re.DOTALL,
)
NOTE = "<!-- Written by `make docs` from the code; changes here are lost. -->"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    titles = list(header)
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def reasons() -> str:
    """Every reason of a condition and of a kept file, what to do, and where the runbook has it."""
    kept = [
        (f"`{one}`", "settled" if one.settled else "open", one.description, _to_do(one.remedy, link_to(KEPT)))
        for one in KeptReason
    ]
    return "\n\n".join(
        [
            "# Reasons",
            NOTE,
            "Closed lists: nothing else ever stands there, so alerts and selectors may rely on the words. "
            "`dichroism why` tells the same for one file, with the command. "
            "Events have [a page of their own](events.md).",
            "## Conditions of Scans, Transfers and Prunes",
            table(
                ("Reason", "When", "What to do"),
                ((f"`{one}`", one.description, _to_do(one.remedy, _help(one))) for one in Reason),
            ),
            "## Files that a prune run kept",
            "Settled ones are not tried again. Open ones are tried again with back-off from 1 hour to 7 days.",
            table(("Reason", "Kind", "When", "What to do"), kept),
        ]
    )


def _to_do(remedy: str, entry: str) -> str:
    return f"{remedy} See {entry}." if remedy and entry else remedy or (f"See {entry}." if entry else "-")


def runbook() -> str:
    """The runbook as it is written, with its tables of reasons made anew."""
    return _MADE_TABLE.sub(_made_table, RUNBOOK.read_text())


def _made_table(found: re.Match[str]) -> str:
    known: dict[str, Reason | KeptReason] = {
        one.value: one for one in (Reason if found["kind"] == "conditions" else KeptReason)
    }
    chosen = [known[word] for word in found["words"].split()]
    rows = ((f"`{one}`", one.description, one.remedy or "nothing") for one in chosen)
    return f"{found['head']}\n\n{table(('reason', 'means', 'do'), rows)}\n\n{found['end']}"


def events() -> str:
    """Every Event, and where the runbook has the warnings."""
    rows = [
        (f"`{one}`", "Warning" if one.warning else "Normal", one.description, _help(one) if one.warning else "")
        for one in EventReason
    ]
    return "\n\n".join(
        [
            "# Events",
            NOTE,
            "A closed list. Events are best effort and last an hour on most clusters: the truth is in the conditions. "
            "`kubectl describe` shows those of an object; those about a watcher, a flight check, Prefect, or a lane "
            "that has no Transfer stand on a Lease.",
            table(("Reason", "Type", "When", "What to do"), rows),
        ]
    )


def _help(word: str) -> str:
    entry = entry_of(word)
    return link_to(entry) if entry else ""


def alerts() -> str:
    """Every alert of the chart."""
    text = (CHART / "files" / "alerts.yaml").read_text(encoding="utf-8")
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    rows = [
        (
            f"`{rule['alert']}`",
            rule["labels"]["severity"],
            rule.get("for", "at once"),
            _plain(rule["annotations"]["summary"]),
            f"[runbook](../runbook.md#{rule['annotations']['runbook_url'].partition('#')[2]})",
        )
        for rule in rules
    ]
    return "\n\n".join(
        [
            "# Alerts",
            NOTE,
            "Switched on by `metrics.prometheusRule` of the chart: "
            "[watch it with Prometheus](../how-to/watch-it-with-prometheus.md). `critical`: data do not flow, or a "
            "copy is in doubt; somebody should come. `warning`: within a day. `info`: when there is time.",
            table(("Alert", "Severity", "After", "Says", "What to do"), rows),
        ]
    )


def _plain(template: str) -> str:
    """The text of an alert, with dots for what Prometheus puts in."""
    return re.sub(r"\{\{[^}]*\}\}", "…", template).replace("@NAMESPACE@", "the namespace")


def kinds() -> str:
    """Every field and column of the three kinds."""
    parts = [
        "# Kinds",
        NOTE,
        f"Group `{GROUP}`, version `{VERSION}`, all namespaced; `kubectl get {CATEGORY}` lists all three. "
        "`kubectl explain scan.status --recursive` says the same. "
        f"`--field-selector` takes {reference_kinds.selectable()}.",
    ]
    for kind, about, columns, fields in reference_kinds.sections():
        parts += [f"## {kind}", about, f"### Columns of {kind}", table(("Column", "From", "Meaning", "Wide"), columns)]
        parts += [f"### Fields of {kind}", table(("Field", "Type", "Meaning"), fields)]
    for title, named in (("Labels", reference_kinds.LABELS), ("Annotations", reference_kinds.ANNOTATIONS)):
        parts += [
            f"## {title}",
            table((title[:-1], "On, and for"), ((f"`{one}`", text) for one, text in named.items())),
        ]
    return "\n\n".join(parts)


def metrics(registry: CollectorRegistry = REGISTRY) -> str:
    """Every metric."""
    rows = [
        (
            f"`{metric.name}`",
            metric.type,
            ", ".join(f"`{one}`" for one in _labels(registry, metric.name)),
            metric.documentation,
        )
        for metric in sorted(registry.collect(), key=lambda one: one.name)
    ]
    return "\n\n".join(
        [
            "# Metrics",
            NOTE,
            "Served at `/metrics` of the operator's port. No label carries the name of an object.",
            table(("Name", "Type", "Labels", "Meaning"), rows),
        ]
    )


def _labels(registry: CollectorRegistry, name: str) -> tuple[str, ...]:
    for collector, names in registry._collector_to_names.items():
        if name in names or f"{name}_total" in names:
            return tuple(getattr(collector, "_labelnames", ()))
    return ()


def configuration() -> str:
    """Every setting of config.yml."""
    rows = list(_settings(Config, ""))
    return "\n\n".join(
        [
            "# config.yml",
            NOTE,
            "Check a file with `dichroism config check FILE`; `dichroism config schema` prints its JSON Schema.",
            "In the file, endpoints are the top-level keys that name no section. `<name>` is a name of your own.",
            table(("Key", "Meaning"), ((f"`{key}`", text) for key, text in rows)),
        ]
    )


def _settings(model: type[BaseModel], prefix: str) -> Iterable[tuple[str, str]]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner, many = _inner(field.annotation)
        if many == "dict":
            key = f"{prefix}<name>" if name == "endpoints" else f"{key}.<name>"
        elif many == "list":
            key = f"{key}[]"
        if field.description:
            required = "" if field.default is not PydanticUndefined or field.default_factory else " Required."
            yield key, field.description + required
        if inner:
            yield from _settings(inner, f"{key}.")


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return _inner(next(one for one in get_args(annotation) if one is not type(None)))
    if origin is dict:
        return _inner(get_args(annotation)[1])[0], "dict"
    if origin is tuple:
        return _inner(get_args(annotation)[0])[0], "list"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    return None, ""


def commands() -> str:
    """The help of every subcommand."""
    codes = ((f"`{code}`", text) for code, text in EXIT_CODES.items())
    parts = ["# Command line", NOTE, "## Exit codes", table(("Code", "Means"), codes)]
    context = click.Context(cli, info_name="dichroism")
    parts += _helps(cli, context)
    return "\n\n".join(parts)


def _helps(command: click.Command, context: click.Context) -> Iterable[str]:
    context.terminal_width = context.max_content_width = 100
    yield f"## `{context.command_path}`\n\n```\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner:
                yield from _helps(inner, click.Context(inner, info_name=name, parent=context))


PAGES: dict[Path, Callable[[], str]] = {
    RUNBOOK: runbook,
    FOLDER / "reasons.md": lambda: reasons() + "\n",
    FOLDER / "events.md": lambda: events() + "\n",
    FOLDER / "alerts.md": lambda: alerts() + "\n",
    FOLDER / "kinds.md": lambda: kinds() + "\n",
    FOLDER / "metrics.md": lambda: metrics() + "\n",
    FOLDER / "config.md": lambda: configuration() + "\n",
    FOLDER / "commands.md": lambda: commands() + "\n",
    CHART / "values.schema.json": chart_values.schema,
    CHART / "README.md": chart_values.readme,
    CRDS / "values.schema.json": partial(chart_values.schema, CRDS),
    CRDS / "README.md": partial(chart_values.readme, CRDS),
}


def main() -> int:
    """Write the pages or say which differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true")
    mode.add_argument("--check", action="store_true")
    write = parser.parse_args().write
    differing = []
    for page, build in PAGES.items():
        text = build()
        if write:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text)
        elif not page.exists() or page.read_text() != text:
            differing.append(str(page.relative_to(REPOSITORY)))
    if differing:
        print(f"not as the code says: {', '.join(differing)}; run `make docs`", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
