"""One run per Scan: states in order, once, whatever is repeated, lost, deleted or refused on the way."""

import asyncio
from datetime import timedelta

import pytest

from dichroism_crds.kinds import Scan, Step
from dichroism_crds.reasons import Reason
from dichroism_operator import lifecycle
from dichroism_operator.mirror import runs as runs_module
from dichroism_operator.mirror import server as server_module
from dichroism_operator.mirror.errors import MirrorOff, RequestRefused
from dichroism_operator.mirror.server import PrefectServer
from dichroism_operator.mirror.states import scan_run
from tests.integration.prefect.conftest import Mirror, client, new_scan
from tests.prefect.proxy import FaultyProxy, Rule
from tests.unit.scan_cases import ATTEMPTS, NOW, beamline, done

WHOLE = ["Pending", "Transferred", "Catalogued", "Archived", "Ingested", "PruneScheduled", "Completed"]


def reach(one: Scan, count: int) -> Scan:
    """So many steps done, one a second."""
    for number, step in enumerate(list(Step)[:count], start=1):
        moment = NOW + timedelta(seconds=number)
        done(one, step, now=moment)
        lifecycle.derive(one, beamline(), ATTEMPTS, moment, {})
    return one


def failed(one: Scan) -> Scan:
    """Failed for good at its first step."""
    for number in range(1, ATTEMPTS + 1):
        moment = NOW + timedelta(seconds=number)
        lifecycle.fail(one, Step.TRANSFERRED, Reason.SOURCE_MISSING, "it is not there", moment)
        lifecycle.derive(one, beamline(), ATTEMPTS, moment, {})
    return one


async def test_a_scan_is_one_run_with_its_parameters_and_all_its_states(mirror: Mirror) -> None:
    one = new_scan()
    for count in range(len(Step) + 1):
        await mirror.show(reach(one, count))
    run = mirror.run(one)
    assert run["parameters"] == {"file_path": one.spec.path, "beamline": "BL402", "is_export_control": False}
    assert (run["work_queue_name"], run["work_pool_name"]) == ("new_file_402_queue", "new_file_dichroism_pool")
    assert run["empirical_policy"]["retry_type"] == "in_process"
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Completed")
    assert run["state"]["message"].startswith("2026-11-22T18:00:05.000000Z")
    assert mirror.shown(one) == WHOLE
    (page,) = mirror.prefect.artifacts(mirror.run_id(one))
    assert page["key"] == one.name
    assert f"kubectl annotate scan {one.name} -n als" in page["data"]


async def test_replays_and_late_news_change_nothing(mirror: Mirror) -> None:
    one = reach(new_scan(), 5)
    earlier = reach(new_scan(), 2)
    earlier.metadata.uid = one.metadata.uid
    await mirror.show(one)
    for teller in (mirror, mirror.restarted(), mirror.restarted()):
        await teller.show(one)
        await teller.show(earlier)
    assert mirror.shown(one) == WHOLE
    assert len(mirror.prefect.artifacts(mirror.run_id(one))) == 1


async def test_a_new_process_goes_on_where_the_old_one_ended(mirror: Mirror) -> None:
    one = reach(new_scan(), 2)
    await mirror.show(one)
    await mirror.restarted().show(reach(one, 5))
    assert mirror.shown(one) == WHOLE


async def test_after_an_outage_a_finished_scan_costs_two_requests_and_tells_all_times(
    mirror: Mirror, proxy: FaultyProxy
) -> None:
    before = len(proxy.log)
    one = reach(new_scan(), 5)
    await mirror.show(one, briefly=True)
    assert len(proxy.log) - before == 2
    assert mirror.shown(one) == ["Completed"]
    message = mirror.run(one)["state"]["message"]
    assert "Transferred 2026-11-22T18:00:01.000000Z" in message
    assert len(mirror.prefect.artifacts(mirror.run_id(one))) == 1


async def test_a_failed_scan_shows_the_retry_and_its_page_is_brought_up_to_date(mirror: Mirror) -> None:
    one = failed(new_scan())
    await mirror.show(one)
    (page,) = mirror.prefect.artifacts(mirror.run_id(one))
    assert "# try again what failed:" in page["data"]
    moment = NOW + timedelta(minutes=1)
    lifecycle.redo(one, [Step.TRANSFERRED], moment)
    lifecycle.derive(one, beamline(), ATTEMPTS, moment, {})
    again = mirror.restarted()
    await again.show(one)
    for number, step in enumerate(Step, start=1):
        moment += timedelta(seconds=number)
        done(one, step, now=moment)
        lifecycle.derive(one, beamline(), ATTEMPTS, moment, {})
    await again.show(one)
    assert mirror.shown(one) == ["Pending", "Failed", "Retrying", *WHOLE[1:]]
    (page,) = mirror.prefect.artifacts(mirror.run_id(one))
    assert "Catalogued@" in page["data"]


async def test_a_run_that_somebody_deleted_is_made_again(mirror: Mirror) -> None:
    one = reach(new_scan(), 1)
    await mirror.show(one)
    mirror.prefect.ask("DELETE", f"/flow_runs/{mirror.run_id(one)}")
    await mirror.show(reach(one, 3))
    assert mirror.shown(one) == ["Pending", "Transferred", "Catalogued", "Archived"]


async def test_a_deployment_that_somebody_deleted_turns_the_mirror_off_until_it_is_made_again(mirror: Mirror) -> None:
    mirror.prefect.ask("DELETE", f"/deployments/{mirror.deployments['new_file_402']}")
    with pytest.raises(MirrorOff, match="no deployment new_file_402"):
        await mirror.show(new_scan())


async def test_an_answer_that_was_lost_makes_no_second_run_and_no_second_state(
    mirror: Mirror, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "LOST_WAITS_S", (0.0,) * 3)
    one = reach(new_scan(), 5)
    for path in ("create_flow_run", "set_state", "POST /api/artifacts/"):
        proxy.fault(Rule(path))
    await mirror.show(one)
    assert [status for _, _, status in proxy.log].count(0) == 3
    assert mirror.shown(one) == WHOLE
    assert len(mirror.prefect.artifacts(mirror.run_id(one))) == 1


async def test_a_locked_database_is_waited_for(
    mirror: Mirror, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "BUSY_WAITS_S", (0.0,) * 6)
    monkeypatch.setattr(runs_module, "LOST_WAITS_S", ())
    proxy.fault(Rule("create_flow_run", times=6, status=503))
    one = reach(new_scan(), 1)
    await mirror.show(one)
    assert mirror.shown(one) == ["Pending", "Transferred"]
    proxy.fault(Rule("create_flow_run", times=7, status=503))
    with pytest.raises(MirrorOff, match="HTTP 503"):
        await mirror.restarted().show(one)


async def test_a_rate_limit_is_kept_to_and_nothing_is_lost(
    mirror: Mirror, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    proxy.fault(Rule("set_state", times=2, status=429, headers={"Retry-After": "37"}))
    one = reach(new_scan(), 1)
    await mirror.show(one)
    assert len([seconds for seconds in pauses if 30 < seconds < 39]) == 2
    assert mirror.shown(one) == ["Pending", "Transferred"]


async def test_a_run_that_prefect_will_never_take_is_told_from_an_outage(mirror: Mirror, proxy: FaultyProxy) -> None:
    proxy.fault(Rule("create_flow_run", status=422))
    with pytest.raises(RequestRefused, match="HTTP 422"):
        await mirror.show(new_scan())
    proxy.fault(Rule("create_flow_run", status=500))
    with pytest.raises(MirrorOff, match="HTTP 500"):
        await mirror.show(new_scan())


async def test_names_from_outside_reach_prefect_as_they_are(mirror: Mirror) -> None:
    one = reach(new_scan("2026/ü 'x' \"y\" <b>|`z` #1 %2F.txt"), 5)
    await mirror.show(one)
    assert mirror.run(one)["name"] == one.spec.path


async def test_who_is_not_prefect_is_named(mirror: Mirror) -> None:
    async with client(mirror.prefect.ui_url) as wrong:
        with pytest.raises((MirrorOff, RequestRefused)):
            await runs_module.Runs(wrong, mirror.deployments).show(scan_run(new_scan(), "als"))
        assert isinstance(wrong, PrefectServer)
