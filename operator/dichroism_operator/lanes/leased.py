"""Reading what a job or a watcher left in its Lease. What anybody may have written there is no reason to stop."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from dichroism_crds.client import Api, NotFound
from dichroism_crds.heartbeat import LEASES
from dichroism_operator.recorder import About

R = TypeVar("R")

log = logging.getLogger(__name__)


async def last_result(api: Api, name: str, parse: Callable[[Mapping[str, Any]], R | None]) -> tuple[About, R | None]:
    """The Lease as an Event names it, and what it says; None when there is none or it makes no sense.

    Raises:
        ApiError: the API can't be asked.
    """
    about = About("Lease", name, api_version=LEASES[0])
    try:
        lease = await api.request("GET", api.builtin_path(*LEASES, name))
        about = About("Lease", name, lease.get("metadata", {}).get("uid"), LEASES[0])
        return about, parse(lease)
    except NotFound:
        return about, None
    except (ValueError, TypeError, AttributeError) as error:
        log.warning("what was left in Lease %s cannot be read: %s", name, error)
        return about, None
