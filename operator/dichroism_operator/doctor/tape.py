"""Tape at NERSC: the login and how long it lasts, the work folder, hsi, and what attempts that died have left."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from dichroism_crds.config import ArchiveHop, Config, Endpoint, Superfacility
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import now
from dichroism_operator import wording
from dichroism_operator.doctor.check import Check, Finding, Findings, not_checked, ok, problem, warning
from dichroism_operator.doctor.cluster import Role
from dichroism_operator.doctor.place import Place
from dichroism_operator.movers.errors import MoverUnavailable, TaskRefused
from dichroism_operator.movers.sfapi.connection import CLIENT_ID, CLIENT_SECRET, Connection, Credentials
from dichroism_operator.movers.sfapi.jobs import JOBS
from dichroism_operator.movers.sfapi.site import Site
from dichroism_operator.threads import in_daemon_thread

EXPIRES_SOON = timedelta(hours=12)
"""A client that ends within this should be replaced during working hours."""
SHOWN = 10
_MOVER = "sfapi"
_TEST = f"{PRIVATE_DIR}/doctor/tape-write-test"

T = TypeVar("T")


def checks(place: Place) -> list[Check]:
    """Nothing where no hop goes by the Superfacility API."""
    config = place.config
    hops = {
        (hop.source, hop.destination): hop for one in place.beamlines if (hop := one.archive) and hop.mover == _MOVER
    }
    if config is None or not hops:
        return []
    found = [Check("sfapi/login", "NERSC takes our client, and will tomorrow", partial(_login, place, config.sfapi))]
    for hop in hops.values():
        near, tape = _ends(config, hop)
        found += [
            Check(
                f"sfapi/{near.name}",
                "jobs get their orders: the work folder can be written",
                partial(_work_folder, place, config.sfapi, near),
            ),
            Check(
                f"sfapi/{tape.name}",
                "hsi reaches the tape archive, and no attempt has left anything",
                partial(_tape, place, config.sfapi, tape),
            ),
        ]
    return found


def _ends(config: Config, hop: ArchiveHop) -> tuple[Endpoint, Endpoint]:
    return config.endpoints[hop.source], config.endpoints[hop.destination]


async def _asked(place: Place, settings: Superfacility, ask: Callable[[Site], T]) -> T | list[Finding]:
    """What the site says; findings where it can't be asked."""
    if not place.has_secrets(CLIENT_ID, CLIENT_SECRET) and await place.role() not in (Role.OPERATOR, Role.PRUNER):
        text = "no credentials for NERSC are set here"
        return [not_checked(text, f"Set {CLIENT_ID} and {CLIENT_SECRET}, or run this in the operator's pod")]

    def call() -> T:
        with Connection(settings, place.environment) as connection:
            return ask(Site(connection))

    try:
        return await in_daemon_thread(call)
    except MoverUnavailable as error:
        return [problem(str(error), _REMEDIES.get(error.reason, "Wait: it goes on by itself, nothing is lost"))]
    except TaskRefused as error:
        return [problem(str(error), "Correct root_path in the configuration")]


_REMEDIES = {
    Reason.CREDENTIALS_REFUSED: "Make a new client at iris.nersc.gov and put it into the operator's Secret",
    Reason.PERMISSION_DENIED: "Let the account of the client write there and use the tape archive",
    Reason.DESTINATION_FULL: "Free space, or have the quota raised",
    Reason.ENDPOINT_UNAVAILABLE: "Look whether root_path is right and the site has a maintenance",
}


async def _login(place: Place, settings: Superfacility) -> Findings:
    def ask(site: Site) -> list[Finding]:
        credentials = Credentials.from_environment(place.environment)
        user = site.user()
        return judge_expiry(user, site.client_expiry(credentials.client_id), now())

    return await _asked(place, settings, ask)


def judge_expiry(user: str, ends: datetime | None, moment: datetime) -> list[Finding]:
    """Whether the client lasts."""
    if ends is None or ends.tzinfo is None:
        return [ok(f"logged in as {user}; when the client ends is not told")]
    if ends - moment < EXPIRES_SOON:
        text = f"logged in as {user}, but the client ends at {ends:%Y-%m-%d %H:%M} UTC"
        remedy = (
            "Make a new one at iris.nersc.gov and put it into the operator's Secret, or ask NERSC for one that lasts "
            "longer. Without it bundles wait, nothing is lost"
        )
        return [warning(text, remedy)]
    return [ok(f"logged in as {user}, the client lasts until {ends:%Y-%m-%d %H:%M} UTC")]


async def _work_folder(place: Place, settings: Superfacility, near: Endpoint) -> Findings:
    def ask(site: Site) -> list[Finding]:
        if PRIVATE_DIR not in site.list_folder(near.root_path):
            text = f"{near.root_path} has no folder {PRIVATE_DIR}, so no job starts there"
            return [problem(text, f"If it is the right folder, make it once: mkdir {near.root_path}/{PRIVATE_DIR}")]
        path = f"{near.root_path}/{_TEST}"
        site.make_folder(path.rpartition("/")[0])
        content = f"{now():%Y-%m-%dT%H:%M:%S}\n".encode()
        site.upload(path, content)
        if site.read(path) != content:
            return [problem(f"{path} did not read back as it was written", "Show this to NERSC: the API or CFS errs")]
        return [ok(f"a file was written to {near.root_path}/{PRIVATE_DIR} and read back"), *_dead_attempts(site, near)]

    return await _asked(place, settings, ask)


def _dead_attempts(site: Site, near: Endpoint) -> list[Finding]:
    """Work folders without a result in which nothing works any more, and bundles that they hold."""
    folder = f"{near.root_path}/{JOBS}"
    if JOBS.rpartition("/")[2] not in site.list_folder(folder.rpartition("/")[0]):
        return []
    search = f"find {folder} -mindepth 1 -maxdepth 1 -type d '!' -exec test -e '{{}}/result.json' ';' -print"
    without = [path.rpartition("/")[2] for path in site.command(f"look at {folder}", search).split()]
    at_work = {job.name.rpartition("_")[2] for job in site.waiting_and_running()}
    dead = [name for name in without if not any(one and name.endswith(one) for one in at_work)]
    if not dead:
        return []
    big = f"find {folder} -mindepth 2 -maxdepth 2 -name '*.tar' -printf '%s %p\\n'"
    sizes = [
        int(size)
        for size, _, path in (line.partition(" ") for line in site.command("look for left bundles", big).splitlines())
        if path.split("/")[-2] in dead and size.isdigit()
    ]
    text = (
        f"{len(dead)} attempts in {JOBS} ended without a result and hold {wording.size(sum(sizes))}: "
        f"{', '.join(dead[:SHOWN])}"
    )
    remedy = (
        "Nothing has to be done: their files are planned again. When no Transfer names them any more, the folders may "
        "be deleted; nothing of ours does it"
    )
    return [warning(text, remedy)]


async def _tape(place: Place, settings: Superfacility, tape: Endpoint) -> Findings:
    def ask(site: Site) -> list[Finding]:
        try:
            names = site.tape_names(settings.hsi, tape.root_path)
        except MoverUnavailable as error:
            text = f"hsi does not list {tape.root_path}: {error}"
            return [problem(text, "Log in at the site as the account of the client and run hsi once; it says why")]
        if names is None:
            return [ok(f"hsi lets us in; {tape.root_path} is made with the first bundle")]
        bundles = sum(name.endswith(".tar") for name in names)
        halves = [name for name in names if name.endswith(".part")]
        found = [ok(f"hsi lets us in, {tape.root_path} holds {bundles} bundles")]
        if halves:
            named = ", ".join(sorted(halves)[:SHOWN])
            text = f"{len(halves)} files of attempts that died lie in {tape.root_path}: {named}"
            remedy = (
                "No bundle and no record names them. Nothing has to be done; `hsi rm` may delete them when no job of "
                "ours runs, nothing of ours does it"
            )
            found.append(warning(text, remedy))
        return found

    return await _asked(place, settings, ask)
