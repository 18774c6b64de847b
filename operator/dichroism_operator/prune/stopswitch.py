"""The stop switch: a ConfigMap that a person makes and deletes. While it is there, or can't be read, nothing is pruned.

It stands in no chart, so no tool that applies charts takes it away again.
"""

from dichroism_crds.client import AlreadyExists, Api, ApiError, NotFound
from dichroism_crds.names import STOP_PRUNE_CONFIGMAP
from dichroism_crds.timestamps import format_time, now

READ_TIMEOUT_S = 10.0


async def why_stopped(api: Api) -> str | None:
    """Why nothing may be pruned now; None only when the API server says that there is no switch."""
    try:
        found = await api.request(
            "GET", api.builtin_path("v1", "configmaps", STOP_PRUNE_CONFIGMAP), timeout=READ_TIMEOUT_S
        )
    except NotFound as error:
        # A 404 of something in between, such as a proxy, is no answer to the question.
        if error.reason == "NotFound":
            return None
        return f"the stop switch can't be read: {error.message}"
    except ApiError as error:
        return f"the stop switch can't be read, so it counts as on: {error.message}"
    data = found.get("data") or {}
    said = " ".join(f"{key} {data[key]}" for key in ("reason", "by", "at") if data.get(key))
    return f"ConfigMap {STOP_PRUNE_CONFIGMAP} is there" + (f" ({said})" if said else "")


async def stop(api: Api, reason: str, by: str) -> bool:
    """Turn the switch on; False when it was on already, with the earlier reason kept.

    Raises:
        ApiError: it may not be on.
    """
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": STOP_PRUNE_CONFIGMAP},
        "data": {"reason": reason, "by": by, "at": format_time(now())},
    }
    try:
        await api.request("POST", api.builtin_path("v1", "configmaps"), body=body)
    except AlreadyExists:
        return False
    return True


async def resume(api: Api) -> bool:
    """Turn the switch off; False when it was off already.

    Raises:
        ApiError: it may still be on.
    """
    try:
        await api.request("DELETE", api.builtin_path("v1", "configmaps", STOP_PRUNE_CONFIGMAP))
    except NotFound:
        return False
    return True
