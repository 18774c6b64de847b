"""A file that has no Scan: why that may be, what still speaks of it, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Beamline, Config
from dichroism_crds.heartbeat import LEASES, Heartbeat, lease_name
from dichroism_crds.kinds import ScanPhase
from dichroism_crds.paths import PathError, check_relative_path
from dichroism_crds.scan_files import Rules
from dichroism_crds.timestamps import from_ns
from dichroism_operator import addresses
from dichroism_operator.doctor.kubernetes import ago
from dichroism_operator.story.advice import asks, no_operator, nothing
from dichroism_operator.story.calendar import told_prunes
from dichroism_operator.story.finding import Candidate
from dichroism_operator.story.known import Known
from dichroism_operator.story.model import Missing, NextStep
from dichroism_operator.story.telling import told_events, told_transfer

WATCHER = "dichroism watcher status"


@dataclass(slots=True)
class _Look:
    """What was found out so far; the first ``next`` that is set stands."""

    findings: list[str] = field(default_factory=list)
    next: NextStep | None = None

    def say(self, finding: str, step: NextStep | None = None) -> None:
        self.findings.append(finding)
        self.next = self.next or step


def tell_missing(
    asked: str, file: Candidate | None, known: Known, watcher: "Watching", config: Config, moment: datetime
) -> Missing:
    """What is known of a file without a Scan; ``file`` is None where only the name of a Scan was given."""
    look = _Look()
    name = file.scan(config) if file else asked
    carried = [(one.scan, one.path) for transfer in known.transfers for one in transfer.spec.items]
    planned = [(one.scan, one.path) for prune in known.prunes for one in prune.spec.items]
    named = known.transfers or known.prunes
    path = file.path if file else next((path for scan, path in (*carried, *planned) if scan == name), None)
    if named:
        _was_collected(look, known, path)
    elif file is None:
        look.say(
            "No Transfer and no Prune names it either. A Scan's name does not tell its path.",
            asks("Ask with the path of the file.", "dichroism why PATH"),
        )
    if file and not named:
        _why_not_noticed(look, file, watcher, config, moment)
    return Missing(
        asked=asked,
        scan=name,
        path=path,
        findings=look.findings,
        transfers=[told_transfer(one, name) for one in known.transfers],
        prunes=told_prunes(known, name, config, moment),
        events=told_events(known),
        unread=list(known.unread),
        next=look.next or asks("See what the watcher says of it, on its host.", WATCHER),
    )


def _was_collected(look: _Look, known: Known, path: str | None) -> None:
    last = ScanPhase.PRUNE_SCHEDULED
    finding = f"It had a Scan, which was collected after its end ({last}) or deleted; these objects still name it."
    if known.idle:
        look.say(finding, no_operator(known.idle))
    text = "Nothing: it went its whole way. Where its tape copy is, and to get it back:"
    shown = path or "PATH"
    look.say(finding, nothing(text, f"dichroism restore --list {shown}", f"dichroism restore {shown} --to FOLDER"))


def _why_not_noticed(look: _Look, file: Candidate, watcher: "Watching", config: Config, moment: datetime) -> None:
    beamline = config.beamlines[file.beamline]
    root = config.endpoints[beamline.watch.root]
    if file.endpoint and file.endpoint != root.name:
        look.say(
            f"{file.endpoint} is no folder that is watched: files of {file.beamline} are noticed on {root.name}, "
            f"below {root.root_path}. A file that somebody put elsewhere gets no Scan."
        )
    else:
        look.say(f"It would lie on {root.name}, which is watched for {file.beamline}: {root.root_path}/{file.path}")
    try:
        check_relative_path(file.path)
    except PathError as error:
        look.say(f"It can have no Scan: {error}. The watcher has it in quarantine.", asks("Rename the file.", WATCHER))
        return
    rules = Rules(beamline.watch.exclude, beamline.watch.sentinel)
    if part := rules.excluded_by(file.path):
        text = f"Take the pattern out of watch.exclude of {file.beamline}, if the file is a scan; restart the watcher."
        look.say(
            f"It is excluded: {part!r} fits a pattern of watch.exclude.",
            asks(text, "dichroism config check config.yml"),
        )
        return
    if rules.is_sentinel(file.path.rpartition("/")[2]):
        look.say("It is a sentinel, which tells the end of another file.", nothing("Nothing: ask for the scan file."))
        return
    _on_disk(look, file, beamline, config, moment)
    _watched(look, watcher, moment)


def _on_disk(look: _Look, file: Candidate, beamline: Beamline, config: Config, moment: datetime) -> None:
    """What this host sees of the file, where it has the folder."""
    folders = [one for one in addresses.roots(config.endpoints[beamline.watch.root]) if Path(one).is_dir()]
    if not folders:
        look.say(
            "This host does not have the folder, so it can't be seen here whether the file exists and how old it is."
        )
        return
    try:
        status = Path(folders[0], file.path).lstat()
    except OSError as error:
        text = "Look for the file. If it was pruned or lost, its copies are listed by:"
        look.say(
            f"This host does not find it in {folders[0]}: {error.strerror}.",
            asks(text, f"dichroism restore --list {file.path}"),
        )
        return
    modified, watch = from_ns(status.st_mtime_ns), beamline.watch
    if modified < watch.since:
        text = f"Bring it in by a backfill, if it is wanted. --since takes a day up to {modified:%Y-%m-%d}:"
        backfill = f"dichroism watcher backfill --beamline {beamline.name} --since {modified:%Y-%m-%d} --dry-run"
        look.say(
            f"It was last modified {modified:%Y-%m-%d %H:%M} UTC, before watch.since ({watch.since:%Y-%m-%d}).",
            asks(text, backfill),
        )
    elif moment - modified < watch.quiet_period:
        left = ago(watch.quiet_period - (moment - modified))
        look.say(
            f"It was written {ago(moment - modified)} ago, and counts as finished when it rests for "
            f"{ago(watch.quiet_period)}.",
            nothing(f"Nothing: wait {left}, then ask again."),
        )
    else:
        look.say(f"It is there, last modified {modified:%Y-%m-%d %H:%M} UTC, and should have a Scan.")


@dataclass(frozen=True, slots=True)
class Watching:
    """What is known of the watcher of a beamline: its last word, or why there is none."""

    word: Heartbeat | None = None
    trouble: str = ""


async def watching(api: Api, beamline: str) -> Watching:
    """The word of a beamline's watcher."""
    try:
        lease = await api.request("GET", api.builtin_path(*LEASES, lease_name(beamline)))
        return Watching(Heartbeat.from_lease(lease))
    except ApiError as error:
        return Watching(trouble=f"no word of the watcher of {beamline}: {error.message}")
    except (ValueError, TypeError, AttributeError):
        return Watching(trouble=f"the Lease of the watcher of {beamline} makes no sense")


def _watched(look: _Look, watcher: Watching, moment: datetime) -> None:
    start = asks(
        "See that the watcher of the beamline works, on its host.", WATCHER, "systemctl status dichroism-watcher"
    )
    word = watcher.word
    if word is None:
        look.say(watcher.trouble, start)
        return
    if word.completed is None:
        look.say(f"The watcher {word.holder} has not completed a pass over the folder yet. {word.trouble}", start)
        return
    age = moment - word.completed
    silent = age.total_seconds() > word.within_s
    said = f" It says: {word.trouble}" if word.trouble else ""
    look.say(
        f"The watcher {word.holder} completed its last pass {ago(age)} ago{', too long' if silent else ''}.{said}",
        start if silent or word.trouble else None,
    )
    hindered = [f"{count} {state}" for state, count in word.files.items() if count]
    if hindered:
        look.say(f"It counts {', '.join(hindered)} files; whether this is one of them is told on its host: {WATCHER}")


def first_known(files: Sequence[Candidate], config: Config) -> Sequence[Candidate]:
    """The candidates in a useful order: where the path was seen on a watched folder comes first."""
    return sorted(files, key=lambda one: one.endpoint not in (None, config.beamlines[one.beamline].watch.root))
