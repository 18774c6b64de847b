"""The contract of a catalogue, kept on both SciCat backends: idempotent, verified, honest about trouble."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dichroism_crds.reasons import Reason
from dichroism_operator.catalogue.base import ArchiveEntry
from dichroism_operator.catalogue.credentials import PASSWORD, USERNAME, credentials_from_environment
from dichroism_operator.catalogue.errors import CatalogueUnavailable, DatasetGone, EntryRefused
from dichroism_operator.catalogue.scicat import SciCatCatalogue
from tests.emulators.scicat.faults import Action
from tests.emulators.scicat.process import INGESTOR, SciCatEmulator
from tests.emulators.scicat.settings import BACKENDS, Account, ingest_site
from tests.integration.scicat_site import (
    ACCOUNTS,
    DELETER,
    OWNER,
    Case,
    assert_archived,
    assert_catalogued,
    catalogue_for,
    file_of,
    new_case,
    until_done,
)


@pytest.fixture(scope="module", params=BACKENDS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SciCatEmulator]:
    settings = ingest_site(ACCOUNTS, backend=request.param)
    with SciCatEmulator(tmp_path_factory.mktemp("scicat"), settings) as emulator:
        yield emulator


@pytest.fixture
def emulator(running: SciCatEmulator) -> Iterator[SciCatEmulator]:
    yield running
    running.clear_faults()
    state = running.state()
    assert state["secretsInUrls"] == 0
    assert state["filesInSeveralDatasets"] == []


def _ensure(catalogue: SciCatCatalogue, case: Case) -> None:
    catalogue.ensure_dataset(case.entry)
    catalogue.ensure_archived(case.entry, case.archive)


def _stored(emulator: SciCatEmulator, catalogue: SciCatCatalogue, case: Case) -> dict[str, Any]:
    stored = emulator.dataset(catalogue.pid(case.entry.scan))
    assert stored is not None
    return stored


def test_a_scan_gets_one_dataset_with_its_file_and_its_tape_copy(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator, pid_prefix="als"), new_case()
    reference = catalogue.ensure_dataset(case.entry)
    assert_catalogued(_stored(emulator, catalogue, case), case)
    assert reference.url == f"https://scicat.example.org/datasets/{reference.pid.replace('/', '%2F')}"
    assert catalogue.ensure_archived(case.entry, case.archive) == reference
    stored = _stored(emulator, catalogue, case)
    assert_archived(stored, case)
    assert stored["proposalId"] == "ALS-12345"
    assert stored["scientificMetadata"]["photon_energy"]["value"] == 778.1


def test_a_scan_costs_seven_requests(emulator: SciCatEmulator) -> None:
    catalogue = catalogue_for(emulator)
    _ensure(catalogue, new_case())
    asked = len(emulator.requests())
    _ensure(catalogue, new_case())
    assert [request["method"] for request in emulator.requests()[asked:]] == [
        *("POST", "POST", "PATCH", "GET"),
        *("POST", "PATCH", "GET"),
    ]


@pytest.mark.parametrize("expected", [True, False])
def test_repeating_everything_writes_nothing(emulator: SciCatEmulator, expected: bool) -> None:
    catalogue, case = catalogue_for(emulator), new_case()
    _ensure(catalogue, case)
    before, asked = _stored(emulator, catalogue, case), len(emulator.requests())
    _ensure(catalogue, replace(case, entry=replace(case.entry, expected=expected)))
    assert _stored(emulator, catalogue, case) == before
    assert not [one for one in emulator.requests()[asked:] if one["method"] != "GET" and one["status"] < 400]


@pytest.mark.parametrize("action", [Action.DROP_AFTER, Action.DROP_BEFORE, Action.STATUS, Action.HTML, Action.EXPIRE])
def test_every_single_request_may_fail_once(emulator: SciCatEmulator, action: Action) -> None:
    asked = len(emulator.requests())
    _ensure(catalogue_for(emulator), new_case())
    count = len(emulator.requests()) - asked
    assert count == 9  # two for the login
    for number in range(count):
        catalogue, case = catalogue_for(emulator), new_case()
        emulator.fault(action, skip=number, status=502 if action is Action.HTML else 500)
        until_done(partial(catalogue.ensure_dataset, case.entry))
        until_done(partial(catalogue.ensure_archived, case.entry, case.archive))
        assert emulator.faults() == []
        assert_archived(_stored(emulator, catalogue, case), case)


def test_a_failing_request_is_an_outage_and_blames_no_scan(emulator: SciCatEmulator) -> None:
    for status in (500, 502, 503, 429):
        catalogue = catalogue_for(emulator)
        emulator.fault(Action.STATUS, method="POST", path="datasets$|Datasets$", status=status)
        with pytest.raises(CatalogueUnavailable) as caught:
            catalogue.ensure_dataset(new_case().entry)
        assert caught.value.http_status == status
        assert caught.value.reason is Reason.CATALOGUE_UNAVAILABLE
    emulator.fault(Action.HTML, method="GET", status=200)
    with pytest.raises(CatalogueUnavailable, match="no JSON"):
        catalogue_for(emulator).ensure_dataset(new_case().entry)


@pytest.mark.parametrize("path", ["auth/login", "auth/whoami", "atasets"])
def test_no_request_waits_for_ever(emulator: SciCatEmulator, path: str) -> None:
    catalogue = catalogue_for(emulator, timeout=(2.0, 0.3))
    asked = len(emulator.requests())
    emulator.fault(Action.DELAY, path=path, seconds=2.0)
    with pytest.raises(CatalogueUnavailable, match="no answer"):
        catalogue.ensure_dataset(new_case().entry)
    # It is served all the same, and must not be counted as a request of a later test.
    while not any(path in request["url"] for request in emulator.requests()[asked:]):
        time.sleep(0.1)


def test_the_token_expires_between_two_scans(emulator: SciCatEmulator) -> None:
    catalogue = catalogue_for(emulator)
    for _ in range(2):
        case = new_case()
        catalogue.ensure_dataset(case.entry)
        emulator.expire_tokens()
        catalogue.ensure_archived(case.entry, case.archive)
        assert_archived(_stored(emulator, catalogue, case), case)
        emulator.expire_tokens()


def test_a_site_that_rejects_every_token_is_a_failed_login(emulator: SciCatEmulator) -> None:
    emulator.fault(Action.EXPIRE, path="atasets", times=1000)
    with pytest.raises(CatalogueUnavailable) as caught:
        catalogue_for(emulator).ensure_dataset(new_case().entry)
    assert caught.value.reason is Reason.CATALOGUE_LOGIN_FAILED


def test_a_dataset_that_appears_after_the_look_is_taken_over(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator), new_case()
    catalogue.ensure_dataset(case.entry)
    emulator.fault(Action.STATUS, method="GET", path="atasets/[^/]+$", status=404)
    asked = len(emulator.requests())
    catalogue.ensure_dataset(replace(case.entry, expected=True))
    assert 409 in {request["status"] for request in emulator.requests()[asked:]}
    assert_catalogued(_stored(emulator, catalogue, case), case)


def test_eight_threads_on_the_same_scan_make_one_dataset_and_one_file_list(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator), new_case()
    catalogue.ensure_dataset(new_case().entry)
    emulator.fault(Action.DELAY, method="POST", path="origdatablocks", seconds=0.3)  # time for the others to look
    assert _in_threads([partial(_ensure, catalogue, case)] * 8) == []
    assert_archived(_stored(emulator, catalogue, case), case)


def test_eight_threads_on_scans_of_their_own_do_not_disturb_each_other(emulator: SciCatEmulator) -> None:
    catalogue, cases = catalogue_for(emulator), [new_case() for _ in range(8)]
    asked = len(emulator.requests())
    assert _in_threads([partial(_ensure, catalogue, case) for case in cases]) == []
    for case in cases:
        assert_archived(_stored(emulator, catalogue, case), case)
    logins = [request for request in emulator.requests()[asked:] if request["url"].endswith("auth/login")]
    assert len(logins) == 1


def test_two_operators_on_the_same_scan_end_with_one_dataset(emulator: SciCatEmulator) -> None:
    catalogues, case = [catalogue_for(emulator, DELETER) for _ in range(4)], new_case()
    attempts = [partial(until_done, partial(_ensure, one, case)) for one in catalogues]
    assert _in_threads(attempts) == []
    catalogues[0].ensure_dataset(case.entry)  # a twin that was added last is removed by the next look
    stored = _stored(emulator, catalogues[0], case)
    assert len(stored["origdatablocks"]) == len(stored["datablocks"]) == 1


def _in_threads(calls: Sequence[Callable[[], object]]) -> list[BaseException]:
    barrier, errors = threading.Barrier(len(calls)), list[BaseException]()

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_a_refusal_names_the_dataset_and_the_servers_reason(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator), new_case(contact_email="nobody")
    with pytest.raises(EntryRefused, match="contactEmail must be an email") as caught:
        catalogue.ensure_dataset(case.entry)
    assert catalogue.pid(case.entry.scan) in str(caught.value)
    assert (caught.value.http_status, caught.value.pid) == (400, catalogue.pid(case.entry.scan))


def test_missing_rights_are_a_refusal_and_no_outage(emulator: SciCatEmulator) -> None:
    catalogue = catalogue_for(emulator, ACCOUNTS[3])
    with pytest.raises(EntryRefused, match="Unauthorized to create") as caught:
        catalogue.ensure_dataset(new_case().entry)
    assert caught.value.http_status == 403


def test_metadata_beyond_the_servers_limit_is_this_scans_trouble(emulator: SciCatEmulator) -> None:
    case = new_case(scientific_metadata={"spectrum": "x" * (16 * 1024 * 1024)})
    with pytest.raises(EntryRefused, match="shorten"):
        catalogue_for(emulator).ensure_dataset(case.entry)


def test_a_header_full_of_nan_is_catalogued(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator), new_case(scientific_metadata={"ring": float("nan"), "t.K": 300.0})
    catalogue.ensure_dataset(case.entry)
    assert_catalogued(_stored(emulator, catalogue, case), case)


@pytest.mark.parametrize("account", [OWNER, DELETER], ids=lambda account: account.username)
def test_a_rewritten_file_replaces_the_old_content(emulator: SciCatEmulator, account: Account) -> None:
    catalogue, case = catalogue_for(emulator, account), new_case(content=1)
    _ensure(catalogue, case)
    new = replace(case, entry=replace(case.entry, file=file_of(case.entry.file.path, 2)))
    catalogue.ensure_dataset(new.entry)
    stored = _stored(emulator, catalogue, case)
    assert (stored["size"], stored["numberOfFiles"]) == (new.entry.file.size, 1)
    lifecycle = stored["datasetlifecycle"]
    assert (lifecycle["archiveStatusMessage"], lifecycle["storageLocation"]) == ("datasetCreated", "")
    if account is DELETER:
        assert_catalogued(stored, new)
    bundle = ArchiveEntry("/home/a/als/later.tar", f"{case.archive.bundle}/2", new.entry.file, packed_size=4096)
    catalogue.ensure_archived(new.entry, bundle)
    stored = _stored(emulator, catalogue, case)
    assert (stored["packedSize"], stored["numberOfFilesArchived"]) == (2048 + 4096, 2)
    assert stored["datasetlifecycle"]["storageLocation"] == "/home/a/als/later.tar"
    catalogue.ensure_dataset(new.entry)
    assert _stored(emulator, catalogue, case) == stored


def test_the_tape_copy_of_a_replaced_content_stays_findable_and_is_told_as_such(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator, OWNER), new_case(content=1)
    pid = catalogue.pid(case.entry.scan)
    assert not catalogue.tape_copies(pid)
    _ensure(catalogue, case)
    old = (case.archive.bundle, case.archive.member, case.entry.file.sha256)
    told = [(one.bundle, one.member, one.sha256, one.superseded) for one in catalogue.tape_copies(pid)]
    assert told == [(*old, False)]
    new = replace(case.entry, file=file_of(case.entry.file.path, 2))
    catalogue.ensure_dataset(new)
    assert [one.superseded for one in catalogue.tape_copies(pid)] == [True]
    for _ in range(2):
        bundle = ArchiveEntry(f"{case.archive.bundle}.2", case.archive.member, new.file, packed_size=4096)
        catalogue.ensure_archived(new, bundle)
        found = {one.bundle: (one.sha256, one.superseded) for one in catalogue.tape_copies(pid)}
        assert found == {old[0]: (old[2], True), bundle.bundle: (new.file.sha256, False)}
    everything = {one.bundle for one in catalogue.all_tape_copies()}
    assert {old[0], bundle.bundle} <= everything


def test_an_account_with_few_rights_says_which_content_is_the_present_one(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator), new_case(content=1)
    catalogue.ensure_dataset(case.entry)
    new = replace(case.entry, file=file_of(case.entry.file.path, 2))
    for _ in range(2):
        found = catalogue.ensure_dataset(new)
        assert found.uncorrected == ("creationTime", "outdated file lists", "size, numberOfFiles")
        stored = _stored(emulator, catalogue, case)
        assert len(stored["origdatablocks"]) == 2
        note = stored["datasetlifecycle"]["archiveReturnMessage"]["currentFile"]
        assert note["chk"] == new.file.sha256
    catalogue_for(emulator, DELETER).ensure_dataset(new)
    stored = _stored(emulator, catalogue, case)
    assert_catalogued(stored, replace(case, entry=new))
    assert stored["datasetlifecycle"]["archiveReturnMessage"] == {}


def test_counters_that_lost_an_update_are_repaired_where_the_account_may(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator), new_case()
    _ensure(catalogue, case)
    wrong = {"size": 1, "numberOfFiles": 7, "packedSize": 3, "numberOfFilesArchived": 0}
    emulator.edit(catalogue.pid(case.entry.scan), wrong)
    assert catalogue.ensure_dataset(case.entry).uncorrected == ("size, numberOfFiles",)
    archived = catalogue.ensure_archived(case.entry, case.archive)
    assert archived.uncorrected == ("packedSize, numberOfFilesArchived",)
    _ensure(catalogue_for(emulator, OWNER), case)
    assert_archived(_stored(emulator, catalogue, case), case)


def test_a_file_list_of_somebody_else_stays(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator, DELETER), new_case()
    catalogue.ensure_dataset(case.entry)
    notes = replace(case.entry, file=file_of("notes.txt", 7))
    catalogue.ensure_dataset(notes)
    stored = _stored(emulator, catalogue, case)
    assert len(stored["origdatablocks"]) == 2
    assert stored["size"] == case.entry.file.size + notes.file.size


def test_a_changed_proposal_is_corrected_where_the_account_may(emulator: SciCatEmulator) -> None:
    case = new_case()
    catalogue_for(emulator).ensure_dataset(case.entry)
    changed = replace(case.entry, proposal="ALS-54321")
    assert catalogue_for(emulator).ensure_dataset(changed).uncorrected == ("proposalId",)
    owner = catalogue_for(emulator, OWNER)
    owner.ensure_dataset(changed)
    stored = _stored(emulator, owner, case)
    assert_catalogued(stored, case)
    assert stored["proposalId"] == "ALS-54321"


def test_a_dataset_that_somebody_removed_is_told_and_made_again(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator), new_case()
    with pytest.raises(DatasetGone):
        catalogue.ensure_archived(case.entry, case.archive)
    catalogue.ensure_dataset(replace(case.entry, expected=True))
    catalogue.ensure_archived(case.entry, case.archive)
    assert_archived(_stored(emulator, catalogue, case), case)


def test_a_place_on_tape_that_another_dataset_claims_is_refused(emulator: SciCatEmulator) -> None:
    catalogue, first, second = catalogue_for(emulator), new_case(), new_case()
    _ensure(catalogue, first)
    catalogue.ensure_dataset(second.entry)
    with pytest.raises(EntryRefused, match=catalogue.pid(first.entry.scan)):
        catalogue.ensure_archived(second.entry, first.archive)


def test_a_place_on_tape_with_another_content_is_refused(emulator: SciCatEmulator) -> None:
    catalogue, case = catalogue_for(emulator), new_case()
    _ensure(catalogue, case)
    with pytest.raises(EntryRefused, match="another content"):
        catalogue.ensure_archived(case.entry, replace(case.archive, file=file_of(case.entry.file.path, 9)))
    assert_archived(_stored(emulator, catalogue, case), case)


def test_no_secret_in_logs_or_errors(
    emulator: SciCatEmulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    catalogue, case = catalogue_for(emulator), new_case()
    _ensure(catalogue, case)
    texts = []
    for action in (Action.DROP_BEFORE, Action.STATUS, Action.HTML):
        emulator.fault(action, path="atasets")
        with pytest.raises(CatalogueUnavailable) as caught:
            catalogue.ensure_dataset(case.entry)
        error: BaseException | None = caught.value
        while error is not None:
            texts.append(f"{error!r} {error}")
            error = error.__cause__ or error.__context__
    everything = caplog.text + "".join(texts)
    assert "eyJ" not in everything
    assert INGESTOR.password not in everything


def test_an_outage_ends_by_itself_and_state_survives_a_kill(tmp_path: Path) -> None:
    with SciCatEmulator(tmp_path, ingest_site(ACCOUNTS)) as emulator:
        catalogue, case = catalogue_for(emulator), new_case()
        catalogue.ensure_dataset(case.entry)
        emulator.kill()
        with pytest.raises(CatalogueUnavailable) as caught:
            catalogue.ensure_archived(case.entry, case.archive)
        assert caught.value.reason is Reason.CATALOGUE_UNAVAILABLE
        emulator.start()
        catalogue.ensure_archived(case.entry, case.archive)
        assert_archived(_stored(emulator, catalogue, case), case)


def test_a_rotated_password_is_taken_up_without_a_restart(tmp_path: Path) -> None:
    environment = {f"{name}_FILE": str(tmp_path / name) for name in (USERNAME, PASSWORD)}
    (tmp_path / USERNAME).write_text(f"{INGESTOR.username}\n")
    (tmp_path / PASSWORD).write_text(INGESTOR.password)
    with SciCatEmulator(tmp_path / "site") as emulator:
        catalogue = SciCatCatalogue(emulator.url, credentials=lambda: credentials_from_environment(environment))
        catalogue.ensure_dataset(new_case().entry)
        rotated = replace(INGESTOR, password="rotated-password")
        emulator.settings = ingest_site([rotated])
        emulator.restart()
        emulator.expire_tokens()
        with pytest.raises(CatalogueUnavailable, match="refuses our login") as caught:
            catalogue.ensure_dataset(new_case().entry)
        assert caught.value.reason is Reason.CATALOGUE_LOGIN_FAILED
        (tmp_path / PASSWORD).write_text(rotated.password)
        catalogue.ensure_dataset(new_case().entry)
