"""Scientific metadata: the right numbers with the right units, short, JSON, and nothing that is not known."""

import itertools
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from dichroism_operator import bcs, quicklook
from dichroism_operator.science import scientific_metadata, techniques
from tests import samples
from tests.samples import variants

XLD = samples.trajectory_402(sweeps=((0, 0.0), (0, 2.0)), scn="xld.scn", element="Fe")


def metadata(text: str, beamline: str, path: str = "") -> dict[str, Any]:
    return scientific_metadata(bcs.read(text.encode()), beamline, path)


def terms(text: str, beamline: str) -> dict[str, str]:
    analysis = quicklook.analyse(bcs.read(text.encode()), beamline)
    return {term["pid"].rpartition("/")[2]: term["name"] for term in techniques(analysis)}


def test_a_pair_of_631() -> None:
    found = metadata(samples.xmcd_pair_631(), "BL631", "2017/171116/TrajScan31914-1_0002.txt")
    assert found["beamline"] == "6.3.1"
    assert (found["scan_kind"], found["scan_number"], found["repeat_number"], found["file_number"]) == (
        "TrajScan",
        31914,
        1,
        2,
    )
    assert found["photon_energy_range"] == {"value": [750.1, 850.0], "unit": "eV"}
    assert found["energy_step"] == {"value": pytest.approx(0.1, abs=1e-3), "unit": "eV"}
    assert found["scan_velocity"]["value"] == pytest.approx(1.13, abs=0.02)
    assert found["magnetic_field"] == {"value": [-1.8, 1.8], "unit": "T"}
    assert found["magnetic_field_values"] == [-1.8, 1.8]
    assert found["dichroism_mode"] == "field-switching"
    assert (found["element"], found["edge"], found["assigned_by"]) == ("Co", "L3", "energy range and white line")
    assert found["edges_in_range"] == ["Co L3", "Ba M5", "La M5"]
    assert (found["detection_modes"], found["monitor"]) == (["TEY"], "I0 ES")
    assert (found["n_points"], found["n_sweeps"], found["n_columns"]) == (2000, 2, 53)
    assert found["columns"][:3] == ["Time of Day", "Time (s)", "Magnet Field"]
    assert found["beam_current"] == {"value": pytest.approx(500, abs=1), "unit": "mA"}
    assert found["exit_slit"] == {"value": 39.996, "unit": "um"}
    assert (found["i0_gain"], found["ey_gain"]) == (5, 8)
    assert found["count_time"] == {"value": 1.0, "unit": "s"}
    assert found["scan_file"].endswith("7samples_1p8Tesla.scn")


def test_an_xmcd_file_of_402() -> None:
    found = metadata(samples.xmcd_set_402()[1], "BL402", "Trajectory Scan 000206 02.txt")
    assert (found["beamline"], found["endstation"]) == ("4.0.2", "VMM")
    assert (found["polarization"], found["polarization_state"]) == (-1.0, "circular negative")
    assert found["field_axis"] == "Hx"
    assert found["temperature"] == {"value": 295.3, "unit": "K"}
    assert found["temperature_channel"] == "Temp A"
    assert found["theta"] == {"value": 30.0, "unit": "deg"}
    assert found["detection_modes"] == ["TEY", "LY"]


def test_unconnected_channels_are_not_told() -> None:
    found = metadata(samples.xmcd_pair_631(points=20), "BL631")
    assert "temperature" not in found
    found = metadata(
        variants.with_reading(samples.xmcd_pair_631(points=20), ["Beam Current", "Exit Slit", "X"]), "BL631"
    )
    assert not {"beam_current", "exit_slit", "sample_x"} & set(found)


def test_a_motor_that_stands_at_zero_is_told_when_the_scan_set_it() -> None:
    text = variants.with_reading(samples.xmcd_pair_631(points=20), ["Z"])
    assert metadata(text, "BL631")["sample_z"] == {"value": 0.0, "unit": "mm"}


def test_linear_light_has_its_states_and_mode() -> None:
    found = metadata(samples.xmld_402(), "BL402")
    assert found["dichroism_mode"] == "linear"
    assert found["polarization"] == [100.0, 190.0]
    assert found["polarization_state"] == ["linear horizontal", "linear vertical"]
    assert found["magnetic_field"] == {"value": 0.4, "unit": "T"}


@pytest.mark.parametrize(
    ("text", "mode"),
    [(variants.main_server_402(), "helicity-switching"), (samples.xmcd_set_402()[0], "field-switching")],
)
def test_what_was_switched_is_told(text: str, mode: str) -> None:
    assert metadata(text, "BL402")["dichroism_mode"] == mode


def test_a_single_field_has_no_dichroism_mode() -> None:
    assert "dichroism_mode" not in metadata(samples.xmcd_pair_631(fields=(1.8,)), "BL631")


def test_a_loop_has_its_fixed_energies_and_field_range() -> None:
    found = metadata(samples.hysteresis_631(), "BL631")
    assert found["scan_axis"] == "magnetic field"
    assert found["photon_energies"] == [777.0, 792.2]
    assert found["magnetic_field"] == {"value": [-1.8, 1.8], "unit": "T"}
    assert "photon_energy_range" not in found
    assert found["assigned_by"] == "fixed energy"


def test_a_scan_of_a_motor_has_its_range_and_energy() -> None:
    found = metadata(samples.sigscan_402(), "BL402", "SigScan 400061.txt")
    assert (found["motor"], found["scan_axis"]) == ("M201 Roll", "M201 Roll")
    assert found["scan_range"] == [-0.3, 0.3]
    assert found["photon_energy"] == {"value": 777.0, "unit": "eV"}
    assert "element" not in found
    assert metadata(samples.sigscan_631(), "BL631")["scan_range"] == {"value": [99.0, 101.0], "unit": "mm"}


def test_an_ambiguous_range_names_no_element_but_what_could_be() -> None:
    text = variants.with_reading(samples.xmcd_pair_631(points=300), ["EY"])
    found = metadata(text, "BL631")
    assert "element" not in found
    assert found["edges_in_range"] == ["Co L3", "Ba M5", "La M5"]


def test_a_renamed_file_has_no_scan_number() -> None:
    found = metadata(samples.xmcd_pair_631(points=20), "BL631", "RT1norm_0041")
    assert "scan_number" not in found
    assert found["scan_kind"] == "trajectory"


def test_an_image_has_energy_exposure_and_size() -> None:
    found = scientific_metadata(bcs.read(variants.fits_image()), "BL402", "InstrumentScan 000012.fits")
    assert found["scan_kind"] == "InstrumentScan"
    assert found["photon_energy"] == {"value": 778.1, "unit": "eV"}
    assert found["exposure"] == {"value": 0.5, "unit": "s"}
    assert found["image_size"] == [4, 2]


def _dictionaries(item: Any) -> Iterator[dict[str, Any]]:
    if isinstance(item, dict):
        yield item
        for inner in item.values():
            yield from _dictionaries(inner)
    elif isinstance(item, list):
        for inner in item:
            yield from _dictionaries(inner)


def _numbers(item: Any) -> Iterator[float]:
    if isinstance(item, float | int) and not isinstance(item, bool):
        yield item
    elif isinstance(item, dict | list):
        for inner in item.values() if isinstance(item, dict) else item:
            yield from _numbers(inner)


def _everything() -> Iterator[dict[str, Any]]:
    for beamline in ("BL402", "BL631"):
        for one in itertools.islice(samples.sample_files(beamline, points=30), 40):
            if not one.path.endswith(".json"):
                scan = bcs.read(one.content)
                analysis = quicklook.analyse(scan, beamline)
                yield scientific_metadata(scan, beamline, one.path, analysis) | {"quicklook": analysis.numbers()}


def test_metadata_are_short_json_without_nan() -> None:
    for found in _everything():
        assert len(json.dumps(found, allow_nan=False)) < 8000
        assert all(math.isfinite(number) for number in _numbers(found))


def test_no_key_but_value_and_unit_can_be_taken_for_them() -> None:
    """The catalogue takes any two keys that begin with v and u for a value and its unit."""
    for found in _everything():
        for level in _dictionaries(found):
            suspicious = {key for key in level if key[:1].lower() in ("v", "u")}
            assert not suspicious or set(level) == {"value", "unit"}


UNITS_THAT_THE_CATALOGUE_CONVERTS = {"eV", "T", "K", "mm", "um", "mA", "s", "deg", "eV/s"}


def test_units_are_those_that_the_catalogue_can_convert() -> None:
    seen = {level["unit"] for found in _everything() for level in _dictionaries(found) if "unit" in level}
    assert seen <= UNITS_THAT_THE_CATALOGUE_CONVERTS
    assert len(seen) > 5


@pytest.mark.parametrize(
    ("text", "beamline", "expected"),
    [
        (samples.xmcd_pair_631(), "BL631", ["PaNET01137", "PaNET01221", "PaNET01196", "PaNET01199"]),
        (variants.with_reading(samples.xmcd_set_402()[0], ["EY"]), "BL402", ["PaNET01137", "PaNET01196", "PaNET01199"]),
        (samples.xmld_402(), "BL402", ["PaNET01259", "PaNET01196", "PaNET01199"]),
        (
            samples.trajectory_402(sweeps=((0, 0.0), (0, 2.0)), scn="x", element="Fe"),
            "BL402",
            ["PaNET01300", "PaNET01196", "PaNET01199"],
        ),
        (samples.xmcd_pair_631(fields=(1.8,)), "BL631", ["PaNET01196", "PaNET01199"]),
        (samples.hysteresis_631(), "BL631", ["PaNET01137", "PaNET01221"]),
        (samples.hysteresis_402(), "BL402", ["PaNET01196"]),
        (samples.sigscan_402(), "BL402", []),
        (variants.timescan(), "BL402", []),
        (variants.with_reading(samples.xmcd_pair_631(), ["EY"]), "BL631", []),
    ],
)
def test_techniques_are_those_that_the_data_show(text: str, beamline: str, expected: list[str]) -> None:
    assert list(terms(text, beamline)) == expected


def test_identifiers_and_labels_are_those_of_panet() -> None:
    known = {
        "PaNET01137": "x-ray magnetic circular dichroism",
        "PaNET01221": "XMCD total electron yield",
        "PaNET01259": "x-ray magnetic linear dichroism",
        "PaNET01300": "x-ray linear dichroism",
        "PaNET01196": "x-ray absorption spectroscopy",
        "PaNET01199": "x-ray absorption near edge structure",
    }
    for text, beamline in ((samples.xmcd_pair_631(), "BL631"), (samples.xmld_402(), "BL402")):
        assert terms(text, beamline).items() <= known.items()
    analysis = quicklook.analyse(bcs.read(samples.xmcd_pair_631().encode()), "BL631")
    assert all(term["pid"].startswith("http://purl.org/pan-science/PaNET/PaNET") for term in techniques(analysis))
