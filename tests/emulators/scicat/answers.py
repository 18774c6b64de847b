"""What a route answers: a JSON document, or a refusal in the form of the backend's framework."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and JSON body; ``None`` is sent as an empty body."""

    body: Any
    status: int = 200


class Refusal(Exception):  # noqa: N818 - it is what the server answers, not a fault of this program
    """A 4xx or 5xx answer; ``message`` is one text or a list of broken rules."""

    def __init__(self, status: int, message: str | list[str]) -> None:
        super().__init__(str(message))
        self.status = status
        self.message = message

    def body(self) -> Json:
        """The error document as the backend words it."""
        if self.status >= 500:
            return {"statusCode": self.status, "message": "Internal server error"}
        return {"message": self.message, "error": HTTPStatus(self.status).phrase, "statusCode": self.status}
