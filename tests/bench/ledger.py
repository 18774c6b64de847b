"""What a test cluster's API server and etcd say of the work they had, counted by themselves."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from dichroism_crds.names import GROUP
from tests.cluster import Cluster
from tests.cluster.control_plane import ETCD

WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY"})
_LINE = re.compile(r"apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Requests:
    """Requests by (group, resource, verb), refused ones included: they cost as much."""

    counts: Mapping[tuple[str, str, str], float]

    @classmethod
    def so_far(cls, cluster: Cluster) -> "Requests":
        """Everything since the API server was started."""
        counts: Counter[tuple[str, str, str]] = Counter()
        for line in _LINE.finditer(cluster.kubectl("get", "--raw=/metrics")):
            labels = dict(_LABEL.findall(line["labels"]))
            counts[labels["group"], labels["resource"], labels["verb"]] += int(float(line["count"]))
        return cls(counts)

    def since(self, before: "Requests") -> "Requests":
        """What was asked between the two looks."""
        return Requests({key: count - before.counts.get(key, 0) for key, count in self.counts.items()})

    def writes(self) -> float:
        """Creations and changes of our kinds, without their collection."""
        return sum(count for (group, _, verb), count in self.counts.items() if group == GROUP and verb in WRITES)

    def events(self) -> float:
        """Kubernetes Events written."""
        return sum(
            count for (_, resource, verb), count in self.counts.items() if resource == "events" and verb in WRITES
        )


def etcd_bytes(cluster: Cluster) -> float:
    """Size of the database, B, once older versions are dropped and their room is given back; NaN where none is ours."""
    record = cluster.state.read()
    if record is None or ETCD not in record.ports:
        return math.nan
    address = f"http://127.0.0.1:{record.ports[ETCD]}/v3"
    with httpx.Client(timeout=300, trust_env=False) as client:

        def ask(path: str, **body: object) -> dict[str, object]:
            answer = client.post(f"{address}/{path}", json=body)
            answer.raise_for_status()
            return dict(answer.json())

        header = ask("maintenance/status")["header"]
        assert isinstance(header, dict)
        ask("kv/compaction", revision=header["revision"], physical=True)
        ask("maintenance/defragment")
        return float(str(ask("maintenance/status")["dbSize"]))
