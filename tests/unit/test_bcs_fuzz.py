"""Whatever bytes come: the reader raises nothing but its own error, and the analysis says something of what it gave."""

import contextlib
import functools
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dichroism_operator import bcs, quicklook
from dichroism_operator.science import scientific_metadata, techniques
from tests import samples
from tests.samples import variants

_SETTINGS = settings(max_examples=3 * settings().max_examples // 2, suppress_health_check=list(HealthCheck))


@functools.cache
def originals() -> list[bytes]:
    texts = [
        samples.xmcd_pair_631(points=15),
        samples.xmcd_set_402(points=15)[0],
        samples.hysteresis_631(points=9),
        samples.hysteresis_402(points=9),
        samples.xmld_402(points=15),
        samples.sigscan_402(points=9, description="align"),
        variants.timescan(points=9),
        variants.header_data(points=9),
        variants.flying_sigscan_402(points=30),
        variants.two_positions_631(points=10),
    ]
    return [*(text.encode() for text in texts), variants.fits_image()]


CELLS = (
    "nan", "inf", "-1e400", "1e308", "1e-320", "", "-", "abc", "0", "-0.0", "1e30", "2", "100", "\0", "23:59:59", " ",
    "1 2",
)  # fmt: skip
BEGINNINGS = (b"Date: 1/2/2020\n", b"HEADER\n{}\nDATA\n", b"SIMPLE  =", b"Time of Day\tA\n")
NAMES = (
    "Time of Day", "Time (s)", "Magnet Field", "Energy", "Hx", "Hy", "Hz", "XMCD H", "EY", "LY", "I0 ES", "Clock",
    "Polarization", "EPU Polarization Goal", "Hx Goal", "Beamline Energy Actual", "Captured Mono Energy", "Z", "Temp A",
    "", "Energy.1", "Frame", "$x_2$",
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real file with bytes changed, cut out or put in."""
    content = bytearray(draw(st.sampled_from(originals())))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        length = draw(st.integers(0, 400))
        content[at : at + length] = draw(st.binary(max_size=40))
    return bytes(content)


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """A table of known names in any order with whatever stands in its fields."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=9))
    kinds = st.sampled_from(["constant", "rising", "alternating", "cells", "floats"])
    rows = draw(st.integers(0, 40))
    columns = []
    for kind in [draw(kinds) for _ in names]:
        if kind == "cells":
            column = [draw(st.sampled_from(CELLS)) for _ in range(rows)]
        elif kind == "floats":
            column = [repr(draw(st.floats(width=32))) for _ in range(rows)]
        else:
            first = draw(st.sampled_from([0.0, 0.4, 1.0, -1.0, 100.0, 700.0, 1e30, 1e-30]))
            step = {"constant": 0.0, "rising": 1.0, "alternating": -2.0}[kind]
            column = [str(first + step * (k % 2 if kind == "alternating" else k)) for k in range(rows)]
        columns.append(column)
    lines = ["\t".join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join(["Date: 1/2/2020", "From File", "", "\t".join(names), *lines, ""]).encode()


def survive(content: bytes) -> None:
    """Read, analyse and describe; only the reader's own error may come out."""
    with contextlib.suppress(bcs.BcsError):
        scan = bcs.read(content, bcs.Limits(rows=2000))
        assert all(len(scan[name]) == len(scan) <= 2000 for name in scan)
        assert sum(len(sweep) for sweep in scan.sweeps) == len(scan)
        assert all(isinstance(problem, str) and problem for problem in scan.problems)
        assert (scan.start is None) or (scan.start.tzinfo is not None)
        for beamline in ("BL402", "BL631"):
            analysis = quicklook.analyse(scan, beamline)
            metadata = scientific_metadata(scan, beamline, "2026/261116/x.txt", analysis)
            json.dumps([metadata, analysis.numbers(), techniques(analysis)], allow_nan=False)


@_SETTINGS
@given(st.binary(max_size=3000))
def test_any_bytes_read_or_are_refused(content: bytes) -> None:
    survive(content)


@_SETTINGS
@given(
    st.sampled_from([b"Date: 1/2/2020\n", b"HEADER\n{}\nDATA\n", b"SIMPLE  =", b"Time of Day\tA\n"]),
    st.binary(max_size=3000),
)
def test_any_bytes_behind_a_right_beginning_read_or_are_refused(start: bytes, content: bytes) -> None:
    survive(start + content)


@_SETTINGS
@given(mutated())
def test_damaged_files_read_or_are_refused(content: bytes) -> None:
    survive(content)


@_SETTINGS
@given(tables())
def test_tables_of_any_content_are_analysed(content: bytes) -> None:
    survive(content)


@settings(_SETTINGS, max_examples=_SETTINGS.max_examples // 10)
@given(tables())
def test_pictures_are_made_of_any_content(content: bytes) -> None:
    scan = bcs.read(content)
    png = quicklook.draw(quicklook.analyse(scan, "BL631"), quicklook.caption(scan, "BL631", "$a_b$\n\x07.txt"))
    assert png.startswith(b"\x89PNG")
    assert len(png) < 200_000
