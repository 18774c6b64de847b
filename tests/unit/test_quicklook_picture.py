"""The picture: small enough, the same for the same scan, safe from what stands in a file, and with the right words."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dichroism_operator import bcs, quicklook
from dichroism_operator.quicklook import plot
from dichroism_operator.quicklook.caption import beamline_number, field_words, scan_name
from tests import samples
from tests.samples import variants

KINDS = {
    "pair of 6.3.1": (samples.xmcd_pair_631(), "BL631"),
    "XMCD of 4.0.2": (samples.xmcd_set_402()[1], "BL402"),
    "XMLD": (samples.xmld_402(), "BL402"),
    "loop of 6.3.1": (samples.hysteresis_631(), "BL631"),
    "loop of 4.0.2": (samples.hysteresis_402(), "BL402"),
    "motor": (samples.sigscan_402(), "BL402"),
    "one field": (samples.xmcd_pair_631(fields=(-1.8,)), "BL631"),
    "time": (variants.timescan(), "BL402"),
    "no signal": (variants.with_reading(samples.xmcd_pair_631(), ["EY"]), "BL631"),
    "no detector at all": (variants.with_reading(samples.xmcd_pair_631(), ["EY", "I0 ES", "Clock"]), "BL631"),
    "newer form": (variants.header_data(), ""),
}


def analysed(text: str, beamline: str) -> tuple[bcs.BcsFile, quicklook.Analysis]:
    scan = bcs.read(text.encode())
    return scan, quicklook.analyse(scan, beamline)


def opened(png: bytes) -> "Image.Image":
    return Image.open(io.BytesIO(png)).convert("RGB")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_scan_gives_a_picture_of_the_size_that_a_catalogue_takes(kind: str) -> None:
    text, beamline = KINDS[kind]
    scan, analysis = analysed(text, beamline)
    png = quicklook.draw(analysis, quicklook.caption(scan, beamline, "2026/261116/TrajScan31914-1_0001.txt"))
    assert len(png) < 200_000
    assert opened(png).size == (1200, 900)


def test_the_same_scan_gives_the_same_bytes() -> None:
    scan, analysis = analysed(*KINDS["pair of 6.3.1"])
    pictures = [quicklook.draw(analysis, quicklook.caption(scan, "BL631")) for _ in range(2)]
    assert pictures[0] == pictures[1]


def test_a_picture_that_would_be_too_large_is_made_smaller() -> None:
    rng = np.random.default_rng(3)
    curves = tuple(quicklook.Curve(str(k), np.arange(500.0), rng.normal(size=500)) for k in range(6))
    noisy = quicklook.Plain(title="Noise", curves=curves, x_label="Point", y_label="EY", below=curves, below_label="I0")
    png = quicklook.draw(noisy, quicklook.Caption())
    assert len(png) <= plot.LARGEST
    assert opened(png).size < (1200, 900)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pair of 6.3.1", "Co L\N{SUBSCRIPT THREE},\N{SUBSCRIPT TWO} XMCD  \N{MINUS SIGN}28%"),
        ("XMLD", "Fe L\N{SUBSCRIPT THREE},\N{SUBSCRIPT TWO} XMLD  5.0%"),
        ("loop of 6.3.1", "Co L\N{SUBSCRIPT THREE},\N{SUBSCRIPT TWO} hysteresis"),
        ("motor", "M201 Roll scan"),
        ("one field", "Co L\N{SUBSCRIPT THREE},\N{SUBSCRIPT TWO} XAS"),
        ("time", "Time scan"),
        ("no signal", "No signal"),
        ("no detector at all", "Nothing to plot"),
    ],
)
def test_the_headline_says_what_is_shown(kind: str, words: str) -> None:
    assert plot.headline(analysed(*KINDS[kind])[1]) == words


def _coloured(image: "Image.Image", red: bool) -> int:
    """Pixels of the red or the blue curve."""
    pixels = np.asarray(image, dtype=int)
    strong = pixels[..., 0 if red else 2] - pixels[..., 2 if red else 0] > 60
    return int(strong.sum())


def test_both_sides_are_still_seen_in_a_thumbnail() -> None:
    scan, analysis = analysed(*KINDS["pair of 6.3.1"])
    thumbnail = opened(quicklook.draw(analysis, quicklook.caption(scan, "BL631"))).resize((200, 150))
    assert _coloured(thumbnail, red=True) > 20
    assert _coloured(thumbnail, red=False) > 20


def test_a_single_side_has_no_second_colour() -> None:
    scan, analysis = analysed(*KINDS["one field"])
    curve = np.asarray(opened(quicklook.draw(analysis, quicklook.caption(scan, "BL631"))))[230:770, 160:1150]
    assert _coloured(Image.fromarray(curve), red=False) > 500
    assert _coloured(Image.fromarray(curve), red=True) == 0


def test_words_from_a_file_are_drawn_and_not_interpreted() -> None:
    names = {"M201 Roll Goal": r"$\frac{1}{0}$ Goal", "EY": "\x07EY"}
    scan = bcs.read(variants.renamed_columns(samples.sigscan_402(), names).encode())
    words = quicklook.caption(scan, "BL402", "2026/$\\badcommand{x}$\n\x1b[31m.txt", sample="Über \N{SNOWMAN} $x^2$")
    assert words.sample == "Über ? $x^2$"
    assert "\x1b" not in words.scan
    assert quicklook.draw(quicklook.analyse(scan, "BL402"), words).startswith(b"\x89PNG")


def test_long_words_are_cut() -> None:
    words = quicklook.caption(bcs.read(samples.sigscan_402().encode()), "BL402", "x" * 5000, sample="y" * 5000)
    assert len(words.scan) == len(words.sample) == 60


def test_a_caption_says_place_scan_field_temperature_file_and_local_time() -> None:
    scan = bcs.read(samples.xmcd_set_402()[0].encode())
    words = quicklook.caption(scan, "BL402", "2021/211102/Trajectory Scan 000206 01.txt", sample="Co film")
    assert words.first_line == "ALS 4.0.2  ·  Trajectory Scan 206 file 1  ·  ±0.4 T  ·  295 K"
    assert words.second_line == "Co film  ·  Co_XMCD_x4.scn  ·  2021-11-02 10:05 PDT"


def test_an_unconnected_thermometer_is_not_zero_kelvin() -> None:
    assert quicklook.caption(bcs.read(samples.xmcd_pair_631(points=3).encode()), "BL631").temperature == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([1.8, -1.8], "±1.8 T"),
        ([0.4, 0.4001], "+0.4 T"),
        ([-0.25, 0.0, 0.25], "\N{MINUS SIGN}0.25 to +0.25 T"),
        ([1.8, -0.5], "\N{MINUS SIGN}0.5 to +1.8 T"),
        ([0.0, 0.001], ""),
        ([float("nan")], ""),
    ],
)
def test_fields_in_words(fields: list[float], words: str) -> None:
    assert field_words(np.array(fields)) == words


def test_scans_and_beamlines_in_words() -> None:
    assert scan_name("a/TrajScan31914-1_0002.txt") == "TrajScan 31914-1 file 2"
    assert scan_name("a/RT1norm_0041") == "RT1norm_0041"
    assert (beamline_number("BL402"), beamline_number("bl631"), beamline_number("TEST")) == ("4.0.2", "6.3.1", "TEST")


def test_reading_and_analysing_do_not_import_what_draws() -> None:
    probe = (
        "import sys; from dichroism_operator import bcs, quicklook; import dichroism_operator.science\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert {"matplotlib", "astropy", "kopf", "kubernetes", "pyscicat"}.isdisjoint(run.stdout.split())


def test_pyplot_and_its_global_state_are_not_used() -> None:
    probe = (
        "import sys; from dichroism_operator import bcs, quicklook\n"
        "quicklook.draw(quicklook.Nothing(reason='x'))\nprint('matplotlib.pyplot' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
