"""What the catalogue step is given of one file: always something, never an exception, also from another process."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dichroism_operator.science import Sidecar, build_preview, read_sidecar
from tests import samples
from tests.samples import bcs_text, variants

PATH = "2017/171116/TrajScan31914-1_0002.txt"


def test_a_scan_gives_metadata_techniques_times_and_picture() -> None:
    preview = build_preview(samples.xmcd_pair_631().encode(), "BL631", PATH)
    assert preview.problem is None
    assert preview.metadata["scan_number"] == 31914
    assert preview.techniques[0]["name"] == "x-ray magnetic circular dichroism"
    assert preview.start_time == datetime(2017, 11, 16, 17, 28, 29, tzinfo=UTC)
    assert preview.end_time is not None
    assert preview.end_time > preview.start_time
    assert preview.png is not None
    assert preview.png.startswith(b"\x89PNG")


def test_the_numbers_of_the_picture_are_in_the_metadata() -> None:
    recorded = build_preview(samples.xmcd_pair_631().encode(), "BL631", PATH).metadata["quicklook"]
    assert recorded["xmcd_peak_fraction_of_white_line"] == pytest.approx(-0.28, abs=0.02)
    assert recorded["sign_convention"].startswith("XMCD = mu(field > 0) - mu(field < 0)")
    assert recorded["pre_edge_window"]["unit"] == recorded["post_edge_window"]["unit"] == "eV"
    assert recorded["software"].startswith("dichroism ")


def test_a_file_on_disk_gives_the_same_as_its_bytes(tmp_path: Path) -> None:
    content = samples.xmcd_pair_631(points=200).encode()
    path = tmp_path / "a"
    path.write_bytes(content)
    assert build_preview(path, "BL631", PATH) == build_preview(content, "BL631", PATH)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello", "no scan file"),
        (b"\0" * 1000, "no scan file"),
        (b"SIMPLE  = T", "END"),
        (b"Date: 1/1/2020\n", "ends before"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_is_known(content: bytes, words: str) -> None:
    preview = build_preview(content, "BL402", "a.txt")
    assert preview.metadata["beamline"] == "4.0.2"
    assert preview.problem is not None
    assert words in preview.problem
    assert preview.start_time is None


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    preview = build_preview(tmp_path / "gone.txt", "BL402", "gone.txt")
    assert preview.problem is not None
    assert "cannot be opened" in preview.problem


def test_damage_is_told_beside_the_picture() -> None:
    preview = build_preview(bcs_text.truncated(samples.xmcd_pair_631(points=200)).encode(), "BL631", PATH)
    assert preview.png is not None
    assert preview.problem is not None
    assert "last line" in preview.problem
    assert preview.metadata["problems"] == [preview.problem]


def test_without_time_the_picture_is_left_out_and_that_is_told() -> None:
    preview = build_preview(samples.xmcd_pair_631().encode(), "BL631", PATH, seconds=0)
    assert preview.png is None
    assert preview.problem is not None
    assert "the time of 0 s for one file was over" in preview.problem
    assert preview.metadata["beamline"] == "6.3.1"


def test_an_image_has_metadata_and_no_picture() -> None:
    preview = build_preview(variants.fits_image(), "BL402", "InstrumentScan 000012.fits")
    assert (preview.png, preview.problem) == (None, None)
    assert preview.metadata["exposure"] == {"value": 0.5, "unit": "s"}
    assert "quicklook" not in preview.metadata


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_it_runs_in_a_pool_of_processes(method: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(samples.xmcd_pair_631(points=100))
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        preview = pool.submit(build_preview, str(path), "BL631", PATH).result(timeout=120)
    assert preview == build_preview(str(path), "BL631", PATH)
    assert pickle.loads(pickle.dumps(preview)) == preview


# sidecars

SIDECAR = b"""{
 "Experiment": {"Proposal ID": "DD-00598-001", "Sample": {"Name": "ALS-DXR-0066"}}, "Scan Setup": {"Detector": "EY"}
}"""


def test_a_sidecar_gives_proposal_and_sample_to_its_scan() -> None:
    preview = build_preview(samples.xmcd_pair_631(points=200).encode(), "BL631", PATH, sidecar=SIDECAR)
    assert (preview.proposal, preview.sample) == ("DD-00598-001", "ALS-DXR-0066")
    assert preview.metadata["sample"] == "ALS-DXR-0066"


def test_a_sidecar_is_a_file_of_its_own() -> None:
    preview = build_preview(SIDECAR, "BL402", "2021/211102/TrajScan 400069.sdc.json")
    assert preview.metadata == {
        "beamline": "4.0.2",
        "file_format": "BCS sidecar",
        "scan_kind": "TrajScan",
        "scan_number": 400069,
        "proposal": "DD-00598-001",
        "sample": "ALS-DXR-0066",
    }
    assert (preview.png, preview.problem) == (None, None)


def test_a_sidecar_that_is_not_there_is_told(tmp_path: Path) -> None:
    preview = build_preview(tmp_path / "gone.sdc.json", "BL402", "gone.sdc.json")
    assert preview.problem is not None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"Experiment": {"proposal": 12345, "SAMPLE_NAME": " a \\n film "}}', Sidecar("12345", "a film")),
        (b'{"Experiment": {"Proposal": "", "Sample": "Co"}}', Sidecar(None, "Co")),
        (b'{"Scan Setup": {}}', Sidecar()),
        (b'\xef\xbb\xbf{"Experiment": {"ESAF": "ALS-1"}}', Sidecar("ALS-1", None)),
        (b'{"Experiment": {"proposal": true, "sample": null}}', Sidecar()),
    ],
)
def test_sidecars_of_any_spelling_are_understood(content: bytes, expected: Sidecar) -> None:
    assert read_sidecar(content) == expected


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"[" * 100_000, b"\xff\xfe", b"1" * 6000, b" " * 2_000_000])
def test_a_broken_sidecar_says_nothing_and_why(content: bytes) -> None:
    said = read_sidecar(content)
    assert (said.proposal, said.sample) == (None, None)
    assert said.problem


def test_texts_of_a_sidecar_are_made_short() -> None:
    said = read_sidecar(b'{"Experiment": {"sample": "' + b"x" * 5000 + b'"}}')
    assert said.sample == "x" * 200


def test_a_deep_sidecar_is_not_followed_to_its_end() -> None:
    assert read_sidecar(b'{"a":' * 500 + b'{"sample": "deep"}' + b"}" * 500).sample is None
