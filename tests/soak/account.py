"""Whether everything adds up: pure rules over what is known at the end, each of which names what breaks it.

Two books are kept. *Fates* has a row for every content that an instrument ever wrote, exactly one for each. *Places*
has every file and member that lies anywhere, and each must be one of these contents.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from dichroism_operator.catalogue.scicat_documents import dataset_pid
from tests.soak.records import Entry, Found, Key, Place, Told, World, Written

SOURCE_MISSING = "SourceMissing"
ON_CARD, TAPE_OF = "nersc", "hpss"


class Fate(StrEnum):
    """What became of one content."""

    SAFE_AT_SOURCE = "safe, still at its source"
    SAFE_IN_TRASH = "safe, in the source's trash"
    SAFE_PRUNED = "safe, pruned at its source"
    REPLACED_ON_TAPE = "replaced, kept on tape"
    REPLACED_ON_DISK = "replaced, kept on disk"
    REPLACED_BEFORE = "replaced before it was carried"
    DELETED_BY_WRITER = "deleted by who wrote it"
    NOT_FOR_US = "no scan, left alone"
    UNACCOUNTED = "unaccounted"


@dataclass
class Tally:
    """A number of files and their bytes."""

    files: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """One more."""
        self.files += 1
        self.bytes += size


@dataclass
class Account:
    """The two books, and what breaks a rule, by rule."""

    fates: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    places: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    created: Tally = field(default_factory=Tally)
    faults: dict[str, list[str]] = field(default_factory=dict)

    @property
    def adds_up(self) -> bool:
        """Whether nothing broke a rule."""
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """For ``build/soak.json``."""
        books = {"fates": self.fates, "places": self.places, "created": {"in all": self.created}}
        return {
            **{name: {row: vars(tally) for row, tally in book.items()} for name, book in books.items()},
            "faults": self.faults,
            "addsUp": self.adds_up,
        }


class Index:
    """The world by what is asked of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.files = {one.key: one for one in world.written}
        self.movers = {(one.beamline, one.former): one for one in world.written if one.former}
        self.scans: dict[Key, Told] = {one.key: one for one in world.scans}
        self.datasets: dict[str, Entry] = {one.pid: one for one in world.datasets}
        self.planned = {(one.endpoint, one.path, one.sha256) for one in world.planned}

    @cached_property
    def by_place(self) -> Mapping[tuple[Place, str, str], list[Found]]:
        """What lies at a place, by beamline and sha256."""
        found: dict[tuple[Place, str, str], list[Found]] = defaultdict(list)
        for one in self.world.found:
            found[one.place, one.beamline, one.sha256].append(one)
        return found

    def writer_of(self, key: Key) -> Written | None:
        """The file that is or was at this path."""
        return self.files.get(key) or self.movers.get(key)

    def at(self, place: Place, file: Written, sha256: str) -> list[Found]:
        """Where one content of a file lies; in trash and aside, names only end as the file's name does."""
        lying = self.by_place.get((place, file.beamline, sha256), [])
        paths = [path for path in (file.path, file.former) if path]
        if place in _BY_NAME:
            return [one for one in lying if any(one.path.endswith(_name(path)) for path in paths)]
        return [one for one in lying if one.path in paths]

    def scan_of(self, file: Written) -> Told | None:
        """The Scan that stands for a file: its own, or the one of the path from which it was moved."""
        scan, former = self.scans.get(file.key), self.scans.get((file.beamline, file.former or ""))
        return scan or (former if former and former.moved_to == file.path else None)


_BY_NAME = (Place.SOURCE_TRASH, Place.DISK_SUPERSEDED, Place.DISK_TRASH)
_NAME_END = 60


def _name(path: str) -> str:
    """The end of a file's name; a long one may have been cut in front."""
    return path.rpartition("/")[2][-_NAME_END:]


def _endpoint(place: str, beamline: str) -> str:
    return f"{place}{beamline[2:]}"


def account(world: World) -> Account:
    """Keep both books and ask every rule."""
    index, result = Index(world), Account()
    for file in world.written:
        for number, (sha256, size) in enumerate(file.left):
            result.created.add(size)
            result.fates[_fate(index, file, sha256, number == len(file.left) - 1)].add(size)
    for found in world.found:
        result.places[found.place].add(found.size)
    for name, rule in RULES.items():
        if broken := list(rule(index)):
            result.faults[name] = broken
    if sum(tally.bytes for tally in result.fates.values()) != result.created.bytes:
        result.faults["bytes"] = ["the fates do not add up to what was created"]
    return result


def _fate(index: Index, file: Written, sha256: str, last: bool) -> Fate:
    """The one row in which a content stands."""
    if not last:
        return _fate_of_replaced(index, file, sha256)
    if file.deleted:
        return Fate.DELETED_BY_WRITER
    if not file.scan:
        return Fate.NOT_FOR_US if index.at(Place.SOURCE, file, sha256) else Fate.UNACCOUNTED
    scan = index.scan_of(file)
    if scan is None or not scan.done:
        return Fate.UNACCOUNTED
    if index.at(Place.SOURCE, file, sha256):
        return Fate.SAFE_AT_SOURCE
    if not index.at(Place.TAPE, file, sha256):
        return Fate.UNACCOUNTED
    return Fate.SAFE_IN_TRASH if index.at(Place.SOURCE_TRASH, file, sha256) else Fate.SAFE_PRUNED


def _fate_of_replaced(index: Index, file: Written, sha256: str) -> Fate:
    if index.at(Place.TAPE, file, sha256):
        return Fate.REPLACED_ON_TAPE
    if any(index.at(place, file, sha256) for place in Place):
        return Fate.REPLACED_ON_DISK
    return Fate.REPLACED_BEFORE


# --- the rules: each yields what breaks it


def unaccounted(index: Index) -> Iterator[str]:
    """A content without a fate: lost, or not finished. No file here is so bad that it can't be carried."""
    for file in index.world.written:
        if file.last and _fate(index, file, file.last[0], last=True) is Fate.UNACCOUNTED:
            scan = index.scan_of(file)
            said = f"{', '.join(scan.reasons)}: {scan.message}" if scan else "no Scan"
            there = [place.value for place in Place if index.at(place, file, file.last[0])]
            yield f"{file.key}: {said}; its last content lies at: {', '.join(there) or 'no place'}"


def strange(index: Index) -> Iterator[str]:
    """Bytes that nobody wrote: a flipped bit, a half file, a file at another's path."""
    written = {(file.beamline, sha256) for file in index.world.written for sha256, _ in file.left}
    for one in index.world.found:
        if one.place in _BY_NAME:
            right = (one.beamline, one.sha256) in written
        else:
            file = index.writer_of(one.key)
            right = file is not None and one.sha256 in [sha256 for sha256, _ in file.left]
        if not right:
            yield f"{one.place}: {one.key} {one.bundle}: nobody wrote these {one.size} bytes"


def copies_not_there(index: Index) -> Iterator[str]:
    """A finished Scan whose copies are not there, byte for byte: on disk unless pruned there, on tape always."""
    for file in index.world.written:
        scan = index.scan_of(file)
        if not (file.scan and file.last and scan and scan.done):
            continue
        sha256 = file.last[0]
        for endpoint, copy in scan.copies.items():
            if copy.sha256 != sha256:
                yield f"{file.key}: the Scan records {copy.sha256} on {endpoint}, the instrument left {sha256}"
        tape = scan.copies.get(_endpoint(TAPE_OF, file.beamline))
        bundles = [one.bundle for one in index.at(Place.TAPE, file, sha256)]
        if tape is None or tape.path not in bundles:
            yield f"{file.key}: on tape in {bundles}, the Scan names {tape and tape.path}"
        disk = _endpoint(ON_CARD, file.beamline)
        if not index.at(Place.DISK, file, sha256) and (disk, scan.path, sha256) not in index.planned:
            yield f"{file.key}: not on {disk}, and no Prune names it"
        for old in scan.superseded:
            if not index.at(Place.TAPE, file, old):
                yield f"{file.key}: the Scan names {old} as superseded on tape, and it is not there"


def deleted_wrongly(index: Index) -> Iterator[str]:
    """A file that is gone from its source unplanned, or whose needed copies are not there."""
    for file in index.world.written:
        if not (file.scan and file.last) or file.deleted:
            continue
        sha256 = file.last[0]
        if index.at(Place.SOURCE, file, sha256):
            continue
        source = _endpoint("data", file.beamline)
        scan = index.scan_of(file)
        if (source, scan.path if scan else file.path, sha256) not in index.planned:
            yield f"{file.key}: gone from {source}, and no Prune names it"
        if not index.at(Place.SOURCE_TRASH, file, sha256) and not index.at(Place.TAPE, file, sha256):
            yield f"{file.key}: deleted from {source} without a copy on tape"


def deleted_early(index: Index) -> Iterator[str]:
    """A file that was seen to be gone before its retention can have been over."""
    for key, moment in index.world.gone_since.items():
        file = index.files.get(key)
        if file and file.scan and moment < file.at + index.world.retention_s:
            kept = index.world.retention_s
            yield f"{key}: gone {moment - file.at:.1f} s after it was written, its retention is {kept:.0f} s"


def delivered_and_nowhere(index: Index) -> Iterator[str]:
    """A replaced content that a Transfer brought to disk, and that lies nowhere now."""
    delivered = {
        (destination[len(ON_CARD) :], path, size)
        for destination, path, size, _ in index.world.deliveries
        if destination.startswith(ON_CARD)
    }
    for file in index.world.written:
        sizes = Counter(size for _, size in file.left)
        for sha256, size in file.left[:-1]:
            carried = (file.beamline[2:], file.path, size) in delivered and sizes[size] == 1
            if carried and _fate_of_replaced(index, file, sha256) is Fate.REPLACED_BEFORE:
                yield f"{file.key}: the content of {size} bytes was verified on disk, and lies nowhere now"


def doubled(index: Index) -> Iterator[str]:
    """Anything that is there twice: bundle members, Scans, datasets, deliveries, tasks."""
    world = index.world
    members = Counter((*one.key, one.sha256) for one in world.found if one.place is Place.TAPE)
    yield from (f"{key}: in {count} bundles" for key, count in members.items() if count > 1)
    names = Counter(one.key for one in world.scans)
    yield from (f"{key}: {count} Scans" for key, count in names.items() if count > 1)
    pids = Counter(one.pid for one in world.datasets)
    yield from (f"{pid}: {count} datasets" for pid, count in pids.items() if count > 1)
    for former, file in index.movers.items():
        scan = index.scans.get(former)
        if scan and scan.moved_to and file.key in index.scans:
            yield f"{former}: told as moved to {file.path}, and that has a Scan too"
    carried = Counter(world.deliveries)
    yield from (f"{one}: carried {count} times" for one, count in carried.items() if count > 1)
    tasks = Counter(world.tasks)
    yield from (f"{label}: {count} tasks for one batch" for label, count in tasks.items() if count > 1)


def ill_catalogued(index: Index) -> Iterator[str]:
    """A finished Scan without its one dataset and tape record, and a dataset of no Scan."""
    # A pid comes from the Scan's name: what a process made that died before it could tell the Scan is no stray dataset.
    known = {scan.pid or dataset_pid(scan.name) for scan in index.world.scans}
    yield from (f"{pid}: a dataset of no Scan" for pid in index.datasets if pid not in known)
    for file in index.world.written:
        scan = index.scan_of(file)
        if not (file.scan and file.last and scan and scan.done):
            continue
        entry, contents = index.datasets.get(scan.pid or ""), [sha256 for sha256, _ in file.left]
        if entry is None:
            yield f"{file.key}: no dataset {scan.pid}"
            continue
        # The account of the service may not delete: lists of contents that were replaced stay beside the present one.
        for kind, listed in (("files", entry.files), ("files on tape", entry.on_tape)):
            if listed.count(contents[-1]) != 1 or len(set(listed)) != len(listed) or not set(listed) <= {*contents}:
                yield f"{file.key}: the dataset lists as {kind} {listed}, the instrument left {contents}"


def superfluous(index: Index) -> Iterator[str]:
    """Scans of what is no finished file, and unfinished ones whose file is there."""
    for scan in index.world.scans:
        file = index.writer_of(scan.key)
        if file is None:
            yield f"{scan.key}: a Scan of a file that nobody wrote"
        elif not file.scan and not file.hesitated:
            yield f"{scan.key}: a Scan of what is no finished file"
        elif not scan.done and (file.key == scan.key and not file.deleted):
            continue  # told by the fate of its content
        elif not scan.done and SOURCE_MISSING not in scan.reasons:
            yield f"{scan.key}: its file went away, and the Scan says {', '.join(scan.reasons)}: {scan.message}"


def restored_wrongly(index: Index) -> Iterator[str]:
    """A file that came back from tape with other bytes than were written."""
    for key, sha256 in index.world.restored:
        file = index.writer_of(key)
        if file is None or sha256 not in [one for one, _ in file.left]:
            yield f"{key}: restored as {sha256}, which nobody wrote"


def unreadable(index: Index) -> Iterator[str]:
    """Bundles that are cut or broken."""
    yield from index.world.unreadable


def forbidden(index: Index) -> Iterator[str]:
    """What was done although people had said no."""
    yield from index.world.broken_words


RULES: Mapping[str, Callable[[Index], Iterator[str]]] = {
    "lost or unfinished": unaccounted,
    "bytes that nobody wrote": strange,
    "copies that are not there": copies_not_there,
    "deleted without need or copy": deleted_wrongly,
    "deleted too early": deleted_early,
    "verified and then lost": delivered_and_nowhere,
    "double": doubled,
    "catalogue": ill_catalogued,
    "superfluous Scans": superfluous,
    "restored wrongly": restored_wrongly,
    "unreadable": unreadable,
    "done although forbidden": forbidden,
}
"""By the name under which people see what breaks them."""


def table(result: Account) -> str:
    """Both books and all faults, for people."""
    lines = []
    for title, book in (("fates of all contents", result.fates), ("what lies where", result.places)):
        lines += ["", title, *(_row(name, tally) for name, tally in sorted(book.items()))]
        if book is result.fates:
            lines.append(_row("created", result.created))
    for rule, broken in result.faults.items():
        lines += ["", f"{rule} ({len(broken)}):", *(f"  {one}" for one in broken[:30])]
    return "\n".join(lines)


def _row(name: str, tally: Tally) -> str:
    return f"  {tally.files:7d} {tally.bytes:14,d} bytes  {name}"
