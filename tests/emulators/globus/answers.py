"""What a route answers: a JSON document, or a refusal in the form of the Transfer API."""

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

_REQUEST_ID_LETTERS = string.ascii_letters + string.digits


def request_id() -> str:
    """Nine letters and digits, new for every answer."""
    return "".join(secrets.choice(_REQUEST_ID_LETTERS) for _ in range(9))


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, JSON body and headers."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):  # noqa: N818 - it is what the server answers, not a fault of this program
    """A 4xx or 5xx answer of the Transfer API: ``code``, ``message`` and whatever else belongs to it."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **extras: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.extras = extras

    def answer(self, resource: str) -> Answer:
        """The error document about ``resource``, the path that was asked for."""
        body = {"code": self.code, "message": self.message, "request_id": request_id(), "resource": resource}
        return Answer(body | self.extras, self.status, self.headers)


class AuthRefusal(Refusal):
    """An answer of the token endpoint, which has the form of OAuth2 instead."""

    def answer(self, resource: str) -> Answer:
        """``error`` is what OAuth2 clients read."""
        return Answer({"error": self.code, "error_description": self.message} | self.extras, self.status, self.headers)
