"""Members come back from tape by a job: whole, compared, and once for each key."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import to_ns
from dichroism_operator.movers.base import CopyState, CopyToVerify
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.retrieval import Retrieval, Retrieved
from tests.emulators.sfapi.process import SfapiEmulator
from tests.integration.sfapi_hop import SfapiHop, new_hop
from tests.unit.mover_contract import AWKWARD_NAMES, BUNDLE, MANIFEST, MOMENT, reasons, sha256


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SfapiEmulator]:
    with SfapiEmulator(tmp_path_factory.mktemp("sfapi")) as started:
        yield started


@pytest.fixture
def hop(service: SfapiEmulator, tmp_path: Path) -> Iterator[SfapiHop]:
    """A bundle on tape; what it was made of is gone, and its manifest too."""
    hop = new_hop(service, tmp_path)
    with hop.sfapi:
        items = [hop.put(f"2026/{name}", name.encode()) for name in AWKWARD_NAMES]
        assert set(reasons(hop.run(*items, bundle=BUNDLE)).values()) == {Reason.COPIED}
        for item in items:
            (hop.source_root / item.path).unlink()
        (hop.source_root / MANIFEST).unlink()
        yield hop
    service.clear_faults()


def done(hop: SfapiHop, key: str, members: Sequence[CopyToVerify], bundle: str = BUNDLE) -> Retrieved:
    deadline = time.monotonic() + 120
    while (found := hop.sfapi.retrieve(hop.destination, key, bundle, members)).state == Retrieval.ACTIVE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def wanted(name: str, content: bytes | None = None) -> CopyToVerify:
    content = name.encode() if content is None else content
    return CopyToVerify(f"2026/{name}", len(content), sha256(content), bundle=BUNDLE)


def test_every_name_comes_back_byte_for_byte_with_its_time(hop: SfapiHop, service: SfapiEmulator) -> None:
    before = len(service.jobs())
    found = done(hop, "all", [wanted(name) for name in AWKWARD_NAMES])
    assert set(found.states.values()) == {CopyState.VERIFIED}
    for name in AWKWARD_NAMES:
        file = hop.source_root / found.folder / "members" / "2026" / name
        assert file.read_bytes() == name.encode()
        assert file.stat().st_mtime_ns // 1000 == to_ns(MOMENT) // 1000
    assert hop.sfapi.read(hop.source, f"{found.folder}/MANIFEST.tsv").startswith(b"path\tsize\t")
    assert done(hop, "all", [wanted(name) for name in AWKWARD_NAMES]) == found
    assert len(service.jobs()) == before + 1


def test_what_is_not_there_or_another_content_is_told(hop: SfapiHop) -> None:
    unknown = CopyToVerify("2026/-rf", -1, "", bundle=BUNDLE)
    found = done(hop, "some", [wanted("gone"), wanted("--help", b"other!"), unknown])
    assert found.states == {
        "2026/gone": CopyState.MISSING,
        "2026/--help": CopyState.DIFFERS,
        "2026/-rf": CopyState.VERIFIED,
    }
    assert done(hop, "none", [wanted("-rf")], "2026/none.tar").states == {"2026/-rf": CopyState.MISSING}


def test_the_manifest_comes_back_and_the_bundles_are_listed(hop: SfapiHop) -> None:
    found = done(hop, "manifest", [])
    manifest = (hop.source_root / found.folder / "MANIFEST.tsv").read_text()
    assert len(manifest.removesuffix("\n").split("\n")) == 1 + len(AWKWARD_NAMES)
    state, names = hop.sfapi.list_bundles(hop.destination, "list")
    while state.state == Retrieval.ACTIVE:
        time.sleep(0.05)
        state, names = hop.sfapi.list_bundles(hop.destination, "list")
    assert names == [BUNDLE]


def test_an_archive_in_maintenance_is_waited_for(hop: SfapiHop, service: SfapiEmulator) -> None:
    service.tape_down(True)
    assert hop.sfapi.retrieve(hop.destination, "later", BUNDLE, []).state == Retrieval.ACTIVE
    service.wait_for_jobs()
    assert "maintenance" in hop.sfapi.retrieve(hop.destination, "later", BUNDLE, []).message
    service.tape_down(False)
    assert done(hop, "later", []).state == Retrieval.DONE


def test_a_path_that_would_lead_elsewhere_is_refused(hop: SfapiHop, service: SfapiEmulator) -> None:
    with pytest.raises(ValueError, match="path"):
        hop.sfapi.retrieve(hop.destination, "bad", BUNDLE, [CopyToVerify("../x", 1, "", bundle=BUNDLE)])
    with pytest.raises(ValueError, match="key"):
        hop.sfapi.retrieve(hop.destination, "../bad", BUNDLE, [])
    with pytest.raises(FileNotFoundError):
        hop.sfapi.read(hop.source, "gone.txt")
    service.stop()
    with pytest.raises(MoverUnavailable):
        hop.sfapi.retrieve(hop.destination, "down", BUNDLE, [])
    service.start()
