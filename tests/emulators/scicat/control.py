"""Routes that the real backend does not have: ask for faults, look inside. Paths start with ``/__``."""

import json
from collections import Counter

from tests.emulators.scicat import views
from tests.emulators.scicat.answers import Answer, Json, Refusal
from tests.emulators.scicat.faults import Fault
from tests.emulators.scicat.site import Site
from tests.emulators.scicat.store import ATTACHMENTS, DATABLOCKS, ORIGDATABLOCKS


def answer(site: Site, method: str, path: str, query: dict[str, str], body: bytes) -> Answer:
    """Serve one control request."""
    match method, path:
        case "POST", "/__faults":
            for document in json.loads(body):
                site.plan.add(Fault.from_json(document))
            return Answer([], status=201)
        case "GET", "/__faults":
            return Answer([fault.to_json() for fault in site.plan.faults])
        case "DELETE", "/__faults":
            site.plan.clear()
            return Answer([])
        case "POST", "/__expire":
            site.store.expire_tokens()
            return Answer({})
        case "GET", "/__state":
            return Answer(_state(site))
        case "GET", "/__requests":
            return Answer(list(site.log.entries))
        case "GET", "/__dataset":
            return Answer(_whole(site, query["pid"]))
        case "DELETE", "/__dataset":
            site.store.purge(query["pid"])
            return Answer({})
        case "GET", "/__datasets":
            return Answer([_without_pictures(_whole(site, one["pid"]) or {}) for one in site.store.datasets()])
        case "PATCH", "/__dataset":
            site.store.put_dataset((site.store.dataset(query["pid"]) or {}) | json.loads(body))
            return Answer({})
    raise Refusal(404, f"no control route {method} {path}")


def _whole(site: Site, pid: str) -> Json | None:
    dataset = site.store.dataset(pid)
    kinds = (ORIGDATABLOCKS, DATABLOCKS, ATTACHMENTS)
    if dataset is None:
        return None
    children = {kind: site.store.children(kind, pid) for kind in kinds}
    children[ATTACHMENTS] = [views.attachment_v3(one) for one in children[ATTACHMENTS]]
    return views.dataset_v3(dataset) | children


def _without_pictures(whole: Json) -> Json:
    """Of each picture only how it begins: a thousand of them would be a hundred megabytes."""
    return whole | {ATTACHMENTS: [one | {"thumbnail": one["thumbnail"][:40]} for one in whole[ATTACHMENTS]]}


def _files(block: Json) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(str(file.get(key)) for key in ("path", "size", "time", "chk")) for file in block["dataFileList"])


def _state(site: Site) -> Json:
    """Counts, and everything that must not be: the same file twice, counters that do not add up, secrets in URLs."""
    datasets = {dataset["pid"]: dataset for dataset in site.store.datasets()}
    on_disk = site.store.children(ORIGDATABLOCKS)
    in_archive = site.store.children(DATABLOCKS)
    lists = Counter((block["datasetId"], _files(block)) for block in on_disk)
    owners: dict[tuple[str, str], set[str]] = {}
    sums: dict[str, list[int]] = {pid: [0, 0, 0, 0] for pid in datasets}
    for block in on_disk:
        folder = datasets.get(block["datasetId"], {}).get("sourceFolder", "")
        for file in block["dataFileList"]:
            owners.setdefault((folder, file["path"]), set()).add(block["datasetId"])
    for blocks, first, size in ((on_disk, 0, "size"), (in_archive, 2, "packedSize")):
        for block in blocks:
            if block["datasetId"] in sums:
                sums[block["datasetId"]][first] += block[size]
                sums[block["datasetId"]][first + 1] += len(block["dataFileList"])
    counters = ("size", "numberOfFiles", "packedSize", "numberOfFilesArchived")
    wrong = [pid for pid, sum_ in sums.items() if [datasets[pid][counter] for counter in counters] != sum_]
    return {
        "datasets": len(datasets),
        "origdatablocks": len(on_disk),
        "datablocks": len(in_archive),
        "attachments": len(site.store.children(ATTACHMENTS)),
        "duplicateOrigdatablocks": sorted({pid for (pid, _), count in lists.items() if count > 1}),
        "filesInSeveralDatasets": [list(file) for file, pids in sorted(owners.items()) if len(pids) > 1],
        "wrongCounters": wrong,
        "secretsInUrls": site.log.secrets_in_urls,
        "unpublishedRequests": sorted(site.log.unpublished_requests),
        "unpublishedAnswers": sorted(site.log.unpublished_answers),
        "requests": dict(site.log.counts),
    }
