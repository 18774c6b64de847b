"""Each endpoint has one mover that looks after it, and one that proves its copies."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dichroism_crds.config import Config, Endpoint
from dichroism_operator.movers.choice import build_movers, mover_for, verifier_for
from dichroism_operator.movers.sfapi.mover import SfapiMover


def config(mount: Path | None = None) -> Config:
    """Globus to the site, tape by jobs there."""
    endpoints = {name: Endpoint(name=name, root_path=f"/site/{name}") for name in ("data402", "nersc402", "hpss402")}
    endpoints["nersc402"] = endpoints["nersc402"].model_copy(update={"mount": mount})
    beamline: dict[str, Any] = {
        "name": "BL402",
        "watch": {"root": "data402", "since": datetime(2026, 11, 1, tzinfo=UTC)},
        "transfer": {"source": "data402", "destination": "nersc402", "mover": "globus"},
        "archive": {"source": "nersc402", "destination": "hpss402", "mover": "sfapi"},
    }
    return Config.model_validate(
        {"endpoints": endpoints, "beamlines": {"BL402": beamline}}, by_name=True, by_alias=True
    )


@pytest.mark.parametrize(
    ("endpoint", "mount", "looks_after", "proves"),
    [
        ("data402", None, "globus", "globus"),
        ("nersc402", None, "globus", "sfapi"),
        ("nersc402", Path("/mnt/cfs"), "globus", "globus"),
        ("hpss402", None, "sfapi", "sfapi"),
    ],
)
def test_files_at_the_site_are_proven_by_a_job_unless_they_are_mounted_here(
    endpoint: str, mount: Path | None, looks_after: str, proves: str
) -> None:
    chosen = config(mount)
    movers = build_movers(chosen)
    assert mover_for(chosen, movers, endpoint) is movers[looks_after]
    assert verifier_for(chosen, movers, endpoint) is movers[proves]
    assert isinstance(movers["sfapi"], SfapiMover)
