"""What the watcher knows after a restart, a kill, a lost journal and a moved file: real process, real API server."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from dichroism_crds.names import ANNOTATION_MOVED_TO
from dichroism_watcher.killpoints import Point
from tests.cluster import Cluster
from tests.integration.test_watcher_process import DEADLINE_S, Site, crds, describes, free_port, site
from tests.probe import ask
from tests.samples import write_filler

__all__ = ["crds", "site"]  # fixtures of this module too


def written(site: Site, *names: str) -> list[Path]:
    files = [site.roots["data402"] / name for name in names]
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_filler(file, 1000 + number, seed=number)
    return files


def later(site: Site, name: str = "later.txt") -> None:
    """A further file gets its Scan, so whatever was to happen to the others has happened."""
    (file,) = written(site, name)
    site.until_scanned(file)


def test_after_a_kill_safe_files_stay_at_rest_and_others_get_their_scans_again(site: Site) -> None:
    safe, lost = written(site, "day/safe.txt", "day/lost.txt")
    site.start()
    site.until_scanned(safe, lost)
    site.report(safe, "Transferred", "Succeeded")
    site.until_journalled(safe, safe=True)
    site.until_journalled(lost)
    site.stop(signal.SIGKILL)
    site.delete_scan(safe)
    site.delete_scan(lost)
    site.start()
    site.until_scanned(lost)
    later(site)
    assert site.origin(lost) == "recovered", "it had a Scan before"
    assert site.origin(site.roots["data402"] / "later.txt") == "live"
    assert str(safe) not in site.scans(), "it was seen to succeed"


def test_without_its_journal_nothing_is_taken_as_seen_that_no_scan_proves(site: Site) -> None:
    proven, unproven = written(site, "proven.txt", "unproven.txt")
    site.start()
    site.until_scanned(proven, unproven)
    for file in (proven, unproven):
        site.report(file, "Transferred", "Succeeded")
        site.until_journalled(file, safe=True)
    site.stop(signal.SIGKILL)
    site.delete_scan(unproven)
    for file in site.journal.parent.glob("journal.db*"):
        file.write_bytes(b"\xff" * 5000)
    uid = site.scans()[str(proven)]["metadata"]["uid"]
    site.start()
    site.until_scanned(unproven)
    assert site.origin(unproven) == "recovered"
    site.until_journalled(proven, safe=True)
    assert site.scans()[str(proven)]["metadata"]["uid"] == uid
    later(site)
    site.stop()
    assert [line["message"].split(";")[0] for line in site.logged(level="ERROR")] == [
        "the journal is broken and was set aside"
    ]


def test_a_moved_file_has_no_second_scan_without_the_journal_either(site: Site) -> None:
    file, *_ = written(site, "copied.txt")
    site.start()
    site.until_scanned(file)
    site.report(file, "Transferred")
    site.until_journalled(file)
    moved = file.with_name("moved.txt")
    file.rename(moved)
    site.until_journalled(moved)
    site.stop(signal.SIGKILL)
    for part in site.journal.parent.glob(f"{site.journal.name}*"):
        part.unlink()
    site.start()
    site.until(site.journal.exists, "no journal is made")
    site.until_journalled(moved)
    assert site.scans().keys() == {str(file)}


def test_a_file_that_is_moved_over_another_is_the_new_content_of_that_ones_scan(site: Site) -> None:
    file, other = written(site, "copied.txt", "other.txt")
    site.start()
    site.until_scanned(file, other)
    site.report(file, "Transferred")
    site.until_journalled(file)
    file.rename(other)
    site.until(lambda: describes(site.scans()[str(other)], other), "the Scan keeps the old content")
    assert "annotations" not in site.scans()[str(file)]["metadata"]


def test_a_moved_file_has_no_second_scan_once_it_was_copied_and_else_its_own(site: Site) -> None:
    copied, waiting, collected = written(site, "day/copied.txt", "day/waiting.txt", "other/collected.txt")
    site.start()
    site.until_scanned(copied, waiting, collected)
    site.report(copied, "Transferred")
    site.report(collected, "Transferred", "Succeeded")
    site.until_journalled(waiting)
    site.until_journalled(collected, safe=True)
    site.delete_scan(collected)
    root = site.roots["data402"]
    twins = [root / "hard-link.txt", root / "copy.txt"]
    twins[0].hardlink_to(copied)
    shutil.copy2(copied, twins[1])
    site.until_scanned(*twins)
    (root / "day").rename(root / "sorted")
    (root / "other").rename(root / "moved")
    site.until_scanned(root / "sorted/waiting.txt")
    site.until_journalled(root / "sorted/copied.txt")
    site.until_journalled(root / "moved/collected.txt", safe=True)
    scans = site.scans()
    assert scans.keys() == {str(file) for file in (copied, waiting, root / "sorted/waiting.txt", *twins)}
    assert scans[str(copied)]["metadata"]["annotations"] == {ANNOTATION_MOVED_TO: "sorted/copied.txt"}
    assert "annotations" not in scans[str(waiting)]["metadata"]
    # It is known under its new place after a restart, succeeds there, and is a new content there when it is rewritten.
    site.stop(signal.SIGKILL)
    site.start()
    site.report(copied, "Transferred", "Succeeded")
    site.until_journalled(root / "sorted/copied.txt", safe=True)
    (root / "sorted/copied.txt").rename(copied.parent.parent / "again.txt")
    site.until_journalled(root / "again.txt", safe=True)
    assert site.scans()[str(copied)]["metadata"]["annotations"] == {ANNOTATION_MOVED_TO: "again.txt"}
    write_filler(root / "again.txt", 5000, seed=9)
    site.until_scanned(root / "again.txt")
    assert len(site.scans()) == 6


@pytest.mark.fault
def test_killed_at_any_point_it_ends_where_it_would_have_without(site: Site) -> None:
    points: tuple[Point, ...] = ("scan-created", "scan-updated", "move-annotated", "journal-written", "pass-ended")
    rewritten = written(site, *(f"rewritten-{point}.txt" for point in points))
    moved = written(site, *(f"moved-{point}.txt" for point in points))
    site.start()
    site.until_scanned(*rewritten, *moved)
    for file in moved:
        site.report(file, "Transferred")
    for file in (*rewritten, *moved):
        site.until_journalled(file)
    site.stop()
    root = site.roots["data402"]
    new = [root / f"new-{point}.txt" for point in points]
    now_at = [root / f"gone-from-{file.name}" for file in moved]
    for number, point in enumerate(points):
        write_filler(rewritten[number], 7000 + number, seed=number)
        moved[number].rename(now_at[number])
        write_filler(new[number], 3000 + number, seed=number)
        site.start(DICHROISM_KILL_AT=point)
        assert site.process is not None
        assert site.process.wait(DEADLINE_S) == -signal.SIGKILL, f"{point} was not reached"
    site.start()
    site.until_scanned(*new)
    for file in (*rewritten, *new, *now_at):
        site.until_journalled(file)
    scans = site.scans()
    assert scans.keys() == {str(file) for file in (*rewritten, *moved, *new)}
    assert all(describes(scans[str(file)], file) for file in (*rewritten, *new))
    told = [scans[str(file)]["metadata"]["annotations"] for file in moved]
    assert told == [{ANNOTATION_MOVED_TO: file.name} for file in now_at]


def test_a_file_in_new_folders_is_taken_because_the_kernel_tells_of_it(site: Site) -> None:
    site.write_config(1, "interval: 1h, full_pass: 1h")
    site.start("--health-port", str(port := free_port()))
    site.until(lambda: ask(port, "/readyz")[0] == 200, "it is not ready")
    (file,) = written(site, "2026/261122/deep/a.txt")
    site.until_scanned(file)
    write_filler(file, 5000, seed=3)
    site.until(lambda: describes(site.scans()[str(file)], file), "its new content is not told")


def test_without_the_kernels_notices_passes_find_new_and_growing_files_and_sentinels(site: Site) -> None:
    (old,) = written(site, "2026/261121/old.txt")
    site.write_config(3, 'interval: 200ms, full_pass: 1s, events: false, sentinel: "{stem}.done"')
    site.start()
    told, _untold = written(site, "2026/261122/deep/told.txt", "2026/261122/deep/untold.txt")
    told.with_name("told.done").touch()
    site.until_scanned(told)
    write_filler(told, 5000, seed=3)
    site.until_scanned(old)
    write_filler(old, 5000, seed=3)
    for file in (told, old):
        site.until(lambda: describes(site.scans()[str(file)], file), "its new content is not told")  # noqa: B023
    assert not any(path.endswith(".done") for path in site.scans())


def test_a_backfill_creates_what_is_missing_and_nothing_when_it_is_repeated(site: Site) -> None:
    old = written(site, *(f"2026/2610{number:02}/old.txt" for number in range(1, 6)))
    for file in old:
        os.utime(file, (1_790_000_000, 1_790_000_000))
    os.utime(old[4], (1_600_000_000, 1_600_000_000))
    (live,) = written(site, "live.txt")
    site.start()
    site.until_scanned(live)
    site.report(live, "Transferred")
    first = site.run("backfill", "--since", "2026-01-01", "--beamline", "BL402", "--rate", "100")
    assert first.returncode == 0, first.stderr
    assert "4 of 4 files: 4 created" in first.stderr
    assert site.scans().keys() == {str(file) for file in (*old[:4], live)}
    assert [site.origin(file) for file in old[:4]] == ["backfill"] * 4
    site.report(old[0], "Transferred", "Succeeded")
    site.until_journalled(old[0], safe=True)
    site.delete_scan(old[0])
    again = site.run("backfill", "--since", "2020-01-01", "--adopt", "--beamline", "BL402", "--rate", "100")
    assert "5 of 5 files: 1 created, 3 had a Scan, 1 were safe" in again.stderr, again.stderr
    assert site.origin(old[4]) == "recovered"
    # From now on the watcher cares for them, old as they are.
    site.until_journalled(old[1])
    site.delete_scan(old[1])
    site.until_scanned(old[1])
    assert str(old[0]) not in site.scans()


def test_the_status_tells_what_waits_and_why_and_a_second_watcher_is_refused(site: Site, cluster: Cluster) -> None:
    root = site.roots["data402"]
    (root / "new\nline.txt").write_text("1234")
    safe, accepted = written(site, "safe.txt", "accepted.txt")
    assert site.run("status").returncode == 1
    site.start("--health-port", str(free_port()))
    site.until_scanned(safe, accepted)
    site.report(safe, "Transferred", "Succeeded")
    site.until_journalled(safe, safe=True)
    second = site.run()
    assert second.returncode == 1
    assert "is used by another watcher" in second.stderr
    shown = site.run("status", "-o", "json")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    told = json.loads(shown.stdout)
    assert told["journal"]["rows"]["BL402"] == {"accepted": 1, "safe": 1}
    beamline = told["watcher"]["beamlines"]["BL402"]
    assert {name: number for name, number in beamline["counts"].items() if number} == {
        "accepted": 1,
        "safe": 1,
        "quarantined": 1,
    }
    assert beamline["quarantined"][0]["path"] == "new\nline.txt"
    text = site.run("status").stdout
    assert "1 safe, 1 accepted and not safe yet" in text
    assert r"quarantined: 'new\nline.txt': path" in text
