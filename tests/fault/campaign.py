"""Files of both beamlines that go through a site whatever happens to it, and what must be true of them at the end.

The checks read disk, tape, catalogue and cluster each by itself and with other means than the operator does.
"""

import hashlib
import itertools
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from dichroism_crds.kinds import SUCCEEDED, ConditionStatus, Copy, Scan, ScanPhase, Transfer
from dichroism_crds.names import OPERATOR_LEASE, PRIVATE_DIR
from tests.samples import sample_files
from tests.site import BEAMLINES, Program, Site

POINTS = 12
"""Per energy sweep; makes files of some 20 kB."""
Key = tuple[str, str]
"""Beamline and path."""


class WrittenFile(Protocol):
    """What a supply of files gives."""

    @property
    def path(self) -> str: ...
    @property
    def content(self) -> bytes: ...


@dataclass(frozen=True)
class Original:
    """A source file as it was written."""

    sha256: str
    size: int
    mtime_ns: int
    inode: int


def original_of(file: Path) -> Original:
    """What a file is now."""
    found = file.stat()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Original(digest, found.st_size, found.st_mtime_ns, found.st_ino)


class Campaign:
    """The files that were written so far. Every file must end in the same way as if nothing had happened."""

    def __init__(self, site: Site, seed: int = 0) -> None:
        self.site = site
        self.originals: dict[Key, Original] = {}
        self._supply = {name: self.files(name, seed) for name in BEAMLINES}

    def files(self, beamline: str, seed: int) -> Iterator[WrittenFile]:
        """The files of a beamline, without end."""
        return sample_files(beamline, seed, points=POINTS)

    def source(self, beamline: str) -> Path:
        """Acquisition folder."""
        return self.site.mount(f"data{BEAMLINES[beamline]}")

    def write(self, count: int) -> list[Key]:
        """Write the next ``count`` files of each beamline."""
        keys = []
        for beamline, supply in self._supply.items():
            for sample in itertools.islice(supply, count):
                file = self.source(beamline) / sample.path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(sample.content)
                key = (beamline, sample.path)
                self.originals[key] = original_of(file)
                keys.append(key)
        return keys

    def tell(self, keys: list[Key]) -> list[str]:
        """Create the Scans of files in one go; returns their names."""
        return self.site.create_scans([self.site.scan_body(beamline, path) for beamline, path in keys])

    def add(self, count: int) -> list[str]:
        """Write and tell ``count`` files of each beamline; returns the names of the Scans."""
        return self.tell(self.write(count))

    # what must be true

    def check(self) -> None:
        """Everything that must be true once all Scans have succeeded."""
        scans = {(scan.spec.beamline, scan.spec.path): scan for scan in self.site.objects(Scan)}
        assert scans.keys() == self.originals.keys()
        self._check_conditions(scans)
        self._check_sources()
        self._check_disk(scans)
        self._check_tape(scans)
        self._check_catalogue(scans)
        self._check_transfers(scans)
        self._check_prunes(scans)

    def _check_conditions(self, scans: dict[Key, Scan]) -> None:
        for key, scan in scans.items():
            assert {one.status for one in scan.status.conditions} == {ConditionStatus.TRUE}, key
            assert scan.status.phase == ScanPhase.PRUNE_SCHEDULED, key
            assert [copy.endpoint for copy in scan.status.copies] == [f"{place}{key[0][2:]}" for place in _PLACES]
            assert {copy.sha256 for copy in scan.status.copies} == {self.originals[key].sha256}, key

    def _check_sources(self) -> None:
        for (beamline, path), original in self.originals.items():
            assert original_of(self.source(beamline) / path) == original, f"the source {path} was touched"

    def _check_disk(self, scans: dict[Key, Scan]) -> None:
        """Exactly the files, byte for byte, under their final names; nothing was moved out of the way for another."""
        for beamline, number in BEAMLINES.items():
            root = self.site.mount(f"nersc{number}")
            expected = {path: one.sha256 for (name, path), one in self.originals.items() if name == beamline}
            assert dict(files_below(root)) == expected
            assert not list(root.glob(f"{PRIVATE_DIR}/superseded/*"))

    def _check_tape(self, scans: dict[Key, Scan]) -> None:
        """Every bundle is whole, and every file is in exactly one: the one that its Scan names."""
        for beamline, number in BEAMLINES.items():
            root = self.site.mount(f"hpss{number}")
            held = {bundle: members_of(root / bundle) for bundle, _ in files_below(root)}
            copies = Counter(member for members in held.values() for member in members)
            for (name, path), original in self.originals.items():
                if name != beamline:
                    continue
                copy = copy_on(scans[name, path], f"hpss{number}")
                assert held[copy.path][copy.member or ""] == original.sha256
                assert copies[copy.member or ""] == 1, f"{path} is in several bundles"

    def _check_catalogue(self, scans: dict[Key, Scan]) -> None:
        state = self.site.scicat.state()
        count = len(scans)
        assert (state["datasets"], state["origdatablocks"], state["datablocks"]) == (count, count, count)
        faults = ("duplicateOrigdatablocks", "filesInSeveralDatasets", "wrongCounters", "secretsInUrls")
        assert not any(state[fault] for fault in faults), {fault: state[fault] for fault in faults}
        for scan in scans.values():
            assert scan.status.dataset
            dataset = self.site.scicat.dataset(scan.status.dataset.pid)
            assert dataset is not None
            assert (len(dataset["origdatablocks"]), len(dataset["datablocks"])) == (1, 1), scan.spec.path

    def _check_transfers(self, scans: dict[Key, Scan]) -> None:
        """Every Transfer came to its end, and no two of them carried the same content on one hop."""
        transfers = self.site.transfers()
        assert all(transfer.finished for transfer in transfers)
        carried = Counter(delivery for transfer in transfers for delivery in deliveries(transfer))
        assert not [delivery for delivery, times in carried.items() if times > 1]
        assert len(carried) == len(scans) * len(_PLACES)

    def _check_prunes(self, scans: dict[Key, Scan]) -> None:
        """Every Scan stands in one Prune for each pruned endpoint: the one that it names."""
        standing: dict[tuple[str, str], list[str]] = defaultdict(list)
        for prune in self.site.prunes():
            assert prune.status.phase is not None, f"{prune.name} was never told"
            for item in prune.spec.items:
                standing[item.scan, prune.spec.endpoint.name].append(prune.name)
        named = {(scan.name, one.endpoint): [one.prune] for scan in scans.values() for one in scan.status.prune}
        assert standing == named
        assert len(named) == len(scans) * len(_PRUNED)


_PLACES = ("nersc", "hpss")
_PRUNED = ("data", "nersc")


def deliveries(transfer: Transfer) -> Iterator[tuple[str, str, int, str]]:
    """What a Transfer brought there and verified: destination, Scan, size and time of the content."""
    failed = {item.path for item in transfer.status.failed_items}
    for item in transfer.spec.items:
        if item.path not in failed:
            yield transfer.spec.destination, item.uid, item.size, item.modified_at.isoformat()


def files_below(root: Path) -> Iterator[tuple[str, str]]:
    """Path and sha256 of every file outside our private folder."""
    for file in sorted(root.rglob("*")):
        path = file.relative_to(root)
        if path.parts[0] != PRIVATE_DIR and not file.is_dir():
            yield str(path), hashlib.sha256(file.read_bytes()).hexdigest()


def members_of(bundle: Path) -> dict[str, str]:
    """sha256 of every member, read to the end; a bundle that is cut or broken raises."""
    with tarfile.open(bundle) as tar:
        found = {}
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            assert member.name not in found
            found[member.name] = hashlib.sha256(content.read()).hexdigest()
    return found


def copy_on(scan: Scan, endpoint: str) -> Copy:
    """The copy that a Scan records on an endpoint."""
    copy = scan.copy_on(endpoint)
    assert copy is not None, f"{scan.spec.path} has no copy on {endpoint}"
    return copy


def succeeded(scan: Scan) -> bool:
    """Whether every configured step of a Scan is done."""
    return scan.condition(SUCCEEDED).status == ConditionStatus.TRUE


class OperatedCampaign(Campaign):
    """A campaign with one operator at a time, which is killed, and started again whenever it is needed."""

    environment: ClassVar[dict[str, str]] = {"DICHROISM_LEASE_SECONDS": "20"}
    """Of the operator, which so keeps its Lease on a slow machine."""

    def __init__(self, site: Site, seed: int) -> None:
        super().__init__(site, seed)
        self.operator: Program | None = None

    def start(self, **environment: str) -> Program:
        """Start an operator. The Lease of a killed one is taken away, as if its time were over."""
        self.site.cluster.kubectl("delete", "lease", OPERATOR_LEASE, "-n", self.site.namespace, "--ignore-not-found")
        program = self.site.operator(f"operator-{len(self.site.programs):03d}")
        self.operator = program.start(**self.environment, **environment)
        return self.operator

    def running(self) -> Program:
        """The operator; started when there is none, or when a slow machine made it lose its Lease."""
        if self.operator is None or not self.operator.running:
            self.start()
        assert self.operator is not None
        return self.operator
