"""One bad file at the source: it says what is wrong with it, its batch-mates go on, and it is mended by a person."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dichroism_crds.kinds import ConditionStatus, Scan, ScanPhase, Step
from dichroism_crds.names import ANNOTATION_RETRY, PRIVATE_DIR
from dichroism_crds.reasons import EventReason, Reason
from dichroism_operator import lifecycle
from dichroism_operator.movers.mount import INCOMING
from tests.fault.campaign import copy_on, deliveries, members_of, succeeded
from tests.samples import filler
from tests.site import Site

FOLDER = "2026/sources"
GONE, FORBIDDEN, A_FOLDER, A_LINK, A_PIPE = (f"{FOLDER}/{name}.txt" for name in ("gone", "secret", "dir", "ln", "pipe"))
GOOD = [f"{FOLDER}/good file {number}.txt" for number in range(6)]


@dataclass
class Batch:
    """Scans that were told together: good ones, and one of each trouble."""

    site: Site
    names: dict[str, str]
    root: Path

    def scan(self, path: str) -> Scan:
        return self.site.scans()[path]


@pytest.fixture(scope="module")
def batch(shared_site: Site) -> Iterator[Batch]:
    """Told together, then waited for until each has come as far as it can."""
    site, root = shared_site, shared_site.mount("data402")
    paths = [*GOOD[:3], GONE, FORBIDDEN, A_FOLDER, A_LINK, A_PIPE, *GOOD[3:]]
    for number, path in enumerate(paths):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(filler(20_000, number))
    bodies = [site.scan_body("BL402", path) for path in paths]
    (root / FORBIDDEN).chmod(0)
    for path in (GONE, A_FOLDER, A_LINK, A_PIPE):
        (root / path).unlink()
    (root / A_FOLDER).mkdir()
    (root / A_LINK).symlink_to(root / GOOD[0])
    os.mkfifo(root / A_PIPE)
    # While the destination is away nothing is planned: so they travel together, however slow this machine is.
    marker = site.mount("nersc402") / PRIVATE_DIR
    marker.rename(marker.with_name("away"))
    try:
        batch = Batch(site, dict(zip(paths, site.create_scans(bodies), strict=True)), root)
    finally:
        marker.with_name("away").rename(marker)

    def settled() -> bool:
        scans = site.scans()
        return all(succeeded(scans[path]) or scans[path].status.phase == ScanPhase.FAILED for path in paths)

    site.wait_for(settled, "every Scan of the batch has succeeded or failed")
    yield batch
    (root / FORBIDDEN).chmod(0o600)


def test_good_files_of_a_batch_with_bad_ones_succeed(batch: Batch) -> None:
    scans = batch.site.scans()
    assert all(succeeded(scans[path]) for path in GOOD)
    together = [{item.path for item in transfer.spec.items} for transfer in batch.site.transfers()]
    assert any(paths & set(GOOD) and paths - set(GOOD) for paths in together), (
        "good and bad ones never travelled together"
    )


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (GONE, Reason.SOURCE_MISSING),
        (FORBIDDEN, Reason.SOURCE_UNREADABLE),
        (A_FOLDER, Reason.SOURCE_UNREADABLE),
        (A_LINK, Reason.SOURCE_UNREADABLE),
        (A_PIPE, Reason.SOURCE_UNREADABLE),
    ],
)
def test_a_bad_file_fails_alone_and_says_why(batch: Batch, path: str, reason: Reason) -> None:
    scan = batch.scan(path)
    transferred = scan.condition(Step.TRANSFERRED)
    assert (transferred.status, transferred.reason) == (ConditionStatus.FALSE, reason)
    assert path in transferred.message
    assert scan.condition("Succeeded").reason == Reason.ATTEMPTS_EXHAUSTED
    assert reason in scan.status.message
    assert path in scan.status.message
    assert "no copy was made" in scan.status.message
    assert scan.status.attempts.transferred == 2
    assert not scan.status.copies
    assert not (batch.site.mount("nersc402") / path).exists()
    event = batch.site.events(scan.name)[EventReason.STEP_FAILED]
    assert reason in event
    assert path in event
    failed = [item for one in batch.site.transfers() for item in one.status.failed_items if item.path == path]
    assert [item.reason for item in failed] == [reason, reason]


def test_a_mended_file_goes_its_way_after_a_retry(batch: Batch) -> None:
    site, file = batch.site, batch.root / GONE
    file.write_bytes(filler(20_000, 77))
    site.tell_content(batch.names[GONE], file)  # another time, so it counts as a new content and needs no retry
    (batch.root / FORBIDDEN).chmod(0o600)
    site.annotate(batch.names[FORBIDDEN], ANNOTATION_RETRY, "mended")
    for path in (GONE, FORBIDDEN):
        site.wait_for_phase(path, ScanPhase.PRUNE_SCHEDULED)
        assert (site.mount("nersc402") / path).read_bytes() == (batch.root / path).read_bytes()
    assert batch.scan(FORBIDDEN).status.last_handled_retry == "mended"
    assert batch.scan(FORBIDDEN).status.attempts.transferred == 0


def test_a_file_that_is_written_during_its_copy_waits_for_its_end_and_is_not_blamed(shared_site: Site) -> None:
    site, path = shared_site, f"{FOLDER}/growing.txt"
    file, copy = site.mount("data402") / path, site.mount("nersc402") / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(filler(50_000_000, 1))
    ended, incoming = threading.Event(), site.mount("nersc402") / INCOMING

    def write_on() -> None:
        while not ended.is_set() and not any(incoming.glob("*.part")):
            ended.wait(0.001)  # the copy has not begun
        with file.open("ab") as out:
            while not ended.wait(0.002):
                out.write(b"another sweep\n")
                out.flush()

    writer = threading.Thread(target=write_on)
    mate = f"{FOLDER}/mate.txt"
    (file.parent / "mate.txt").write_bytes(b"mate")
    writer.start()
    try:
        name, _ = site.create_scans([site.scan_body("BL402", path), site.scan_body("BL402", mate)])

        def seen_changing() -> bool:
            return site.scans()[path].condition(Step.TRANSFERRED).reason == Reason.SOURCE_CHANGED

        site.wait_for(seen_changing, "the change was noticed")
        site.wait_for(lambda: succeeded(site.scans()[mate]), "the batch-mate succeeded")
        waiting = site.scans()[path]
        assert path in waiting.condition(Step.TRANSFERRED).message
        assert waiting.status.attempts.transferred == 0
        assert not copy.exists()
        tries = site.wait_for(lambda: _tries(site, path, 3), "it was tried again and again")
        waiting = site.scans()[path]
        since, until = waiting.condition(Step.TRANSFERRED).last_transition_time, waiting.status.attempts.retry_at
        assert since
        assert until
        assert until - since >= lifecycle.BACKOFF_FIRST * 2 ** (tries - 1), "it is tried less and less"
    finally:
        ended.set()
        writer.join()
    site.tell_content(name, file)
    done = site.wait_for_phase(path, ScanPhase.PRUNE_SCHEDULED)
    assert copy.read_bytes() == file.read_bytes()
    assert done.status.content == done.content


def test_a_new_content_gets_all_copies_anew_and_the_old_ones_are_kept(batch: Batch) -> None:
    site, path, name = batch.site, GOOD[0], batch.names[GOOD[0]]
    file, copy = batch.root / path, site.mount("nersc402") / path
    before, old = batch.scan(path), copy.read_bytes()
    file.write_bytes(new := filler(45_000, 3))
    site.tell_content(name, file)
    after = site.wait_for(lambda: _succeeded_with(site, path, len(new)), "the new content succeeded")

    assert copy.read_bytes() == new
    superseded = site.mount("nersc402") / PRIVATE_DIR / "superseded"
    assert old in [one.read_bytes() for one in superseded.iterdir()]
    bundles = [copy_on(scan, "hpss402").path for scan in (before, after)]
    assert bundles[0] != bundles[1]
    for bundle, scan in zip(bundles, (before, after), strict=True):
        assert members_of(site.mount("hpss402") / bundle)[path] == copy_on(scan, "nersc402").sha256
    assert after.metadata.uid == before.metadata.uid
    assert before.status.dataset
    assert after.status.dataset
    assert after.status.dataset.pid == before.status.dataset.pid
    dataset = site.scicat.dataset(after.status.dataset.pid)
    assert dataset is not None
    newest = copy_on(after, "nersc402").sha256
    assert newest in [file["chk"] for block in dataset["origdatablocks"] for file in block["dataFileList"]]
    assert bundles[1] in str(dataset["datablocks"])
    assert EventReason.CONTENT_CHANGED in site.events(name)
    assert [one.endpoint for one in after.status.prune] == ["data402", "nersc402"]
    assert not {one.prune for one in after.status.prune} & {one.prune for one in before.status.prune}


def test_a_file_that_lost_more_than_half_waits_for_a_person(batch: Batch) -> None:
    site, path, name = batch.site, GOOD[1], batch.names[GOOD[1]]
    file, copy = batch.root / path, site.mount("nersc402") / path
    before, old = batch.scan(path), copy.read_bytes()
    file.write_bytes(new := filler(9_000, 5))
    site.tell_content(name, file)

    def suspicious() -> bool:
        return site.scans()[path].condition("Succeeded").reason == Reason.SUSPICIOUS_REWRITE

    site.wait_for(suspicious, "the Scan waits for a person")
    # Another file goes the whole way meanwhile, so the lanes had every occasion.
    (file.parent / "after.txt").write_bytes(b"later")
    site.create_scan("BL402", f"{FOLDER}/after.txt")
    site.wait_for_phase(f"{FOLDER}/after.txt", ScanPhase.PRUNE_SCHEDULED)
    waiting = site.scans()[path]
    assert "20000" in waiting.status.message
    assert "9000" in waiting.status.message
    assert waiting.status.copies == before.status.copies
    assert copy.read_bytes() == old
    site.wait_for(lambda: EventReason.SUSPICIOUS_REWRITE in site.events(name), "the Event is there")

    site.annotate(name, ANNOTATION_RETRY, "it is meant")
    after = site.wait_for(lambda: _succeeded_with(site, path, len(new)), "the new content succeeded")
    assert after.status.last_handled_retry == "it is meant"
    assert copy.read_bytes() == new
    assert old in [one.read_bytes() for one in (site.mount("nersc402") / PRIVATE_DIR / "superseded").iterdir()]


def _tries(site: Site, path: str, least: int) -> int | None:
    """How many Transfers of a file have ended, when they are enough."""
    ended = [one for one in site.transfers() if one.finished and path in {item.path for item in one.spec.items}]
    return len(ended) if len(ended) >= least else None


def _succeeded_with(site: Site, path: str, size: int) -> Scan | None:
    scan = site.scans()[path]
    return scan if succeeded(scan) and scan.status.content and scan.status.content.size == size else None


def test_no_file_of_the_batch_was_carried_twice(batch: Batch) -> None:
    uids = {scan.metadata.uid for scan in batch.site.scans().values() if scan.name in batch.names.values()}
    carried = [one for transfer in batch.site.transfers() for one in deliveries(transfer) if one[1] in uids]
    assert len(carried) == len(set(carried))
