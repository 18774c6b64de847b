"""What the sweep collects: Scans that a person gave up, and no finished one before its time."""

from typing import Any

from dichroism_crds.kinds import Scan, ScanPhase
from dichroism_crds.names import ANNOTATION_ABANDON
from tests.fault.campaign import Campaign
from tests.fault.conftest import quick
from tests.fault.supervisor import LEASE_SECONDS, Supervisor
from tests.site import Site

FOLDER = "2026/history"
CONTENT: dict[str, Any] = {"size": 3, "modifiedAt": "2026-11-22T17:03:11.123456Z"}


def test_only_what_is_given_up_or_past_its_time_is_collected(site: Site) -> None:
    site.install(quick(site, history={"scans": "24h", "keep": 0}))
    campaign = Campaign(site)
    lost, kept, refused = (f"{FOLDER}/{one}.txt" for one in ("lost", "kept", "refused"))
    with Supervisor(site.operator(), DICHROISM_LEASE_SECONDS=LEASE_SECONDS, DICHROISM_SWEEP_SECONDS="1"):
        done = campaign.add(2)
        names = site.create_scans(
            [
                site.scan_body("BL402", lost, **CONTENT),
                site.scan_body("BL402", kept, **CONTENT),
                site.scan_body("BL402", refused, exportControlled=True, **CONTENT),
            ]
        )
        for path, phase in ((lost, ScanPhase.FAILED), (kept, ScanPhase.FAILED), (refused, ScanPhase.REFUSED)):
            site.wait_for_phase(path, phase)
        site.wait_until_succeeded(len(done))
        for name in (names[0], names[2], done[0]):
            site.annotate(name, ANNOTATION_ABANDON, "measured again")

        def left() -> set[str]:
            return {scan.name for scan in site.objects(Scan)}

        site.wait_for(lambda: not left() & {names[0], names[2]}, "what was given up is collected")
    # Finished Scans stay a day whatever the limits say, and what succeeded cannot be given up.
    assert left() == {names[1], *done}
