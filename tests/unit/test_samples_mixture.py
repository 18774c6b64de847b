"""The mixture of all kinds of files: the same for a seed, every kind in every turn, and as readable as it says."""

import itertools
from collections import Counter

import pytest

from dichroism_operator import bcs, quicklook
from dichroism_operator.bcs.filename import SIDECAR_SUFFIX
from dichroism_operator.science.techniques import techniques
from tests.samples import KINDS, mixed_files

ALL = [(beamline, name) for beamline, kinds in KINDS.items() for name in kinds]


@pytest.mark.parametrize("beamline", KINDS)
def test_every_kind_comes_once_in_every_turn_under_a_path_of_its_own(beamline: str) -> None:
    count = 3 * len(KINDS[beamline])
    files = list(itertools.islice(mixed_files(beamline, seed=1), count))
    assert set(Counter(one.kind for one in files).values()) == {3}
    assert len({one.path for one in files}) == count
    assert files == list(itertools.islice(mixed_files(beamline, seed=1), count))
    other = list(itertools.islice(mixed_files(beamline, seed=2), count))
    assert [one.kind for one in files] != [one.kind for one in other]


def test_a_sidecar_lies_beside_its_scan() -> None:
    paths = {one.path for one in itertools.islice(mixed_files("BL402"), 2 * len(KINDS["BL402"]))}
    beside = [path for path in paths if path.endswith(SIDECAR_SUFFIX) and "TrajScan" in path]
    assert len(beside) == 2
    assert {path.removesuffix(SIDECAR_SUFFIX) + ".txt" for path in beside} <= paths


@pytest.mark.parametrize(("beamline", "name"), ALL, ids=[f"{beamline} {name}" for beamline, name in ALL])
def test_a_kind_is_as_readable_as_it_says(beamline: str, name: str) -> None:
    kind = KINDS[beamline][name]
    file = next(one for one in mixed_files(beamline, points=30) if one.kind == name)
    if file.path.endswith(SIDECAR_SUFFIX):
        return
    try:
        scan = bcs.read(file.content)
    except bcs.BcsError:
        assert not kind.readable
        return
    assert kind.readable
    assert bool(techniques(quicklook.analyse(scan, beamline))) == kind.techniques
