"""Objects of the three kinds as tests need them: legal ones, in any size."""

from datetime import UTC, datetime
from typing import Any

from dichroism_crds.client import Api
from dichroism_crds.kinds import (
    Bundle,
    Checksum,
    Metadata,
    Prune,
    PruneBundle,
    PruneItem,
    PruneSpec,
    RecordedEndpoint,
    Resource,
    Scan,
    ScanSpec,
    Transfer,
    TransferItem,
    TransferSpec,
)

MOMENT = datetime(2026, 11, 22, 17, 3, 11, 123456, tzinfo=UTC)
DIGEST = "0123456789abcdef" * 4
SCAN_NAME = "bl402-7q3kxd5n2m4p6r8s0t2v4w6y8z"


def scan(name: str = "one", path: str = "2026/261122/TrajScan31914-1_0001.txt", **spec: Any) -> Scan:
    """A Scan of 300 kB."""
    defaults: dict[str, Any] = {"beamline": "BL402", "size": 300_000, "modified_at": MOMENT}
    return Scan(metadata=Metadata(name=name), spec=ScanSpec(path=path, **(defaults | spec)))


def long_path(number: int, length: int, character: str = "x") -> str:
    """A path of exactly ``length`` characters, another one for each number."""
    return f"2026/261122/{number:05d}".ljust(length, character)


def transfer(
    name: str = "one", items: int = 2, length: int = 60, character: str = "x", size: int = 300_000
) -> Transfer:
    """A Transfer to tape."""
    return Transfer(
        metadata=Metadata(name=name),
        spec=TransferSpec(
            beamline="BL402",
            source="nersc402",
            destination="hpss402",
            submission_id="4f9c7a52-9be1-4c0e-8d3f-0a1b2c3d4e5f",
            bundle=Bundle(path="BL402-20261122-20261122-0123456789ab-4f9c7a52.tar", plan_sha256=DIGEST),
            items=[
                TransferItem(
                    scan=SCAN_NAME,
                    uid="4f9c7a52-9be1-4c0e-8d3f-0a1b2c3d4e5f",
                    path=long_path(number, length, character),
                    size=size,
                    modified_at=MOMENT,
                )
                for number in range(items)
            ],
        ),
    )


def prune(name: str = "one", items: int = 2, length: int = 60, bundles: int = 1) -> Prune:
    """A Prune of files whose copies are in tape bundles."""
    endpoint = RecordedEndpoint(
        name="data402", uuid="4f9c7a52-9be1-4c0e-8d3f-0a1b2c3d4e5f", root_path="/path/to/compute-dtn/4.0.2/data"
    )
    return Prune(
        metadata=Metadata(name=name),
        spec=PruneSpec(
            beamline="BL402",
            endpoint=endpoint,
            not_before=MOMENT,
            needs=[endpoint],
            bundles=[PruneBundle(endpoint="hpss402", path=f"{number}.tar") for number in range(bundles)],
            items=[
                PruneItem(
                    scan=SCAN_NAME,
                    path=long_path(number, length),
                    size=300_000,
                    modified_at=MOMENT,
                    checksum=Checksum(value=DIGEST),
                    anchor=MOMENT,
                    bundle=number % bundles,
                )
                for number in range(items)
            ],
        ),
    )


async def post(api: Api, kind: type[Resource], body: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
    """Create from plain JSON, past the models, so that the API server's own rules are tried."""
    return await api.request("POST", api.path(kind), query={"dryRun": "All"} if dry_run else None, body=body)
