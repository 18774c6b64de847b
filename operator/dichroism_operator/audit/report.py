"""How an audit is told: tables for people, one JSON document for programs, numbers for the cluster."""

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TextIO

from dichroism_crds.timestamps import format_time
from dichroism_operator import wording
from dichroism_operator.audit.facts import moment_of
from dichroism_operator.audit.findings import MEANING, UNLOCKS, Disk, Finding, places
from dichroism_operator.audit.index import Index
from dichroism_operator.audit.result import AuditResult, DiskResult
from dichroism_operator.audit.survey import Audited
from dichroism_operator.wording import printable

SHOWN = 20
"""Findings of one kind that a table names."""


def table(audited: Sequence[Audited], index: Index, moment: datetime) -> str:
    """The numbers first, then what was found, then what could not be looked at."""
    parts = [_summary(audited, index), _disks(audited, moment)]
    for kind, (count, _) in index.counts().items():
        rows = [("BEAMLINE", "ENDPOINT", "SIZE", "AGE", "PATH", "WHAT")]
        rows += [_row(one, moment) for one in index.findings(kind, SHOWN)]
        more = f"\nand {count - SHOWN} more (see --output json)" if count > SHOWN else ""
        parts.append(f"{kind}: {MEANING[kind]}\n{wording.columns(rows)}{more}")
    parts += [part for part in (_notes(audited), _unseen(audited)) if part]
    return "\n\n".join([*parts, verdict(audited, index)])


def verdict(audited: Sequence[Audited], index: Index) -> str:
    """The last line."""
    found = sum(count for count, _ in index.counts().values())
    told = [wording.count(found, "finding")] if found else []
    if lacking := places(one for each in audited for one in each.sight.lacking):
        told.append(f"not everything could be looked at ({', '.join(lacking)})")
    if told:
        return "; ".join(told)
    left_out = places(one for each in audited for one in each.sight.unseen)
    return "nothing is wrong" + (f", as far as was looked: without {', '.join(left_out)}" if left_out else "")


def _summary(audited: Sequence[Audited], index: Index) -> str:
    rows = [("BEAMLINE", "FINDING", "FILES", "SIZE", "MEANS")]
    for one in audited:
        counts = index.counts(one.beamline)
        rows += [
            (one.beamline, kind, str(count), wording.size(size), MEANING[kind])
            for kind, (count, size) in counts.items()
        ]
        if not counts:
            rows.append((one.beamline, "-", "0", "-", "nothing was found"))
    return wording.columns(rows)


def _disks(audited: Sequence[Audited], moment: datetime) -> str:
    rows = [("ENDPOINT", "FILES", "SIZE", "OLDEST", "FULL")]
    rows += [
        (disk.endpoint, str(disk.files), wording.size(disk.bytes), _oldest(disk, moment), _full(disk))
        for one in audited
        for disk in one.disks
    ]
    return wording.columns(rows)


def _oldest(disk: Disk, moment: datetime) -> str:
    return "-" if disk.oldest_us is None else age(moment - moment_of(disk.oldest_us))


def _full(disk: Disk) -> str:
    if disk.fill is None or disk.capacity is None:
        return "not told"
    return f"{disk.fill * 100:.0f} % of {wording.size(disk.capacity)}"


def _row(one: Finding, moment: datetime) -> tuple[str, str, str, str, str, str]:
    return one.beamline, one.endpoint, wording.size(one.size), age(moment - one.since), one.path, one.message


def _notes(audited: Sequence[Audited]) -> str:
    lines = [
        f"{one.beamline}: {wording.files(count)} on the source not looked after: {word}"
        for one in audited
        for word, count in sorted(one.ignored.items())
    ]
    lines += [
        f"{one.beamline}: {wording.files(one.moved)} renamed on the source; the copies keep their first paths"
        for one in audited
        if one.moved
    ]
    return "\n".join(lines)


def _unseen(audited: Sequence[Audited]) -> str:
    found = [one for each in audited for one in each.sight.unseen]
    if not found:
        return ""
    lines = [f"{one.beamline}: {one.place}: {printable(one.why)}" for one in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"and {len(found) - SHOWN} more (see --output json)")
    lines += [f"Not known for lack of {place}: {UNLOCKS[place]}" for place in places(found)]
    return "\n".join(["NOT LOOKED AT", *lines])


def age(elapsed: timedelta) -> str:
    """``3 d``, ``5 h``, ``12 min``: the largest unit alone."""
    seconds = max(0, int(elapsed.total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def write_json(audited: Sequence[Audited], index: Index, out: TextIO) -> None:
    """One document with every finding, written as it is read: there may be a million."""
    head = json.dumps({"beamlines": [_document(one, index) for one in audited]}, indent=2)
    out.write(head.removesuffix("\n}") + ',\n  "findings": [')
    out.writelines(_separated(json.dumps(_finding(one)) for one in index.findings()))
    out.write("\n  ]\n}\n")


def _separated(documents: Iterator[str]) -> Iterator[str]:
    for number, document in enumerate(documents):
        yield f"{',' if number else ''}\n    {document}"


def _finding(one: Finding) -> dict[str, object]:
    return {
        "beamline": one.beamline,
        "kind": one.kind,
        "endpoint": one.endpoint,
        "path": one.path,
        "size": one.size,
        "since": format_time(one.since),
        "message": one.message,
    }


def _document(one: Audited, index: Index) -> dict[str, object]:
    result = result_of(one, index)
    document: dict[str, object] = result.model_dump(mode="json", exclude={"unseen"})
    return document | {
        "ignored": one.ignored,
        "moved": one.moved,
        "notLookedAt": [
            {"place": each.place, "path": each.path, "why": each.why, "asAsked": each.by_choice}
            for each in one.sight.unseen
        ],
    }


def result_of(one: Audited, index: Index) -> AuditResult:
    """The numbers of one beamline."""
    lacking = one.sight.lacking
    return AuditResult(
        beamline=one.beamline,
        started=one.started,
        ended=one.ended,
        findings={kind: count for kind, (count, _) in index.counts(one.beamline).items()},
        unseen={place: _number(place, [each.place for each in lacking]) for place in places(lacking)},
        disks=tuple(
            DiskResult(
                endpoint=disk.endpoint,
                files=disk.files,
                bytes=disk.bytes,
                oldest=None if disk.oldest_us is None else moment_of(disk.oldest_us),
                capacity=disk.capacity,
                free=disk.free,
            )
            for disk in one.disks
        ),
    )


def _number(place: object, among: Collection[object]) -> int:
    return sum(one == place for one in among)
