"""What the emulated backends make of datasets: dates, keys, relationships, history, locks, searches, pids."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.emulators.scicat.process import INGESTOR, SciCatEmulator
from tests.emulators.scicat.settings import BACKENDS, Account, ingest_site
from tests.integration.scicat_calls import TIME, copy_body, dataset_body, files_body, raw

OWNER = Account("owner", "emulated-password-2", ("als",))


@pytest.fixture(scope="module", params=BACKENDS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SciCatEmulator]:
    settings = ingest_site([INGESTOR, OWNER], backend=request.param, pid_pattern="^[a-z0-9-]+$")
    with SciCatEmulator(tmp_path_factory.mktemp("scicat"), settings) as emulator:
        yield emulator


def _create(site: SciCatEmulator, pid: str, **fields: Any) -> Any:
    answer = raw(site, "POST", "datasets", json=dataset_body(pid, **fields))
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_single_values_of_v3_are_lists_in_v4_and_what_was_not_given_is_a_null_in_one(site: SciCatEmulator) -> None:
    made = _create(site, "single", proposalId="ALS-1")
    assert (made["proposalId"], made["principalInvestigator"]) == ("ALS-1", "Beamline")
    shown = raw(site, "GET", "v4/datasets/single").json()
    assert (shown["proposalIds"], shown["sampleIds"], shown["instrumentIds"]) == (["ALS-1"], [None], [None])
    assert {"proposalId", "principalInvestigator", "history"}.isdisjoint(shown)


def test_dates_of_a_new_lifecycle_are_odd(site: SciCatEmulator) -> None:
    lifecycle = _create(site, "dates")["datasetlifecycle"]
    now = datetime.now(UTC)
    odd = (now.replace(day=1) + timedelta(days=now.isoweekday() % 7 - 1)).date()
    for name in ("archiveRetentionTime", "dateOfPublishing"):
        assert datetime.fromisoformat(lifecycle[name]).date() == odd
    assert lifecycle["dateOfDiskPurging"] == lifecycle["publishedOn"] < _create(site, "dates2")["createdAt"]


def test_dots_in_keys_come_back_but_for_v4_of_the_old_backend(site: SciCatEmulator) -> None:
    _create(site, "keys", scientificMetadata={"sample.temp": {"value": "1", "unit": "degC"}})
    (key,) = raw(site, "GET", "v4/datasets/keys").json()["scientificMetadata"]
    assert key == ("sample.temp" if site.settings.is_v5 else "sample%2Etemp")
    stored = raw(site, "GET", "datasets/keys").json()["scientificMetadata"]["sample.temp"]
    assert (stored["valueSI"], stored["unitSI"]) == (274.15, "K")


def test_each_backend_takes_its_own_form_of_relationships(site: SciCatEmulator) -> None:
    old, new = {"pid": "keys", "relationship": "is supplement to"}, {"identifier": "keys", "relationship": "IsPartOf"}
    right, wrong = (new, old) if site.settings.is_v5 else (old, new)
    assert _create(site, "related", relationships=[right])["relationships"] == [right]
    refused = raw(site, "POST", "datasets", json=dataset_body("unrelated", relationships=[wrong]))
    assert refused.status_code == 400
    assert any("should not exist" in rule for rule in refused.json()["message"])
    assert raw(site, "PATCH", "datasets/related", account=OWNER, json={"relationships": [wrong]}).status_code == 400


def test_an_upgrade_of_the_backend_keeps_what_datasets_are_related_to(tmp_path: Path) -> None:
    with SciCatEmulator(tmp_path, ingest_site([INGESTOR], backend="4.27")) as site:
        _create(site, "old", relationships=[{"pid": "keys", "relationship": "is supplement to"}])
        site.settings = replace(site.settings, backend="5.2")
        site.restart()
        shown = raw(site, "GET", "datasets/old").json()
        assert shown["relationships"] == [{"identifier": "keys", "relationship": "is supplement to"}]


def test_every_change_is_in_the_history(site: SciCatEmulator) -> None:
    _create(site, "history")
    raw(site, "PATCH", "datasets/history", account=OWNER, json={"comment": "one"})
    raw(site, "PATCH", "datasets/history/datasetlifecycle", json={"archivable": False})
    shown = raw(site, "GET", "datasets/history").json()
    assert [entry["updatedBy"] for entry in shown["history"]] == [OWNER.username, INGESTOR.username]


def test_a_dataset_changed_meanwhile_is_locked(site: SciCatEmulator) -> None:
    made = _create(site, "locked")
    since = {"If-Unmodified-Since": made["updatedAt"]}
    assert raw(site, "PATCH", "datasets/locked", account=OWNER, headers=since, json={"comment": "1"}).status_code == 200
    for path in ("datasets/locked", "v4/datasets/locked"):
        assert raw(site, "PATCH", path, account=OWNER, headers=since, json={"comment": "2"}).status_code == 412
    # The header's own form has whole seconds, so even the newest change is later.
    http = {"If-Unmodified-Since": "Sun, 22 Nov 2015 22:00:00 GMT"}
    assert raw(site, "PATCH", "datasets/locked", account=OWNER, headers=http, json={"comment": "3"}).status_code == 412


def test_metadata_are_replaced_by_v3_and_merged_by_a_merge_patch_of_v4(site: SciCatEmulator) -> None:
    _create(site, "merge", scientificMetadata={"a": 1, "e": {"value": 1, "unit": "eV"}})
    merge = {"Content-Type": "application/merge-patch+json"}

    def patch(metadata: Any) -> Any:
        body = {"scientificMetadata": metadata}
        return raw(site, "PATCH", "v4/datasets/merge", account=OWNER, headers=merge, json=body)

    assert patch({"e": {"value": 2}}).status_code == 400
    assert set(patch({"b": 2}).json()["scientificMetadata"]) == {"a", "b", "e"}
    replaced = raw(site, "PATCH", "datasets/merge", account=OWNER, json={"scientificMetadata": {"c": 3}}).json()
    assert replaced["scientificMetadata"] == {"c": 3}


def test_a_full_query_finds_by_lists_and_single_values(site: SciCatEmulator) -> None:
    for number in range(3):
        _create(site, f"query-{number}", proposalId="ALS-77", keywords=["full"])
    fields = {"fields": '{"proposalIds": ["ALS-77"], "keywords": ["full"]}'}
    assert len(raw(site, "GET", "datasets/fullquery", params=fields).json()) == 3
    limits = fields | {"limits": '{"limit": 1, "order": "pid:desc"}'}
    assert [one["pid"] for one in raw(site, "GET", "datasets/fullquery", params=limits).json()] == ["query-2"]
    assert raw(site, "GET", "datasets/fullquery", params=fields, account=None).json() == []


def test_a_site_may_ask_for_a_form_of_pids_and_takes_them_literally(site: SciCatEmulator) -> None:
    refused = raw(site, "POST", "datasets", json=dataset_body("UPPER"))
    assert (refused.status_code, refused.json()["message"]) == (400, "PID is not following required standards")
    assert _create(site, "lower")["_id"] == "lower"
    assert "/" in raw(site, "POST", "datasets", json=dataset_body()).json()["pid"]


def test_one_trailing_slash_of_the_folder_is_taken_off(site: SciCatEmulator) -> None:
    assert _create(site, "slash", sourceFolder="/cfs/als//")["sourceFolder"] == "/cfs/als/"


def test_the_older_login_answers_with_nothing(site: SciCatEmulator) -> None:
    login = {"username": INGESTOR.username, "password": INGESTOR.password}
    answer = raw(site, "POST", "users/login", account=None, json=login)
    assert (answer.status_code, answer.text) == (201, "")


def test_blocks_may_name_their_dataset_and_a_taken_place_is_a_conflict_there(site: SciCatEmulator) -> None:
    _create(site, "blocks")
    files = files_body() | {"datasetId": "blocks", "ownerGroup": "als"}
    assert raw(site, "POST", "origdatablocks", json=files).json()["datasetId"] == "blocks"
    copy = copy_body("named.tar") | {"datasetId": "blocks"}
    assert [raw(site, "POST", "datablocks", json=copy).status_code for _ in range(2)] == [201, 409]
    assert raw(site, "POST", "datablocks", json=copy | {"datasetId": "nowhere"}).status_code == 404
    shown = raw(site, "GET", "datasets/blocks").json()
    counters = ("size", "numberOfFiles", "packedSize", "numberOfFilesArchived")
    assert [shown[name] for name in counters] == [1000, 1, 2048, 1]


def test_an_unknown_word_in_a_technique_is_refused(site: SciCatEmulator) -> None:
    bad = dataset_body("technique", techniques=[{"pid": "x", "name": "y", "since": TIME}])
    assert raw(site, "POST", "datasets", json=bad).status_code == 400
