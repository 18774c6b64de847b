"""Members of bundles brought back from tape by jobs, one for each wish.

The wish names the job and its work folder, so a process that asks a second time, or another one, meets the job that
runs, or what it brought. What lies at the site already is compared by the job and not fetched again.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dichroism_crds.config import Endpoint
from dichroism_crds.paths import check_relative_path
from dichroism_operator.movers.base import CopyState
from dichroism_operator.movers.mount import user_path
from dichroism_operator.movers.retrieval import Brought, Retrieval, Retrieved, Wish
from dichroism_operator.movers.sfapi import reactions, tapejob
from dichroism_operator.movers.sfapi.jobs import Errand, Jobs
from dichroism_operator.movers.sfapi.pace import Pace

LARGEST_READ = 5 * 10**6
"""Bytes of the largest file that is asked of the API. It is made for small ones; where it ends, nobody has seen."""
AGAIN = "Run the same command again"


@dataclass(frozen=True, slots=True)
class Begun:
    """A job of ours, or one that was met, and since when we know it."""

    errand: Errand
    job_id: str
    since: float


class Retrievals:
    """The :class:`~dichroism_operator.movers.retrieval.Retrieves` for tape at NERSC."""

    largest_read = LARGEST_READ

    def __init__(self, jobs: Jobs, near: Mapping[str, Endpoint], pace: Pace) -> None:
        """Ask nothing yet; ``near`` has for each tape endpoint by name the one from which is archived to it."""
        self._jobs = jobs
        self._site = jobs.site
        self._near = near
        self._pace = pace
        self._begun: dict[str, Begun] = {}

    def begin(self, wish: Wish) -> Retrieved:
        """Submit a job unless one is at it or everything lies there.

        Raises:
            MoverUnavailable: the service is in trouble; a job that was submitted nevertheless is found by its name.
            TaskRefused: a path can't be used at the site.
            PathError: one that no file of a user can have.
        """
        errand = self._errand(wish)
        if job := self._jobs.find(errand.job_name):
            return self._waited_for(wish, errand, job.job_id, job.said)
        standing = self._result(wish, errand)
        if standing and self._is_whole(wish, standing):
            return standing
        self._clear(errand)
        job_id = self._jobs.begin(errand)
        return self._waited_for(wish, errand, job_id, f"job {job_id} was submitted")

    def _errand(self, wish: Wish) -> Errand:
        for member in wish.members:
            user_path(member.path)
        key = wish.key
        details = {
            "bundle": check_relative_path(wish.bundle),
            "key": key,
            "members": [list(one) for one in wish.members],
        }
        name = f"dichroism_retrieve_{key}"
        return Errand("retrieve", f"retrieve-{key}", name, self._near[wish.tape.name], wish.tape, details)

    def _waited_for(self, wish: Wish, errand: Errand, job_id: str, message: str) -> Retrieved:
        self._begun[wish.key] = Begun(errand, job_id, time.monotonic())
        return Retrieved(Retrieval.ACTIVE, message)

    def _result(self, wish: Wish, errand: Errand) -> Retrieved | None:
        """What the job says that it brought back; None while it says nothing."""
        document = self._jobs.result(errand)
        if document is None:
            return None
        folder = f"{tapejob.RESTORED}/{wish.key}"
        told = document.get("members")
        rows = told if isinstance(told, list) and len(told) == len(wish.members) else [None] * len(wish.members)
        members = {
            one.path: _brought(row, f"{folder}/{tapejob.NUMBERED}/{number}")
            for number, (one, row) in enumerate(zip(wish.members, rows, strict=True))
        }
        return Retrieved(
            Retrieval.DONE,
            message="" if document.get("on_tape") else f"{wish.bundle} is not on tape below {wish.tape.root_path}",
            near=errand.near,
            folder=f"{errand.near.root_path}/{folder}/{tapejob.MEMBERS}",
            members=members,
        )

    def _is_whole(self, wish: Wish, found: Retrieved) -> bool:
        """Whether every member was brought back and lies there still: people may have cleaned up."""
        folder = f"{self._near[wish.tape.name].root_path}/{tapejob.RESTORED}/{wish.key}/{tapejob.NUMBERED}"
        sizes = self._site.list_folder(folder)
        return all(
            found.members[one.path].state == CopyState.VERIFIED and sizes.get(str(number)) == one.size
            for number, one in enumerate(wish.members)
        )

    def _clear(self, errand: Errand) -> None:
        """What an earlier job said must not be taken for the word of the next one."""
        there = self._site.list_folder(errand.work)
        for name in (tapejob.RESULT, tapejob.TROUBLE):
            if name in there:
                self._site.upload(f"{errand.work}/{name}", b"{}")

    def look(self, wishes: Collection[Wish]) -> Mapping[str, Retrieved]:
        """State of each wish that was begun, by its key; the batch system is asked once for all.

        Raises:
            MoverUnavailable: the service is in trouble; ask again.
        """
        queue = {job.name: job for job in self._site.waiting_and_running()}
        begun = {wish.key: self._begun[wish.key] for wish in wishes}
        ended = {one.job_id for one in begun.values() if one.errand.job_name not in queue}
        states = self._site.states(ended)
        found = {}
        for wish in wishes:
            one = begun[wish.key]
            if job := queue.get(one.errand.job_name):
                found[wish.key] = Retrieved(Retrieval.ACTIVE, job.said)
            else:
                found[wish.key] = self._ended(wish, one, states.get(one.job_id, ""))
        return found

    def _ended(self, wish: Wish, begun: Begun, state: str) -> Retrieved:
        """Of a wish whose job is not in the queue; ACTIVE while the batch system is slow to tell."""
        if found := self._result(wish, begun.errand):
            return found
        unknown = not state and self._pace.may_show_up(time.monotonic() - begun.since)
        if state in reactions.UNDER_WAY or unknown:
            return Retrieved(Retrieval.ACTIVE, f"job {begun.job_id} is {state or 'not shown yet'}")
        log = f"{begun.errand.work}/job-{begun.job_id}.log"
        end = reactions.react(begun.job_id, state, self._jobs.trouble(begun.errand), log, goes_on=AGAIN)
        return Retrieved(Retrieval.FAILED, end.message)

    def spoilt(self, wish: Wish) -> None:
        """Drop the word of the job that brought it; the next one compares every file."""
        self._clear(self._errand(wish))

    def read(self, near: Endpoint, path: str, size: int) -> bytes:
        """A file on the site's file system, through the API.

        Raises:
            FileNotFoundError: it is not there.
            MoverUnavailable: it can't be read now.
        """
        content = self._site.download(f"{near.root_path}/{check_relative_path(path)}", size)
        if content is None:
            raise FileNotFoundError(path)
        return content

    def pause_s(self, age_s: float) -> float:
        """Seconds until the next look at jobs of that age."""
        return self._pace.pause_s(age_s)


def _brought(row: object, path: str) -> Brought:
    """One line of a result, which is believed only as far as it makes sense."""
    if not (isinstance(row, list) and len(row) == 2 and row[0] in set(CopyState)):
        return Brought(CopyState.UNKNOWN)
    state, modified_us = CopyState(row[0]), row[1] if isinstance(row[1], int) else None
    return Brought(state, path, modified_us) if state == CopyState.VERIFIED else Brought(state)
