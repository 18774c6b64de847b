"""Flight checks: whether the file stands where it has to, at a source into which we can't write content."""

from functools import partial

from globus_sdk import TransferAPIError

from dichroism_crds.config import Beamline, Endpoint
from dichroism_crds.names import PRIVATE_DIR
from dichroism_operator.doctor.check import Check, Finding, Findings, not_checked, ok, problem
from dichroism_operator.doctor.globus_collection import Trouble, names_in
from dichroism_operator.doctor.place import Place
from dichroism_operator.flight.field import FLIGHT, PROOF, SIZE, STANDING
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.threads import in_daemon_thread


def checks(place: Place) -> list[Check]:
    """One for each beamline whose first hop goes by Globus."""
    if place.config is None:
        return []
    ends = place.config.endpoints
    return [
        Check(
            f"flight/{one.name}",
            "a flight check finds the file that it sends",
            partial(_look, place, one, ends[one.transfer.source]),
        )
        for one in place.beamlines
        if one.transfer.mover == "globus"
    ]


async def _look(place: Place, beamline: Beamline, source: Endpoint) -> Findings:
    if source.uuid is None or source.has_placeholder:
        return [not_checked(f"{source.name} names no collection", f"See globus/{source.name}")]
    await place.globus.require()
    try:
        found = await in_daemon_thread(partial(names_in, place.globus, source, FLIGHT))
    except (MoverUnavailable, TransferAPIError) as error:
        return [not_checked(Trouble.of(error).message, f"See globus/{source.name}")]
    return [judge(beamline.name, source, found)]


def judge(beamline: str, source: Endpoint, found: set[str] | None) -> Finding:
    """What lies in the folder of the flight checks; None when it is not there."""
    there = found or set()
    if STANDING in there and PRIVATE_DIR in there:
        return ok(f"{FLIGHT}/{STANDING} stands on {source.name}")
    missing = " and ".join(f"{FLIGHT}/{name}" for name in (PRIVATE_DIR, STANDING) if name not in there)
    text = f"{source.name} has no {missing}: flight checks of {beamline} fail unless they can write through a mount"
    root = source.root_path.rstrip("/")
    remedy = (
        f"On a host that has the folder, once: mkdir -p {root}/{PROOF} && "
        f"head -c {SIZE} /dev/urandom > {root}/{FLIGHT}/{STANDING}"
    )
    return problem(text, remedy)
