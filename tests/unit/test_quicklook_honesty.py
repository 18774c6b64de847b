"""Where a file carries no dichroism, or none that can be computed, the result says so and shows no difference."""

import numpy as np
import pytest

from dichroism_operator import bcs, quicklook
from dichroism_operator.quicklook import Dichroism, Nothing, Plain
from dichroism_operator.quicklook.edges import guess_at, guess_edge
from tests import samples
from tests.samples import bcs_text, variants


def analyse(text: str, beamline: str) -> quicklook.Analysis:
    return quicklook.analyse(bcs.read(text.encode()), beamline)


@pytest.mark.parametrize(
    ("text", "beamline", "reason"),
    [
        (samples.xmcd_pair_631(points=300, fields=(-1.8,)), "BL631", "one field only (-1.8 T)"),
        (samples.xmcd_pair_631(points=300, fields=(0.0, 0.0)), "BL631", "no field"),
        (samples.xmcd_pair_631(points=300, fields=(1.8, -0.5)), "BL631", "no two opposite fields of the same size"),
        (variants.main_server_402(helicities=(1.0,)), "BL402", "one field only (+0.25 T) and one helicity"),
        (variants.flying_sigscan_402(), "BL402", "one linear polarisation only (0 deg)"),
        (
            samples.trajectory_402(sweeps=((0.4, 0.0), (-0.4, 0.0)), scn="l.scn", points=300),
            "BL402",
            "one linear polarisation only",
        ),
        (
            samples.trajectory_402(sweeps=((0.4, 0.0), (0.4, 145.0)), scn="l.scn", points=300),
            "BL402",
            "no crossed pair",
        ),
        (samples.trajectory_402(sweeps=((0.4, 50.0),), scn="l.scn", points=300), "BL402", "polarisation unknown"),
    ],
)
def test_one_side_alone_is_a_plain_spectrum_with_the_reason(text: str, beamline: str, reason: str) -> None:
    result = analyse(text, beamline)
    assert isinstance(result, Plain)
    assert any(reason in note for note in result.notes), result.notes
    assert "sign_convention" not in result.numbers()


def test_different_fields_are_different_curves() -> None:
    result = analyse(samples.xmcd_pair_631(points=300, fields=(1.8, -0.5)), "BL631")
    assert isinstance(result, Plain)
    assert [curve.label for curve in result.curves] == ["+1.8 T", "-0.5 T"]


def test_a_second_sweep_that_was_broken_off_is_not_compared() -> None:
    text = samples.xmcd_pair_631(points=300)
    lines = text.splitlines(keepends=True)
    result = analyse("".join(lines[: 11 + 300 + 60]), "BL631")
    assert isinstance(result, Plain)
    assert any("broken off" in note for note in result.notes)
    assert [curve.label for curve in result.curves] == ["-1.8 T"]


def test_a_sweep_cut_in_its_last_line_still_gives_a_dichroism() -> None:
    result = analyse(bcs_text.truncated(samples.xmcd_pair_631(points=300)), "BL631")
    assert isinstance(result, Dichroism)


@pytest.mark.parametrize("reading", ["0.00000000", "NaN"])
def test_dead_detectors_leave_the_monitor_alone(reading: str) -> None:
    result = analyse(variants.with_reading(samples.xmcd_pair_631(points=300), ["EY", "LY"], reading), "BL631")
    assert isinstance(result, Plain)
    assert (result.title, result.signal) == ("No signal", "I0 ES / Clock")
    assert result.edge is None
    assert "EY, LY read zero: no signal, only the monitor is shown" in result.notes


def test_nothing_is_drawn_of_channels_that_all_read_zero() -> None:
    text = variants.with_reading(samples.xmcd_pair_631(points=50), ["EY", "LY", "I0 ES", "Clock"])
    result = analyse(text, "BL631")
    assert isinstance(result, Nothing)
    assert "read zero" in result.reason


def test_a_dead_monitor_is_replaced_by_the_clock_and_told() -> None:
    result = analyse(variants.with_reading(samples.xmcd_pair_631(points=300), ["I0 ES"]), "BL631")
    assert isinstance(result, Dichroism)
    assert (result.signal, result.notes) == ("EY / Clock", ("I0 reads zero: divided by the clock",))


def test_without_monitor_and_clock_the_counts_are_not_normalised_and_that_is_told() -> None:
    result = analyse(variants.with_reading(samples.xmcd_pair_631(points=300), ["I0 ES", "Clock"]), "BL631")
    assert result.signal == "EY (counts)"
    assert "monitor reads zero: not normalised" in result.notes


def test_a_film_without_moment_shows_no_dichroism_above_noise() -> None:
    scan = bcs.read(samples.xmcd_pair_631().encode())
    scan["EY"][1000:] = scan["EY"][:1000] / scan["I0 ES"][:1000] * scan["I0 ES"][1000:]
    scan["EY"][:] *= np.random.default_rng(1).normal(1, 5e-4, 2000)
    result = quicklook.analyse(scan, "BL631")
    assert isinstance(result, Dichroism)
    assert not result.significant
    assert abs(result.peak) < 0.01


def _only(text: str, low: float, high: float) -> bcs.BcsFile:
    """The scan as if its range had been from ``low`` to ``high``."""
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines[11:] if low <= float(line.split("\t")[4]) <= high]
    return bcs.read("".join([*lines[:11], *kept]).encode())


def test_without_a_range_before_the_edge_there_is_no_difference() -> None:
    result = quicklook.analyse(_only(samples.xmcd_pair_631(), 775, 850), "BL631")
    assert isinstance(result, Plain)
    assert "no range before the edge: not normalised, no difference" in result.notes
    assert [curve.label for curve in result.curves] == ["+1.8 T", "-1.8 T"]


def test_without_an_edge_in_the_range_there_is_no_difference() -> None:
    result = quicklook.analyse(_only(samples.xmcd_pair_631(), 800, 850), "BL631")
    assert isinstance(result, Plain)
    assert any("not normalised, no difference" in note for note in result.notes)


def test_without_a_range_behind_the_edges_no_post_edge_window_is_claimed() -> None:
    result = quicklook.analyse(_only(samples.xmcd_pair_631(), 750, 794), "BL631")
    assert isinstance(result, Dichroism)
    assert result.post_window is None
    assert result.numbers()["post_edge_window"] is None


def test_an_energy_that_did_not_move_is_no_spectrum() -> None:
    result = analyse(variants.timescan(), "BL402")
    assert isinstance(result, Plain)
    assert (result.title, result.x_label) == ("Time scan", "Time (s)")
    assert "energy constant at 777.0 eV" in result.notes


def test_rows_without_anything_that_moved_are_drawn_over_their_number() -> None:
    text = samples.xmcd_pair_631(points=40, fields=(1.8,))
    scan = bcs.read(variants.with_reading(text, ["Energy", "Time (s)"], "777.00000000").encode())
    result = quicklook.analyse(scan, "BL631")
    assert isinstance(result, Plain)
    assert result.x_label == "Point"


@pytest.mark.parametrize("points", [0, 1, 2])
def test_a_handful_of_rows_is_not_drawn(points: int) -> None:
    lines = samples.xmcd_pair_631(points=3).splitlines(keepends=True)
    result = analyse("".join(lines[: 11 + points]), "BL631")
    assert isinstance(result, Nothing)
    assert f"only {points} rows" in result.reason


def test_sweeps_of_a_few_points_are_not_drawn() -> None:
    result = analyse(samples.xmcd_pair_631(points=4), "BL631")
    assert isinstance(result, Nothing)
    assert "enough points" in result.reason


def test_light_that_is_not_in_the_file_is_assumed_aloud() -> None:
    text = samples.trajectory_402(sweeps=((0.4, 1.0), (-0.4, 1.0)), scn="a.scn", points=300)
    text = variants.without_columns(text, ["EPU Polarization Goal", "EPU Polarization Actual", "Polarization"])
    result = analyse(text, "BL402")
    assert isinstance(result, Dichroism)
    assert "polarisation not in the file: taken as circular, one sense" in result.notes
    assert not any("polarisation" in note for note in analyse(samples.xmcd_pair_631(points=300), "BL631").notes)


@pytest.mark.parametrize(
    ("low", "high", "white", "element", "by"),
    [
        (765, 815, None, None, None),  # barium begins 2.4 eV above cobalt
        (760, 800, 779.3, None, None),  # halfway between cobalt and barium
        (690, 705, None, "F", "energy range"),
        (760, 800, 777.1, "Co", "energy range and white line"),
        (825, 925, 851.6, "Ni", "energy range and white line"),
        (825, 925, 835.5, "La", "energy range and white line"),
        (825, 860, 853.2, "Ni", "energy range and white line"),
        (825, 925, None, None, None),
        (825, 925, 870.0, "Ni", "energy range and white line"),
        (680, 760, 706.0, "Fe", "energy range and white line"),
        (500, 560, 530.0, None, None),
        (1170, 1230, 1188.0, "Gd", "energy range"),
        (600, 620, None, None, None),
    ],
)
def test_an_element_is_named_only_where_energy_decides(
    low: float, high: float, white: float | None, element: str | None, by: str | None
) -> None:
    guess = guess_edge(low, high, white)
    assert (guess.edge.element if guess.edge else None) == element
    assert guess.assigned_by == by


def test_other_edges_in_the_range_are_told() -> None:
    assert [edge.label for edge in guess_edge(825, 925, 851.6).in_range] == ["La M5", "Ni L3", "Ce M5"]


def test_fixed_energies_name_the_edge_they_stand_on() -> None:
    assert guess_at(777.0, 792.2).edge is not None
    assert guess_at(777.0, 792.2).edge.label == "Co L3"  # type: ignore[union-attr]
    assert guess_at(600.0).edge is None
