"""Which mover looks after an endpoint, and which one proves the copies there."""

from pathlib import Path

import pytest

from dichroism_crds.config import Config, load
from dichroism_operator.movers.choice import mover_name, verifier_name

TEXT = """
data402: {{root_path: /data, uuid: 1b2c3d4e-0000-4000-8000-000000000001}}
nersc402: {{root_path: /cfs, uuid: 1b2c3d4e-0000-4000-8000-000000000002{mount}}}
hpss402: {{root_path: /home/a/als}}
beamlines:
  BL402:
    watch: {{root: data402, since: 2026-01-01}}
    transfer: {{from: data402, to: nersc402, mover: globus}}
    archive: {{from: nersc402, to: hpss402, mover: sfapi}}
"""


def config(folder: Path, mount: str = "") -> Config:
    file = folder / "config.yml"
    file.write_text(TEXT.format(mount=mount))
    return load(file)


def test_copies_that_are_not_mounted_are_proven_where_tape_jobs_run(tmp_path: Path) -> None:
    known = config(tmp_path)
    assert {name: mover_name(known, name) for name in known.endpoints} == {
        "data402": "globus",
        "nersc402": "globus",
        "hpss402": "sfapi",
    }
    assert {name: verifier_name(known, name) for name in known.endpoints} == {
        "data402": "globus",
        "nersc402": "sfapi",
        "hpss402": "sfapi",
    }


def test_copies_that_are_mounted_are_proven_by_the_mover_that_made_them(tmp_path: Path) -> None:
    known = config(tmp_path, f", mount: {tmp_path}")
    assert verifier_name(known, "nersc402") == "globus"


def test_an_endpoint_that_no_hop_uses_has_no_mover(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no hop"):
        mover_name(config(tmp_path), "tape999")
