"""The question that every writer asks first: does the API server serve CRDs as new as these models?"""

from dichroism_crds.client import Api, NotFound
from dichroism_crds.kinds import KINDS
from dichroism_crds.schema_served import OPENAPI_PATH, missing_fields

SHOWN = 5


async def too_old(api: Api) -> str | None:
    """Why nothing may be written with these CRDs, and what to do; None when they are new enough.

    Raises:
        ApiError: the API server does not answer.
    """
    try:
        document = await api.request("GET", OPENAPI_PATH)
    except NotFound:
        return "the CRDs are not installed: apply what `dichroism crds` prints"
    lacking = [f"{kind.kind}.{field}" for kind in KINDS for field in missing_fields(document, kind)]
    if not lacking:
        return None
    shown = ", ".join(lacking[:SHOWN]) + (f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else "")
    return (
        f"the installed CRDs are older than this version, they would drop {shown}: apply what `dichroism crds` prints"
    )
