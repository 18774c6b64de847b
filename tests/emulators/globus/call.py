"""One authenticated request, as the routes see it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.emulators.globus.access import Caller
from tests.emulators.globus.answers import Json, Refusal
from tests.emulators.globus.paths import may_read
from tests.emulators.globus.running import Scheduler
from tests.emulators.globus.settings import Collection
from tests.emulators.globus.site import Site
from tests.emulators.globus.tasks import Task


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls, the parts of the path, the query and the body."""

    site: Site
    scheduler: Scheduler
    caller: Caller
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    raw_body: bytes

    def body(self) -> Json:
        """The JSON object that was sent."""
        try:
            body: Any = json.loads(self.raw_body or b"{}")
        except ValueError as error:
            raise Refusal(400, "ClientError.BadRequest", f"the body is no JSON: {error}") from error
        if not isinstance(body, dict):
            raise Refusal(400, "ClientError.BadRequest", "the body is no JSON object")
        return body

    def number(self, name: str, default: int, most: int) -> int:
        """A number of the query, at most ``most``."""
        try:
            return max(0, min(int(self.query.get(name, default)), most))
        except ValueError as error:
            raise Refusal(400, "ClientError.BadRequest", f"{name} is no number") from error

    def task(self) -> Task:
        """The task of the path; those of others cannot be seen."""
        task = self.site.tasks.get(self.params["id"])
        if task is None or task.client != self.caller.client_id:
            raise Refusal(404, "ClientError.NotFound", f"No task found with id '{self.params['id']}'")
        return task

    def collection(self, collection_id: str) -> Collection:
        """The collection of that id, if there is one."""
        collection = self.site.collections.get(collection_id)
        if collection is None:
            raise Refusal(404, "EndpointNotFound", f"No such endpoint '{collection_id}'")
        return collection

    def require_rights(self, collection: Collection) -> None:
        """Refuse who has no consent, or no right at all on the collection."""
        self.caller.require_consent(collection)
        if not may_read(collection, self.caller.client_id):
            raise Refusal(
                403, "PermissionDenied", f"No effective ACL rules on the endpoint '{collection.collection_id}'"
            )
