"""Emulator and client speak the API that SciCat publishes: no field more, none less, each of its type."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests

from tests.emulators.scicat.process import INGESTOR, SciCatEmulator
from tests.emulators.scicat.published.contract import FOLDER, PACKAGES, Contract
from tests.emulators.scicat.server import ROUTES
from tests.emulators.scicat.settings import BACKENDS, ingest_site
from tests.integration.scicat_calls import TIME, call_everything
from tests.integration.scicat_site import ACCOUNTS, DELETER, OWNER, catalogue_for, file_of, new_case


@pytest.fixture(params=BACKENDS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SciCatEmulator]:
    settings = ingest_site(ACCOUNTS, backend=request.param)
    with SciCatEmulator(tmp_path_factory.mktemp("scicat"), settings) as emulator:
        yield emulator


@pytest.mark.parametrize("version", sorted({version for versions in PACKAGES.values() for version in versions}))
def test_a_table_names_its_package_and_only_models_that_it_has(version: str) -> None:
    table = json.loads((FOLDER / f"fields-{version}.json").read_text())
    assert (table["version"], table["integrity"][:7]) == (version, "sha512-")
    named = {
        word for route in table["routes"].values() for kinds in route.values() for word in re.findall(r"\w+", kinds)
    }
    assert named - {"Array", "void", "object", "boolean", "string", "any"} <= set(table["models"])
    assert table["models"]["DataFile"] | {"metadata?": "object"} == {
        "path": "string",
        "size": "number",
        "time": "Date",
        **dict.fromkeys(("chk?", "uid?", "gid?", "perm?", "type?"), "string"),
        "metadata?": "object",
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_emulated_route_is_a_published_one(backend: str) -> None:
    contract = Contract(backend)
    routes = [(method, re.sub(r"\{\w+\}", "{}", template)) for method, template in ROUTES]
    strange = [route for route in routes if contract.answer(*route, None)]
    assert strange == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_not_published_is_noticed(backend: str) -> None:
    contract, route = Contract(backend), "/api/v3/datasets/{}/origdatablocks"
    file = {"path": "a.txt", "size": 1, "time": TIME}
    assert contract.request("POST", route, {"size": 1, "dataFileList": [file]}) == []
    for wrong in (
        {"dataFileList": [file]},
        {"size": "1", "dataFileList": [file]},
        {"size": 1, "dataFileList": [file], "ownerGroup": "als"},
        {"size": 1, "dataFileList": [file | {"time": "2026-11-20 10:00:00"}]},
        {"size": 1, "dataFileList": [file | {"checksum": "x"}]},
        {"size": 1, "dataFileList": file},
    ):
        assert len(contract.request("POST", route, wrong)) == 1, wrong
    answer = {"_id": "x", "datasetId": "p", "ownerGroup": "als", "accessGroups": [], "isPublished": False}
    answer |= {"createdBy": "x", "updatedBy": "x", "createdAt": TIME, "updatedAt": TIME, "size": 1}
    assert contract.answer("POST", route, answer | {"dataFileList": [file]}) == []
    assert contract.answer("POST", route, answer | {"dataFileList": [file], "id": "x"})
    assert contract.answer("POST", route, answer)


def test_every_answer_of_the_emulator_is_as_published(site: SciCatEmulator) -> None:
    asked = call_everything(site)
    assert asked >= set(ROUTES), set(ROUTES) - asked
    state = site.state()
    assert state["unpublishedAnswers"] == []
    assert state["unpublishedRequests"] == []


def test_every_request_of_our_client_is_as_published(site: SciCatEmulator) -> None:
    for account in (INGESTOR, OWNER, DELETER):
        catalogue, case = catalogue_for(site, account), new_case()
        catalogue.ensure_dataset(case.entry)
        catalogue.ensure_archived(case.entry, case.archive)
        changed = replace(case.entry, file=file_of(case.entry.file.path, 2))
        catalogue.ensure_dataset(changed)
        site.edit(catalogue.pid(case.entry.scan), {"size": 1})
        catalogue.ensure_dataset(changed)
    state = site.state()
    assert state["unpublishedRequests"] == []
    assert state["unpublishedAnswers"] == []
    assert {"POST v3/datasets 201", "PATCH v3/datasets/{pid} 200"} <= set(state["requests"])


def test_an_unpublished_field_in_a_real_request_is_counted(site: SciCatEmulator) -> None:
    login = {"username": INGESTOR.username, "password": INGESTOR.password, "rememberMe": True}
    assert requests.post(f"{site.url}/auth/login", json=login, timeout=10).status_code == 201
    assert site.state()["unpublishedRequests"] == ["CredentialsDto: property rememberMe should not exist"]
