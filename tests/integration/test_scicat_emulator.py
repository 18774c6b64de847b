"""The emulator is as strict and as wrong as the real backends: seen through pyscicat as it comes, and raw requests."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from pyscicat.client import ScicatClient, ScicatCommError
from pyscicat.model import Attachment, CreateDatasetOrigDatablockDto, DataFile, OrigDatablock, RawDataset

from tests.emulators.scicat.faults import Action
from tests.emulators.scicat.process import INGESTOR, SciCatEmulator
from tests.emulators.scicat.settings import BACKENDS, Account, ingest_site
from tests.integration.scicat_calls import TIME, copy_body, raw

OWNER = Account("owner", "emulated-password-2", ("als",))
LIFECYCLER = Account("lifecycler", "emulated-password-3", ("lifecyclers",))


@pytest.fixture(scope="module", params=BACKENDS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SciCatEmulator]:
    settings = ingest_site([INGESTOR, OWNER, LIFECYCLER], backend=request.param)
    with SciCatEmulator(tmp_path_factory.mktemp("scicat"), settings) as emulator:
        yield emulator


@pytest.fixture
def client(site: SciCatEmulator) -> ScicatClient:
    return ScicatClient(site.url, username=INGESTOR.username, password=INGESTOR.password)


def _dataset(pid: str | None, **fields: Any) -> RawDataset:
    known: dict[str, Any] = {
        "owner": "Beamline",
        "ownerGroup": "als",
        "accessGroups": ["datasetIngestor"],
        "contactEmail": "beamline@example.org",
        "creationTime": TIME,
        "sourceFolder": "/cfs/als/4.0.2/",
        "creationLocation": "ALS 4.0.2",
        "principalInvestigator": "Beamline",
    }
    return RawDataset(pid=pid, **(known | fields))


def _files(size: int = 1000, path: str = "a.txt") -> CreateDatasetOrigDatablockDto:
    return CreateDatasetOrigDatablockDto(size=size, dataFileList=[DataFile(path=path, size=size, time=TIME)])


def _found(client: ScicatClient, where: dict[str, Any]) -> Any:
    return client.datasets_get_many(where)


def test_a_pid_is_taken_once_and_no_pid_makes_duplicates(site: SciCatEmulator, client: ScicatClient) -> None:
    assert client.datasets_create(_dataset("one/1")) == "one/1"
    with pytest.raises(ScicatCommError, match="409"):
        client.datasets_create(_dataset("one/1"))
    assert client.datasets_create(_dataset(None)) != client.datasets_create(_dataset(None))


def test_a_repeated_file_list_doubles_the_size(site: SciCatEmulator, client: ScicatClient) -> None:
    client.datasets_create(_dataset("double"))
    client.datasets_origdatablock_create("double", _files())
    client.datasets_origdatablock_create("double", _files())
    stored = site.dataset("double")
    assert stored is not None
    assert (stored["size"], stored["numberOfFiles"]) == (2000, 2)
    assert "double" in site.state()["duplicateOrigdatablocks"]


def test_a_size_sent_at_creation_is_counted_twice(site: SciCatEmulator, client: ScicatClient) -> None:
    client.datasets_create(_dataset("sent", size=1000, numberOfFiles=1))
    client.datasets_origdatablock_create("sent", _files())
    stored = site.dataset("sent")
    assert stored is not None
    assert (stored["size"], stored["numberOfFiles"]) == (2000, 2)
    assert "sent" in site.state()["wrongCounters"]


def test_file_lists_at_the_same_moment_lose_counts_on_the_old_backend(
    site: SciCatEmulator, client: ScicatClient
) -> None:
    client.datasets_create(_dataset("race"))
    with ThreadPoolExecutor(8) as threads:
        lists = [_files(10, f"{number}.txt") for number in range(8)]
        list(threads.map(lambda files: client.datasets_origdatablock_create("race", files), lists))
    stored = site.dataset("race")
    assert stored is not None
    assert len(stored["origdatablocks"]) == 8
    assert (stored["size"] < 80) == (site.settings.backend == "4.27")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"contactEmail": "nobody"}, "contactEmail must be an email"),
        ({"creationTime": "2026-11-20 10:00:00"}, "creationTime must be a valid ISO 8601"),
        ({"sourceFolderHost": "cfs"}, "sourceFolderHost must be a URL"),
        ({"sourceFolderHost": "nersc:cfs"}, "sourceFolderHost must be a URL"),
        ({"createdBy": "me"}, "property createdBy should not exist"),
        ({"ownerGroup": ""}, "ownerGroup should not be empty"),
    ],
)
def test_a_bad_field_is_refused(site: SciCatEmulator, client: ScicatClient, fields: Any, message: str) -> None:
    with pytest.raises(ScicatCommError, match=message):
        client.datasets_create(_dataset("bad", **fields))
    body = _dataset("bad", **fields).model_dump(mode="json", exclude_none=True)
    assert raw(site, "POST", "datasets/isValid", json=body).json()["valid"] is False
    assert site.dataset("bad") is None


def test_what_pyscicat_sends_wrong_is_refused(site: SciCatEmulator, client: ScicatClient) -> None:
    client.datasets_create(_dataset("wrong"))
    with pytest.raises(ScicatCommError, match="type should not exist"):
        client.datasets_update(_dataset("wrong"), "wrong")
    inherited = OrigDatablock(datasetId="wrong", ownerGroup="als", size=1, dataFileList=[])
    with pytest.raises(ScicatCommError, match="property ownerGroup should not exist"):
        client.datasets_origdatablock_create("wrong", inherited)
    untimed = CreateDatasetOrigDatablockDto(size=1, dataFileList=[DataFile(path="a", size=1)])
    with pytest.raises(ScicatCommError, match=r"dataFileList\.0\.time must be a valid ISO 8601"):
        client.datasets_origdatablock_create("wrong", untimed)
    with pytest.raises(ScicatCommError, match="caption"):
        client.datasets_attachment_create(Attachment(datasetId="wrong", ownerGroup="als", thumbnail="data:image/png;"))


def test_pyscicat_puts_the_token_into_urls_and_it_counts_for_nothing_there(
    site: SciCatEmulator, client: ScicatClient
) -> None:
    client.datasets_create(_dataset("leak"))
    before = site.state()["secretsInUrls"]
    client.datasets_get_one("leak")
    assert site.state()["secretsInUrls"] == before + 1
    answer = raw(site, "GET", "datasets", account=None, params={"access_token": client._token})
    assert (answer.status_code, answer.json()) == (200, [])


def test_an_expired_token_sees_an_empty_catalogue_or_is_told(site: SciCatEmulator, client: ScicatClient) -> None:
    client.datasets_create(_dataset("expired"))
    site.expire_tokens()
    if site.settings.is_v5:
        with pytest.raises(ScicatCommError, match="SESSION_EXPIRED"):
            _found(client, {})
        with pytest.raises(Exception, match="SESSION_EXPIRED"):
            client.login()
        return
    assert _found(client, {}) == []
    for attempt in (lambda: client.datasets_get_one("expired"), lambda: client.datasets_create(_dataset("later"))):
        with pytest.raises(ScicatCommError, match="403"):
            attempt()
    client.login()
    assert client.datasets_get_one("expired")


def test_a_garbage_token_is_nobody_without_complaint(site: SciCatEmulator) -> None:
    stranger = ScicatClient(site.url, token="garbage")
    assert _found(stranger, {}) == []
    answer = requests.get(f"{site.url}/auth/whoami", headers={"Authorization": "Bearer garbage"}, timeout=10)
    assert answer.status_code == 401


def test_the_dataset_route_resets_the_lifecycle_and_its_own_route_merges(site: SciCatEmulator) -> None:
    body = _dataset("life").model_dump(mode="json", exclude_none=True)
    assert raw(site, "POST", "datasets", json=body).status_code == 201
    route = "datasets/life/datasetlifecycle"
    assert raw(site, "PATCH", route, json={"storageLocation": "tape"}).json()["archivable"] is True
    assert raw(site, "PATCH", route, json={"archivable": False}).json()["storageLocation"] == "tape"
    assert raw(site, "PATCH", route, json={"unknown": 1}).status_code == 400
    assert raw(site, "PATCH", route, json={}).status_code == 400
    reset = raw(site, "PATCH", "datasets/life", account=OWNER, json={"datasetlifecycle": {"archivable": False}})
    assert reset.json()["datasetlifecycle"]["storageLocation"] == ""


def test_a_place_in_the_archive_is_taken_for_all_datasets(site: SciCatEmulator, client: ScicatClient) -> None:
    for pid in ("tape-1", "tape-2"):
        client.datasets_create(_dataset(pid))
    assert raw(site, "POST", "datasets/tape-1/datablocks", json=copy_body("b.tar#a")).status_code == 201
    for pid in ("tape-1", "tape-2"):
        answer = raw(site, "POST", f"datasets/{pid}/datablocks", json=copy_body("b.tar#a"))
        assert (answer.status_code, answer.json()["message"]) == (500, "Internal server error")
    stored = site.dataset("tape-1")
    assert stored is not None
    assert (stored["packedSize"], stored["numberOfFilesArchived"]) == (2048, 1)
    assert (
        raw(site, "POST", "datasets/tape-1/datablocks", json=copy_body("c") | {"dataFileList": []}).status_code == 400
    )


def test_who_may_do_what(site: SciCatEmulator, client: ScicatClient) -> None:
    client.datasets_create(_dataset("rights"))
    client.datasets_create(_dataset("unreadable", accessGroups=["others"]))
    new = [_dataset(pid).model_dump(mode="json", exclude_none=True) for pid in ("chosen", None)]
    for account, method, path, body, expected in (
        (INGESTOR, "PATCH", "datasets/rights", {"comment": "x"}, 403),
        (OWNER, "PATCH", "datasets/rights", {"comment": "x"}, 200),
        (LIFECYCLER, "PATCH", "datasets/rights", {"comment": "x"}, 403),
        (LIFECYCLER, "PATCH", "datasets/rights/datasetlifecycle", {"archivable": False}, 200),
        (LIFECYCLER, "POST", "datasets/rights/datablocks", copy_body("r"), 403),
        (LIFECYCLER, "GET", "datasets/unreadable", None, 200),
        (LIFECYCLER, "GET", "datasets/unreadable/datablocks", None, 403),
        (INGESTOR, "GET", "datasets/unreadable", None, 200),
        (INGESTOR, "GET", "datasets/unreadable/origdatablocks", None, 403),
        (OWNER, "POST", "datasets", new[0], 403),
        (OWNER, "POST", "datasets", new[1], 201),
        (OWNER, "DELETE", "datasets/rights", None, 403),
    ):
        answer = raw(site, method, path, account=account, json=body)
        assert answer.status_code == expected, (account.username, method, path)


@pytest.mark.parametrize("name", ["ALS-11839", "run-7", "/x/scan 12", "/exp/1", "12345", "Fe 3", "2026-11-20", "plain"])
def test_a_text_that_looks_like_a_date_is_not_found(site: SciCatEmulator, client: ScicatClient, name: str) -> None:
    client.datasets_create(_dataset(f"named/{name.replace(' ', '_')}", datasetName=name))
    found = bool(_found(client, {"datasetName": name}))
    assert found == (name == "plain" or (site.settings.is_v5 and name != "2026-11-20"))
    assert _found(client, {"datasetName": {"inq": [name]}})


def test_filters_that_pyscicat_does_not_encode_break_or_find_nothing(
    site: SciCatEmulator, client: ScicatClient
) -> None:
    client.datasets_create(_dataset("signs", datasetName="a+b"))
    assert _found(client, {"datasetName": "a+b"}) == []
    with pytest.raises(ScicatCommError, match="Invalid JSON in filter"):
        _found(client, {"datasetName": "a&b"})
    client.datasets_create(_dataset("with blank"))
    with pytest.raises(ScicatCommError, match="404"):
        client.datasets_get_one("with blank")


def test_a_listing_without_limits_ends_at_a_hundred(site: SciCatEmulator, client: ScicatClient) -> None:
    for number in range(101):
        client.datasets_create(_dataset(f"many/{number}"))
    assert len(_found(client, {})) == 100
    answer = raw(site, "GET", "datasets", params={"filter": '{"limits": {"limit": 5, "skip": 1}}'})
    assert len(answer.json()) == 5


def test_nan_is_no_json_and_too_much_is_a_500(site: SciCatEmulator) -> None:
    assert raw(site, "POST", "datasets", data='{"size": NaN}').status_code == 400
    assert raw(site, "POST", "datasets", data=b" " * (17 * 1024 * 1024)).status_code == 500


def test_values_with_a_known_unit_get_si_values(site: SciCatEmulator, client: ScicatClient) -> None:
    metadata = {"energy": {"value": 778.1, "unit": "eV"}, "field": {"value": 100, "unit": "Oe"}}
    client.datasets_create(_dataset("units", scientificMetadata=metadata))
    stored = site.dataset("units")
    assert stored is not None
    assert stored["scientificMetadata"]["energy"]["unitSI"] == "(kg m^2) / s^2"
    assert stored["scientificMetadata"]["field"] == {"value": 100, "unit": "Oe"}


def test_all_that_was_answered_survives_a_kill(site: SciCatEmulator, client: ScicatClient) -> None:
    client.datasets_create(_dataset("survivor"))
    client.datasets_origdatablock_create("survivor", _files())
    before, url = site.dataset("survivor"), site.url
    site.restart()
    assert site.url == url
    assert site.dataset("survivor") == before
    assert client.datasets_get_one("survivor")  # the token is still good


def test_a_lost_answer_was_done_and_a_cut_connection_was_not(site: SciCatEmulator, client: ScicatClient) -> None:
    for action, done in ((Action.DROP_BEFORE, False), (Action.DROP_AFTER, True)):
        site.fault(action, method="POST", path="Datasets")
        with pytest.raises(requests.ConnectionError):
            client.datasets_create(_dataset(f"lost/{action}"))
        assert (site.dataset(f"lost/{action}") is not None) == done
