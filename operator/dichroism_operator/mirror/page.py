"""The artifact on a run's page: what became of the file, links, and the commands that really do something. Pure."""

import re
from dataclasses import dataclass

from dichroism_crds.kinds import SUCCEEDED, ConditionStatus, Scan, Step, Transfer
from dichroism_crds.names import ANNOTATION_RETRY

MOST_FAILED_SHOWN = 20
_NOT_IN_A_KEY = re.compile(r"[^a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A page in Markdown; ``key`` has lower-case letters, digits and dashes."""

    key: str
    text: str
    description: str


def of_scan(scan: Scan, namespace: str) -> Artifact:
    """What became of a Scan."""
    parts = [f"## {_code(scan.spec.path)}", plain(scan.status.message), _steps(scan)]
    if scan.status.copies:
        parts.append(_copies(scan))
    if dataset := scan.status.dataset:
        link = f"[{plain(dataset.pid)}]({_target(dataset.url)})" if dataset.url else _code(dataset.pid)
        parts.append(f"SciCat dataset: {link}")
    parts += [_commands(scan, namespace), "**Cancel** and **Retry** in Prefect do nothing to the file."]
    return Artifact(artifact_key(scan.name), "\n\n".join(parts), f"Scan {scan.name}")


def of_transfer(transfer: Transfer, namespace: str) -> Artifact:
    """What became of a Transfer."""
    spec, status = transfer.spec, transfer.status
    parts = [f"## {spec.source} to {spec.destination}", plain(status.message)]
    numbers = [("files", len(spec.items)), ("verified", status.files), ("bytes", status.bytes)]
    parts.append("\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in numbers)]))
    if spec.bundle:
        parts.append(f"Tape bundle: {_code(spec.bundle.path)}")
    failed = status.failed_items[:MOST_FAILED_SHOWN]
    if failed:
        rows = [f"| {_code(one.path)} | {one.reason} | {plain(one.message)} |" for one in failed]
        parts.append("\n".join(["| file | reason | |", "|---|---|---|", *rows]))
    parts.append(f"```\nkubectl describe transfer {transfer.name} -n {namespace}\n```")
    return Artifact(artifact_key(transfer.name), "\n\n".join(parts), f"Transfer {transfer.name}")


def _steps(scan: Scan) -> str:
    rows = []
    for step in Step:
        condition = scan.condition(step)
        since = condition.last_transition_time
        when = f"{since:%Y-%m-%d %H:%M:%SZ}" if since else ""
        why = plain(f"{condition.reason}: {condition.message}" if condition.message else condition.reason)
        rows.append(f"| {step} | {condition.status} | {when} | {why} |")
    return "\n".join(["| step | done | since | |", "|---|---|---|---|", *rows])


def _copies(scan: Scan) -> str:
    """One line for each copy: tables as wide as a path are cut by Prefect's page."""
    lines = []
    for copy in scan.status.copies:
        digest = _code(copy.sha256[:12]) if copy.sha256 else "not known"
        what = f"{copy.size} bytes, sha256 {digest}"
        inside = f", member {_code(copy.member)}" if copy.member and copy.member != scan.spec.path else ""
        lines.append(f"* **{copy.endpoint}**: {_code(copy.path)}{inside}, {what}")
    return "\n".join(["Verified copies:", "", *lines])


def _commands(scan: Scan, namespace: str) -> str:
    lines = [f"kubectl describe scan {scan.name} -n {namespace}"]
    if scan.condition(SUCCEEDED).status == ConditionStatus.TRUE:
        lines.append("# do the catalogue step and all after it again:")
        lines.append(_retry(scan, namespace, f"{Step.CATALOGUED}@$(date +%s)"))
    else:
        lines.append("# try again what failed:")
        lines.append(_retry(scan, namespace, "$(date +%s)"))
    return "\n".join(["```", *lines, "```"])


def _retry(scan: Scan, namespace: str, value: str) -> str:
    return f"kubectl annotate scan {scan.name} -n {namespace} --overwrite {ANNOTATION_RETRY}={value}"


def artifact_key(name: str) -> str:
    """The name as Prefect takes it for an artifact."""
    return _NOT_IN_A_KEY.sub("-", name.lower()).strip("-")


def plain(text: str) -> str:
    """Text in one cell, without meaning for Markdown or HTML: file names come from outside."""
    shown = re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))
    return shown.replace("&", "&amp;")


def _code(text: str) -> str:
    """Text as code in one cell."""
    return f"`{' '.join(text.split()).replace('`', chr(39)).replace('|', chr(0x2758))}`"


def _target(url: str) -> str:
    """The target of a link; only a web address becomes one."""
    safe = url if re.match(r"https?://", url) else ""
    return safe.replace("(", "%28").replace(")", "%29").replace(" ", "%20").replace("<", "%3C")
