"""A proposal that a person sets later reaches the catalogue, whatever the operator is doing at that moment."""

import random
import time
from dataclasses import replace
from pathlib import Path

from tests.cluster import Cluster
from tests.emulators.scicat.process import INGESTOR
from tests.emulators.scicat.settings import ingest_site
from tests.fault.campaign import Campaign, succeeded
from tests.fault.conftest import quick
from tests.fault.supervisor import LEASE_SECONDS, Supervisor
from tests.site import open_site

COUNT = 8


def test_a_proposal_set_at_any_moment_reaches_the_catalogue_and_nothing_else_is_done_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    rng = random.Random(3)
    with open_site(cluster, tmp_path) as site:
        # Only an administrator may change what a dataset says of its proposal.
        site.scicat.settings = ingest_site([replace(INGESTOR, groups=(*INGESTOR.groups, "admin"))])
        site.install(quick(site))
        campaign = Campaign(site)
        with Supervisor(site.operator(), DICHROISM_LEASE_SECONDS=LEASE_SECONDS):
            proposals = {name: f"ALS-{number:05d}" for number, name in enumerate(campaign.add(COUNT))}
            for name, proposal in proposals.items():
                site.patch_scan(name, proposal=proposal)
                time.sleep(rng.uniform(0, 0.6))

            def catalogued() -> bool:
                scans = site.scans().values()
                return (
                    all(succeeded(scan) for scan in scans)
                    and {
                        scan.name: (site.scicat.dataset(scan.status.dataset.pid) or {}).get("proposalId")
                        for scan in scans
                        if scan.status.dataset
                    }
                    == proposals
                )

            site.wait_for(catalogued, "the catalogue has every proposal")
            site.wait_for(lambda: all(one.finished for one in site.transfers()), "every Transfer is finished")
        campaign.check()
