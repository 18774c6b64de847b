"""What runs at the tape site: packs a bundle and stores it, proves stored bundles again, brings members back.

Standard library only, and ``movers.bundle`` and ``movers.unpacking`` beside it in one zip file; Python 3.9 or newer. It
is started by the batch script with the work folder as its argument, does what ``order.json`` there says, and tells the
end in ``result.json`` (or, of a verification, in one document for each thing that was asked). Nothing else that it
leaves is believed.

It may be started twice for one order, and again after it died: a job first claims the work folder, and a claim passes
on only when the batch system says that its job has ended. The name of a bundle on tape never holds half a file: what is
on its way has another name, and nothing that exists is overwritten.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from dichroism_operator.movers import bundle
from dichroism_operator.movers.unpacking import unpack

ORDER = "order.json"
RESULT = "result.json"
TROUBLE = "trouble.json"
CLAIM = re.compile(r"claim-(\d{4})\.json\Z")
PRIVATE = ".dichroism"
MANIFESTS = f"{PRIVATE}/manifests"
VERIFIED_DOCUMENTS = f"{PRIVATE}/verify"
RESTORED = f"{PRIVATE}/restored"
MEMBERS = "members"
NUMBERED = "numbered"
SUPERSEDED = f"{PRIVATE}/superseded"
FRESH = timedelta(hours=1)
"""A verification that another job made within this time is not made again."""
PUT_ATTEMPTS = 2
_BLOCK = 1024 * 1024
_SAFE = re.compile(r"[A-Za-z0-9_./+-]+\Z")
_HASH = re.compile(r"^([0-9a-f]{64})\s+sha256\s+(\S+)", re.MULTILINE)
_ENDED = ("CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL")

# Words of trouble.json. Whoever reads it knows which of them is worth another try.
TAPE_UNAVAILABLE = "TapeUnavailable"
TAPE_REFUSES = "TapeRefuses"
NO_SPACE = "NoSpace"
SITE = "SiteUnavailable"
REFUSED = "Refused"
UNEXPECTED = "Unexpected"


class Trouble(Exception):  # noqa: N818 - becomes a document
    """The job can't go on: ``kind`` is one of the words above."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def reach(point: str) -> None:
    """A named instant at which a test may have this process killed."""
    if os.environ.get("DICHROISM_KILL_AT") == point:
        os.kill(os.getpid(), signal.SIGKILL)


# Documents on the site's file system


def write_once(path: Path, document: Any) -> bool:
    """Write a whole document under a name that is free; False when it is taken."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    _write(unfinished, document)
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return False
    finally:
        unfinished.unlink()
        _sync(path.parent)
    return True


def write_over(path: Path, document: Any) -> None:
    """Write a whole document in the place of an older one."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    _write(unfinished, document)
    unfinished.replace(path)
    _sync(path.parent)


def _write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = document if isinstance(document, bytes) else json.dumps(document, indent=0).encode()
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _now() -> datetime:
    return datetime.now(timezone.utc)  # noqa: UP017 - datetime.UTC needs Python 3.11


# One job at a time in a work folder


def claim(work: Path, job: str) -> int | None:
    """Number of this job's claim on the work folder; None when a job that has not ended holds it.

    Raises:
        Trouble: the batch system does not tell.
    """
    while True:
        taken = sorted(int(found[1]) for path in work.iterdir() if (found := CLAIM.match(path.name)))
        if taken:
            holder = str(json.loads(_claim_file(work, taken[-1]).read_text())["job"])
            if holder == job:
                return taken[-1]  # The batch system started this job a second time.
            if is_alive(holder):
                return None
        number = taken[-1] + 1 if taken else 1
        if write_once(_claim_file(work, number), {"job": job}):
            return number


def _claim_file(work: Path, number: int) -> Path:
    return work / f"claim-{number:04d}.json"


def is_alive(job: str) -> bool:
    """Whether the batch system still has the job, waiting or running.

    Raises:
        Trouble: it does not tell.
    """
    asked = subprocess.run(  # noqa: S603 - a fixed program, a number
        ["squeue", "--noheader", "--jobs", job, "--format", "%T"],  # noqa: S607 - where the site has it
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if asked.returncode == 0:
        states = asked.stdout.split()
        return any(state not in _ENDED for state in states)
    if "nvalid job id" in asked.stderr:
        return False
    raise Trouble(SITE, f"squeue does not tell whether job {job} has ended: {asked.stderr.strip()[:300]}")


# Tape


class Tape:
    """hsi, below one folder of the tape archive."""

    def __init__(self, root: str, program: str) -> None:
        self._root = root.rstrip("/")
        self._program = program

    def path(self, relative: str) -> str:
        """The whole path on tape. hsi has quoting of its own, so only plain characters go.

        Raises:
            Trouble: it has others.
        """
        path = f"{self._root}/{relative}" if relative else self._root
        if not _SAFE.match(path) or ".." in path.split("/"):
            raise Trouble(REFUSED, f"{path!r} can't be used on tape: letters, digits and _ . / + - only")
        return path

    def exists(self, relative: str) -> bool:
        """Whether anything has the name; an answer that says neither yes nor no is an outage."""
        path = self.path(relative)
        said = self._ask(f"ls -1 {path}", missing_is_fine=True)
        if said is None:
            return False
        if path.rpartition("/")[2] not in said:
            raise self._trouble(f"ls -1 {path}", said)
        return True

    def stored_hash(self, relative: str) -> str | None:
        """The sha256 that the archive keeps with the file; None when it keeps none."""
        said = self._ask(f"hashlist {self.path(relative)}", missing_is_fine=True) or ""
        found = _HASH.search(said)
        return found[1] if found else None

    def read_back(self, relative: str) -> bool:
        """Have the whole file read from tape and compared with its stored hash."""
        path = self.path(relative)
        done = self._run(f"hashverify -A {path}")
        if done.returncode == 0 and re.search(rf"^{re.escape(path)}: \(sha256\) OK\s*$", done.stdout, re.MULTILINE):
            return True
        if re.search(rf"^{re.escape(path)}: \(sha256\) (?!OK)", done.stdout, re.MULTILINE):
            return False
        raise self._trouble(f"hashverify -A {path}", done.stdout)

    def put(self, local: Path, relative: str) -> None:
        """Store a file with its sha256 under a name that nobody has: hsi would overwrite without a word."""
        remote = self.path(relative)
        self._ask(f"mkdir -p {remote.rpartition('/')[0]}")
        self._ask(f"put -c on -H sha256 {local} : {remote}")

    def rename(self, old: str, new: str) -> None:
        """Give a stored file its name."""
        self._ask(f"mv {self.path(old)} {self.path(new)}")

    def get(self, relative: str, local: Path) -> None:
        """Bring a file back."""
        self._ask(f"get {local} : {self.path(relative)}")

    def _run(self, command: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # noqa: S603 - paths of plain characters only
                [self._program, "-q", command],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            raise Trouble(TAPE_UNAVAILABLE, f"{self._program} can't be started: {error.strerror}") from error

    def _ask(self, command: str, *, missing_is_fine: bool = False) -> str | None:
        done = self._run(command)
        if missing_is_fine and re.search(r"HPSS_ENOENT|No such file", done.stdout):
            return None
        if done.returncode == 0:
            return done.stdout
        raise self._trouble(command, done.stdout)

    def _trouble(self, command: str, said: str) -> Trouble:
        text = f"hsi {command}: {' '.join(said.split())[-400:] or 'failed without a word'}"
        if re.search(r"HPSS_EACCES|HPSS_EPERM|[Aa]uthenticat|credential", said):
            return Trouble(TAPE_REFUSES, text)
        if re.search(r"HPSS_ENOSPC|HPSS_EDQUOT", said):
            return Trouble(NO_SPACE, text)
        return Trouble(TAPE_UNAVAILABLE, text)


class Desk(NamedTuple):
    """What a job works with: its folder, the number of its claim, its own number, the order, and the tape."""

    work: Path
    number: int
    job: str
    order: dict[str, Any]
    tape: Tape

    @property
    def root(self) -> Path:
        """Root of the endpoint whose files are packed."""
        return Path(self.order["root"])


# Packing


class Held(NamedTuple):
    """A bundle as it is on tape: its members, sha256 and size, and whether it stood there before."""

    checked: bundle.Checked
    stood: bool


def pack(desk: Desk) -> dict[str, Any]:
    """Pack and store the bundle, or find it stored by an earlier run of the same plan."""
    name = desk.order["bundle"]
    members = [bundle.Member(path, size, us, sha256) for path, size, us, sha256 in desk.order["members"]]
    root = os.open(desk.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        left_out: list[bundle.LeftOut] = []
        held = _standing(desk, members)
        if held is None:
            held = _stored(desk, root, members, left_out)
        if held is None:
            return _packed_result(desk, None, left_out)
        _keep_manifest(desk, held.checked)
        reach("manifest-kept")
        left_out += _changed_meanwhile(root, members, held.checked, left_out)
        return _packed_result(desk, held, left_out)
    except bundle.SourceLostError as error:
        raise Trouble(SITE, f"{name}: {error}. Look after the file system of {desk.root}") from error
    finally:
        os.close(root)


def _packed_result(desk: Desk, held: Held | None, left_out: list[bundle.LeftOut]) -> dict[str, Any]:
    checked = held.checked if held else None
    return {
        "bundle": desk.order["bundle"],
        "stood": bool(held and held.stood),
        "sha256": checked.sha256 if checked else None,
        "size": checked.size if checked else None,
        "members": [list(member) for member in checked.members] if checked else [],
        "left_out": [list(one) for one in left_out],
    }


def _standing(desk: Desk, members: list[bundle.Member]) -> Held | None:
    """A bundle that has the name already: proven, and only used when it holds nothing but this plan."""
    name = desk.order["bundle"]
    if not desk.tape.exists(name):
        return None
    stored = desk.tape.stored_hash(name)
    if stored is None:
        raise Trouble(REFUSED, f"{name} on tape has no stored sha256, so it is not ours. Nothing was overwritten")
    checked = _fetched(desk, name, stored)
    planned = {one.path: (one.size, one.modified_us) for one in members}
    for member in checked.members:
        if planned.get(member.path) != (member.size, member.modified_us):
            text = f"{name} on tape holds {member.path} as this plan does not. Nothing was overwritten"
            raise Trouble(REFUSED, text)
    return Held(checked, True)


@contextmanager
def _from_tape(desk: Desk, name: str) -> Iterator[BinaryIO]:
    """A bundle brought back, to be read; the local copy is removed."""
    local = desk.work / f"fetched-{desk.number:04d}-{secrets.token_hex(4)}.tar"
    try:
        desk.tape.get(name, local)
        with local.open("rb") as tar:
            yield tar
    finally:
        local.unlink(missing_ok=True)


def _fetched(desk: Desk, name: str, stored: str) -> bundle.Checked:
    """What a bundle on tape holds, read from end to end."""
    try:
        with _from_tape(desk, name) as tar:
            checked = bundle.check_bundle(tar)
    except bundle.BundleDamagedError as error:
        raise Trouble(REFUSED, f"{name} on tape: {error}. Nothing was overwritten") from error
    if checked.sha256 != stored:
        raise Trouble(REFUSED, f"{name} on tape is not what its stored sha256 says. Nothing was overwritten")
    return checked


def _stored(desk: Desk, root: int, members: list[bundle.Member], left_out: list[bundle.LeftOut]) -> Held | None:
    """Pack on disk, read it back, store it; None when no member was left."""
    local = desk.work / f"bundle-{desk.number:04d}.tar"
    _require_space(desk.work, sum(one.size for one in members if one.size <= bundle.MAX_MEMBER_BYTES))
    try:
        with local.open("w+b", buffering=_BLOCK) as out:
            packed = bundle.pack(root, members, out, progress=lambda _count: reach("packing"))
            out.flush()
            os.fsync(out.fileno())
        left_out += packed.left_out
        if not packed.members:
            return None
        reach("packed")
        with local.open("rb", buffering=0) as tar:
            os.posix_fadvise(tar.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            checked = bundle.check_bundle(tar)
        if (checked.members, checked.sha256, checked.size) != (packed.members, packed.sha256, packed.size):
            raise Trouble(SITE, f"{local} read back differently from what was written. It is packed again")
        _store(desk, local, checked)
        return Held(checked, False)
    except bundle.BundleDamagedError as error:
        raise Trouble(SITE, f"{local} read back damaged: {error}. It is packed again") from error
    finally:
        # Other claims' files stay: whose they are is for people to decide.
        local.unlink(missing_ok=True)


def _require_space(folder: Path, needed: int) -> None:
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < needed:
        text = f"the bundle needs {needed} bytes in {folder}, {free} are free. Free space or raise the quota"
        raise Trouble(NO_SPACE, text)


def _store(desk: Desk, local: Path, checked: bundle.Checked) -> None:
    """Put the file under a name of this claim's own, prove it by its stored hash, then give it its name."""
    name = desk.order["bundle"]
    for attempt in range(1, PUT_ATTEMPTS + 1):
        own = f"{name}.{desk.job}-{desk.number}-{attempt}-{secrets.token_hex(3)}.part"
        desk.tape.put(local, own)
        reach("put")
        stored = desk.tape.stored_hash(own)
        if stored == checked.sha256:
            break
    else:
        text = f"{name}: stored {PUT_ATTEMPTS} times, and each time the stored sha256 was not that of the file"
        raise Trouble(TAPE_UNAVAILABLE, text)
    if desk.tape.exists(name):
        raise Trouble(REFUSED, f"{name} appeared on tape meanwhile. Nothing was overwritten; ours is {own}")
    desk.tape.rename(own, name)
    reach("stored")
    if desk.tape.stored_hash(name) != checked.sha256:
        raise Trouble(TAPE_UNAVAILABLE, f"{name} does not have the stored sha256 of {own} after the rename")


def _keep_manifest(desk: Desk, checked: bundle.Checked) -> None:
    """The manifest and the bundle's own record beside the source files."""
    name = desk.order["bundle"].rpartition("/")[2]
    record = {"bundle": desk.order["bundle"], "sha256": checked.sha256, "size": checked.size}
    for path, content in (
        (desk.root / MANIFESTS / f"{name}.tsv", bundle.manifest_text(checked.members).encode()),
        (desk.root / MANIFESTS / f"{name}.json", json.dumps(record).encode()),
    ):
        if write_once(path, content) or path.read_bytes() == content:
            continue
        older = desk.root / SUPERSEDED / f"{secrets.token_hex(8)}-{path.name}"
        older.parent.mkdir(exist_ok=True)
        path.rename(older)
        write_once(path, content)


def _changed_meanwhile(
    root: int, members: list[bundle.Member], checked: bundle.Checked, left_out: list[bundle.LeftOut]
) -> list[bundle.LeftOut]:
    """Members whose source is not any more what was packed, and planned ones that a standing bundle lacks."""
    held = {member.path: member for member in checked.members}
    known = {one.path for one in left_out}
    found = []
    for member in members:
        if member.path in known:
            continue
        trouble = bundle.look_again(root, member)
        packed = held.get(member.path)
        if trouble:
            found.append(trouble)
        elif packed is None:
            text = f"{member.path} was left out of the bundle; it needs another"
            found.append(bundle.LeftOut(member.path, bundle.CHANGED, text))
        elif member.sha256 not in (None, packed.sha256):
            text = f"{member.path} has sha256 {packed.sha256} in the bundle where {member.sha256} is on record"
            found.append(bundle.LeftOut(member.path, bundle.MISMATCH, text))
    return found


# Proving again


def verify(desk: Desk) -> dict[str, Any]:
    """Make the documents that were asked for; each says what one bundle, or a list of files, is worth now."""
    folder = desk.root / VERIFIED_DOCUMENTS
    for unit in desk.order["units"]:
        path = folder / f"{unit['digest']}.json"
        if _is_fresh(path):
            continue
        said = _proven_bundle(desk, unit) if "bundle" in unit else _proven_files(desk, unit)
        write_over(path, {"at": _now().isoformat(), "job": desk.job, "mode": unit["mode"], **said})
        reach("verified")
    return {"documents": [unit["digest"] for unit in desk.order["units"]]}


def _is_fresh(path: Path) -> bool:
    try:
        made = datetime.fromisoformat(json.loads(path.read_text())["at"])
    except (OSError, ValueError, KeyError):
        return False
    return timedelta(0) <= _now() - made < FRESH


def _proven_bundle(desk: Desk, unit: dict[str, Any]) -> dict[str, Any]:
    """State of a bundle, and the members that it holds with their sha256."""
    name = unit["bundle"]
    said: dict[str, Any] = {"bundle": name, "members": {}}
    if not desk.tape.exists(name):
        return {**said, "state": bundle.ABSENT}
    stored = desk.tape.stored_hash(name)
    if stored is None:
        return {**said, "state": bundle.DIFFERS, "message": "no sha256 is stored with it"}
    if unit["mode"] == "full" and not desk.tape.read_back(name):
        return {**said, "state": bundle.DIFFERS, "message": "what is on tape does not have its stored sha256"}
    members, sha256 = _kept(desk, name)
    if members is None or sha256 != stored:
        # The records beside the files are gone or another bundle's: the tape itself has to tell.
        try:
            checked = _fetched(desk, name, stored)
        except Trouble as trouble:
            if trouble.kind != REFUSED:
                raise
            return {**said, "state": bundle.DIFFERS, "message": str(trouble)}
        members = checked.members
    return {
        **said,
        "state": bundle.VERIFIED,
        "sha256": stored,
        "members": {m.path: [m.size, m.sha256] for m in members},
    }


def _kept(desk: Desk, name: str) -> tuple[tuple[bundle.Member, ...] | None, str | None]:
    base = desk.root / MANIFESTS / name.rpartition("/")[2]
    try:
        record = json.loads(Path(f"{base}.json").read_text())
        if record["bundle"] != name:
            return None, None
        return bundle.parse_manifest(Path(f"{base}.tsv").read_text()), str(record["sha256"])
    except (OSError, ValueError, KeyError):
        return None, None


def _proven_files(desk: Desk, unit: dict[str, Any]) -> dict[str, Any]:
    """Every byte of files on the site's own file system read again."""
    root = os.open(desk.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return {"states": {path: _file_state(root, path, size, sha256) for path, size, sha256 in unit["files"]}}
    finally:
        os.close(root)


def _file_state(root: int, path: str, size: int, sha256: str) -> str:
    try:
        fd = bundle.open_regular(root, path)
    except FileNotFoundError:
        return bundle.ABSENT
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO):
            return bundle.DIFFERS
        raise Trouble(SITE, f"{path} can't be read: {error.strerror}") from error
    with os.fdopen(fd, "rb", buffering=0) as file:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        digest, count = hashlib.sha256(), 0
        while chunk := file.read(_BLOCK):
            digest.update(chunk)
            count += len(chunk)
    return bundle.VERIFIED if (count, digest.hexdigest()) == (size, sha256) else bundle.DIFFERS


# Bringing back


class Place:
    """Where one member that was brought back lies below the root: under a number, and under its own path for people.

    No name of a file can get in anybody's way under the number.
    """

    def __init__(self, root: Path, folder: str, number: int, path: str) -> None:
        self._root = root
        self._numbered = f"{folder}/{NUMBERED}/{number}"
        self._named = root / folder / MEMBERS / path
        members = (root / folder / MEMBERS).resolve()
        if members not in self._named.resolve().parents:
            raise Trouble(REFUSED, f"{path!r} would lie outside {members}")

    def holds(self, root: int, size: int, sha256: str) -> bool:
        """Whether it lies there under both names; ``root`` is the root's descriptor."""
        same = _file_state(root, self._numbered, size, sha256) == bundle.VERIFIED
        return same and self._named.exists() and self._named.samefile(self._root / self._numbered)

    def modified_us(self) -> int:
        """Modification time of what lies there."""
        return self._named.stat().st_mtime_ns // 1000

    @contextmanager
    def file(self, modified_us: int | None) -> Iterator[BinaryIO]:
        """A file to write to, which gets its names at the end; whatever is raised inside throws it away."""
        numbered = self._root / self._numbered
        for name in (numbered, self._named):
            name.parent.mkdir(parents=True, exist_ok=True)
        unfinished = numbered.with_name(secrets.token_hex(16))
        try:
            with unfinished.open("xb") as out:
                yield out
                out.flush()
                if modified_us is not None:
                    os.utime(out.fileno(), ns=(modified_us * 1000, modified_us * 1000))
                os.fsync(out.fileno())
            self._named.unlink(missing_ok=True)
            os.link(unfinished, self._named)
            unfinished.replace(numbered)
        finally:
            unfinished.unlink(missing_ok=True)


def retrieve(desk: Desk) -> dict[str, Any]:
    """Members of one bundle, and its manifest, as files below ``.dichroism/restored``.

    What an earlier job brought is compared and stays. The result has state and modification time of each member, in
    the order of the order.
    """
    name, folder = desk.order["bundle"], f"{RESTORED}/{desk.order['key']}"
    wanted = {path: (size, sha256) for path, size, sha256 in desk.order["members"]}
    places = {path: Place(desk.root, folder, number, path) for number, path in enumerate(wanted)}
    root = os.open(desk.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        missing = {path: content for path, content in wanted.items() if not places[path].holds(root, *content)}
    finally:
        os.close(root)
    states = {path: bundle.ABSENT if path in missing else bundle.VERIFIED for path in wanted}
    manifest = desk.root / folder / bundle.MANIFEST
    on_tape = desk.tape.exists(name)
    if on_tape and (missing or not manifest.exists()):
        states.update(_brought_back(desk, manifest, missing, places))
    told = [(states[path], places[path].modified_us() if states[path] == bundle.VERIFIED else None) for path in wanted]
    return {"on_tape": on_tape, "members": told}


def _brought_back(
    desk: Desk, manifest: Path, missing: dict[str, tuple[int, str]], places: dict[str, Place]
) -> dict[str, str]:
    """Get the whole bundle from tape and take out what is missing; the state of each."""
    name = desk.order["bundle"]
    with _from_tape(desk, name) as tar:
        states = unpack(tar, missing, lambda path, modified_us: places[path].file(modified_us))
        try:
            write_over(manifest, bundle.manifest_text(bundle.read_manifest(tar)).encode())
        except bundle.BundleDamagedError as error:
            if bundle.VERIFIED not in states.values():
                raise Trouble(REFUSED, f"{name} on tape: {error}") from error
    return states


KINDS = {"pack": pack, "verify": verify, "retrieve": retrieve}


def run(work: Path, job: str) -> int:
    """Do what the order says; the exit code for the batch system."""
    order = json.loads((work / ORDER).read_text())
    once = order["kind"] == "pack"  # Anything else is asked for again, when what it found may not hold any more.
    if once and (work / RESULT).exists():
        return 0
    try:
        number = claim(work, job)
        if number is None:
            return 0
        reach("claimed")
        desk = Desk(work, number, job, order, Tape(order["tape_root"], order["hsi"]))
        if not (desk.root / PRIVATE).is_dir():
            raise Trouble(SITE, f"{desk.root} has no folder {PRIVATE}: its file system is not there")
        result = {"submission": order["submission"], "kind": order["kind"], "job": job, **KINDS[order["kind"]](desk)}
        reach("done")
        (write_once if once else write_over)(work / RESULT, {**result, "at": _now().isoformat()})
        reach("told")
    except Trouble as trouble:
        return _tell(work, job, trouble.kind, str(trouble))
    except OSError as error:
        kind = NO_SPACE if error.errno in (errno.ENOSPC, errno.EDQUOT) else SITE
        return _tell(work, job, kind, f"{error.filename or work}: {error.strerror or error}")
    except Exception as error:
        # The batch system would keep only a number.
        traceback.print_exc()
        return _tell(work, job, UNEXPECTED, f"{type(error).__name__}: {error}")
    return 0


def _tell(work: Path, job: str, kind: str, message: str) -> int:
    write_over(work / TROUBLE, {"job": job, "kind": kind, "message": message})
    return 1


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), os.environ["SLURM_JOB_ID"]))
