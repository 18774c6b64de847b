"""What the adversary does to a file, its copies, its Scan and its Prune: before the first run, and between two runs.

Each fault changes the world and says in the subject what must follow from it.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from dichroism_crds.kinds import Checksum, PruneItem, PruneSpec, RecordedEndpoint
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.timestamps import now
from tests.fault.adversary.subjects import CFS, DATA, TAPE, Subject

Roots = dict[str, Path]
SOON = timedelta(days=300)


def put(file: Path, content: bytes, mtime_ns: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, ns=(mtime_ns, mtime_ns))


def _flipped(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


def tape_flipped(roots: Roots, subject: Subject) -> None:
    tape = roots[TAPE] / subject.bundle
    body = bytearray(tape.read_bytes())
    body[body.index(subject.content)] ^= 1
    tape.write_bytes(bytes(body))


def _outside(roots: Roots, subject: Subject) -> Path:
    """A file with the same content, size and time that lies outside every endpoint."""
    file = roots[DATA].parent / "outside" / str(subject.number) / Path(subject.path).name
    put(file, subject.content, subject.mtime_ns)
    return file


def cfs_missing(roots: Roots, subject: Subject) -> None:
    (roots[CFS] / subject.path).unlink()


def cfs_truncated(roots: Roots, subject: Subject) -> None:
    put(roots[CFS] / subject.path, subject.content[:-1], subject.mtime_ns)


def cfs_flipped(roots: Roots, subject: Subject) -> None:
    put(roots[CFS] / subject.path, _flipped(subject.content), subject.mtime_ns)


def cfs_links_to_the_source(roots: Roots, subject: Subject) -> None:
    (roots[CFS] / subject.path).unlink()
    (roots[CFS] / subject.path).symlink_to(roots[DATA] / subject.path)


def tape_missing(roots: Roots, subject: Subject) -> None:
    (roots[TAPE] / subject.bundle).unlink(missing_ok=True)


def tape_truncated(roots: Roots, subject: Subject) -> None:
    tape = roots[TAPE] / subject.bundle
    os.truncate(tape, tape.read_bytes().index(subject.content) + 1)


def source_rewritten(roots: Roots, subject: Subject) -> None:
    subject.foreign.append(subject.content + b"one more sweep")
    put(roots[DATA] / subject.path, subject.foreign[-1], subject.mtime_ns)
    subject.lost = True


def source_replaced_at_the_same_size(roots: Roots, subject: Subject) -> None:
    subject.foreign.append(_flipped(subject.content))
    put(roots[DATA] / subject.path, subject.foreign[-1], subject.mtime_ns + 5_000_000_000)
    subject.lost = True


def source_is_a_link(roots: Roots, subject: Subject) -> None:
    (roots[DATA] / subject.path).unlink()
    (roots[DATA] / subject.path).symlink_to(_outside(roots, subject))
    subject.lost = True


def source_is_a_folder(roots: Roots, subject: Subject) -> None:
    (roots[DATA] / subject.path).unlink()
    put(roots[DATA] / subject.path / "inner.txt", subject.content, subject.mtime_ns)
    subject.lost = True


def folder_is_a_link(roots: Roots, subject: Subject) -> None:
    folder = (roots[DATA] / subject.path).parent
    shutil.rmtree(folder)
    folder.symlink_to(_outside(roots, subject).parent)
    subject.lost = True


def source_gone(roots: Roots, subject: Subject) -> None:
    (roots[DATA] / subject.path).unlink()
    subject.lost = True


def trash_exchanged(roots: Roots, subject: Subject) -> None:
    """Somebody writes into the trash: what lies there is not the scheduled content any more."""
    for file in (roots[DATA] / PRIVATE_DIR / "trash" / subject.prune).glob("*"):
        if file.read_bytes() == subject.content:
            subject.foreign.append(b"written into the trash" + subject.content)
            file.write_bytes(subject.foreign[-1])
            subject.lost = True


def path_taken(roots: Roots, subject: Subject) -> None:
    """A new scan under the same name; the old content lies in the trash."""
    subject.foreign.append(b"a new scan" + subject.content)
    put(roots[DATA] / subject.path, subject.foreign[-1], subject.mtime_ns + 9_000_000_000)


def _folder(roots: Roots, subject: Subject) -> Path:
    return (roots[DATA] / subject.path).parent


def folder_touched(roots: Roots, subject: Subject) -> None:
    """Somebody made and took away a file in the folder just now."""
    os.utime(_folder(roots, subject))


def folder_above_touched(roots: Roots, subject: Subject) -> None:
    os.utime(_folder(roots, subject).parent)


def folder_in_use(roots: Roots, subject: Subject) -> None:
    """A file that is no scan lies beside; nothing was put there lately."""
    subject.notes = _folder(roots, subject) / "notes.md"
    put(subject.notes, b"beside the scan", subject.mtime_ns)
    os.utime(_folder(roots, subject), ns=(subject.mtime_ns, subject.mtime_ns))


def folder_gone(roots: Roots, subject: Subject) -> None:
    """Somebody removed the empty folder while the file lies in the trash."""
    with suppress(OSError):
        _folder(roots, subject).rmdir()


FileFault = Callable[[Roots, Subject], None]

ON_FILES: dict[str, FileFault] = {
    one.__name__: one
    for one in (
        cfs_missing,
        cfs_truncated,
        cfs_flipped,
        cfs_links_to_the_source,
        tape_missing,
        tape_truncated,
        source_rewritten,
        source_replaced_at_the_same_size,
        source_is_a_link,
        source_is_a_folder,
        folder_is_a_link,
        source_gone,
        tape_flipped,
    )
}
"""Before the first run; none of these files may go."""

WORDS = ("held_by_path", "held_by_proposal", "held_by_scan", "scan_suspended", "kept_longer_by_proposal")
"""What people say about one file before the first run; none of these may go."""


def item_without_checksum(item: PruneItem) -> PruneItem:
    return item.model_copy(update={"checksum": None})


def item_with_another_checksum(item: PruneItem) -> PruneItem:
    return item.model_copy(update={"checksum": Checksum(value="0" * 64)})


def item_verified_just_now(item: PruneItem) -> PruneItem:
    return item.model_copy(update={"anchor": now()})


def item_of_a_bundle_that_is_none(item: PruneItem) -> PruneItem:
    return item.model_copy(update={"bundle": None})


ON_ITEMS: dict[str, Callable[[PruneItem], PruneItem]] = {
    one.__name__: one
    for one in (
        item_without_checksum,
        item_with_another_checksum,
        item_verified_just_now,
        item_of_a_bundle_that_is_none,
    )
}
"""What a Prune may say wrongly of one file; none of these may go."""


def _moved(one: RecordedEndpoint) -> RecordedEndpoint:
    return one.model_copy(update={"root_path": f"{one.root_path}-of-old"})


def prune_not_due(spec: PruneSpec) -> PruneSpec:
    return spec.model_copy(update={"not_before": now() + SOON})


def prune_suspended(spec: PruneSpec) -> PruneSpec:
    return spec.model_copy(update={"suspend": True})


def prune_of_another_root(spec: PruneSpec) -> PruneSpec:
    return spec.model_copy(update={"endpoint": _moved(spec.endpoint)})


def prune_of_another_collection(spec: PruneSpec) -> PruneSpec:
    other = spec.endpoint.model_copy(update={"uuid": "1b2c3d4e-0000-4000-8000-00000000dead"})
    return spec.model_copy(update={"endpoint": other})


def prune_needing_another_disk_root(spec: PruneSpec) -> PruneSpec:
    return spec.model_copy(update={"needs": [_moved(one) if one.name == CFS else one for one in spec.needs]})


def prune_needing_another_tape_root(spec: PruneSpec) -> PruneSpec:
    return spec.model_copy(update={"needs": [_moved(one) if one.name == TAPE else one for one in spec.needs]})


ON_PRUNES: dict[str, Callable[[PruneSpec], PruneSpec]] = {
    one.__name__: one
    for one in (
        prune_not_due,
        prune_suspended,
        prune_of_another_root,
        prune_of_another_collection,
        prune_needing_another_disk_root,
        prune_needing_another_tape_root,
    )
}
"""What is wrong with a whole Prune before the first run; none of its files may go."""

FOLDER_GONE = "folder_gone_and_held"
LATER_ON_FILES: dict[str, FileFault] = {
    "path_taken_and_held": path_taken,
    FOLDER_GONE: folder_gone,
    **{
        one.__name__: one
        for one in (
            cfs_missing,
            cfs_flipped,
            tape_flipped,
            trash_exchanged,
            path_taken,
            folder_touched,
            folder_above_touched,
            folder_in_use,
        )
    },
}
LATER_AND_GOES = ("path_taken", "folder_touched", "folder_above_touched", "folder_in_use")
"""Of these, what keeps no file in the trash."""
UNTOLD = "prune_untold"
"""A Prune whose Scans were not told yet; none of its files may go."""
LATER_WORDS = ("held_by_path", "scan_suspended")
LATER_ON_PRUNES = ("undone", "suspended")
"""Between the rename and the emptying of the trash."""
