"""Files of all kinds reach the catalogue once each, with all that is known of them, whatever happens on the way.

The real operator, API server and files; the catalogue is the emulator, which loses answers, refuses, forgets logins,
goes down, is upgraded from one generation to the next, and has datasets deleted by hand. CHAOS=full: 1,000 files.
"""

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dichroism_crds.kinds import Scan
from dichroism_crds.names import ANNOTATION_RETRY
from tests.cluster import Cluster
from tests.emulators.scicat.faults import Fault
from tests.fault.campaign import Campaign, Key, WrittenFile, copy_on, succeeded
from tests.fault.conftest import quick
from tests.fault.mischief import Mischief
from tests.fault.supervisor import LEASE_SECONDS
from tests.fault.test_kills import killed_at
from tests.fault.test_two_operators import leads
from tests.samples import KINDS, mixed_files
from tests.site import BEAMLINES, Program, Site, open_site

POINTS = 12
"""Of an energy sweep."""
ATTEMPTS = 12
"""A refusal in mid-sequence counts as the Scan's own, and chance may refuse the same one several times."""
OLD, NEW = "4.27", "5.2"
KNOWN = ("beamline",)
"""What the metadata of any file say, be it readable or not."""


class MixedCampaign(Campaign):
    """A campaign with files of every kind; remembers which is of which."""

    def __init__(self, site: Site, seed: int) -> None:
        self.kinds: dict[Key, str] = {}
        super().__init__(site, seed)

    def files(self, beamline: str, seed: int) -> Iterator[WrittenFile]:
        for file in mixed_files(beamline, seed, points=POINTS):
            self.kinds[beamline, file.path] = file.kind
            yield file


class Chaos:
    """The campaign, its catalogue's faults, and what happens between the waves."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site = site
        self.rng = random.Random(seed)
        self.campaign = MixedCampaign(site, seed)
        self.mischief = Mischief(site.scicat, self.rng)
        self.happened: Counter[str] = Counter()
        self.tokens: dict[str, str] = {}
        """Retries that were asked for, by Scan."""
        self.unpublished: set[str] = set()
        """What operator or emulator sent that SciCat does not publish, and secrets in URLs."""

    def wave(self, count: int) -> None:
        """Write and tell ``count`` files of each beamline, faults about them included."""
        keys = self.campaign.write(count)
        bodies = [self.site.scan_body(beamline, path) for beamline, path in keys]
        self.mischief.prepare(body["metadata"]["name"] for body in bodies)
        self.site.create_scans(bodies)

    def operator(self) -> Program:
        """A new operator, not started."""
        return self.site.operator(f"operator-{len(self.site.programs):03d}")

    def look(self) -> None:
        """Note what the catalogue's log says, which does not survive its restart."""
        state = self.site.scicat.state()
        self.unpublished.update(state["unpublishedRequests"], state["unpublishedAnswers"])
        self.unpublished.update(["a secret in a URL"] * min(1, state["secretsInUrls"]))
        self.happened["requests"] += sum(state["requests"].values())

    # what happens, each with work in flight

    def killed(self, point: str, longest: int) -> None:
        """The operator dies right after a write to the catalogue, before anybody knows of it."""
        killed_at(self.site, self.operator(), f"{point}:{self.rng.randint(1, longest)}")
        self.happened[f"operator killed at {point}"] += 1

    def outage(self, backend: str) -> None:
        """The catalogue goes down with work in flight and is back a day later: every login has expired by then.

        Two operators run; the one that works is killed meanwhile and the other goes on. ``backend`` is the generation
        of the catalogue from then on.
        """
        both = [self.operator().start(DICHROISM_LEASE_SECONDS=LEASE_SECONDS) for _ in range(2)]
        self.site.wait_for(lambda: any(map(leads, both)), "one of two works")
        time.sleep(self.rng.uniform(0, 2))
        left = self.site.scicat.faults()
        self.look()
        self.site.scicat.kill()
        self.happened["catalogue down for a day"] += 1
        first = next(filter(leads, both))
        other = next(one for one in both if one is not first)
        time.sleep(self.rng.uniform(0, 1))
        first.kill()
        self.site.wait_for(lambda: leads(other), "the other takes over")
        self.happened["one of two operators killed"] += 1
        if backend != self.site.scicat.settings.backend:
            self.site.scicat.settings = replace(self.site.scicat.settings, backend=backend)
            self.happened[f"catalogue upgraded to {backend}"] += 1
        self.site.scicat.start()
        self.site.scicat.expire_tokens()
        self.site.scicat.plan(map(Fault.from_json, left))
        time.sleep(self.rng.uniform(1, 3))
        other.kill()

    def removed_by_hand(self) -> None:
        """Somebody deletes datasets with all that belongs to them, and asks for the step again."""
        done = sorted((one for one in self.site.scans().values() if succeeded(one)), key=lambda one: one.name)
        for scan in self.rng.sample(done, min(2, len(done))):
            assert scan.status.dataset
            token = f"removed-{self.happened['dataset deleted by hand']}"
            self.site.scicat.remove(scan.status.dataset.pid)
            self.site.annotate(scan.name, ANNOTATION_RETRY, f"Catalogued@{token}")
            self.tokens[scan.name] = token
            self.happened["dataset deleted by hand"] += 1

    def settle(self, seconds: float) -> dict[Key, Scan]:
        """Let an operator run until everything is done that was asked for, pictures included."""
        self.mischief.spare_pictures()
        operator = self.operator().start(DICHROISM_LEASE_SECONDS=LEASE_SECONDS)
        self.site.wait_until_succeeded(len(self.campaign.originals), seconds)
        self.site.wait_for(lambda: not any(map(self.open, self.site.objects(Scan))), "all is settled", seconds)
        self.site.wait_for(lambda: all(one.finished for one in self.site.transfers()), "every Transfer is finished")
        assert operator.stop() == 0
        self.mischief.close()
        self.look()
        return {(one.spec.beamline, one.spec.path): one for one in self.site.objects(Scan)}

    def open(self, scan: Scan) -> bool:
        """Whether a step, a retry or the picture of a Scan is still to come."""
        asked = scan.name in self.tokens and scan.status.last_handled_retry != f"Catalogued@{self.tokens[scan.name]}"
        told = scan.status.dataset is not None and scan.status.dataset.quick_look is not None
        return asked or not told or not succeeded(scan)


def wrong_of(scan: Scan, dataset: dict[str, Any]) -> Iterator[str]:
    """What the dataset of a Scan says wrongly about files, copies and lifecycle."""
    beamline, size = scan.spec.beamline, scan.spec.size
    tape = copy_on(scan, f"hpss{BEAMLINES[beamline]}")
    counters = {"numberOfFiles": 1, "size": size, "numberOfFilesArchived": 1, "packedSize": tape.size}
    yield from (name for name, value in counters.items() if dataset[name] != value)
    yield from (kind for kind in ("origdatablocks", "datablocks") if len(dataset[kind]) != 1)
    lifecycle = dataset["datasetlifecycle"]
    expected = {"archivable": False, "retrievable": False, "archiveStatusMessage": "datasetOnArchiveDisk"}
    yield from (name for name, value in expected.items() if lifecycle[name] != value)
    if not lifecycle["storageLocation"].endswith(tape.path):
        yield "storageLocation"
    if len(dataset["attachments"]) > 1:
        yield "several pictures"


def ill_described(scan: Scan, kind_name: str, dataset: dict[str, Any]) -> Iterator[str]:
    """What the dataset of a Scan says wrongly about what is in the file."""
    kind = KINDS[scan.spec.beamline][kind_name]
    metadata = dataset["scientificMetadata"]
    if any(name not in metadata for name in KNOWN):
        yield "beamline"
    if ("file_format" in metadata) != kind.readable:
        yield "metadata"
    if bool(dataset["techniques"]) != kind.techniques:
        yield "techniques"
    assert scan.status.dataset
    if (scan.status.dataset.quick_look == "attached") != (len(dataset["attachments"]) == 1):
        yield "quickLook"


def check(chaos: Chaos, scans: dict[Key, Scan]) -> None:
    """Besides what is true of every campaign: each dataset says what is known of its file and of its copies."""
    chaos.campaign.check()
    datasets = {one["pid"]: one for one in chaos.site.scicat.datasets()}
    wrong: dict[str, list[str]] = {}
    for key, scan in scans.items():
        assert scan.status.dataset
        dataset = datasets[scan.status.dataset.pid]
        found = [*wrong_of(scan, dataset), *ill_described(scan, chaos.campaign.kinds[key], dataset)]
        if found:
            wrong[f"{key} ({chaos.campaign.kinds[key]})"] = found
    assert wrong == {}
    assert chaos.unpublished == set()


def table(chaos: Chaos) -> str:
    """Counts, for people."""
    state = chaos.site.scicat.state()
    counted = ("datasets", "origdatablocks", "datablocks", "attachments")
    rows = [("Scans", len(chaos.campaign.originals)), *((name, state[name]) for name in counted)]
    rows += sorted(chaos.happened.items()) + sorted((+chaos.mischief.hit).items())
    return "\n".join(f"{count:7d}  {what}" for what, count in rows)


@pytest.fixture
def mixed_site(cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    """A site with a catalogue of the older generation; chart installed, nothing else started."""
    with open_site(cluster, tmp_path) as opened:
        opened.scicat.settings = replace(opened.scicat.settings, backend=OLD)
        opened.install(quick(opened, attempts=ATTEMPTS))
        yield opened


@pytest.mark.timeout(5400)
def test_every_file_of_any_kind_ends_as_one_dataset_that_is_right(
    mixed_site: Site, tables: dict[str, str], full: bool
) -> None:
    chaos = Chaos(mixed_site, seed=20261122)
    per_wave, waves = (10, 50) if full else (7, 4)
    for number in range(waves):
        chaos.wave(per_wave)
        match number % 4:
            case 0:
                chaos.killed("dataset-written", per_wave)
            case 1:
                chaos.killed("archive-recorded", per_wave // 2)
            case 2:
                chaos.killed("picture-attached", per_wave // 2)
            case _:
                chaos.outage(backend=NEW if number >= waves // 2 else OLD)
        if number and (not full or number % 4 == 0):
            chaos.removed_by_hand()
    scans = chaos.settle(seconds=1800 if full else 180)
    tables["catalogue"] = table(chaos)
    check(chaos, scans)
    assert len(scans) == 2 * per_wave * waves
