"""Putting new Prunes in the place of others: under the beamline's Lease, the new ones first.

A process that dies in between leaves both. Then the file goes at the earlier of the two days, and the later Prune finds
it ``AlreadyGone``.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from dichroism_crds.client import AlreadyExists, Api
from dichroism_crds.config import Config
from dichroism_crds.kinds import Prune, PruneSpec
from dichroism_crds.names import LABEL_ENDPOINT, number_of
from dichroism_crds.reasons import KeptReason
from dichroism_crds.timestamps import now
from dichroism_operator.movers.base import CopyState, Mover
from dichroism_operator.prune import decision, replacement
from dichroism_operator.prune.decision import Case
from dichroism_operator.prune.gate import Gate
from dichroism_operator.prune.job import lease_name
from dichroism_operator.prune.replacement import Replacement
from dichroism_operator.prune.verification import Verification

ATTEMPTS = 20

log = logging.getLogger(__name__)
Plan = Callable[[Prune], Replacement | None]


async def replace(api: Api, beamline: str, name: str, plan: Plan) -> list[str]:
    """Read a Prune under the Lease, plan anew and put the result in its place; returns the names of the new ones.

    Raises:
        NotReplaceableError: a run works on it, or its files lie in the trash.
        LeaseTakenError: the beamline is being pruned right now.
        ApiError: it is done in part; doing it again is right.
    """
    gate = Gate(api)
    async with gate.holding(lease_name(beamline)):
        fresh = await api.get(Prune, name)
        replacement.check_untouched(fresh)
        wanted = plan(fresh)
        if wanted is None:
            return []
        made = [await _create(api, spec, name) for spec in wanted.specs]
        gate.before_file()
        await api.delete(Prune, name)
    return made


async def _create(api: Api, spec: PruneSpec, replaces: str) -> str:
    """Create it with the next free number; the creation is the claim."""
    for _ in range(ATTEMPTS):
        selector = f"{LABEL_ENDPOINT}={spec.endpoint.name}"
        taken = [number_of(one.name) async for one in api.list_metadata(Prune, label_selector=selector)]
        wanted = replacement.named(spec, max(taken, default=0) + 1, replaces)
        try:
            made = await api.create(wanted)
        except AlreadyExists:
            continue
        if made.spec != wanted.spec:
            raise RuntimeError(f"{made.name}: the API server did not keep the spec as it was sent; are the CRDs older?")
        log.info("%s: %d files, due %s", made.name, len(spec.items), spec.not_before, extra={"prune": made.name})
        return made.name
    raise RuntimeError(f"no free number for a Prune of {spec.endpoint.name}: others take them all, try again")


async def unproven(wanted: Replacement, config: Config, mover_of: Callable[[str], Mover]) -> dict[str, KeptReason]:
    """What speaks against each file where the new Prunes say that it and its copies are; empty when all is proven."""
    troubles: dict[str, KeptReason] = {}
    for spec in wanted.specs:
        prune = wanted.old.model_copy(update={"spec": spec})
        cases = {at: Case(config, prune, item, None, now()) for at, item in enumerate(spec.items)}
        if reason := decision.endpoint_changed(cases[0]):
            return {item.path: reason for item in spec.items}
        mover = mover_of(spec.endpoint.name)
        paths = [item.path for item in spec.items]
        found = await asyncio.to_thread(mover.stat, config.endpoints[spec.endpoint.name], paths)
        states = await Verification(config, mover_of, prune, cases.values()).states(cases)
        for at, case in cases.items():
            reason = decision.not_as_scheduled(case, found[case.item.path]) or _copies(case, states[at])
            if reason:
                troubles[case.item.path] = reason
    return troubles


def _copies(case: Case, states: Mapping[str, CopyState]) -> KeptReason | None:
    copies = decision.needed_copies(case)
    if not copies or None in copies.values():
        return KeptReason.NO_COPY_RECORDED
    return decision.unproven(case, states)
