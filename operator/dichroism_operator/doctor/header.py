"""Where the catalogue step would read the files from here: without a place, datasets are made without metadata."""

from functools import partial

from globus_sdk import TransferAPIError

from dichroism_crds.config import Beamline
from dichroism_crds.reasons import Reason
from dichroism_operator.doctor.check import Check, Finding, Findings, not_checked, ok, warning
from dichroism_operator.doctor.cluster import Role
from dichroism_operator.doctor.place import Place
from dichroism_operator.movers.errors import MoverUnavailable


def checks(place: Place) -> list[Check]:
    """One for each beamline with a catalogue step."""
    proves = "the header of a file can be read for the catalogue"
    return [Check(f"header/{one.name}", proves, partial(_look, place, one)) for one in place.beamlines if one.ingest]


async def _look(place: Place, beamline: Beamline) -> Findings:
    assert place.config is not None
    ends = [place.config.endpoints[name] for name in (beamline.transfer.destination, beamline.transfer.source)]
    mounted = [end.name for end in ends if end.mount]
    served: dict[str, str] = {}
    unknown = False
    if not mounted and beamline.transfer.mover == "globus":
        for end in ends:
            try:
                server = (await place.globus.document_of(end)).get("https_server")
            except (MoverUnavailable, TransferAPIError):
                unknown = True
                continue
            if server:
                served[end.name] = str(server)
    return [judge(beamline, await place.role(), mounted, served, unknown=unknown)]


def judge(beamline: Beamline, role: Role, mounted: list[str], served: dict[str, str], *, unknown: bool) -> Finding:
    """Whether there is a place.

    Args:
        beamline: whose files are to be read.
        role: which program would read here; only the operator does.
        mounted: endpoints of the beamline that are mounted here, the best first.
        served: HTTPS servers of collections, by endpoint.
        unknown: a collection could not be asked.
    """
    if mounted:
        return ok(f"read from the mount of {mounted[0]}")
    if served:
        name, server = next(iter(served.items()))
        return ok(f"read over HTTPS of the collection of {name} ({server}), up to 64 MB")
    ways = f"{beamline.transfer.destination} or {beamline.transfer.source}"
    if role != Role.OPERATOR:
        return not_checked(
            f"neither {beamline.transfer.destination} nor {beamline.transfer.source} is mounted here",
            "Only the operator reads: run this in its pod",
        )
    if unknown:
        return not_checked("the Globus collections could not be asked", "See the checks of globus")
    text = f"no file can be read here, so datasets are made without metadata ({Reason.HEADER_NOT_READ})"
    if beamline.transfer.mover == "globus":
        return warning(text, f"Mount {ways} for the operator, or have HTTPS switched on for a collection of them")
    return warning(text, f"Mount {ways} for the operator")
