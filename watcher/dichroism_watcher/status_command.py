"""``dichroism watcher status``: what the journal holds, and what the running watcher says of itself."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import click

from dichroism_watcher.journal_file import JournalError, JournalFile
from dichroism_watcher.options import journal_option, journal_path

TIMEOUT_S = 10.0
NOT_RUNNING = "it does not run, or serves no health page (--health-port)"


@click.command(name="status")
@journal_option
@click.option("--health-url", help="Where the watcher serves its pages. Default: on this host, as its journal says.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Form.")
@click.pass_context
def command(context: click.Context, journal: Path | None, health_url: str | None, output: str) -> None:
    """Show what is pending, accepted, safe, quarantined and unreadable.

    Ends with code 1 when a beamline is not watched, or nothing is known of the watcher.
    """
    given = context.parent.params if context.parent else {}
    path = journal_path(journal or given.get("journal"))
    found: dict[str, Any] = {"journal": {"path": str(path)}, "watcher": {}}
    port = None
    try:
        with_journal = JournalFile.open_beside_watcher(path)
    except JournalError as error:
        found["journal"]["problem"] = str(error)
    else:
        port = with_journal.meta("health_port")
        for (beamline, safe), number in with_journal.counts().items():
            rows = found["journal"].setdefault("rows", {}).setdefault(beamline, {"accepted": 0, "safe": 0})
            rows["safe" if safe else "accepted"] = number
        with_journal.close()
    url = health_url or (f"http://127.0.0.1:{port}" if port else None)
    found["watcher"] = _ask(url) if url else {"problem": NOT_RUNNING}
    click.echo(json.dumps(found, indent=2) if output == "json" else _text(found))
    beamlines = found["watcher"].get("beamlines", {})
    if not beamlines or any(one["problem"] for one in beamlines.values()):
        context.exit(1)


def _ask(url: str) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter("must start with http:// or https://", param_hint="--health-url")
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/status", timeout=TIMEOUT_S) as answer:  # noqa: S310 - checked
            return dict(json.load(answer))
    except (OSError, ValueError) as error:
        return {"problem": f"{url} does not answer ({error}): {NOT_RUNNING}"}


def _text(found: dict[str, Any]) -> str:
    journal, watcher = found["journal"], found["watcher"]
    lines = [f"journal {journal['path']}" + (f": {journal['problem']}" if "problem" in journal else "")]
    for beamline, rows in sorted(journal.get("rows", {}).items()):
        lines.append(f"  {beamline}: {rows['safe']} safe, {rows['accepted']} accepted and not safe yet")
    if watcher.get("problem"):
        lines.append(f"watcher: {watcher['problem']}")
    for about in ("journal", "api"):
        problem = (watcher.get(about) or {}).get("problem")
        if problem:
            lines.append(f"watcher, {about}: {problem}")
    for name, one in watcher.get("beamlines", {}).items():
        lines.append(f"{name} in {one['root']}: {one['problem'] or 'watched'}")
        lines.append("  " + ", ".join(f"{number} {state}" for state, number in one["counts"].items()))
        lines += [f"  pending for {file['seconds']} s: {file['path']!r}" for file in one["pending"]]
        for state in ("quarantined", "unreadable"):
            lines += [f"  {state}: {file['path']!r}: {file['reason']}" for file in one[state]]
    return "\n".join(lines)
