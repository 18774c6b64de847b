"""Answers that the catalogue loses after a write, in every combination: nothing is doubled, nothing is missing."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from dichroism_operator.catalogue.base import Picture
from dichroism_operator.catalogue.scicat import SciCatCatalogue
from tests.emulators.scicat.faults import Action, Fault
from tests.emulators.scicat.process import SciCatEmulator
from tests.emulators.scicat.settings import BACKENDS, ingest_site
from tests.integration.scicat_site import ACCOUNTS, Case, assert_archived, catalogue_for, new_case, until_done


@dataclass(frozen=True)
class Phase:
    """What a lane asks of the catalogue in one go, and the writes that it takes for a new Scan."""

    do: Callable[[SciCatCatalogue, Case], object]
    writes: tuple[tuple[str, str], ...]


def _attach(catalogue: SciCatCatalogue, case: Case) -> None:
    picture = Picture(b"\x89PNG\r\n\x1a\n", "plot", case.entry.file.sha256)
    catalogue.ensure_picture(case.entry, picture)


PHASES = (
    Phase(
        lambda catalogue, case: catalogue.ensure_dataset(case.entry),
        (("POST", "[Dd]atasets$"), ("POST", "origdatablocks$"), ("PATCH", "datasetlifecycle$")),
    ),
    Phase(_attach, (("POST", "attachments$"),)),
    Phase(
        lambda catalogue, case: catalogue.ensure_archived(case.entry, case.archive),
        (("POST", "/datablocks$"), ("PATCH", "datasetlifecycle$")),
    ),
)
WRITES = sum(len(phase.writes) for phase in PHASES)
LOST, CUT = Action.DROP_AFTER, Action.DROP_BEFORE


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SciCatEmulator]]:
    """A running site of each generation."""
    opened = [
        SciCatEmulator(tmp_path_factory.mktemp("scicat"), ingest_site(ACCOUNTS, backend=backend))
        for backend in BACKENDS
    ]
    for site in opened:
        site.start()
    yield opened
    for site in opened:
        site.stop()


def go_through(site: SciCatEmulator, combination: tuple[Action | None, ...]) -> None:
    """One new Scan through all phases, each write with the fate that the combination gives it, then all again."""
    catalogue, case = catalogue_for(site), new_case()
    pid, fates = catalogue.pid(case.entry.scan), iter(combination)
    for phase in PHASES:
        faults = [
            Fault(fate, method=method, path=path, pid=pid)
            for (method, path), fate in zip(phase.writes, fates, strict=False)
            if fate is not None
        ]
        site.plan(faults)
        until_done(partial(phase.do, catalogue, case), limit=2 + len(faults))
    assert site.faults() == [], combination
    stored = site.dataset(pid)
    assert stored is not None
    assert_archived(stored, case)
    assert len(stored["attachments"]) == 1
    for phase in PHASES:
        phase.do(catalogue, case)
    assert site.dataset(pid) == stored, combination


def test_an_answer_lost_after_any_writes_doubles_nothing(sites: list[SciCatEmulator], full: bool) -> None:
    """Each write is left alone, or its answer is lost; with the full counts it may be cut before it is done, too."""
    fates = (None, LOST, CUT) if full else (None, LOST)
    for number, combination in enumerate(itertools.product(fates, repeat=WRITES)):
        for site in sites if full else [sites[number % len(sites)]]:
            go_through(site, combination)
    for site in sites:
        state = site.state()
        assert state["datasets"] == state["origdatablocks"] == state["datablocks"] == state["attachments"]
        wrong = ("duplicateOrigdatablocks", "filesInSeveralDatasets", "wrongCounters", "secretsInUrls")
        assert not any(state[fault] for fault in wrong)
        assert state["unpublishedRequests"] == state["unpublishedAnswers"] == []
