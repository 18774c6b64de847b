"""A file that may go from data402, with everything that its deletion rests on; tests take single stones out."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dichroism_crds.config import Config, Endpoint
from dichroism_crds.kinds import Checksum, Content, Copy, Metadata, Prune, PruneStatus, Scan, ScanSpec, ScanStatus
from dichroism_operator import calendar
from dichroism_operator.movers.base import CopyState, FileStat
from dichroism_operator.prune.decision import Case, decide

WRITTEN = datetime(2026, 11, 22, 17, 3, 11, 123456, tzinfo=UTC)
VERIFIED = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
AFTER = timedelta(days=180)
DUE = datetime(2027, 5, 23, tzinfo=UTC)
DIGEST = "0123456789abcdef" * 4
PATH = "2026/261122/TrajScan31914-1_0001.txt"
NAME = "bl402-7q3kxd5n2m4p6r8s0t2v4w6y8z"
SIZE = 300_000

AS_SCHEDULED = FileStat(SIZE, WRITTEN)


def config(**changes: Any) -> Config:
    """BL402 with tape; ``changes`` replace top-level fields."""
    wire: dict[str, Any] = {
        "endpoints": {
            name: Endpoint(name=name, root_path=f"/site/{name}", uuid=f"1b2c3d4e-0000-4000-8000-00000000000{number}")
            for number, name in enumerate(("data402", "nersc402", "hpss402"))
        },
        "beamlines": {
            "BL402": {
                "name": "BL402",
                "watch": {"root": "data402", "since": datetime(2026, 11, 1, tzinfo=UTC)},
                "transfer": {"source": "data402", "destination": "nersc402"},
                "archive": {"source": "nersc402", "destination": "hpss402"},
                "prune": {
                    "data402": {"after": AFTER, "needs": ("nersc402", "hpss402")},
                    "nersc402": {"after": 2 * AFTER, "needs": ("hpss402",)},
                },
            }
        },
    }
    return Config.model_validate(wire | changes, by_name=True, by_alias=True)


def with_rule(base: Config, **changes: Any) -> Config:
    """The configuration with another rule for data402, where it has one."""
    beamline = base.beamlines["BL402"]
    if "data402" not in beamline.prune:
        return base
    rule = beamline.prune["data402"].model_copy(update=changes)
    pruned = beamline.model_copy(update={"prune": {**beamline.prune, "data402": rule}})
    return base.model_copy(update={"beamlines": {"BL402": pruned}})


def without_rule(base: Config) -> Config:
    """The configuration that prunes data402 no more."""
    beamline = base.beamlines["BL402"]
    kept = {name: rule for name, rule in beamline.prune.items() if name != "data402"}
    return base.model_copy(update={"beamlines": {"BL402": beamline.model_copy(update={"prune": kept})}})


def with_archive(base: Config, **changes: Any) -> Config:
    """The configuration with another hop to tape."""
    beamline = base.beamlines["BL402"]
    assert beamline.archive is not None
    changed = beamline.model_copy(update={"archive": beamline.archive.model_copy(update=changes)})
    return base.model_copy(update={"beamlines": {"BL402": changed}})


def with_endpoint(base: Config, name: str, **changes: Any) -> Config:
    """The configuration with another description of one endpoint."""
    changed = base.endpoints[name].model_copy(update=changes)
    return base.model_copy(update={"endpoints": {**base.endpoints, name: changed}})


def scan(**spec: Any) -> Scan:
    """The Scan of the file, with both copies."""
    content = Content(size=SIZE, modified_at=WRITTEN)
    digest = Checksum(value=DIGEST)
    copies = [
        Copy(endpoint="nersc402", path=PATH, size=SIZE, checksum=digest, verified_at=VERIFIED),
        Copy(endpoint="hpss402", path="2026/one.tar", member=PATH, size=SIZE, checksum=digest, verified_at=VERIFIED),
    ]
    values = {"beamline": "BL402", "path": PATH, "size": SIZE, "modified_at": WRITTEN, "proposal": "ALS-12345"} | spec
    return Scan(
        metadata=Metadata(name=NAME), spec=ScanSpec(**values), status=ScanStatus(content=content, copies=copies)
    )


def prune(scans: list[Scan] | None = None, status: PruneStatus | None = None) -> Prune:
    """The Prune as the calendar writes it."""
    today = config()
    built = calendar.build_prune(scans or [scan()], today.beamlines["BL402"], "data402", today, 1)
    return built.model_copy(update={"status": status or PruneStatus()})


@dataclass(frozen=True)
class World:
    """All that one decision looks at; as it is, the file may go."""

    config: Config = field(default_factory=config)
    prune: Prune = field(default_factory=prune)
    scan: Scan | None = field(default_factory=scan)
    moment: datetime = DUE
    found: FileStat | None = AS_SCHEDULED
    states: dict[str, CopyState] = field(
        default_factory=lambda: {"nersc402": CopyState.VERIFIED, "hpss402": CopyState.VERIFIED}
    )

    @property
    def case(self) -> Case:
        return Case(self.config, self.prune, self.prune.spec.items[0], self.scan, self.moment)

    def decide(self) -> object:
        return decide(self.case, self.found, self.states)

    def but(self, **changes: Any) -> "World":
        return replace(self, **changes)

    def with_item(self, **changes: Any) -> "World":
        item = self.prune.spec.items[0].model_copy(update=changes)
        return self.with_spec(items=[item])

    def with_spec(self, **changes: Any) -> "World":
        spec = self.prune.spec.model_copy(update=changes)
        return replace(self, prune=self.prune.model_copy(update={"spec": spec}))
