"""The installed release: the whole life of a Scan in real pods with namespaced rights, upgrades, and its removal."""

from pathlib import Path

import pytest

from dichroism_crds.kinds import PrunePhase, ScanPhase
from tests.chart import OPERATOR
from tests.cluster import CommandError
from tests.integration.node.release import PATIENCE_S, USER, Release, finished

pytestmark = pytest.mark.timeout(1200)


def test_a_file_goes_its_whole_way_through_the_installed_release(release: Release) -> None:
    release.install_release(prune={"schedule": "* * * * *"})
    release.helm("test")
    files = release.measure("BL402", 3)
    scans = finished(release, len(files))
    assert {scan.status.phase for scan in scans.values()} == {ScanPhase.PRUNE_SCHEDULED}
    assert release.copies("nersc402", files) == files
    assert len(release.scicat.datasets()) == len(files)
    # The CronJob is due every minute: its first pods rename into the trash, later ones empty it.
    release.wait_for(lambda: pruned(release, "data402"), "data402 is pruned by its CronJob", PATIENCE_S)
    assert release.copies("data402", files) == {}
    assert release.copies("nersc402", files) == files


def pruned(release: Release, endpoint: str) -> bool:
    """Whether every Prune of an endpoint is done."""
    phases = {one.status.phase for one in release.prunes() if one.spec.endpoint.name == endpoint}
    return phases == {PrunePhase.PRUNED}


@pytest.mark.parametrize("component", ["operator", "watcher"])
def test_pods_run_without_any_privilege(release: Release, component: str) -> None:
    release.install_release()
    status = Path(f"/proc/{release.process(component)}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {*fields["Uid"].split(), *fields["Gid"].split()} == {str(USER)}
    assert (int(fields["CapEff"], 16), int(fields["CapBnd"], 16)) == (0, 0)
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    name = release.pod(component)["metadata"]["name"]
    with pytest.raises(CommandError, match="Read-only file system"):
        release.cluster.kubectl("exec", name, "-n", release.namespace, "--", "touch", "/etc/anything")


def test_an_upgrade_with_scans_in_flight_loses_nothing_and_does_nothing_twice(release: Release) -> None:
    release.install_release()
    before = release.measure("BL402", 20)
    release.wait_for(release.transfers, "the first Transfer is there")
    first = release.pod()["metadata"]["name"]
    document = release.document() | {"attempts": 5}
    release.upgrade(document)
    assert release.pod()["metadata"]["name"] != first
    after = release.measure("BL631", 5, seed=1)
    finished(release, len(before) + len(after))
    assert release.copies("nersc402", before) == before
    assert release.copies("nersc631", after) == after
    assert len(release.scicat.datasets()) == len(before) + len(after)
    items = [item.path for transfer in release.transfers() for item in transfer.spec.items]
    hops = 2
    assert sorted(items) == sorted([*before, *after] * hops)


def test_a_config_that_is_refused_keeps_the_old_pod_at_work_until_it_is_rolled_back(release: Release) -> None:
    release.install_release()
    old = release.pod()["metadata"]["name"]
    wrong = release.document()
    wrong["beamlines"]["BL402"]["prune"]["nersc402"]["needs"] = ["data402"]
    with pytest.raises(CommandError, match=r"timed out|deadline|context"):
        release.upgrade(wrong, seconds=20)
    ready = [one["metadata"]["name"] for one in release.pods("operator") if is_ready(one)]
    assert ready == [old]
    said = [words for name, words in release.words().items() if OPERATOR in name and old not in name]
    assert "nersc402" in said[0]
    files = release.measure("BL402", 2)
    release.helm("rollback", "--wait", f"--timeout={PATIENCE_S}s")
    finished(release, len(files))
    assert release.copies("nersc402", files) == files


def is_ready(pod: dict[str, object]) -> bool:
    """Whether Kubernetes sends requests to a pod."""
    conditions = pod["status"]["conditions"]  # type: ignore[index]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def test_uninstalling_leaves_definitions_scans_and_files_and_a_new_release_goes_on(release: Release) -> None:
    release.install_release()
    files = release.measure("BL402", 2)
    done = finished(release, len(files))
    release.helm("uninstall", "--wait", f"--timeout={PATIENCE_S}s")
    assert release.pods("operator") == []
    kept = release.scans()
    assert {path: scan.metadata.uid for path, scan in kept.items()} == {
        path: scan.metadata.uid for path, scan in done.items()
    }
    assert release.copies("nersc402", files) == files
    release.install_release()
    more = release.measure("BL631", 1)
    finished(release, len(files) + len(more))
    assert len(release.transfers()) == 4
    assert len(release.scicat.datasets()) == len(files) + len(more)
