"""SciCat: whether it answers, takes our login, and would let our account write; nothing is ever written there."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from dichroism_crds.config import Beamline, Ingest, SciCat
from dichroism_crds.timestamps import now
from dichroism_operator.catalogue.credentials import PASSWORD, USERNAME, credentials_from_environment
from dichroism_operator.catalogue.errors import CatalogueError, CatalogueUnavailable
from dichroism_operator.catalogue.scicat_client import Timeout, new_session, send, server_message
from dichroism_operator.catalogue.scicat_documents import dataset_pid, scicat_time
from dichroism_operator.catalogue.scicat_login import Login, LoginKeeper
from dichroism_operator.doctor.check import (
    Check,
    Finding,
    Findings,
    NotCheckedHereError,
    not_checked,
    ok,
    problem,
    warning,
)
from dichroism_operator.doctor.cluster import Role
from dichroism_operator.doctor.place import Place
from dichroism_operator.doctor.shared import Shared
from dichroism_operator.entries import beamline_number
from dichroism_operator.threads import in_daemon_thread

TIMEOUT: Timeout = (5.0, 10.0)
SOMEBODY_ELSES = "dichroism-doctor-asks"
"""An owner group that is not ours, as that of a proposal is not: a dry run tells whether we may create for it."""
_NEWER = {"scientificMetadataSchema": "https://example.org/schema"}
"""A field that backends of the generation 5 know and those of the generation 4 do not."""
_UNKNOWN_YET = (
    "whether the account may set any dataset's lifecycle, and add file lists, tape copies and pictures: "
    "only writing would tell"
)
_RIGHTS = "Needed are both groups of docs/explanation/scicat.md; the first Scan that is catalogued tells"


@dataclass(frozen=True, slots=True)
class DryRuns:
    """HTTP statuses of dry runs in which nothing is created; None where the server has no dry run that tells.

    Attributes:
        for_others: of a dataset with our pid for a group that is not ours.
        for_us: of one for a group of ours.
        knows_newer: a field of the generation 5 is accepted.
    """

    for_others: int | None
    for_us: int | None
    knows_newer: bool | None


def checks(place: Place) -> list[Check]:
    """Nothing where no beamline is catalogued."""
    catalogued = [(one, one.ingest) for one in place.beamlines if one.ingest]
    if place.config is None or place.config.scicat is None or not catalogued:
        return []
    scicat = place.config.scicat
    login = Shared(lambda: in_daemon_thread(partial(_log_in, scicat, place.environment)))
    rights = partial(_rights, scicat, login, [ingest for _, ingest in catalogued])
    return [
        Check("scicat/server", "the catalogue answers under scicat.url", partial(_server, scicat)),
        Check("scicat/login", "it takes our name and password", partial(_login, place, login)),
        Check("scicat/groups", "the account can read what it creates", partial(_groups, login, catalogued)),
        Check("scicat/rights", "the account may create what the steps create", rights),
    ]


# the server


async def _server(scicat: SciCat) -> Findings:
    try:
        status = await in_daemon_thread(partial(_ask, scicat, "GET", "auth/whoami"))
    except CatalogueError as error:
        return [problem(f"{scicat.url}: {error}", "Look at SciCat, at the proxy before it and at scicat.url")]
    return [judge_server(scicat.url, status)]


def judge_server(url: str, status: int) -> Finding:
    """What an answer to "who am I", asked without a login, says about the server."""
    if status == 404:
        return problem(f"{url} answers, but is no SciCat (HTTP 404)", "Correct scicat.url; it ends in /api/v3")
    if status >= 500:
        return problem(f"{url} is in trouble (HTTP {status})", "Look at SciCat; the steps wait and go on by themselves")
    return ok(f"{url} answers")


def _ask(scicat: SciCat, method: str, route: str, token: str | None = None, body: Any = None) -> int:
    with closing(new_session(scicat.url)) as http:
        status, _ = send(http, method, f"{scicat.url}/{route}", TIMEOUT, token=token, body=body)
    return status


# the login


def _log_in(scicat: SciCat, environment: Mapping[str, str]) -> Login:
    with closing(new_session(scicat.url)) as http:
        keeper = LoginKeeper(scicat.url, partial(credentials_from_environment, environment), lambda: http, TIMEOUT)
        return keeper.current()


async def _login(place: Place, login: Shared[Login]) -> Findings:
    if not place.has_secrets(USERNAME, PASSWORD) and await place.role() != Role.OPERATOR:
        return [
            not_checked(
                "no login for SciCat is set here", f"Set {USERNAME} and {PASSWORD}, or run in the operator's pod"
            )
        ]
    try:
        made = await login.get()
    except CatalogueUnavailable as error:
        remedy = f"Correct {USERNAME} and {PASSWORD} (in the cluster: the Secret), or the account at SciCat"
        return [problem(str(error), remedy)]
    return [ok(f"logged in; groups of the account: {', '.join(made.groups)}")]


async def _logged_in(login: Shared[Login]) -> Login:
    try:
        return await login.get()
    except CatalogueUnavailable as error:
        raise NotCheckedHereError("needs a login", "See scicat/login") from error


# groups


async def _groups(login: Shared[Login], catalogued: Sequence[tuple[Beamline, Ingest]]) -> Findings:
    groups = (await _logged_in(login)).groups
    return [judge_groups(beamline.name, ingest, groups) for beamline, ingest in catalogued]


def judge_groups(beamline: str, ingest: Ingest, groups: Sequence[str]) -> Finding:
    """Whether a group of our account is among those that see the beamline's datasets."""
    access = ingest.access_groups or (beamline_number(beamline),)
    shared = [group for group in groups if group in access]
    if shared:
        return ok(f"{beamline}: our group {shared[0]} is in access_groups")
    text = (
        f"{beamline}: none of our groups is in access_groups ({', '.join(access)}), so {groups[0]} is added to each "
        "dataset, else we could not read what we created"
    )
    remedy = f"Add one of our groups to beamlines.{beamline}.ingest.access_groups: {', '.join(groups)}"
    return warning(text, remedy)


# rights


async def _rights(scicat: SciCat, login: Shared[Login], ingests: Sequence[Ingest]) -> Findings:
    made = await _logged_in(login)
    try:
        runs = await in_daemon_thread(partial(_dry_runs, scicat, made, ingests[0]))
    except CatalogueError as error:
        if error.http_status in (400, 422):
            text = f"a dry run is refused, and so would be each dataset: {error}"
            return [problem(text, "Correct what it names, in the sections scicat and ingest of the configuration")]
        return [problem(f"the dry run failed: {error}", "Look at SciCat; then run this again")]
    return judge_rights(runs)


def _dry_runs(scicat: SciCat, login: Login, ingest: Ingest) -> DryRuns:
    """Ask the dry run of the API's version 4, which looks at rights; that of version 3 does not."""
    if not scicat.url.endswith("/api/v3"):
        return DryRuns(None, None, None)
    others = _trial(scicat, SOMEBODY_ELSES, ingest)

    def run(body: dict[str, Any]) -> tuple[int, Any]:
        with closing(new_session(scicat.url)) as http:
            url = f"{scicat.url.removesuffix('v3')}v4/datasets/isValid"
            return send(http, "POST", url, TIMEOUT, token=login.token, body=body)

    status, said = run(others)
    if status == 404:
        return DryRuns(None, None, None)
    if status not in (200, 201, 403):
        raise CatalogueUnavailable(f"HTTP {status}: {server_message(said, login.token)}", http_status=status)
    ours = _trial(scicat, login.groups[0], ingest)
    ours_status = status if status != 403 else run(ours)[0]
    newer_status, newer = run((others if status != 403 else ours) | _NEWER)
    return DryRuns(status, ours_status, newer_status in (200, 201) and newer.get("valid") is True)


def _trial(scicat: SciCat, owner_group: str, ingest: Ingest) -> dict[str, Any]:
    """A dataset as small as may be, under a pid of our kind."""
    return {
        "pid": dataset_pid("dichroism-doctor", scicat.pid_prefix),
        "type": "raw",
        "ownerGroup": owner_group,
        "owner": ingest.owner,
        "contactEmail": ingest.contact_email,
        "sourceFolder": "/dichroism-doctor",
        "datasetName": "a dry run, never created",
        "creationTime": scicat_time(now()),
        "principalInvestigators": [ingest.owner],
        "creationLocation": "dichroism doctor",
    }


def judge_rights(runs: DryRuns) -> list[Finding]:
    """What the dry runs say about the rights, and what they can't say."""
    rest = not_checked(_UNKNOWN_YET, _RIGHTS)
    if runs.for_others is None:
        text = "what the account may create: this server has no dry run that tells (/api/v4/datasets/isValid)"
        return [not_checked(text, _RIGHTS), rest]
    remedy = "Ask SciCat's administrator to put a group of the account into CREATE_DATASET_PRIVILEGED_GROUPS"
    if runs.for_others == 403:
        if runs.for_us == 403:
            return [problem("a dry run tells: the account may not create datasets with a pid of its own", remedy), rest]
        text = "a dry run tells: the account may create datasets for its own groups alone, not for those of proposals"
        return [problem(text, remedy), rest]
    generation = "5.x" if runs.knows_newer else "4.x"
    text = (
        f"a dry run tells: may create datasets with our pids for any group (the API speaks as generation {generation})"
    )
    return [ok(text), rest]
