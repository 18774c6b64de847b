"""One job from its order to its word: work folder, look before submission, result and trouble as documents.

The name of a job is its idempotency key. What a state means is in ``reactions``, what a result says in ``results``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dichroism_crds.config import Endpoint
from dichroism_operator import killpoints
from dichroism_operator.movers.sfapi import packer, tapejob
from dichroism_operator.movers.sfapi.site import Job, Site

JOBS = f"{tapejob.PRIVATE}/jobs"


@dataclass(frozen=True, slots=True)
class Errand:
    """One job to be done: ``near`` is the endpoint on the site's file system that holds the work folder."""

    kind: str
    submission: str
    job_name: str
    near: Endpoint
    tape: Endpoint
    details: Mapping[str, Any]

    @property
    def work(self) -> str:
        """The work folder, as the site names it."""
        return f"{self.near.root_path}/{JOBS}/{self.submission}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a job ended without a result, in its own words; ``attempts`` is how many jobs worked on the order."""

    kind: str = ""
    message: str = ""
    attempts: int = 0


def job_name(label: str) -> str:
    """A task's label as the name of a job, which has no blanks."""
    return label.replace(" ", "_")


def label_of(name: str) -> str:
    """The inverse of :func:`job_name`: labels have no underscores."""
    return name.replace("_", " ")


class Jobs:
    """All jobs of ours at the site."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def find(self, name: str) -> Job | None:
        """A job of that name that has not ended."""
        return next((job for job in self.site.waiting_and_running() if job.name == name), None)

    def begin(self, errand: Errand) -> str:
        """Have the errand done, unless a job is at it; the job's id.

        Raises:
            MoverUnavailable: ask again later; a job that was submitted nevertheless is found by its name.
            TaskRefused: a path can't be used at the site.
        """
        if found := self.find(errand.job_name):
            return found.job_id
        work, site, settings = errand.work, self.site, self.site.settings
        program = f"{errand.near.root_path}/{JOBS}/{packer.program_name()}"
        site.make_folder(work)
        if site.list_folder(program.rpartition("/")[0]).get(packer.program_name()) != len(packer.program()):
            site.upload(program, packer.program())
        order = packer.order(
            errand.kind,
            errand.submission,
            errand.near.root_path,
            errand.tape.root_path,
            settings.hsi,
            errand.details,
        )
        site.upload(f"{work}/{tapejob.ORDER}", order)
        site.upload(f"{work}/{packer.SCRIPT}", packer.batch_script(settings, work, program, errand.job_name))
        killpoints.reach("order-uploaded")
        job_id = site.submit(f"{work}/{packer.SCRIPT}")
        killpoints.reach("task-posted")
        return job_id

    def result(self, errand: Errand) -> Mapping[str, Any] | None:
        """The result document of an errand; None while there is none.

        Raises:
            MoverUnavailable: it can't be read now.
        """
        found = self._document(f"{errand.work}/{tapejob.RESULT}")
        ours = found is not None and (found.get("submission"), found.get("kind")) == (errand.submission, errand.kind)
        return found if ours else None

    def trouble(self, errand: Errand) -> Trouble:
        """What the last job of an errand said when it could not go on."""
        attempts = sum(1 for name in self.site.list_folder(errand.work) if tapejob.CLAIM.match(name))
        found = self._document(f"{errand.work}/{tapejob.TROUBLE}") or {}
        return Trouble(str(found.get("kind") or ""), str(found.get("message") or ""), attempts)

    def _document(self, path: str) -> Mapping[str, Any] | None:
        content = self.site.read(path)
        if content is None:
            return None
        try:
            found = json.loads(content)
        except ValueError:
            return None  # Written whole or not at all: so it is not one of ours.
        return found if isinstance(found, dict) else None
