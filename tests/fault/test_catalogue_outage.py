"""The catalogue is down or refuses us: copies go on, no file is blamed, and everything is caught up afterwards."""

from pathlib import Path

from dichroism_crds.kinds import ConditionStatus, Scan, Step
from dichroism_crds.reasons import EventReason, Reason
from tests.emulators.scicat.faults import Action
from tests.fault.campaign import Campaign
from tests.fault.supervisor import LEASE_SECONDS, Supervisor
from tests.site import Program, Site

COUNT = 5


def archived_but_for_the_catalogue(site: Site, reason: Reason) -> list[Scan] | None:
    """All Scans, once each is on tape and the catalogue step shows the outage somewhere."""
    scans = [*site.scans().values()]
    told = any(scan.condition(Step.CATALOGUED).reason == reason for scan in scans)
    on_tape = all(scan.condition(Step.ARCHIVED).status == ConditionStatus.TRUE for scan in scans)
    return scans if told and on_tape else None


def check_nobody_is_blamed(site: Site, scans: list[Scan], reason: Reason) -> None:
    assert all(scan.status.attempts.catalogued == 0 for scan in scans)
    assert all(scan.condition(Step.CATALOGUED).status == ConditionStatus.UNKNOWN for scan in scans)
    waiting = [scan for scan in scans if scan.condition(Step.CATALOGUED).reason == reason]
    assert all(reason in scan.status.message or scan.condition(Step.CATALOGUED).message for scan in waiting)
    events = [site.events(scan.name).get(EventReason.LANE_PAUSED, "") for scan in waiting]
    assert any(reason in message for message in events)


def test_copies_and_tape_go_on_while_the_catalogue_is_down_and_it_catches_up(site: Site) -> None:
    campaign = Campaign(site)
    with Supervisor(site.operator(), DICHROISM_LEASE_SECONDS=LEASE_SECONDS) as supervisor:
        campaign.add(COUNT)
        site.wait_for(lambda: site.scicat.state()["datasets"], "the catalogue is in use")
        site.scicat.kill()
        campaign.add(COUNT)
        reason = Reason.CATALOGUE_UNAVAILABLE
        scans = site.wait_for(lambda: archived_but_for_the_catalogue(site, reason), "all is on tape")
        check_nobody_is_blamed(site, [one for one in scans if one.status.dataset is None], reason)
        site.scicat.start()
        for action in (Action.DROP_AFTER, Action.STATUS, Action.HTML):
            site.scicat.fault(action, method="POST|PATCH", path="[Dd]ata", skip=3, status=503)
        site.wait_until_succeeded(len(campaign.originals))
        site.wait_for(lambda: all(one.finished for one in site.transfers()), "every Transfer is finished")
    assert not site.scicat.faults()
    campaign.check()
    assert not supervisor.exit_codes


def test_a_wrong_password_stops_the_catalogue_alone_and_the_right_one_is_taken_up(site: Site, tmp_path: Path) -> None:
    campaign = Campaign(site)
    password = tmp_path / "password"
    password.write_text("not-the-password\n")
    operator: Program = site.operator()
    with Supervisor(operator, SCICAT_PASSWORD_FILE=str(password), DICHROISM_LEASE_SECONDS=LEASE_SECONDS):
        campaign.add(COUNT)
        reason = Reason.CATALOGUE_LOGIN_FAILED
        scans = site.wait_for(lambda: archived_but_for_the_catalogue(site, reason), "all is on tape")
        check_nobody_is_blamed(site, scans, reason)
        assert site.scicat.state()["datasets"] == 0
        password.write_text(site.scicat.account.password)
        site.wait_until_succeeded(len(campaign.originals))
        site.wait_for(lambda: all(one.finished for one in site.transfers()), "every Transfer is finished")
    campaign.check()
    for secret in ("not-the-password", site.scicat.account.password):
        assert secret not in operator.words()
