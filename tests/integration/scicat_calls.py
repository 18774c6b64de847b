"""Raw requests to the SciCat emulator, and one run through all of its routes."""

from typing import Any

import requests

from tests.emulators.scicat.process import INGESTOR, SciCatEmulator
from tests.emulators.scicat.settings import Account

TIME = "2026-11-22T17:03:11.123Z"
PICTURE = "data:image/png;base64,AA=="
OTHER_VERSION = ("v3/", "v4/")


def raw(
    site: SciCatEmulator,
    method: str,
    path: str,
    *,
    account: Account | None = INGESTOR,
    headers: dict[str, str] | None = None,
    **options: Any,
) -> requests.Response:
    """One request with a login of its own; a path without version is one of v3."""
    sent = dict(headers or {})
    if account:
        login = {"username": account.username, "password": account.password}
        token = requests.post(f"{site.url}/auth/login", json=login, timeout=10).json()["access_token"]
        sent["Authorization"] = f"Bearer {token}"
    base = site.url if not path.startswith(OTHER_VERSION) else site.url.removesuffix("/v3")
    return requests.request(method, f"{base}/{path}", headers=sent, timeout=10, **options)


def dataset_body(pid: str | None = None, **fields: Any) -> dict[str, Any]:
    """A dataset as v3 takes it."""
    known = {
        "type": "raw",
        "owner": "Beamline",
        "ownerGroup": "als",
        "accessGroups": ["datasetIngestor"],
        "contactEmail": "beamline@example.org",
        "creationTime": TIME,
        "sourceFolder": "/cfs/als/4.0.2",
        "datasetName": "a.txt",
        "creationLocation": "ALS 4.0.2",
        "principalInvestigator": "Beamline",
        "techniques": [
            {"pid": "http://purl.org/pan-science/PaNET/PaNET01196", "name": "x-ray absorption spectroscopy"}
        ],
    }
    return known | ({"pid": pid} if pid else {}) | fields


def files_body(size: int = 1000, path: str = "a.txt") -> dict[str, Any]:
    """A list of one file."""
    return {"size": size, "chkAlg": "sha256", "dataFileList": [{"path": path, "size": size, "time": TIME, "chk": "0"}]}


def copy_body(archive_id: str) -> dict[str, Any]:
    """An archive copy of it."""
    return files_body() | {"archiveId": archive_id, "packedSize": 2048, "version": "pax tar"}


def attachment_body(**fields: Any) -> dict[str, Any]:
    """A picture as v3 takes it."""
    return {"ownerGroup": "als", "caption": "plot", "thumbnail": PICTURE} | fields


class _Tour:
    """Calls routes and remembers which."""

    def __init__(self, site: SciCatEmulator, account: Account) -> None:
        self.asked: set[tuple[str, str]] = set()
        self._site = site
        self._account = account

    def __call__(self, method: str, template: str, body: Any = None, query: Any = None, **names: str) -> Any:
        path = template.format(**names)
        answer = raw(self._site, method, path, account=self._account, json=body, params=query)
        assert answer.status_code in (200, 201), (method, path, answer.text)
        self.asked.add((method, f"/api/{template}"))
        return answer.json() if answer.text else None


ALMIGHTY = Account("almighty", "emulated-password-9", ("als", "admin", "deleters", *INGESTOR.groups))


def call_everything(site: SciCatEmulator) -> set[tuple[str, str]]:
    """Call every emulated route once with success; returns their methods and templates."""
    site.settings = type(site.settings)(**{**_fields(site), "accounts": (*site.settings.accounts, ALMIGHTY)})
    site.restart()
    tour = _Tour(site, ALMIGHTY)
    _login(tour, site)
    _v3(tour)
    _v4(tour)
    return tour.asked


def _fields(site: SciCatEmulator) -> dict[str, Any]:
    return {name: getattr(site.settings, name) for name in site.settings.__dataclass_fields__}


def _login(tour: _Tour, site: SciCatEmulator) -> None:
    credentials = {"username": ALMIGHTY.username, "password": ALMIGHTY.password}
    tour("POST", "v3/auth/login", credentials)
    tour("POST", "v3/users/login", credentials)
    assert tour("GET", "v3/auth/whoami")["username"] == ALMIGHTY.username


def _v3(tour: _Tour) -> None:
    one, block = "v3/datasets/{pid}", "v3/datasets/{pid}/origdatablocks"
    tour("POST", "v3/datasets/isValid", dataset_body("tour"))
    assert tour("POST", "v3/datasets", dataset_body("tour", proposalId="ALS-1"))["proposalId"] == "ALS-1"
    added = tour("POST", block, files_body(), pid="tour")
    tour("POST", "v3/origdatablocks", files_body(2, "b.txt") | {"datasetId": "tour", "ownerGroup": "als"})
    tour("POST", "v3/datasets/{pid}/datablocks", copy_body("t.tar#a"), pid="tour")
    tour("POST", "v3/datablocks", copy_body("t.tar#b") | {"datasetId": "tour"})
    picture = tour("POST", "v3/datasets/{pid}/attachments", attachment_body(), pid="tour")
    for template in ("origdatablocks", "datablocks", "attachments", "thumbnail", "datasetlifecycle"):
        assert tour("GET", f"{one}/{template}", pid="tour")
    assert len(tour("GET", "v3/datablocks")) == 2
    tour("PATCH", one, {"comment": "looked at", "scientificMetadata": {"t": {"value": 1, "unit": "degC"}}}, pid="tour")
    tour("PATCH", f"{one}/datasetlifecycle", {"archivable": False}, pid="tour")
    assert tour("GET", one, pid="tour")["history"]
    with_all = '{"include": [{"relation": "attachments"}, {"relation": "origdatablocks"}, {"relation": "datablocks"}]}'
    (found,) = tour("GET", "v3/datasets", query={"filter": with_all})
    assert (len(found["origdatablocks"]), len(found["datablocks"]), len(found["attachments"])) == (2, 2, 1)
    tour("GET", "v3/datasets", query={"filter": '{"fields": ["datasetName"]}'})
    tour("GET", "v3/datasets/findOne", query={"filter": '{"where": {"pid": "none"}}'})
    assert tour(
        "GET", "v3/datasets/fullquery", query={"fields": '{"proposalIds": ["ALS-1"]}', "limits": '{"limit": 1}'}
    )
    again = tour("POST", "v3/datasets/{pid}/attachments", attachment_body(), pid="tour")
    tour("PUT", f"{one}/attachments/{{aid}}", attachment_body(), pid="tour", aid=again["id"])
    tour("DELETE", f"{one}/attachments/{{aid}}", pid="tour", aid=picture["id"])
    tour("DELETE", f"{block}/{{oid}}", pid="tour", oid=added["_id"])
    tour("DELETE", one, pid="tour")


def _v4(tour: _Tour) -> None:
    one = "v4/datasets/{pid}"
    single = {"principalInvestigator"}
    body = {name: value for name, value in dataset_body("tour4").items() if name not in single}
    body |= {"proposalIds": ["ALS-1"], "principalInvestigators": ["Beamline"], "scientificMetadata": {"a.b": 1}}
    assert tour("POST", "v4/datasets/isValid", body) == {"valid": True}
    tour("POST", "v4/datasets", body)
    tour("POST", "v4/origdatablocks", files_body() | {"datasetId": "tour4"})
    attached = [{"targetId": "tour4", "targetType": "dataset"}]
    picture = attachment_body(relationships=attached, isPublished=False, aid="chosen")
    assert tour("POST", "v4/attachments", picture)["aid"] == "chosen"
    assert tour("PATCH", "v4/attachments/{aid}", {"caption": "new"}, aid="chosen")["relationships"]
    found = tour("GET", one, query={"include": ["origdatablocks", "attachments"]}, pid="tour4")
    assert (len(found["origdatablocks"]), found["attachments"][0]["caption"]) == (1, "new")
    tour("PATCH", one, {"comment": "x"}, pid="tour4")
    tour("PATCH", f"{one}/datasetlifecycle", {"archivable": False}, pid="tour4")
    tour("GET", f"{one}/datasetlifecycle", pid="tour4")
    assert len(tour("GET", "v4/datasets")) == 1
