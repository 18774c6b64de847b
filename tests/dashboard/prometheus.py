"""A real Prometheus that reads one operator, and answers queries."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import prometheus_path
from tests.cluster.processes import free_port

Series = tuple[dict[str, str], list[tuple[float, float]]]
"""Labels, and pairs of Unix time and value."""


@dataclass
class Prometheus:
    """A server of its own in a folder, which reads ``target`` every second as it would read a pod.

    Attributes:
        folder: where it keeps its data.
        target: host and port of the metrics.
        namespace: label that a PodMonitor would add.
        rules: files with alert rules.
    """

    folder: Path
    target: str
    namespace: str
    rules: tuple[Path, ...] = ()

    def __enter__(self) -> "Prometheus":
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        labels = {"namespace": self.namespace, "pod": "operator-0"}
        job = {"job_name": "dichroism", "static_configs": [{"targets": [self.target], "labels": labels}]}
        document = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [job],
            "rule_files": [str(file) for file in self.rules],
        }
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(document))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [
            str(prometheus_path()),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        while not self._ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"Prometheus ended: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait()

    def over(self, query: str, start: float, end: float, step: float = 1) -> list[Series]:
        """Values of a query from start to end, Unix times, every ``step`` seconds."""
        found = self._ask("query_range", query=query, start=str(start), end=str(end), step=str(step))
        return [
            (one["metric"], [(float(moment), float(value)) for moment, value in one["values"]])
            for one in found["result"]
        ]

    def now(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Labels and values of a query at this moment."""
        return [(one["metric"], float(one["value"][1])) for one in self._ask("query", query=query)["result"]]

    def _ask(self, endpoint: str, **parameters: str) -> dict[str, Any]:
        url = f"{self.url}/api/v1/{endpoint}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)["data"]
        return found

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
