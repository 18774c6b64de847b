"""One endpoint as its Globus collection shows it: what it is, what we may do there, who holds it.

A client can write no content and remove no folder. So the round trip is an empty folder in
``.dichroism/doctor-globus``: the first run makes it, every run gives it another random name, and it stays. Runs on a
mount have a folder of their own, because this one belongs to the user that the collection maps us to.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from globus_sdk import TransferAPIError

from dichroism_crds.config import Endpoint
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.reasons import Reason
from dichroism_operator.doctor.check import Finding, ok, problem, warning
from dichroism_operator.doctor.globus_access import GlobusAccess
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.globus.connection import document
from dichroism_operator.movers.globus.errors import is_existing, is_not_found

DOCTOR = f"{PRIVATE_DIR}/doctor-globus"
_OURS = re.compile(r"[0-9a-f]{16}\Z")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Where the look ended: what the service said, and the reason in our words."""

    reason: Reason
    message: str

    @classmethod
    def of(cls, error: MoverUnavailable | TransferAPIError) -> "Trouble":
        """The error of a request."""
        if isinstance(error, MoverUnavailable):
            return cls(error.reason, str(error))
        denied = error.http_status == 403 or "PermissionDenied" in (error.code or "")
        reason = Reason.PERMISSION_DENIED if denied else Reason.ENDPOINT_UNAVAILABLE
        return cls(reason, f"{error.http_status} {error.code}: {(error.message or '')[:300]}")


@dataclass(frozen=True, slots=True)
class CollectionSeen:
    """What was seen until the end, or until the first trouble.

    Attributes:
        name: display name of the collection.
        kind: what Globus calls its type.
        pauses: messages of the rules by which administrators hold our tasks here.
        root_listed: the root of the endpoint is there and may be listed.
        prepared: it holds the folder ``.dichroism``.
        renamed: the round trip was made and the folder stood under its new name; None when it was not tried.
        trouble: why there is no more.
    """

    name: str = ""
    kind: str = ""
    pauses: tuple[str, ...] = ()
    root_listed: bool = False
    prepared: bool = False
    renamed: bool | None = None
    trouble: Trouble | None = None


def look(globus: GlobusAccess, endpoint: Endpoint, described: Mapping[str, Any], *, may_write: bool) -> CollectionSeen:
    """Ask the service about one endpoint; blocks.

    Args:
        globus: the way to the service.
        endpoint: which; it has a uuid.
        described: the document of its collection.
        may_write: make the round trip too.
    """
    seen = CollectionSeen(str(described.get("display_name") or ""), str(described.get("entity_type") or ""))
    seen = replace(seen, pauses=_pauses(globus, endpoint))
    try:
        names = names_in(globus, endpoint, "")
        if names is None:
            return seen
        seen = replace(seen, root_listed=True, prepared=PRIVATE_DIR in names)
        if seen.prepared and may_write:
            seen = replace(seen, renamed=_round_trip(globus, endpoint))
    except (MoverUnavailable, TransferAPIError) as error:
        return replace(seen, trouble=Trouble.of(error))
    return seen


def _pauses(globus: GlobusAccess, endpoint: Endpoint) -> tuple[str, ...]:
    """Messages of the rules that hold our tasks; none where the service does not tell."""
    try:
        answer = globus.ask(
            f"read the pause rules of {endpoint.name}",
            lambda client: document(client.my_effective_pause_rule_list(endpoint.uuid or "")),
        )
    except (MoverUnavailable, TransferAPIError):
        return ()
    rules = answer.get("DATA")
    return tuple(str(one.get("message") or "no message") for one in rules) if isinstance(rules, list) else ()


def _path(endpoint: Endpoint, relative: str) -> str:
    return f"{endpoint.collection_path.rstrip('/')}/{relative}"


def names_in(globus: GlobusAccess, endpoint: Endpoint, folder: str) -> set[str] | None:
    """Names in a folder; None when it is not there."""
    try:
        listed = globus.ask(
            f"list {folder or 'the root'} of {endpoint.name}",
            lambda client: document(client.operation_ls(endpoint.uuid or "", path=_path(endpoint, folder))),
        )
    except TransferAPIError as error:
        if is_not_found(error):
            return None
        raise
    rows = listed.get("DATA")
    return {str(row.get("name")) for row in rows} if isinstance(rows, list) else set()


def _round_trip(globus: GlobusAccess, endpoint: Endpoint) -> bool:
    _make_folder(globus, endpoint, DOCTOR)
    standing = sorted(filter(_OURS.match, names_in(globus, endpoint, DOCTOR) or ()))
    old = standing[0] if standing else secrets.token_hex(8)
    if not standing:
        _make_folder(globus, endpoint, f"{DOCTOR}/{old}")
    new = secrets.token_hex(8)
    globus.ask(
        f"rename a folder in {DOCTOR} of {endpoint.name}",
        lambda client: client.operation_rename(
            endpoint.uuid or "", _path(endpoint, f"{DOCTOR}/{old}"), _path(endpoint, f"{DOCTOR}/{new}")
        ),
        once=True,
    )
    found = names_in(globus, endpoint, DOCTOR) or set()
    return new in found and old not in found


def _make_folder(globus: GlobusAccess, endpoint: Endpoint, folder: str) -> None:
    try:
        globus.ask(
            f"make the folder {folder} on {endpoint.name}",
            lambda client: client.operation_mkdir(endpoint.uuid or "", _path(endpoint, folder)),
        )
    except TransferAPIError as error:
        if not is_existing(error):
            raise


def judge(endpoint: Endpoint, identity: str, seen: CollectionSeen) -> list[Finding]:
    """What was seen on one collection, for the service account ``identity``."""
    findings = []
    for message in seen.pauses:
        text = f"an administrator holds our tasks on this collection ({message}): copies wait (EndpointPaused)"
        findings.append(problem(text, "Ask the collection's administrator; copies go on by themselves afterwards"))
    if seen.trouble:
        return [*findings, problem(seen.trouble.message, remedy_of(seen.trouble.reason, identity))]
    described = f"collection {seen.name!r}, {seen.kind}"
    root = endpoint.collection_path
    if not seen.root_listed:
        text = f"{described}: there is no folder {root} on it"
        return [*findings, problem(text, f"Correct {endpoint.name}.globus_path: the folder as the collection names it")]
    if not seen.prepared:
        text = f"{described}: {root} has no folder {PRIVATE_DIR}, so it may be the wrong one; nothing is moved"
        remedy = f"If it is the right one: globus mkdir '{endpoint.uuid}:{_path(endpoint, PRIVATE_DIR)}'"
        return [*findings, problem(text, remedy)]
    findings.append(ok(f"{described}: {root} is prepared and can be listed"))
    if seen.renamed:
        findings.append(ok("made or found a folder of ours and renamed it"))
    elif seen.renamed is False:
        text = "a rename was accepted, but a listing right after it does not show the new name"
        findings.append(warning(text, "Run this again; if it stays so, pruning can't tell what it renamed: stop it"))
    return findings


def remedy_of(reason: Reason, identity: str) -> str:
    """What to do about trouble with Globus."""
    match reason:
        case Reason.CREDENTIALS_REFUSED:
            return (
                "Correct GLOBUS_CLIENT_ID and GLOBUS_CLIENT_SECRET (in the cluster: the Secret); no restart is needed"
            )
        case Reason.CONSENT_REQUIRED:
            return f"Use a guest collection, which needs no consent, and give {identity} permission on it"
        case Reason.PERMISSION_DENIED:
            return (
                f"Give {identity} permission on the guest collection (source: read, and write where it is pruned; "
                "destination: read and write), and its owner the same on the folder"
            )
        case Reason.RATE_LIMITED:
            return "Run this again in a minute; other programs use the same account"
        case Reason.DESTINATION_FULL:
            return "Free space or raise the quota; copies go on by themselves"
        case Reason.ENDPOINT_UNAVAILABLE:
            return "Look at the collection in the Globus web app: is the uuid right, is its server up?"
        case _:
            return "Look at the network from here and at https://status.globus.org; copies go on by themselves"
