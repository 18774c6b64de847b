"""Scans of BL402 in every state that the pure modules can bring them to, and the configuration they live by."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from dichroism_crds.config import Beamline, Config, Endpoint
from dichroism_crds.kinds import Checksum, Copy, Metadata, Scan, ScanSpec, Step
from dichroism_crds.names import scan_name
from dichroism_crds.reasons import Reason
from dichroism_operator import lifecycle

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
WRITTEN = datetime(2026, 11, 22, 17, 3, 11, 123456, tzinfo=UTC)
PATH = "2026/261122/TrajScan31914-1_0001.txt"
SIZE = 300_000
ATTEMPTS = 3
DIGEST = "0123456789abcdef" * 4

_WIRE: dict[str, Any] = {
    "name": "BL402",
    "watch": {"root": "data402", "since": datetime(2026, 11, 1, tzinfo=UTC)},
    "transfer": {"source": "data402", "destination": "nersc402"},
    "ingest": {"owner_group": "als", "contact_email": "bl402@example.org"},
    "archive": {"source": "nersc402", "destination": "hpss402"},
    "prune": {
        "data402": {"after": timedelta(days=180), "needs": ("nersc402", "hpss402")},
        "nersc402": {"after": timedelta(days=365), "needs": ("hpss402",)},
    },
}


def beamline(*without: str) -> Beamline:
    """BL402; ``without`` names sections to leave out."""
    wire = {key: value for key, value in _WIRE.items() if key not in without}
    return Beamline.model_validate(wire, by_name=True, by_alias=True)


def config(*without: str) -> Config:
    """A configuration with BL402 alone."""
    endpoints = {name: Endpoint(name=name, root_path=f"/site/{name}") for name in ("data402", "nersc402", "hpss402")}
    wire = {"endpoints": endpoints, "beamlines": {"BL402": beamline(*without)}}
    return Config.model_validate(wire, by_name=True, by_alias=True)


def scan(path: str = PATH, *, number: int = 0, **spec: Any) -> Scan:
    """A fresh Scan as the API serves it; ``number`` makes its time of creation and its uid."""
    values = {"beamline": "BL402", "path": path, "size": SIZE, "modified_at": WRITTEN} | spec
    return Scan(
        metadata=Metadata(
            name=scan_name("BL402", "data402", path),
            uid=f"uid-{number}",
            generation=1,
            creation_timestamp=NOW + timedelta(seconds=number),
        ),
        spec=ScanSpec.model_validate(values),
    )


def copy(endpoint: str, path: str = PATH, verified_at: datetime = NOW) -> Copy:
    """A verified copy; on tape it is a member of a bundle."""
    on_tape = endpoint.startswith("hpss")
    return Copy(
        endpoint=endpoint,
        path="2026/bundle.tar" if on_tape else path,
        member=path if on_tape else None,
        size=SIZE,
        checksum=Checksum(value=DIGEST),
        verified_at=verified_at,
    )


def change_copy(one: Scan, index: int, **values: object) -> Copy:
    """Replace a recorded copy by one with other values."""
    one.status.copies[index] = one.status.copies[index].model_copy(update=values)
    return one.status.copies[index]


PLACES = {Step.TRANSFERRED: "nersc402", Step.ARCHIVED: "hpss402"}


def done(one: Scan, *steps: Step, now: datetime = NOW) -> Scan:
    """Bring steps to their end, with the copies that they make."""
    for step in steps:
        if step in PLACES:
            lifecycle.add_copy(one, copy(PLACES[step], one.spec.path))
        lifecycle.succeed(one, step, Reason.COPIED, "", now)
    return one


Happening = tuple[str, Step]
HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(["done", "failed", "waits", "suspend", "let go", "rewritten", "shrunk", "refused", "redo"]),
        st.sampled_from(Step),
    ),
    max_size=12,
)
"""What may happen to a Scan, in any order: also what a late or mistaken process may say."""


def happen(one: Scan, happenings: list[Happening], sections: Beamline) -> Scan:
    """Let it happen, with the derived fields brought in line after each, as every status write does it."""
    lifecycle.derive(one, sections, ATTEMPTS, NOW, {})
    for number, (what, step) in enumerate(happenings, start=1):
        moment = NOW + timedelta(seconds=number)
        match what:
            case "done":
                done(one, step, now=moment)
            case "failed":
                lifecycle.fail(one, step, Reason.SOURCE_MISSING, "it is not there", moment)
            case "waits":
                lifecycle.wait(one, step, Reason.ENDPOINT_UNAVAILABLE, "it does not answer", moment)
            case "suspend" | "let go":
                one.spec.suspend = what == "suspend"
                one.metadata.generation += 1
            case "rewritten" | "shrunk":
                one.spec.size = one.spec.size + 1 if what == "rewritten" else one.spec.size // 3
                one.metadata.generation += 1
                if not lifecycle.suspicious_rewrite(one):
                    lifecycle.restart_for_new_content(one, moment)
            case "refused":
                lifecycle.refuse(one, Reason.EXPORT_CONTROLLED, "not to be moved", moment)
            case "redo":
                lifecycle.redo(one, [step], moment)
        lifecycle.derive(one, sections, ATTEMPTS, moment, {})
    return one
