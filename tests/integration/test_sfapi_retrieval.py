"""Members come back from tape by a job: whole, compared, and once for each wish."""

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import to_ns
from dichroism_operator.movers.base import CopyState
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.retrieval import Retrieval, Retrieved, Wanted, Wish
from dichroism_operator.movers.sfapi.mover import SfapiMover
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


def wanted(name: str, content: bytes | None = None) -> Wanted:
    content = name.encode() if content is None else content
    return Wanted(f"2026/{name}", len(content), sha256(content))


def wish(hop: SfapiHop, members: Sequence[Wanted], bundle: str = BUNDLE) -> Wish:
    return Wish(hop.destination, bundle, tuple(members))


def done(mover: SfapiMover, asked: Wish) -> Retrieved:
    deadline = time.monotonic() + 120
    found = mover.retrievals.begin(asked)
    while found.state == Retrieval.ACTIVE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        found = mover.retrievals.look([asked])[asked.key]
    return found


def everything(hop: SfapiHop) -> Wish:
    return wish(hop, [wanted(name) for name in AWKWARD_NAMES])


def require_all(hop: SfapiHop, found: Retrieved) -> None:
    assert {one.state for one in found.members.values()} == {CopyState.VERIFIED}
    for name in AWKWARD_NAMES:
        brought = found.members[f"2026/{name}"]
        for file in (hop.source_root / brought.path, Path(found.folder) / "2026" / name):
            assert file.read_bytes() == name.encode()
            assert file.stat().st_mtime_ns // 1000 == to_ns(MOMENT) // 1000 == brought.modified_us


def test_every_name_comes_back_byte_for_byte_with_its_time_in_one_job(hop: SfapiHop, service: SfapiEmulator) -> None:
    before = len(service.jobs())
    found = done(hop.sfapi, everything(hop))
    require_all(hop, found)
    assert found.near
    one = found.members["2026/-rf"]
    assert hop.sfapi.retrievals.read(found.near, one.path, 3) == b"-rf"
    assert hop.sfapi.retrievals.begin(everything(hop)) == found
    assert len(service.jobs()) == before + 1


def test_what_is_not_there_or_another_content_is_told_and_asked_of_tape_again(hop: SfapiHop) -> None:
    asked = wish(hop, [wanted("gone"), wanted("--help", b"other!"), wanted("-rf")])
    found = done(hop.sfapi, asked)
    assert [one.state for one in found.members.values()] == [
        CopyState.MISSING,
        CopyState.DIFFERS,
        CopyState.VERIFIED,
    ]
    assert hop.sfapi.retrievals.begin(asked).state == Retrieval.ACTIVE
    nowhere = done(hop.sfapi, wish(hop, [wanted("-rf")], "2026/none.tar"))
    assert "not on tape" in nowhere.message
    assert nowhere.members["2026/-rf"].state == CopyState.MISSING


def test_what_people_cleaned_up_or_changed_is_brought_anew(hop: SfapiHop, service: SfapiEmulator) -> None:
    first = done(hop.sfapi, everything(hop))
    file = hop.source_root / first.members["2026/-rf"].path
    for loss in ("file", "folder", "content"):
        if loss == "file":
            file.unlink()
        elif loss == "folder":
            shutil.rmtree(hop.source_root / ".dichroism/restored")
        else:
            file.write_bytes(b"-RF")
            hop.sfapi.retrievals.spoilt(everything(hop))
        before = len(service.jobs())
        require_all(hop, done(hop.sfapi, everything(hop)))
        assert len(service.jobs()) == before + 1, loss


def test_a_damaged_bundle_gives_what_can_be_read(hop: SfapiHop) -> None:
    tar = next(hop.destination_root.rglob("*.tar"))
    tar.write_bytes(tar.read_bytes().replace(b"--help\0\0\0\0", b"--HELP\0\0\0\0"))
    states = {path: one.state for path, one in done(hop.sfapi, everything(hop)).members.items()}
    assert states["2026/--help"] != CopyState.VERIFIED
    assert CopyState.VERIFIED in states.values()


def test_the_end_of_a_job_is_told_with_what_to_do_and_the_next_one_goes_on(
    hop: SfapiHop, service: SfapiEmulator
) -> None:
    ends = {"NODE_FAIL": "NODE_FAIL", "TIMEOUT": "sfapi.time_limit", "CANCELLED by 1001": "somebody canceled it"}
    for state, said in ends.items():
        service.fault("end-job", state=state)
        ended = done(hop.sfapi, everything(hop))
        assert ended.state == Retrieval.FAILED
        assert said in ended.message
        assert "Run the same command again" in ended.message
    require_all(hop, done(hop.sfapi, everything(hop)))


def test_an_archive_in_maintenance_is_told_and_its_end_is_not_forgotten(hop: SfapiHop, service: SfapiEmulator) -> None:
    service.tape_down(True)
    ended = done(hop.sfapi, everything(hop))
    assert ended.state == Retrieval.FAILED
    assert "maintenance" in ended.message
    assert "again when the tape archive is back" in ended.message
    service.tape_down(False)
    service.fault("end-job", state="CANCELLED by 1001")
    assert "somebody canceled it" in done(hop.sfapi, everything(hop)).message
    require_all(hop, done(hop.sfapi, everything(hop)))


def test_a_path_that_would_lead_elsewhere_is_refused(hop: SfapiHop, service: SfapiEmulator) -> None:
    with pytest.raises(ValueError, match="path"):
        hop.sfapi.retrievals.begin(wish(hop, [Wanted("../x", 1, sha256(b"x"))]))
    with pytest.raises(FileNotFoundError):
        hop.sfapi.retrievals.read(hop.source, "gone.txt", 1)
    service.stop()
    with pytest.raises(MoverUnavailable):
        hop.sfapi.retrievals.begin(everything(hop))
    service.start()
