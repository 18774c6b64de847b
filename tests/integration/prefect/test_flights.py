"""Flight checks have runs under the name that staff know, in a queue of their own."""

from datetime import timedelta

from dichroism_operator.flight.shown import flight_run
from tests.integration.prefect.conftest import Mirror
from tests.unit.test_flight_result import FAILED, PASSED, result


async def test_a_check_is_one_run_with_a_state_for_each_leg(mirror: Mirror) -> None:
    good = result(PASSED)
    bad = result(PASSED, FAILED, ended=good.ended + timedelta(hours=12))
    for one in (good, bad, good):
        await mirror.restarted().runs.show(flight_run(one))
    runs = mirror.prefect.runs("test_transfers_dichroism")
    assert {good.id, bad.id} <= runs.keys()
    run = runs[bad.id]
    assert (run["work_pool_name"], run["work_queue_name"]) == (
        "new_file_dichroism_pool",
        "test_transfers_dichroism_queue",
    )
    assert run["parameters"]["beamline"] == "BL402"
    assert mirror.prefect.states(run["id"]) == [
        ("PENDING", "Pending"),
        ("RUNNING", "data402-nersc402"),
        ("RUNNING", "scicat"),
        ("FAILED", "Failed"),
    ]
    assert [name for _, name in mirror.prefect.states(runs[good.id]["id"])][-1] == "Completed"
    (page,) = mirror.prefect.artifacts(run["id"])
    assert "| scicat | failed | 3.0 | CatalogueUnavailable |" in page["data"]
