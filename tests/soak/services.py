"""What befalls the services around us: API server, SciCat, Globus, the Superfacility API with its jobs, Prefect.

One context manager each, in force inside, undone after.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.emulators.globus.faults import Action as Globus
from tests.emulators.globus.paths import used_bytes
from tests.emulators.scicat.faults import Action as SciCat
from tests.fault.globus_campaign import DAY, HOUR
from tests.fault.mischief import ANY, WRITES
from tests.fault.test_hpss_faults import KILL_POINTS
from tests.soak.world import Soak

SOME_BYTES = 60_000

# --- the API server


@contextmanager
def api_unreachable(soak: Soak) -> Iterator[None]:
    """One of our programs, or all, can't reach the API server."""
    proxies = list(soak.site.proxies.values())
    chosen = soak.rng.sample(proxies, soak.rng.randint(1, len(proxies)))
    for proxy in chosen:
        proxy.outage()
    yield
    for proxy in chosen:
        proxy.end_outage()


@contextmanager
def api_weather(soak: Soak) -> Iterator[None]:
    """Requests are lost, refused, cut and delayed, answers lost."""
    for proxy in soak.site.proxies.values():
        proxy.weather(0.03)
    yield
    for proxy in soak.site.proxies.values():
        proxy.clear()


@contextmanager
def apiserver_killed(soak: Soak) -> Iterator[None]:
    """The API server itself is killed and comes back."""
    soak.cluster.restart_apiserver(kill=True)
    yield


# --- the catalogue


@contextmanager
def scicat_down(soak: Soak) -> Iterator[None]:
    """SIGKILL; it comes back later, and every login has expired."""
    scicat = soak.site.scicat
    scicat.kill()
    yield
    scicat.start()
    scicat.expire_tokens()


@contextmanager
def scicat_answers_lost(soak: Soak) -> Iterator[None]:
    """Writes are done, and nobody hears of it."""
    for method, path in WRITES:
        soak.site.scicat.fault(SciCat.DROP_AFTER, method=method, path=path, times=2)
    yield


@contextmanager
def scicat_refuses(soak: Soak) -> Iterator[None]:
    """Errors of the server and of what stands in front of it, slow answers, logins that end."""
    soak.site.scicat.fault(SciCat.STATUS, path=ANY, status=soak.rng.choice((500, 503, 429)), times=4)
    soak.site.scicat.fault(SciCat.HTML, path=ANY, status=502, times=2)
    soak.site.scicat.fault(SciCat.DELAY, path=ANY, seconds=1.0, times=2)
    soak.site.scicat.fault(SciCat.EXPIRE, path=ANY)
    yield


# --- Globus


@contextmanager
def globus_down(soak: Soak) -> Iterator[None]:
    """SIGKILL; it comes back with all that it had answered for."""
    soak.site.globus.kill()
    yield
    soak.site.globus.start()


@contextmanager
def globus_refuses(soak: Soak) -> Iterator[None]:
    """429 and 5xx, submissions whose answers are lost, tokens that end."""
    globus = soak.site.globus
    globus.fault(Globus.STATUS, status=429, code="Error", headers={"Retry-After": "1"}, path="/transfer$", times=2)
    globus.fault(Globus.STATUS, status=503, path="^/v0.10/", times=6)
    globus.fault(Globus.DROP_AFTER, path="/transfer$", times=2)
    globus.expire_tokens()
    yield


@contextmanager
def globus_paused(soak: Soak) -> Iterator[None]:
    """An administrator pauses the destination; then days pass there at once."""
    globus, target = soak.site.globus, soak.site.collections["nersc402"]
    globus.set_collection(target, paused="maintenance")
    yield
    globus.set_collection(target, paused=None)
    globus.set_clock(advance=soak.rng.choice((HOUR, DAY)))


@contextmanager
def globus_corrupts(soak: Soak) -> Iterator[None]:
    """What is written at the destination is wrong or half there."""
    soak.site.globus.fault(Globus.CORRUPT_WRITE, path="2026", times=2)
    soak.site.globus.fault(Globus.SHORT_WRITE, path="2026", code="CONNECTION_RESET", times=2)
    yield
    soak.site.globus.set_clock(advance=HOUR)


@contextmanager
def globus_full(soak: Soak) -> Iterator[None]:
    """The destination has no room for more than a file or two."""
    globus, target = soak.site.globus, soak.site.collections["nersc402"]
    used = used_bytes(soak.site.mount("nersc402"))
    globus.set_collection(target, quota_bytes=used + SOME_BYTES)
    yield
    globus.set_collection(target, quota_bytes=None)


@contextmanager
def globus_tasks_ended(soak: Soak) -> Iterator[None]:
    """An administrator cancels what runs, or its time is over."""
    for task in soak.site.globus.tasks():
        if task["completion_time"] is None:
            end = soak.rng.choice((soak.site.globus.cancel_by_admin, soak.site.globus.expire))
            end(task["task_id"])
    yield


# --- tape


@contextmanager
def tape_down(soak: Soak) -> Iterator[None]:
    """The Superfacility API dies and comes back; its batch system goes on."""
    soak.site.sfapi.kill()
    yield
    soak.site.sfapi.start()
    soak.site.sfapi.expire_tokens()


@contextmanager
def tape_jobs_die(soak: Soak) -> Iterator[None]:
    """Jobs die at named instants, in the middle of storing, and one is submitted twice."""
    sfapi = soak.site.sfapi
    sfapi.fault("end-job", point=soak.rng.choice(KILL_POINTS), state="NODE_FAIL")
    sfapi.fault("hsi-dies", command="^put")
    sfapi.fault("twice")
    yield


@contextmanager
def tape_archive_errs(soak: Soak) -> Iterator[None]:
    """The archive stores other bytes, or keeps a wrong hash, or fails."""
    sfapi = soak.site.sfapi
    sfapi.fault(soak.rng.choice(("hsi-corrupts", "hsi-wrong-hash")))
    sfapi.fault("hsi-fails", command="^put")
    yield


@contextmanager
def tape_in_maintenance(soak: Soak) -> Iterator[None]:
    """The archive is down, and the queue starts nothing."""
    sfapi = soak.site.sfapi
    sfapi.tape_down(True)
    sfapi.hold(True)
    yield
    sfapi.tape_down(False)
    sfapi.hold(False)


@contextmanager
def tape_answers_lost(soak: Soak) -> Iterator[None]:
    """Requests are refused, or done without an answer."""
    sfapi = soak.site.sfapi
    sfapi.fault("status", status=503, times=3)
    sfapi.fault("drop-after", path="/compute/jobs", times=2)
    yield


# --- the mirror


@contextmanager
def prefect_down(soak: Soak) -> Iterator[None]:
    """SIGKILL; it comes back later."""
    assert soak.prefect
    soak.prefect.kill()
    yield
    soak.prefect.start()
