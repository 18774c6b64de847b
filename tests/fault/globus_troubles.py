"""What a service, its administrators, its storage and a second operator do to a campaign: one function each.

Each tells files, does its harm while they are under way, sees that the operator noticed, and takes the harm away.
"""

import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from globus_sdk import TransferData

from dichroism_crds.kinds import Transfer, TransferItem
from dichroism_crds.reasons import Reason
from tests.emulators.globus.faults import Action, Point
from tests.emulators.globus.paths import used_bytes
from tests.emulators.globus.sdk import transfer_client
from tests.fault.globus_campaign import DAY, HOUR, PATIENCE_S, GlobusCampaign
from tests.fault.test_two_operators import LEASE_LOST, is_stopped
from tests.site import BEAMLINES

OF_SOMEBODY_ELSE = "of somebody else"
"""Label of a task that is not ours."""
Trouble = Callable[[GlobusCampaign], None]


def transfer_deleted_by_hand(campaign: GlobusCampaign) -> None:
    """Somebody deletes a Transfer whose task runs; every second time the operator dies as well."""
    with campaign.held() as tasks:
        transfer = campaign.transfer_of(tasks[0])
        assert transfer is not None
        campaign.site.cluster.kubectl("delete", "transfer", transfer.name, "-n", campaign.site.namespace)
        if campaign.rng.random() < 0.5:
            campaign.kill("after a Transfer was deleted")
            campaign.start()


def service_killed(campaign: GlobusCampaign) -> None:
    """The service dies while it takes a task or writes a file, and comes back."""
    campaign.running()
    keys = campaign.write(campaign.wave)
    point = campaign.rng.choice(list(Point))
    at_request = point in (Point.BEFORE_INSERT, Point.AFTER_INSERT)
    campaign.globus.kill_at(point, "/transfer$" if at_request else campaign.chosen(keys))
    campaign.tell(keys)
    campaign.globus.wait_until_dead(60)
    campaign.globus.start()


def answers_lost(campaign: GlobusCampaign) -> None:
    """Submissions are taken, and the answers never arrive, more often than the SDK asks again."""
    campaign.running()
    campaign.listen()
    # Two lanes submit at the same time and share the drops: one of them gets the four that are too many.
    campaign.globus.fault(Action.DROP_AFTER, path="/transfer$", times=7)
    campaign.tell_wave()
    campaign.wait_until_said("is paused for")


def rate_limited(campaign: GlobusCampaign) -> None:
    """429 with Retry-After, for a submission and for polls."""
    campaign.running()
    for path in ("/transfer$", "/task_list$"):
        campaign.globus.fault(Action.STATUS, path=path, status=429, code="Error", headers={"Retry-After": "1"}, times=2)
    campaign.tell_wave()


def broken_for_an_hour(campaign: GlobusCampaign) -> None:
    """Every request is answered with 5xx for an hour of virtual time."""
    campaign.running()
    campaign.listen()
    campaign.globus.fault(Action.STATUS, path="^/v0.10/", status=503, times=None, lasting=HOUR)
    campaign.tell_wave()
    campaign.wait_until_said("ServiceUnavailable")
    campaign.globus.set_clock(advance=HOUR)


def tokens_expired(campaign: GlobusCampaign) -> None:
    """All tokens end, and once more right before a submission."""
    campaign.running()
    campaign.globus.expire_tokens()
    campaign.globus.fault(Action.EXPIRE_TOKENS, path="/transfer$")
    campaign.tell_wave()


def task_expired_half_way(campaign: GlobusCampaign) -> None:
    """The deadline of a task passes when half of its files are done."""
    with campaign.held() as tasks:
        campaign.globus.expire(tasks[0]["task_id"])


def task_canceled_by_admin(campaign: GlobusCampaign) -> None:
    """An administrator cancels a task."""
    with campaign.held() as tasks:
        campaign.globus.cancel_by_admin(tasks[0]["task_id"])


def endpoint_paused_for_days(campaign: GlobusCampaign) -> None:
    """The destination is paused for three days."""
    target = campaign.site.collections["nersc402"]
    campaign.running()
    campaign.listen()
    campaign.globus.set_collection(target, paused="maintenance")
    try:
        campaign.tell_wave()
        campaign.wait_until_said("EndpointPaused")
        campaign.globus.set_clock(advance=3 * DAY)
    finally:
        campaign.globus.set_collection(target, paused=None)


def task_inactive(campaign: GlobusCampaign) -> None:
    """The login of a collection expires under a task; it stays INACTIVE until somebody ends it."""
    with campaign.held() as tasks:
        campaign.listen()
        campaign.globus.deactivate(tasks[0]["task_id"])
        ended = partial(_has_ended, campaign, tasks[0]["task_id"])
        campaign.site.wait_for(ended, "the inactive task was canceled", PATIENCE_S)


def _has_ended(campaign: GlobusCampaign, task_id: str) -> bool:
    campaign.running()
    return task_id not in [task["task_id"] for task in campaign.unended()]


def copies_corrupt(campaign: GlobusCampaign) -> None:
    """What is written is wrong, half-written, or lost right after its checks."""
    campaign.running()
    keys = campaign.write(campaign.wave)
    wrong, short, lost = campaign.rng.sample(keys, 3)
    campaign.globus.fault(Action.CORRUPT_WRITE, path=campaign.chosen([wrong]), times=2)
    campaign.globus.fault(Action.SHORT_WRITE, path=campaign.chosen([short]), code="CONNECTION_RESET")
    campaign.globus.fault(Action.LOSE_COPY, path=campaign.chosen([lost]))
    campaign.sent_again |= {lost[1]}
    campaign.tell(keys)


def sources_changed(campaign: GlobusCampaign) -> None:
    """One source vanished before its task, one is replaced and one grows while they are copied."""
    campaign.running()
    keys = campaign.write(campaign.wave)
    vanished, replaced, growing = campaign.rng.sample(keys, 3)
    campaign.globus.fault(Action.REPLACE_SOURCE, path=campaign.chosen([replaced]))
    campaign.globus.fault(Action.GROW, path=campaign.chosen([growing]))
    bodies = [campaign.site.scan_body(beamline, path) for beamline, path in keys]
    (campaign.source(vanished[0]) / vanished[1]).unlink()
    campaign.hopeless[vanished] = Reason.SOURCE_MISSING
    campaign.site.create_scans(bodies)


def quota_full(campaign: GlobusCampaign) -> None:
    """The destination takes one more file and no second one."""
    target = campaign.site.collections["nersc631"]
    used = used_bytes(campaign.site.mount("nersc631"))
    campaign.running()
    campaign.listen()
    campaign.globus.set_collection(target, quota_bytes=used + 40_000)
    try:
        campaign.tell_wave()
        campaign.wait_until_said("DestinationFull")
    finally:
        campaign.globus.set_collection(target, quota_bytes=None)


def identical_transfer(campaign: GlobusCampaign) -> None:
    """Somebody else posts the very same list before us: 409 until that task has ended."""
    lists: dict[str, tuple[Transfer, list[TransferItem]]] = {}
    while not lists:  # the one Transfer that is made may be of a changed source alone, which is never posted
        campaign.kill("before an identical transfer")
        campaign.killed_at("transfer-created")
        lists = _to_be_posted(campaign)
    paths = [item.path for _, items in lists.values() for item in items]
    campaign.hold("|".join(f"/{re.escape(path)}$" for path in paths))
    for transfer, items in lists.values():
        data = TransferData(
            campaign.site.collections[transfer.spec.source],
            campaign.site.collections[transfer.spec.destination],
            label=OF_SOMEBODY_ELSE,
            sync_level="checksum",
            verify_checksum=True,
            preserve_timestamp=True,
        )
        for item in items:
            data.add_item(f"/{item.path}", f"/{item.path}", recursive=False, checksum_algorithm="SHA256")
        transfer_client(campaign.globus).submit_transfer(data)
        campaign.foreign += 1
    campaign.start()
    campaign.wait_until_said("ConflictingTask")
    for task in campaign.unended():
        if task["label"] == OF_SOMEBODY_ELSE:
            campaign.globus.expire(task["task_id"])  # With the hopeless file in it, it would go on for a day.
    campaign.lift()


def _to_be_posted(campaign: GlobusCampaign) -> dict[str, tuple[Transfer, list[TransferItem]]]:
    """The Transfers that were planned and never posted, each with the files that the operator will send for it."""
    # A task that has ended, and whose results nobody read yet, is posted as well.
    posted = {task["label"].split()[-1] for task in campaign.globus.tasks()}
    found = {}
    for transfer in campaign.site.transfers():
        if not transfer.finished and transfer.spec.submission_id not in posted:
            items = [item for item in transfer.spec.items if campaign.is_at_source(transfer, item)]
            if items:
                found[transfer.name] = transfer, items
    return found


def too_many_pending(campaign: GlobusCampaign) -> None:
    """The identity has as many pending tasks as it may have."""
    globus = campaign.globus
    settings = globus.settings
    globus.settings = replace(settings, limits=replace(settings.limits, pending_tasks=0))
    globus.restart()
    try:
        campaign.running()
        campaign.listen()
        campaign.tell_wave()
        campaign.wait_until_said("TooManyPendingJobs")
    finally:
        globus.settings = settings
        globus.restart()


def history_purged(campaign: GlobusCampaign) -> None:
    """Nobody looked for so long that the service forgot the files of a task, or the whole task."""
    campaign.kill("before a history was purged")
    campaign.killed_at("task-posted")
    campaign.site.wait_for(lambda: not _going_on(campaign), "the tasks have ended", PATIENCE_S)
    unread = {one.spec.submission_id for one in campaign.site.transfers() if not one.finished}
    for task in campaign.globus.tasks():
        if task["label"].split()[-1] in unread and task["completion_time"] and not task["history_deleted"]:
            campaign.globus.purge(task["task_id"], whole=campaign.rng.random() < 0.5)
    campaign.start()


def _going_on(campaign: GlobusCampaign) -> bool:
    """Whether a task runs, apart from one with the hopeless file that nobody is there to cancel."""
    return any(task["nice_status"] != "VERIFY_CHECKSUM" for task in campaign.unended())


def two_operators(campaign: GlobusCampaign) -> None:
    """An operator stalls at some point of the hop, another takes over, and the first one wakes up."""
    campaign.kill("before two operators")
    point = campaign.rng.choice(["transfer-created", "task-posted", "scans-told"])
    stalled = campaign.start(DICHROISM_STOP_AT=point)
    keys = campaign.tell_wave()
    campaign.site.wait_for(lambda: is_stopped(stalled), f"it stopped at {point}", PATIENCE_S)
    assert stalled.process is not None
    campaign.operator = None
    try:
        campaign.start()
        arrived = partial(_have_arrived, campaign, keys)
        campaign.site.wait_for(arrived, "the files of the stalled operator have arrived", PATIENCE_S)
        time.sleep(campaign.stalled_s)
    finally:
        os.kill(stalled.process.pid, signal.SIGCONT)
    assert stalled.wait() == LEASE_LOST


def _have_arrived(campaign: GlobusCampaign, keys: list[tuple[str, str]]) -> bool:
    campaign.running()
    return all((campaign.site.mount(f"nersc{BEAMLINES[beamline]}") / path).exists() for beamline, path in keys)


TROUBLES: tuple[Trouble, ...] = (
    transfer_deleted_by_hand,
    service_killed,
    answers_lost,
    rate_limited,
    broken_for_an_hour,
    tokens_expired,
    task_expired_half_way,
    task_canceled_by_admin,
    endpoint_paused_for_days,
    task_inactive,
    copies_corrupt,
    sources_changed,
    quota_full,
    identical_transfer,
    too_many_pending,
    history_purged,
    two_operators,
)
