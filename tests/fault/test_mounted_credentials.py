"""Credentials as the chart mounts them: what a missing key does. And that nothing the programs write fights Git."""

from pathlib import Path

from dichroism_crds.kinds import ConditionStatus, Scan, Step
from dichroism_crds.names import GROUP
from dichroism_crds.reasons import EventReason, Reason
from dichroism_operator.credentials import FOLDER
from tests.fault.campaign import Campaign
from tests.fault.supervisor import LEASE_SECONDS, Supervisor
from tests.site import Site


def waiting_for_login(site: Site) -> list[Scan] | None:
    """All Scans, once each is on tape and one says that the catalogue step has no login."""
    scans = [*site.scans().values()]
    told = [one for one in scans if one.condition(Step.CATALOGUED).reason == Reason.CATALOGUE_LOGIN_FAILED]
    on_tape = all(one.condition(Step.ARCHIVED).status == ConditionStatus.TRUE for one in scans)
    return told if told and on_tape else None


def test_a_key_that_the_secret_lacks_is_named_and_counts_once_it_is_there(site: Site, tmp_path: Path) -> None:
    campaign = Campaign(site)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "SCICAT_USERNAME").write_text(site.scicat.account.username)
    mounted = {FOLDER: str(secret), "SCICAT_USERNAME": "", "SCICAT_PASSWORD": ""}
    with Supervisor(site.operator(), DICHROISM_LEASE_SECONDS=LEASE_SECONDS, **mounted) as supervisor:
        campaign.add(3)
        (told, *_) = site.wait_for(lambda: waiting_for_login(site), "all is on tape, the catalogue waits")
        assert "no key SCICAT_PASSWORD" in told.condition(Step.CATALOGUED).message
        paused = site.events(told.name).get(EventReason.LANE_PAUSED, "")
        assert not paused or "no key SCICAT_PASSWORD" in paused
        (secret / "SCICAT_PASSWORD").write_text(site.scicat.account.password)
        site.wait_until_succeeded(len(campaign.originals))
    assert not supervisor.exit_codes, "no crash, no restart"
    check_nothing_fights_git(site)


def check_nothing_fights_git(site: Site) -> None:
    """Tools for GitOps find what belongs to a release by labels, annotations and owners: our objects have none."""
    written = [*site.scans().values(), *site.transfers(), *site.prunes()]
    assert len({type(one) for one in written}) == 3
    for one in written:
        metadata = one.to_wire()["metadata"]
        assert "ownerReferences" not in metadata
        marks = {*metadata.get("labels", {}), *metadata.get("annotations", {})}
        assert all(mark.startswith(f"{GROUP}/") for mark in marks), marks
