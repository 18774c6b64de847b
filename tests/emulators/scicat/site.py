"""One running site, and one call to it: what every route is given."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from multidict import MultiMapping

from tests.emulators.scicat.access import Caller, require
from tests.emulators.scicat.answers import Json, Refusal
from tests.emulators.scicat.faults import FaultPlan, RequestLog
from tests.emulators.scicat.published.contract import Contract
from tests.emulators.scicat.settings import Settings
from tests.emulators.scicat.store import Store


@dataclass(slots=True)
class Site:
    """Settings, durable state, the faults to come and the log of requests."""

    settings: Settings
    store: Store
    plan: FaultPlan = field(default_factory=FaultPlan)
    log: RequestLog = field(default_factory=RequestLog)
    contract: Contract = field(init=False)
    """What the backend publishes of its requests and answers."""

    def __post_init__(self) -> None:
        self.contract = Contract(self.settings.backend)


def _refuse_constant(name: str) -> NoReturn:
    raise Refusal(400, f"Unexpected token {name[0]} in JSON")


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who calls, the parts of the path, the query and the body."""

    site: Site
    caller: Caller
    params: Mapping[str, str]
    query: MultiMapping[str]
    headers: Mapping[str, str]
    raw_body: bytes
    is_v4: bool = False

    def body(self) -> Json:
        """The JSON object that was sent; NaN is no JSON, and too much of it is a 500 as in the real backend."""
        if len(self.raw_body) > self.site.settings.body_limit:
            raise Refusal(500, "request entity too large")
        try:
            body: Any = json.loads(self.raw_body or b"{}", parse_constant=_refuse_constant)
        except ValueError as error:
            raise Refusal(400, f"Unexpected token in JSON: {error}") from error
        if not isinstance(body, dict):
            raise Refusal(400, "the body must be an object")
        return body

    def require_login(self) -> None:
        """Refuse callers without an account before their body is looked at."""
        require(self.caller.account is not None, "Forbidden resource")

    def username(self) -> str:
        """Name of the caller."""
        return self.caller.account.username if self.caller.account else "anonymous"

    def dataset(self, pid: str | None = None) -> Json:
        """The dataset of that pid, or that the path names; 404 comes before any question of rights."""
        pid = self.params["pid"] if pid is None else pid
        dataset = self.site.store.dataset(pid)
        if dataset is None:
            raise Refusal(404, f"dataset: {pid} not found")
        return dataset
