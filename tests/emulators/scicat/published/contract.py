"""Whether a request or an answer is what SciCat publishes: no unknown field, none missing, each of its type.

No package is published for 4.27 itself: it stands between 4.17.0 and 5.3.2, so it may use what either has and must give
what both require. ``OBSERVED`` is what real backends were seen to send beyond their published models.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PACKAGES = {"4.27": ("4.17.0", "5.3.2"), "5.2": ("5.3.2",)}
"""The published versions that speak for a backend, the one that names its routes first."""

OBSERVED: Mapping[str, tuple[str, ...]] = {
    # The stored document is sent whole: with the key of the database, and with the lists that v4 has beside the single
    # values of v3.
    "OutputDatasetObsoleteDto": (
        "_id",
        "proposalIds",
        "sampleIds",
        "instrumentIds",
        "principalInvestigators",
        "history",
        "scientificMetadataSchema",
    ),
    "OutputDatasetDto": ("_id", "origdatablocks", "datablocks", "attachments"),
    "PartialOutputDatasetDto": ("_id", "origdatablocks", "datablocks", "attachments"),
    "DatasetClass": ("_id",),
    "OutputOrigDatablockDto": ("_id",),
    # The v3 routes name the stored model and answer with the older one, but for what is attached to nothing.
    "OutputAttachmentV3Dto": ("_id", "createdBy", "updatedBy", "isPublished"),
    "Attachment": ("_id",),
    "OutputAttachmentV4Dto": ("_id", "createdBy", "updatedBy"),
    "IsValidResponse": ("error",),
}
_ANSWER_IS = {"Attachment": "OutputAttachmentV3Dto | Attachment"}
_ALTERNATIVE = re.compile(r" \| (?![^<]*>)")
_PLAIN = frozenset({"string", "number", "boolean", "Date", "object"})
_PARTIAL_ROUTES = ("datasets/{}/thumbnail",)
_ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")

Model = dict[str, tuple[str, bool]]
"""Type and whether it is required, by name of the field."""


@functools.cache
def _table(version: str) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((FOLDER / f"fields-{version}.json").read_text())
    return table


class Contract:
    """What one backend publishes."""

    def __init__(self, backend: str) -> None:
        self._models: dict[str, Model] = {}
        self._routes: dict[str, dict[str, str]] = {}
        for number, version in enumerate(PACKAGES[backend]):
            table = _table(version)
            for name, fields in table["models"].items():
                self._add_model(name, fields, known=number > 0 and name in self._models)
            for route, models in table["routes"].items():
                self._routes.setdefault(re.sub(r"\{\w+\}", "{}", route), models)

    def _add_model(self, name: str, fields: dict[str, str], *, known: bool) -> None:
        """Add the fields of one package; of a model that is known already only what both require stays required."""
        mine = self._models.setdefault(name, {})
        given: Model = {field.rstrip("?"): (kind, not field.endswith("?")) for field, kind in fields.items()}
        for field, (kind, required) in mine.items():
            other, also = given.get(field, (kind, False))
            mine[field] = (kind if other == kind else f"{kind} | {other}", required and also)
        for field, (kind, required) in given.items():
            mine.setdefault(field, (kind, required and not known))

    def request(self, method: str, route: str, body: Any) -> list[str]:
        """What is wrong with a request; ``route`` is like ``/api/v3/datasets/{}``."""
        model = self._routes.get(f"{method} {route}", {}).get("request")
        if model is None:
            return [] if body in (None, {}) else [f"{method} {route}: no body is published for it"]
        return list(self._wrong(model, body, model))

    def answer(self, method: str, route: str, body: Any, *, partial: bool = False) -> list[str]:
        """What is wrong with an answer; ``partial``: fields were chosen, so none has to be there."""
        published = self._routes.get(f"{method} {route}")
        if published is None:
            return [f"{method} {route} is not published"]
        model = published["answer"]
        if body is None or model in ("void", "object"):
            return []
        if "/api/v3/" in route:
            model = re.sub(r"\w+", lambda name: _ANSWER_IS.get(name[0], name[0]), model)
        partial = partial or any(route.endswith(one) for one in _PARTIAL_ROUTES)
        return list(self._wrong(model, body, model, observed=True, partial=partial))

    def body(self, model: str, body: Any) -> list[str]:
        """What is wrong with a body that should be of this model."""
        return list(self._wrong(model, body, model))

    def _wrong(
        self, kind: str, value: Any, where: str, *, observed: bool = False, partial: bool = False
    ) -> Iterator[str]:
        alternatives = _alternatives(kind)
        if len(alternatives) > 1:
            options = [[*self._wrong(one, value, one, observed=observed, partial=partial)] for one in alternatives]
            yield from min(options, key=len)
        elif kind.startswith("Array<"):
            if not isinstance(value, list):
                yield f"{where} must be an array"
                return
            for item in value if not observed else filter(None, value):  # v3 stores what it was not given as [null]
                yield from self._wrong(kind[6:-1], item, where, observed=observed, partial=partial)
        elif kind in self._models:
            yield from self._wrong_fields(kind, value, where, observed=observed, partial=partial)
        elif not _is_of(kind, value):
            yield f"{where} must be a {kind}"

    def _wrong_fields(self, name: str, value: Any, where: str, *, observed: bool, partial: bool) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{where} must be an object"
            return
        model = self._models[name]
        beyond = OBSERVED.get(name, ()) if observed else ()
        for field in value:
            if field not in model and field not in beyond:
                yield f"{where}: property {field} should not exist"
        for field, (kind, required) in model.items():
            if value.get(field) is None:
                if required and not partial:
                    yield f"{where}: {field} is required"
            elif kind not in _PLAIN or not _is_of(kind, value[field]):
                yield from self._wrong(kind, value[field], f"{where}.{field}", observed=observed, partial=partial)


@functools.cache
def _alternatives(kind: str) -> list[str]:
    return _ALTERNATIVE.split(kind)


def _is_of(kind: str, value: Any) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "Date":
            return _is_time(value)
        case "object":
            return isinstance(value, dict)
    return True


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(_ISO_TIME.match(value)) and bool(datetime.fromisoformat(value))
    except ValueError:
        return False
