"""The dichroism of a scan: its size, its sign, its windows, and which sweeps it was made of."""

import itertools

import numpy as np
import pytest

from dichroism_operator import bcs, quicklook
from dichroism_operator.quicklook import Dichroism, Loop, Plain
from tests import samples
from tests.samples import spectra, variants


def analyse(text: str, beamline: str) -> quicklook.Analysis:
    return quicklook.analyse(bcs.read(text.encode()), beamline)


def dichroism(text: str, beamline: str) -> Dichroism:
    result = analyse(text, beamline)
    assert isinstance(result, Dichroism), result
    return result


def expected_peak(element: str = "Co") -> float:
    """The greatest difference of the made-up film as a fraction of the white line above the pre-edge."""
    energy = np.linspace(spectra.L_EDGES[element][0] - 26.9, spectra.L_EDGES[element][0] + 73, 4000)
    plus, minus = (np.array([spectra.electron_yield(e, sign, element) for e in energy]) for sign in (1.0, -1.0))
    difference = plus - minus
    white = spectra.electron_yield(spectra.L_EDGES[element][0], 0.0, element) - 0.705 * 0.98
    return float(difference[np.argmax(np.abs(difference))] / white)


@pytest.mark.parametrize("element", ["Mn", "Fe", "Co", "Ni"])
def test_a_pair_of_631_gives_the_dichroism_of_the_film(element: str) -> None:
    result = dichroism(samples.xmcd_pair_631(element=element), "BL631")
    assert (result.name, result.mode, result.signal) == ("XMCD", "field-switching", "EY / I0 ES")
    assert result.peak == pytest.approx(expected_peak(element), rel=0.05)
    assert result.peak_energy == pytest.approx(spectra.L_EDGES[element][0], abs=0.5)
    assert result.white_line == pytest.approx(spectra.L_EDGES[element][0], abs=0.3)
    assert result.significant
    assert result.noise < 0.002
    assert (result.plus_label, result.minus_label) == ("+1.8 T", "-1.8 T")


def test_the_order_of_the_fields_does_not_matter() -> None:
    ways = [dichroism(samples.xmcd_pair_631(fields=fields), "BL631") for fields in ((-1.8, 1.8), (1.8, -1.8))]
    assert ways[0].peak == pytest.approx(ways[1].peak, rel=0.01)
    assert ways[0].peak < 0


def test_the_sign_convention_is_recorded() -> None:
    numbers = dichroism(samples.xmcd_pair_631(), "BL631").numbers()
    assert numbers["sign_convention"].startswith("XMCD = mu(field > 0) - mu(field < 0)")
    numbers = dichroism(samples.xmcd_set_402()[0], "BL402").numbers()
    assert numbers["sign_convention"].startswith("XMCD = mu(field x helicity > 0) - mu(field x helicity < 0)")


def test_both_helicities_of_402_give_the_same_sign() -> None:
    peaks = [dichroism(text, "BL402").peak for text in samples.xmcd_set_402()]
    assert peaks == pytest.approx([expected_peak()] * 4, rel=0.05)


def test_helicity_switched_at_one_field_is_dichroism_too() -> None:
    result = dichroism(variants.main_server_402(), "BL402")
    assert result.mode == "helicity-switching"
    assert result.peak == pytest.approx(expected_peak(), rel=0.05)
    assert (result.plus_label, result.minus_label) == ("+0.25 T, helicity +", "+0.25 T, helicity -")


def test_field_and_helicity_switched_in_one_file_are_both_used() -> None:
    sweeps = tuple(itertools.product((0.4, -0.4), (1.0, -1.0)))
    result = dichroism(samples.trajectory_402(sweeps=sweeps, scn="both.scn"), "BL402")
    assert (result.mode, result.sweeps) == ("field-and-helicity-switching", (2, 2))
    assert (result.plus_label, result.minus_label) == ("field x helicity > 0", "field x helicity < 0")
    assert result.peak == pytest.approx(expected_peak(), rel=0.05)


def test_the_energy_is_the_axis_of_the_scan_and_not_the_lagging_read_back() -> None:
    scan = bcs.read(samples.xmcd_pair_631().encode())
    result = quicklook.analyse(scan, "BL631")
    assert isinstance(result, Dichroism)
    assert (result.energy[0], result.energy[-1]) == pytest.approx((750.1, 850.0), abs=0.01)
    lag = np.interp(result.white_line, scan["Energy"][:1000], scan["Energy"][:1000] - scan["Energy.1"][:1000])
    assert lag > 2  # the read-back would have put the edge there


def test_the_captured_energy_of_402_is_taken_where_it_is_recorded() -> None:
    result = dichroism(variants.main_server_402(), "BL402")
    assert result.white_line == pytest.approx(777.3, abs=0.2)  # 0.3 eV above the nominal axis


def test_a_captured_energy_that_was_not_recorded_is_not_taken() -> None:
    text = variants.with_reading(variants.main_server_402(), ["Captured Mono Energy"])
    assert dichroism(text, "BL402").white_line == pytest.approx(777.0, abs=0.3)


def test_windows_lie_outside_the_edges_and_are_recorded() -> None:
    result = dichroism(samples.xmcd_pair_631(), "BL631")
    assert result.pre_window == pytest.approx((750.1, 760.0), abs=0.2)
    assert result.post_window == pytest.approx((840.0, 850.0), abs=0.2)
    numbers = result.numbers()
    assert numbers["pre_edge_window"]["unit"] == "eV"
    assert numbers["post_edge_window"]["value"] == pytest.approx([840.0, 850.0], abs=0.2)


def test_a_yield_that_depends_on_the_field_is_matched_outside_the_edges() -> None:
    """One side scaled by a factor and a slope, as electron yield in a field is."""
    scan = bcs.read(samples.xmcd_pair_631().encode())
    plain = quicklook.analyse(scan, "BL631")
    scan["EY"][1000:] *= np.linspace(0.9, 1.1, 1000)
    scaled = quicklook.analyse(scan, "BL631")
    assert isinstance(plain, Dichroism)
    assert isinstance(scaled, Dichroism)
    assert scaled.peak == pytest.approx(plain.peak, rel=0.1)
    assert abs(scaled.difference[:50].mean()) < 0.01
    assert abs(scaled.difference[-50:].mean()) < 0.01


def test_spectra_are_one_at_the_white_line_and_zero_before_it() -> None:
    result = dichroism(samples.xmcd_pair_631(), "BL631")
    assert result.xas.max() == pytest.approx(1, abs=0.01)
    assert np.abs(result.xas[:80]).max() < 0.02
    assert result.xas == pytest.approx((result.plus + result.minus) / 2)
    assert result.difference == pytest.approx(result.plus - result.minus)


def test_a_field_switched_at_every_point_gives_the_same_as_whole_sweeps() -> None:
    text = samples.xmcd_pair_631(points=300)
    whole, mixed = dichroism(text, "BL631"), dichroism(variants.interleaved(text), "BL631")
    assert mixed.peak == pytest.approx(whole.peak, rel=0.01)
    assert mixed.difference == pytest.approx(whole.difference, abs=1e-3)


def test_a_second_sample_in_the_file_is_not_mixed_in() -> None:
    alone = dichroism(samples.xmcd_pair_631(points=200), "BL631")
    result = dichroism(variants.two_positions_631(points=200), "BL631")
    assert result.sweeps == (1, 1)
    assert result.peak == pytest.approx(alone.peak, rel=1e-3)
    assert any("Z 100.5" in note and "1 more" in note for note in result.notes)


def test_of_several_fields_one_pair_of_the_same_size_is_shown() -> None:
    result = dichroism(samples.xmcd_pair_631(fields=(1.8, -1.8, 0.5, -0.5)), "BL631")
    assert (result.plus_label, result.minus_label, result.sweeps) == ("+1.8 T", "-1.8 T", (1, 1))
    assert any("field 1.8" in note for note in result.notes)


def test_repeated_pairs_are_averaged() -> None:
    once = dichroism(samples.xmcd_pair_631(), "BL631")
    often = dichroism(samples.xmcd_pair_631(fields=(-1.8, 1.8, 1.8, -1.8)), "BL631")
    assert often.sweeps == (2, 2)
    assert often.noise < once.noise


def test_luminescence_of_the_substrate_becomes_absorption() -> None:
    text = variants.with_reading(samples.xmcd_set_402()[0], ["EY"])
    result = dichroism(text, "BL402")
    assert result.signal == "-ln(LY / I0 ES)"
    assert result.peak < -0.2
    assert "EY reads zero: LY is shown" in result.notes


def test_crossed_linear_light_gives_linear_dichroism() -> None:
    result = dichroism(samples.xmld_402(), "BL402")
    assert (result.name, result.mode) == ("XMLD", "linear")
    assert (result.plus_label, result.minus_label) == ("linear 90 deg", "linear 0 deg")
    assert result.difference.max() == pytest.approx(0.05, abs=0.015)
    assert result.difference.min() == pytest.approx(-0.05, abs=0.015)
    assert set(result.numbers()) >= {"xmld_peak_fraction_of_white_line", "sign_convention"}


def test_linear_dichroism_without_a_field_is_not_called_magnetic() -> None:
    result = dichroism(samples.trajectory_402(sweeps=((0.0, 0.0), (0.0, 2.0)), scn="xld.scn", element="Fe"), "BL402")
    assert (result.name, result.convention[:19]) == ("XLD", "XLD = mu(90 deg) - ")


def test_linear_light_and_a_field_turned_by_a_right_angle_is_linear_dichroism() -> None:
    along_x = samples.trajectory_402(sweeps=((0.4, 0.0),), scn="turn.scn")
    scan = bcs.read(
        variants.rows_of(along_x, samples.trajectory_402(1, sweeps=((0.0, 0.0),), scn="t", start=5e4)).encode()
    )
    scan["Hy"][1201:] = 0.4
    result = quicklook.analyse(scan, "BL402")
    assert isinstance(result, Dichroism)
    assert (result.name, result.plus_label, result.minus_label) == ("XMLD", "field along x", "field along y")


def test_a_loop_at_two_energies_is_an_asymmetry_with_two_branches() -> None:
    result = analyse(samples.hysteresis_631(), "BL631")
    assert isinstance(result, Loop)
    assert [curve.label for curve in result.branches] == ["field rising", "field falling"]
    assert result.energies == pytest.approx((777.0, 792.2))
    assert result.convention == "asymmetry = (I(777.0 eV) - I(792.2 eV)) / (I(777.0 eV) + I(792.2 eV))"
    rising, falling = result.branches
    at_zero = [np.interp(0, curve.x, curve.y) for curve in (rising, falling)]
    assert at_zero[0] > at_zero[1]  # the loop is open at zero field
    assert rising.y[0] == pytest.approx(falling.y[0], abs=0.01)  # and closed at its ends
    l3, l2 = (spectra.electron_yield(e, -1.0) for e in spectra.L_EDGES["Co"])
    assert rising.y[0] == pytest.approx((l3 - l2) / (l3 + l2), abs=0.005)


def test_a_loop_at_one_energy_is_the_plain_signal() -> None:
    result = analyse(samples.hysteresis_402(), "BL402")
    assert isinstance(result, Loop)
    assert (result.mode, result.convention, result.label) == (None, None, "EY / I0 ES")
    assert len(result.branches) == 2


def test_a_scan_of_a_motor_shows_signal_and_monitor() -> None:
    result = analyse(samples.sigscan_402(), "BL402")
    assert isinstance(result, Plain)
    assert (result.title, result.x_label, result.below_label) == ("M201 Roll scan", "M201 Roll", "I0 ES (counts)")
    peak = result.curves[0].x[np.argmax(result.curves[0].y)]
    assert peak == pytest.approx(0, abs=0.02)


def test_older_channel_names_are_understood() -> None:
    names = {"I0 ES": "Counter 0", "EY": "Counter 1", "LY": "Counter 2", "Clock": "Counter 4"}
    result = dichroism(variants.renamed_columns(variants.longer_header(samples.xmcd_pair_631()), names), "BL631")
    assert result.signal == "Counter 1 / Counter 0"
    assert result.peak == pytest.approx(expected_peak(), rel=0.05)
