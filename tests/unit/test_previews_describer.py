"""Where a copy is read: the first place that has its very bytes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dichroism_crds.config import Endpoint
from dichroism_crds.kinds import Checksum, Copy, Scan
from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import Mover
from dichroism_operator.movers.errors import FileTrouble, MoverUnavailable
from dichroism_operator.movers.filesystem import FilesystemMover
from dichroism_operator.previews.describer import Describer, scans_of, sidecar_of, stem_of
from dichroism_operator.previews.places import CollectionReader, MountReader, Reader, readers_of
from dichroism_operator.previews.workers import Workers
from tests import samples
from tests.unit import scan_cases

CONTENT = samples.xmcd_pair_631(points=60).encode()
SIDECAR = b'{"Experiment": {"Proposal": "ALS-12345", "Sample": "Co film"}}'


class Collection:
    """Serves files over HTTPS, or does not."""

    def __init__(self, files: dict[str, bytes], trouble: Exception | None = None) -> None:
        self.files = files
        self.trouble = trouble
        self.asked: list[str] = []

    def read_https(self, endpoint: Endpoint, path: str, limit: int) -> bytes:
        self.asked.append(path)
        if self.trouble:
            raise self.trouble
        if path not in self.files:
            raise FileTrouble(Reason.SOURCE_MISSING, f"{path} is not there")
        return self.files[path]


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    pool = Workers(1)
    yield pool
    pool.close()


@pytest.fixture
def scan() -> Scan:
    return scan_cases.scan(size=len(CONTENT))


@pytest.fixture
def copy(scan: Scan) -> Copy:
    checksum = Checksum(value=hashlib.sha256(CONTENT).hexdigest())
    return scan_cases.copy("nersc402").model_copy(update={"size": len(CONTENT), "checksum": checksum})


def mount(folder: Path, name: str, content: bytes | None = CONTENT, sidecar: bytes | None = None) -> MountReader:
    """A mounted endpoint that holds the file of the cases."""
    file = folder / name / scan_cases.PATH
    file.parent.mkdir(parents=True)
    if content is not None:
        file.write_bytes(content)
    if sidecar is not None:
        (folder / name / sidecar_of(scan_cases.PATH)).write_bytes(sidecar)
    return MountReader(Endpoint(name=name, root_path=f"/site/{name}"), str(folder / name))


def describer(workers: Workers, *readers: Reader) -> Describer:
    return Describer({"BL402": readers}, workers, workers)


def test_the_first_place_that_has_the_file_is_read(tmp_path: Path, workers: Workers, scan: Scan, copy: Copy) -> None:
    told = describer(workers, mount(tmp_path, "nersc402", None), mount(tmp_path, "data402")).describe(scan, copy)
    assert told.description is not None
    assert told.differing == ()


def test_a_copy_that_is_another_content_is_told_and_the_next_place_is_read(
    tmp_path: Path, workers: Workers, scan: Scan, copy: Copy
) -> None:
    other = mount(tmp_path, "nersc402", CONTENT.replace(b"2017", b"2016"))
    told = describer(workers, other, mount(tmp_path, "data402")).describe(scan, copy)
    assert told.description is not None
    assert told.differing == (f"{scan_cases.PATH} by the mount of nersc402 has another checksum than recorded",)
    alone = describer(workers, other).describe(scan, copy)
    assert alone.description is None
    assert alone.differing == told.differing


def test_without_any_place_it_is_said_what_is_missing(workers: Workers, scan: Scan, copy: Copy) -> None:
    nowhere = describer(workers)
    assert not nowhere.can_read("BL402")
    assert "no mount" in (nowhere.describe(scan, copy).unread or "")


def test_a_collection_is_read_over_https_and_verified(workers: Workers, scan: Scan, copy: Copy) -> None:
    end = Endpoint(name="nersc402", root_path="/site/nersc402")
    served = Collection({scan_cases.PATH: CONTENT, sidecar_of(scan_cases.PATH): SIDECAR})
    told = describer(workers, CollectionReader(end, served)).describe(scan, copy).description
    assert told is not None
    assert (told.proposal, told.sidecar_unread) == ("ALS-12345", False)
    served.files = {scan_cases.PATH: CONTENT}
    told = describer(workers, CollectionReader(end, served)).describe(scan, copy).description
    assert told is not None
    assert (told.has_sidecar, told.sidecar_unread) == (False, False)
    served.files[scan_cases.PATH] = CONTENT[:-10]
    assert describer(workers, CollectionReader(end, served)).describe(scan, copy).differing


def test_a_collection_that_does_not_answer_leaves_it_open_whether_there_is_a_sidecar(
    tmp_path: Path, workers: Workers, scan: Scan, copy: Copy
) -> None:
    end = Endpoint(name="nersc402", root_path="/site/nersc402")
    down = CollectionReader(end, Collection({}, MoverUnavailable(Reason.ENDPOINT_UNAVAILABLE, "down")))
    told = describer(workers, mount(tmp_path, "nersc402"), down).describe(scan, copy).description
    assert told is not None
    assert told.sidecar_unread


def test_large_files_are_not_read_over_https(workers: Workers, scan: Scan, copy: Copy) -> None:
    served = Collection({})
    large = copy.model_copy(update={"size": 65 * 2**20})
    end = Endpoint(name="nersc402", root_path="/site/nersc402")
    told = describer(workers, CollectionReader(end, served)).describe(scan, large)
    assert "are more than" in (told.unread or "")
    assert scan_cases.PATH not in served.asked


def test_a_sidecar_on_any_mount_is_used(tmp_path: Path, workers: Workers, scan: Scan, copy: Copy) -> None:
    places = (mount(tmp_path, "nersc402"), mount(tmp_path, "data402", sidecar=SIDECAR))
    told = describer(workers, *places).describe(scan, copy).description
    assert told is not None
    assert (told.proposal, told.sample) == ("ALS-12345", "Co film")


def test_mounts_come_before_collections_and_the_destination_before_the_source() -> None:
    class Globus(Collection, FilesystemMover):
        """A mover that also serves files."""

        def __init__(self) -> None:
            Collection.__init__(self, {})

    config = scan_cases.config()
    config.endpoints["data402"] = Endpoint(name="data402", root_path="/site/data402", mount="/mnt/data402")
    movers: dict[str, Mover] = {"filesystem": Globus()}
    names = [reader.name for reader in readers_of(config.beamlines["BL402"], config, movers)]
    assert names == ["the mount of data402", "HTTPS of nersc402", "HTTPS of data402"]
    assert readers_of(scan_cases.config().beamlines["BL402"], scan_cases.config(), {}) == []


@pytest.mark.parametrize(
    ("path", "sidecar"),
    [
        ("2026/261122/TrajScan31914-1_0001.txt", "2026/261122/TrajScan31914-1_0001.sdc.json"),
        ("a.b/RT1norm_0041", "a.b/RT1norm_0041.sdc.json"),
        ("x/.hidden", "x/.hidden.sdc.json"),
        ("x/A.SDC.JSON", "x/A.sdc.json"),
    ],
)
def test_a_scan_and_its_sidecar_have_one_stem(path: str, sidecar: str) -> None:
    assert sidecar_of(path) == sidecar
    assert stem_of(path) == stem_of(sidecar)


def test_the_scan_of_a_sidecar_may_have_any_of_the_known_extensions() -> None:
    assert scans_of("a/TrajScan1.sdc.json") == ("a/TrajScan1.txt", "a/TrajScan1.fits", "a/TrajScan1")
