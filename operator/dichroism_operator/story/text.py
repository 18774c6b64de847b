"""A story as lines for people. What comes from files, servers and annotations is spelled out before it is shown."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from dichroism_crds.kinds import SUCCEEDED, ConditionStatus
from dichroism_operator import wording
from dichroism_operator.doctor.kubernetes import ago
from dichroism_operator.story.model import (
    EventTold,
    HoldTold,
    Missing,
    NextStep,
    PruneTold,
    StepTold,
    Story,
    TransferTold,
)
from dichroism_operator.wording import printable

WIDTH = 110
_STATES = {ConditionStatus.TRUE: "done", ConditionStatus.FALSE: "FAILED", ConditionStatus.UNKNOWN: "waits"}


def shown(story: Story, moment: datetime) -> str:
    """The whole story of a Scan."""
    blocks = [
        _head(story, moment),
        _section("Steps", (line for one in story.steps for line in _step(one))),
        _section("Copies", _copies(story)),
        _section("Catalogue", _catalogue(story)),
        *_objects(story),
        _section("What to do", next_lines(story.next)),
    ]
    return "\n\n".join(block for block in blocks if block)


def shown_missing(missing: Missing) -> str:
    """What is known of a file without a Scan."""
    about = f" ({missing.scan})" if missing.scan else ""
    blocks = [
        f"There is no Scan of {printable(missing.path or missing.asked)}{about}.",
        "\n".join(line for one in missing.findings for line in _wrapped("  * ", one)),
        *_objects(missing),
        _section("What to do", next_lines(missing.next)),
    ]
    return "\n\n".join(block for block in blocks if block)


def next_lines(step: NextStep) -> list[str]:
    """A sentence, then the commands, each whole on one line so that it can be copied."""
    return [*_wrapped("  ", step.text), *(f"    $ {printable(one)}" for one in step.commands)]


def _objects(story: Story | Missing) -> list[str]:
    return [
        _section("Transfers", (line for one in story.transfers for line in _transfer(one))),
        _section("Prunes", (line for one in story.prunes for line in _prune(one))),
        _section("Events", map(_event, story.events)),
        _section("Not known", (line for one in story.unread for line in _wrapped("  ", one))),
    ]


def _section(title: str, lines: Iterable[str]) -> str:
    told = list(lines)
    return "\n".join([title, *told]) if told else ""


def _head(story: Story, moment: datetime) -> str:
    since = f" since {_time(story.since)} ({ago(moment - story.since)})" if story.since else ""
    facts = [
        ("file", story.path),
        ("measured at", f"{story.beamline}, {story.place}"),
        ("content", f"{wording.size(story.size)}, modified {_time(story.modified_at)}"),
        ("proposal", story.proposal or "none known"),
        ("stands at", f"{story.phase}{since}"),
        ("", story.message),
        ("moved to", story.moved_to or ""),
        ("suspended", hold_words(story.held) if story.held else ""),
    ]
    lines = [f"Scan {story.scan} (times are UTC)"]
    for name, text in facts:
        if text:
            lines += _wrapped(f"  {name:<12} ", text)
    return "\n".join(lines)


def _step(step: StepTold) -> list[str]:
    if step.reason == "NotConfigured":
        return [f"  {step.type:<15} not configured"]
    since = _time(step.since) if step.since else "-"
    first = f"  {step.type:<15} {_STATES[ConditionStatus(step.status)]:<7} {since:<20} "
    lines = _wrapped(first, f"{step.reason}: {step.meaning}", " " * 18)
    told_above = step.type == SUCCEEDED or (step.status == ConditionStatus.TRUE and not step.to_do)
    lines += [] if told_above else _wrapped(" " * 18, step.message)
    return [*lines, *(_wrapped(f"{' ' * 18}-> ", step.to_do) if step.to_do else [])]


def _copies(story: Story) -> list[str]:
    if not story.copies:
        return ["  none is verified yet"]
    rows = [("ENDPOINT", "VERIFIED", "SIZE", "SHA256", "PATH")]
    for one in story.copies:
        where = f"{one.place}, member {one.member}" if one.member else one.place
        digest = one.sha256[:12] if one.sha256 else "-"
        rows.append((one.endpoint, _time(one.verified_at), wording.size(one.size), digest, where))
    return _columns(rows)


def _catalogue(story: Story) -> list[str]:
    if story.dataset is None:
        return []
    look = f", quick-look: {story.dataset.quick_look}" if story.dataset.quick_look else ""
    return [f"  {printable(text)}" for text in (f"dataset {story.dataset.pid}{look}", story.dataset.url or "") if text]


def _transfer(one: TransferTold) -> list[str]:
    bundle = f", bundle {one.bundle}" if one.bundle else ""
    task = f", task {one.task_id}" if one.task_id else ""
    ended = f" {_time(one.completed_at)}" if one.completed_at else ""
    text = f"{one.name}: {one.phase}{ended}, {wording.files(one.files)} {one.source} -> {one.destination}{task}{bundle}"
    said = [f"of this file: {one.trouble}" if one.trouble else "", one.message]
    return [f"  {printable(text)}", *(line for note in said if note for line in _wrapped("    ", note))]


def _prune(one: PruneTold) -> list[str]:
    reason = f" [{one.reason}: {one.meaning}]" if one.reason else ""
    lines = _wrapped("  ", f"{one.name}: {one.phase or 'new'}: {one.state}{reason}")
    for hold in one.holds:
        lines += _wrapped("    held by ", hold_words(hold))
    return [*lines, *(_wrapped("    -> ", one.to_do) if one.to_do else [])]


def hold_words(hold: HoldTold) -> str:
    """Whose word it is, why, until when and how it ends."""
    until = f" until {_time(hold.until)}" if hold.until else ""
    return f"{hold.by}{until}: {hold.reason} ({hold.where})"


def _event(one: EventTold) -> str:
    at = _time(one.at) if one.at else "-"
    mark = "!" if one.warning else " "
    return f"  {at:<20}{mark} {printable(one.reason)}: {printable(one.message)} [{printable(one.about)}]"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"  {line}" for line in wording.columns(rows).splitlines()]


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _wrapped(first: str, text: str, further: str | None = None) -> list[str]:
    return wording.wrapped(text, WIDTH, first, further)
