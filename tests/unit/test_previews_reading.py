"""Only the bytes of the recorded copy are described, whatever lies where it should be."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from dichroism_operator.previews import reading
from dichroism_operator.previews.jobs import Description, Job, Place, Source
from dichroism_operator.previews.reading import OtherContentError, UnreadError, carry_out, read_copy
from tests import samples
from tests.samples import variants

CONTENT = samples.xmcd_pair_631(points=60).encode()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PATH = "2026/261122/TrajScan31914-1_0001.txt"
SIDECAR = b'{"Experiment": {"Proposal": "ALS-12345", "Sample": "Co film"}}'


def job(source: Source, **changes: object) -> Job:
    values: dict[str, object] = {"size": len(CONTENT), "sha256": SHA256, "beamline": "BL631", "path": PATH}
    return Job(source, **(values | changes))  # type: ignore[arg-type]


def described(one: Job) -> Description:
    answer = carry_out(one)
    assert answer.description is not None, answer.unread
    return answer.description


@pytest.fixture
def place(tmp_path: Path) -> Place:
    file = tmp_path / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    return Place(str(tmp_path), PATH)


def test_a_copy_is_described_without_a_picture_and_drawn_with_one(place: Place) -> None:
    told = described(job(place))
    assert told.metadata["element"] == "Co"
    assert told.keywords == ("Co", "Co L3", "XMCD", "TEY")
    assert told.start_time is not None
    assert (told.drawable, told.png, told.problem) == (True, None, None)
    drawn = described(job(place, picture=True))
    assert drawn.png is not None
    assert drawn.headline.startswith("Co")


def test_every_key_that_is_told_is_in_the_list_of_ours(place: Place) -> None:
    contents = [
        CONTENT,
        samples.hysteresis_402().encode(),
        samples.xmld_402(points=60).encode(),
        variants.timescan().encode(),
        variants.header_data().encode(),
        variants.flying_sigscan_402().encode(),
        variants.main_server_402(points=60).encode(),
        variants.fits_image([("SAMPLE", "'Co film'")]),
        b"hello",
    ]
    for content in contents:
        told = described(job(content, size=len(content), sha256=None, sidecars=(SIDECAR,)))
        assert set(told.metadata) <= told.fields


def test_bytes_in_memory_are_verified_too() -> None:
    assert described(job(CONTENT)).metadata["scan_number"] == 31914
    answer = carry_out(job(CONTENT[:-1]))
    assert answer.differs
    assert answer.unread == f"has {len(CONTENT) - 1} bytes where {len(CONTENT)} are recorded"


def test_another_content_of_the_same_size_is_not_described(tmp_path: Path, place: Place) -> None:
    (tmp_path / PATH).write_bytes(CONTENT.replace(b"2017", b"2018"))
    answer = carry_out(job(place))
    assert (answer.description, answer.differs) == (None, True)
    assert answer.unread == "has another checksum than recorded"


def test_without_a_recorded_checksum_the_size_decides(tmp_path: Path, place: Place) -> None:
    (tmp_path / PATH).write_bytes(CONTENT.replace(b"2017", b"2018"))
    assert described(job(place, sha256=None)).metadata["element"] == "Co"


@pytest.mark.parametrize("kind", ["missing", "link", "folder", "pipe", "unmounted"])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, place: Place, kind: str) -> None:
    file = tmp_path / PATH
    file.rename(tmp_path / "elsewhere")
    match kind:
        case "link":
            file.symlink_to(tmp_path / "elsewhere")
        case "folder":
            file.mkdir()
        case "pipe":
            os.mkfifo(file)
        case "unmounted":
            place = Place(str(tmp_path / "gone"), PATH)
    answer = carry_out(job(place))
    assert (answer.description, answer.differs) == (None, False)
    assert "cannot be opened" in (answer.unread or "")


def test_a_file_that_is_no_scan_is_described_by_its_name_and_the_reason() -> None:
    told = described(job(b"\x00" * 1000, size=1000, sha256=None))
    assert told.metadata["scan_number"] == 31914
    assert "no scan file" in (told.problem or "")
    assert not told.drawable


def test_a_long_file_is_hashed_to_its_end_and_kept_from_its_start(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "KEPT", 20_000)
    assert read_copy(place, len(CONTENT), SHA256) == CONTENT[:20_000]
    assert "only the first 20000" in (described(job(place)).problem or "")
    with pytest.raises(OtherContentError):
        read_copy(place, len(CONTENT), "0" * 64)


def test_reading_ends_when_its_time_is_over(tmp_path: Path) -> None:
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(UnreadError, match="not read in time"):
        read_copy(Place(str(tmp_path), "huge"), 2**40, None, time.monotonic() + 0.05)


def test_a_description_that_was_not_finished_in_time_is_none(place: Place) -> None:
    assert carry_out(job(CONTENT, seconds=0)).description is None
    assert "in time" in (carry_out(job(place, seconds=0)).unread or "")


# sidecars


def test_the_first_sidecar_that_is_there_counts(tmp_path: Path, place: Place) -> None:
    (tmp_path / "a.sdc.json").write_bytes(SIDECAR)
    there, absent = Place(str(tmp_path), "a.sdc.json"), Place(str(tmp_path), "b.sdc.json")
    told = described(job(place, sidecars=(absent, there)))
    assert (told.proposal, told.sample, told.has_sidecar, told.sidecar_unread) == ("ALS-12345", "Co film", True, False)
    told = described(job(place, sidecars=(absent,)))
    assert (told.proposal, told.has_sidecar, told.sidecar_unread) == (None, False, False)


def test_a_sidecar_that_cannot_be_read_is_not_the_same_as_none(tmp_path: Path, place: Place) -> None:
    (tmp_path / "a.sdc.json").symlink_to(tmp_path / PATH)
    told = described(job(place, sidecars=(Place(str(tmp_path), "a.sdc.json"),)))
    assert (told.has_sidecar, told.sidecar_unread) == (False, True)


def test_a_sidecar_of_its_own_says_proposal_and_sample_and_has_no_picture() -> None:
    told = described(job(SIDECAR, size=len(SIDECAR), sha256=None, path="TrajScan 400069.sdc.json"))
    assert (told.proposal, told.sample, told.drawable) == ("ALS-12345", "Co film", False)
