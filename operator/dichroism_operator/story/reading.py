"""Fetches what the cluster knows of one file. What the account may not read is noted, and the rest is told anyway."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from dichroism_crds.client import Api, Denied, NotFound
from dichroism_crds.kinds import Prune, Resource, Scan, Transfer, TransferPhase
from dichroism_crds.names import LABEL_BEAMLINE
from dichroism_crds.timestamps import now
from dichroism_operator import pauses
from dichroism_operator.doctor.check import Severity
from dichroism_operator.doctor.kubernetes import judge_lease, operator_lease
from dichroism_operator.story.known import Happened, Known

R = TypeVar("R", bound=Resource)
T = TypeVar("T")

AT_ONCE = 20
"""Transfers or Prunes in one page of a list: each may be a megabyte."""
UNSUCCESSFUL = f"status.phase!={TransferPhase.SUCCEEDED}"

Progress = Callable[[str], None]


@dataclass(slots=True)
class _Reader:
    """One connection, and what could not be read with it."""

    api: Api
    unread: list[str] = field(default_factory=list)

    async def maybe(self, what: str, asked: Awaitable[T], otherwise: T) -> T:
        """The answer, or ``otherwise`` with a note where the account may not ask."""
        try:
            return await asked
        except Denied as error:
            self.unread.append(f"{what} can't be read: {error.message}")
            return otherwise

    async def named(self, kind: type[R], names: Iterable[str]) -> list[R]:
        found = []
        for name in dict.fromkeys(names):
            try:
                found.append(await self.api.get(kind, name))
            except NotFound:
                continue  # collected
        return found


async def read(api: Api, scan: Scan) -> Known:
    """Everything about the file of a Scan.

    Raises:
        ApiError: the Scan's own objects can't be read.
    """
    reader = _Reader(api)
    made = await reader.named(Transfer, (copy.transfer for copy in scan.status.copies if copy.transfer))
    under_way = await transfers_naming(api, scan.name, scan.spec.beamline, UNSUCCESSFUL)
    transfers = list({one.name: one for one in (*made, *under_way)}.values())
    prunes = await reader.named(Prune, (entry.prune for entry in scan.status.prune))
    return await _complete(reader, scan, transfers, prunes)


async def read_by_name(api: Api, name: str, beamlines: Collection[str], progress: Progress) -> Known:
    """Everything that still names a Scan that is not there, found in whole lists of Transfers and Prunes.

    Raises:
        ApiError: they can't be read.
    """
    transfers: list[Transfer] = []
    prunes: list[Prune] = []
    for beamline in beamlines:
        progress(f"looking through the Transfers and Prunes of {beamline}")
        transfers += await transfers_naming(api, name, beamline)
        listed = api.list(Prune, label_selector=f"{LABEL_BEAMLINE}={beamline}", limit=AT_ONCE)
        prunes += [prune async for prune in listed if any(item.scan == name for item in prune.spec.items)]
    return await _complete(_Reader(api), None, transfers, prunes)


async def transfers_naming(api: Api, scan: str, beamline: str, phases: str = "") -> list[Transfer]:
    """Transfers of a beamline that name the Scan, the oldest first."""
    listed = api.list(Transfer, field_selector=phases, label_selector=f"{LABEL_BEAMLINE}={beamline}", limit=AT_ONCE)
    return [one async for one in listed if any(item.scan == scan for item in one.spec.items)]


async def _complete(reader: _Reader, scan: Scan | None, transfers: list[Transfer], prunes: list[Prune]) -> Known:
    about: list[Resource] = [*([scan] if scan else []), *transfers, *prunes]
    events = [one for resource in about for one in await reader.maybe("Events", _events(reader.api, resource), [])]
    idle, paused = await reader.maybe("the operator's Lease", _operator(reader.api), (None, []))
    return Known(
        scan,
        tuple(sorted(transfers, key=_created)),
        tuple(sorted(prunes, key=lambda one: one.spec.not_before)),
        tuple(sorted(events, key=lambda one: one.at or datetime.min.replace(tzinfo=UTC))),
        tuple(paused),
        idle,
        tuple(dict.fromkeys(reader.unread)),
    )


def _created(resource: Resource) -> tuple[datetime, str]:
    return resource.metadata.creation_timestamp or datetime.min.replace(tzinfo=UTC), resource.name


async def _events(api: Api, about: Resource) -> list[Happened]:
    selector = f"involvedObject.name={about.name},involvedObject.kind={about.kind}"
    path = api.builtin_path("v1", "events")
    return [Happened.parse(one) async for one in api.list_pages(path, field_selector=selector)]


async def _operator(api: Api) -> tuple[str | None, list[pauses.Pause]]:
    """Why no operator works, None when one does; and what it waits for."""
    lease = await operator_lease(api)
    finding = judge_lease(lease.get("spec", {}) if lease else None, now())
    if lease is None or finding.severity == Severity.PROBLEM:
        return finding.message, []
    return None, pauses.of_lease(lease)
