"""The prune command on real files and a real API server: what goes, what stays, and what people are told."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dichroism_crds.kinds import Prune, PrunePhase, Scan, ScanStatus
from dichroism_crds.names import GROUP, LABEL_BEAMLINE
from dichroism_crds.reasons import KeptReason
from tests.cluster import Cluster
from tests.integration.prune.site import BUNDLE, Site

FIRST = "2026/scan_0000.txt"


def reasons(prune: Prune) -> dict[str, str]:
    return {item.path: item.reason for item in prune.status.kept}


async def test_due_files_go_into_the_trash_and_out_of_it_a_week_later(site: Site, cluster: Cluster) -> None:
    prune = await site.due(3)
    copies = site.copies()
    assert site.run().code == 0
    trashed = await site.read(prune)
    assert trashed.status.phase == PrunePhase.TRASHED
    assert (trashed.status.trashed, trashed.status.deleted, trashed.status.kept_count) == (3, 0, 0)
    assert trashed.status.message.startswith("3 files in the trash until ")
    assert site.in_place() == set()
    assert len(site.in_trash()) == 3

    assert site.run().code == 0
    assert await site.read(prune) == trashed

    await site.age_trash(prune)
    ended = site.run()
    assert ended.code == 0
    pruned = await site.read(prune)
    assert pruned.status.phase == PrunePhase.PRUNED
    assert pruned.status.deleted == 3
    assert pruned.status.bytes_freed == sum(item.size for item in prune.spec.items)
    assert [(one.type, one.status, one.reason) for one in pruned.status.conditions] == [
        ("Complete", "True", "Completed")
    ]
    assert site.in_trash() == {}
    assert site.copies() == copies
    assert "3 " in ended.out
    told = cluster.kubectl("get", "events", "-n", site.api.namespace, "-o", "jsonpath={.items[*].reason}").split()
    assert {"Trashed", "Pruned"} <= set(told)


async def test_without_a_week_of_trash_one_run_does_it_all(site: Site) -> None:
    site.configure(keep="0s")
    prune = await site.due(3)
    assert site.run().code == 0
    assert (await site.read(prune)).status.phase == PrunePhase.PRUNED
    assert site.in_place() == set()
    assert site.in_trash() == {}


def lose_cfs(site: Site) -> None:
    (site.roots["nersc402"] / FIRST).unlink()


def spoil_cfs(site: Site) -> None:
    file = site.roots["nersc402"] / FIRST
    before = file.stat()
    file.write_bytes(b"X" * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def lose_tape(site: Site) -> None:
    (site.roots["hpss402"] / BUNDLE).unlink()


def spoil_tape(site: Site) -> None:
    file = site.roots["hpss402"] / BUNDLE
    body = file.read_bytes()
    content = f"content of {FIRST}".encode()
    assert content in body
    file.write_bytes(body.replace(content, content.upper()))


def unmount_cfs(site: Site) -> None:
    (site.roots["nersc402"] / ".dichroism").rmdir()


def rewrite(site: Site) -> None:
    (site.data / FIRST).write_bytes(b"measured again")


def remove(site: Site) -> None:
    (site.data / FIRST).unlink()


def link(site: Site) -> None:
    elsewhere = site.data.parent / "elsewhere.txt"
    (site.data / FIRST).rename(elsewhere)
    (site.data / FIRST).symlink_to(elsewhere)


def link_folder(site: Site) -> None:
    elsewhere = site.data.parent / "elsewhere"
    (site.data / "2026").rename(elsewhere)
    (site.data / "2026").symlink_to(elsewhere)


def hold(site: Site) -> None:
    site.configure(holds=[{"path": FIRST, "by": "J. Doe", "reason": "under review"}])


def longer(site: Site) -> None:
    site.configure(after="11d")


def move_root(site: Site) -> None:
    text = site.config_file.read_text()
    site.config_file.write_text(text.replace("root_path: /site/hpss402", "root_path: /site/other"))


ONE, ALL = 1, 3


@pytest.mark.parametrize(
    ("spoil", "reason", "count", "phase"),
    [
        (lose_cfs, KeptReason.COPY_MISSING, ONE, PrunePhase.INCOMPLETE),
        (spoil_cfs, KeptReason.COPY_DIFFERS, ONE, PrunePhase.INCOMPLETE),
        (lose_tape, KeptReason.COPY_MISSING, ALL, PrunePhase.INCOMPLETE),
        (spoil_tape, KeptReason.COPY_DIFFERS, ONE, PrunePhase.INCOMPLETE),
        (unmount_cfs, KeptReason.AWAITING_VERIFICATION, ALL, PrunePhase.INCOMPLETE),
        (rewrite, KeptReason.SOURCE_CHANGED, ONE, PrunePhase.TRASHED),
        (remove, KeptReason.ALREADY_GONE, ONE, PrunePhase.TRASHED),
        (link, KeptReason.ALREADY_GONE, ONE, PrunePhase.TRASHED),
        (link_folder, KeptReason.ALREADY_GONE, ALL, PrunePhase.PRUNED),
        (hold, KeptReason.HELD, ONE, PrunePhase.HELD),
        (longer, KeptReason.NOT_DUE, ALL, PrunePhase.INCOMPLETE),
        (move_root, KeptReason.ENDPOINT_CHANGED, ALL, PrunePhase.INCOMPLETE),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
async def test_a_file_that_may_not_go_is_kept_and_its_mates_go(
    site: Site, spoil: Callable[[Site], None], reason: KeptReason, count: int, phase: PrunePhase
) -> None:
    prune = await site.due(3)
    spoil(site)
    before = site.in_place()
    assert site.run().code == 0
    after = await site.read(prune)
    assert after.status.phase == phase
    assert after.status.kept_count == count
    assert set(reasons(after).values()) == {reason.value}
    assert after.status.trashed == len(site.in_trash()) == 3 - count
    if count == ONE:
        assert set(reasons(after)) == {FIRST}
        assert site.in_place() == before & {FIRST}
    else:
        assert site.in_place() == before


@pytest.mark.parametrize("spoil", [lose_cfs, spoil_cfs, hold], ids=lambda value: value.__name__)
async def test_a_file_in_the_trash_comes_back_when_it_may_not_go_any_more(
    site: Site, spoil: Callable[[Site], None]
) -> None:
    prune = await site.due(3)
    body = (site.data / FIRST).read_bytes()
    site.run()
    await site.age_trash(prune)
    spoil(site)
    assert site.run().code == 0
    after = await site.read(prune)
    assert set(reasons(after)) == {FIRST}
    assert (after.status.deleted, after.status.trashed) == (2, 0)
    assert site.in_place() == {FIRST}
    assert (site.data / FIRST).read_bytes() == body


async def test_a_file_stays_in_the_trash_when_its_place_is_taken(site: Site) -> None:
    prune = await site.due(3)
    body = (site.data / FIRST).read_bytes()
    site.run()
    await site.age_trash(prune)
    lose_cfs(site)
    (site.data / FIRST).write_bytes(b"another file")
    site.run()
    after = await site.read(prune)
    assert reasons(after) == {FIRST: KeptReason.ORIGINAL_OCCUPIED}
    assert after.status.phase == PrunePhase.INCOMPLETE
    assert list(site.in_trash().values()) == [body]
    assert (site.data / FIRST).read_bytes() == b"another file"


async def test_what_was_deleted_is_not_counted_as_kept_when_the_rest_is_tried_again(site: Site) -> None:
    site.configure(keep="0s")
    prune = await site.due(3)
    body = (site.roots["nersc402"] / FIRST).read_bytes()
    lose_cfs(site)
    site.run()
    first = await site.read(prune)
    assert (first.status.deleted, first.status.kept_count, first.status.attempts) == (2, 1, 1)
    assert site.run().code == 0
    assert await site.read(prune) == first, "the back-off is not over"

    (site.roots["nersc402"] / FIRST).write_bytes(body)
    await site.retry_now(prune)
    site.run()
    done = await site.read(prune)
    assert (done.status.phase, done.status.deleted, done.status.kept_count) == (PrunePhase.PRUNED, 3, 0)
    assert done.status.bytes_freed == sum(item.size for item in prune.spec.items)


async def test_a_suspended_scan_keeps_its_file_and_a_suspended_prune_keeps_all(site: Site) -> None:
    scans = site.finished_scans(3)
    made = await site.api.create(scans[0].model_copy(update={"status": ScanStatus()}))
    await site.api.patch(Scan, made.name, {"spec": {"suspend": True}})
    prune = await site.schedule(scans)
    await site.api.patch(Prune, prune.name, {"spec": {"suspend": True}})
    site.run()
    held = await site.read(prune)
    assert (held.status.phase, held.status.kept_count) == (PrunePhase.HELD, 3)
    assert len(site.in_place()) == 3

    await site.api.patch(Prune, prune.name, {"spec": {"suspend": False}})
    site.run()
    rest = await site.read(prune)
    assert reasons(rest) == {FIRST: KeptReason.SUSPENDED}
    assert site.in_place() == {FIRST}


async def test_a_need_of_today_counts_though_the_prune_does_not_know_it(site: Site) -> None:
    scans = site.finished_scans(2)
    site.configure(needs="[nersc402]")
    prune = await site.schedule(scans)
    site.configure()
    made = await site.api.create(scans[0])
    await site.api.replace_status(made.model_copy(update={"status": scans[0].status}))
    site.run()
    after = await site.read(prune)
    assert reasons(after) == {scans[1].spec.path: KeptReason.NO_COPY_RECORDED}
    assert after.status.trashed == 1


async def test_a_prune_is_left_alone_before_its_day_and_before_its_scans_were_told(site: Site) -> None:
    scans = site.finished_scans(2)
    untold = await site.schedule(scans[:1], 1, phase=None)
    site.configure(after="30d")
    later = await site.schedule(scans[1:], 2)
    site.configure()
    assert site.run().code == 0
    assert await site.read(untold) == untold
    assert await site.read(later) == later
    assert len(site.in_place()) == 2


async def test_a_mount_that_leads_to_the_same_folder_never_counts_as_a_second_copy(site: Site) -> None:
    """CFS is mounted wrongly: it shows the very folder that is pruned, so each file would vouch for itself."""
    site.configure(needs="[nersc402]", keep="0s")
    prune = await site.due(2)
    wrong = site.data.parent / "wrong"
    wrong.symlink_to(site.data)
    text = site.config_file.read_text()
    site.config_file.write_text(text.replace(str(site.roots["nersc402"]), str(wrong)))
    before = site.in_place()
    site.run()
    after = await site.read(prune)
    assert site.in_place() == before
    assert set(reasons(after).values()) == {KeptReason.COPY_MISSING}
    assert after.status.deleted == 0


async def test_a_dry_run_tells_everything_and_changes_nothing(site: Site, cluster: Cluster) -> None:
    prune = await site.due(3)
    lose_cfs(site)
    remove_lease = cluster.kubectl("get", "leases,events", "-n", site.api.namespace, "-o", "name")
    ended = site.run("--dry-run")
    assert ended.code == 0
    rows = {line.split()[-1]: line for line in ended.out.splitlines() if FIRST[:10] in line}
    assert len(rows) == 3
    assert "CopyMissing" in rows[FIRST]
    assert " keep " in rows[FIRST]
    assert all(" trash " in line for path, line in rows.items() if path != FIRST)
    assert "2 files" in ended.out.splitlines()[-1]
    assert await site.read(prune) == prune
    assert len(site.in_place()) == 3
    assert site.in_trash() == {}
    assert cluster.kubectl("get", "leases,events", "-n", site.api.namespace, "-o", "name") == remove_lease


async def test_a_run_does_not_more_than_its_cap_and_the_next_goes_on(site: Site) -> None:
    prune = await site.due(5)
    assert site.run("--max-files", "2").code == 0
    part = await site.read(prune)
    assert (part.status.phase, part.status.trashed) == (PrunePhase.RUNNING, 2)
    assert len(site.in_place()) == 3
    size = sorted(item.size for item in prune.spec.items)[2]
    assert site.run("--max-bytes", f"{size}B").code == 0
    assert len(site.in_place()) == 2
    site.run()
    assert (await site.read(prune)).status.phase == PrunePhase.TRASHED


async def test_unknown_files_in_the_trash_are_left_alone_and_told(site: Site) -> None:
    site.configure(keep="0s")
    prune = await site.due(2)
    stranger = site.data / ".dichroism" / "trash" / prune.name / "notes.txt"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"mine")
    site.run()
    after = await site.read(prune)
    assert (after.status.phase, after.status.deleted) == (PrunePhase.INCOMPLETE, 2)
    assert "unknown" in after.status.message
    assert stranger.read_bytes() == b"mine"


async def test_a_prune_of_a_beamline_that_is_no_more_is_told_and_stops_no_other(site: Site) -> None:
    lost = await site.schedule(site.finished_scans(1, prefix="2026/old"), number=1)
    await site.api.patch(Prune, lost.name, {"metadata": {"labels": {LABEL_BEAMLINE: "BL111"}}})
    await site.schedule(site.finished_scans(2), number=2)
    ended = site.run()
    assert ended.code == 1
    assert "BL111" in ended.log
    assert (await site.read(lost)).status == lost.status
    assert site.in_place() == {"2026/old_0000.txt"}


async def test_a_wrong_call_or_a_wrong_config_does_nothing(site: Site, tmp_path: Path) -> None:
    prune = await site.due(1)
    assert site.run(endpoint="data999").code == 2
    site.config_file.write_text("beamlines: 7\n")
    assert site.run().code == 3
    assert await site.read(prune) == prune
    assert len(site.in_place()) == 1


async def test_what_the_api_refuses_of_one_prune_is_told_in_a_line_and_the_others_go_on(
    site: Site, cluster: Cluster
) -> None:
    refused, other = site.finished_scans(2)
    first, second = await site.schedule([refused], 1), await site.schedule([other], 2)
    kubeconfig = account_that_may_not_read(first, cluster, site.api.namespace, but=second)
    ended = site.run(kubeconfig=kubeconfig)
    assert ended.code != 0
    assert f"{first.name}: the Kubernetes API refuses: " in ended.log
    assert "the next run looks again" in ended.log
    assert "Traceback" not in ended.log
    assert site.in_place() == {refused.spec.path}
    assert (await site.read(second)).status.phase == PrunePhase.TRASHED

    assert site.run().code == 0
    assert site.in_place() == set()


def account_that_may_not_read(first: Prune, cluster: Cluster, namespace: str, *, but: Prune) -> Path:
    """Somebody who may do everything but read one Prune."""
    rules: list[dict[str, list[str]]] = [
        {"apiGroups": [GROUP], "resources": ["prunes"], "verbs": ["list", "update", "patch"]},
        {"apiGroups": [GROUP], "resources": ["prunes"], "resourceNames": [but.name], "verbs": ["get"]},
        {"apiGroups": [GROUP], "resources": ["prunes/status", "scans", "scans/status"], "verbs": ["*"]},
        {"apiGroups": ["", "batch", "coordination.k8s.io", "events.k8s.io"], "resources": ["*"], "verbs": ["*"]},
    ]
    name = f"not-{first.name}"
    api = "rbac.authorization.k8s.io"
    documents: dict[str, dict[str, Any]] = {
        "ServiceAccount": {"apiVersion": "v1"},
        "Role": {"apiVersion": f"{api}/v1", "rules": rules},
        "RoleBinding": {
            "apiVersion": f"{api}/v1",
            "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    }
    for kind, more in documents.items():
        document = {"kind": kind, "metadata": {"name": name, "namespace": namespace}, **more}
        cluster.kubectl("create", "-f", "-", input=json.dumps(document))
    return cluster.kubeconfig_for(namespace, name)
