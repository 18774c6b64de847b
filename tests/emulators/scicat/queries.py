"""The ``filter=`` parameter of a listing, with the date-like-string bug of each backend."""

import json
import re
from collections.abc import Iterable
from typing import Any

from tests.emulators.scicat.answers import Json, Refusal

DEFAULT_LIMIT = 100

_JS_DATE = re.compile(r"[A-Za-z/ -]*\d+|\d{4}-\d\d(-\d\d.*)?")
"""Strings that ``new Date()`` of JavaScript takes for a date, near enough: words and a number, or year-month."""
_LEADING_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def parse_filter(text: str | None) -> Json:
    """The filter document; anything that is no JSON object is refused."""
    try:
        parsed = json.loads(text) if text else {}
    except ValueError as error:
        raise Refusal(400, "Invalid JSON in filter") from error
    if not isinstance(parsed, dict):
        raise Refusal(400, "Invalid JSON in filter")
    return parsed


def _taken_for_date(value: str, is_v5: bool) -> bool:
    pattern = _LEADING_DATE.match(value) if is_v5 else _JS_DATE.fullmatch(value)
    return pattern is not None


def _value(document: Json, name: str) -> Any:
    value: Any = document
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _matches_one(actual: Any, wanted: Any, is_v5: bool) -> bool:
    if isinstance(wanted, dict):
        operator: str = next(iter(wanted), "")
        operand: Any = wanted.get(operator)
        match operator:
            case "inq" | "$in":  # lists are never converted to dates
                return any(actual == item or (isinstance(actual, list) and item in actual) for item in operand)
            case "neq" | "$ne":
                return bool(actual != operand)
            case "like" | "regexp" | "$regex":
                return isinstance(actual, str) and re.search(str(operand), actual, re.IGNORECASE) is not None
            case "gt" | "gte" | "lt" | "lte":
                return actual is not None and _compares(actual, operator, operand)
        raise Refusal(400, f"unknown operator {operator}")
    if isinstance(wanted, str) and _taken_for_date(wanted, is_v5):
        return False
    return bool(actual == wanted) or (isinstance(actual, list) and wanted in actual)


def _compares(actual: Any, operator: str, operand: Any) -> bool:
    less, equal = actual < operand, actual == operand
    return bool({"gt": not less and not equal, "gte": not less, "lt": less, "lte": less or equal}[operator])


def matches(document: Json, where: Json, is_v5: bool) -> bool:
    """Whether the document fulfils every condition."""
    for name, wanted in where.items():
        if name in ("and", "$and", "or", "$or"):
            results = [matches(document, part, is_v5) for part in wanted]
            if not (all(results) if "and" in name else any(results)):
                return False
        elif not _matches_one(_value(document, name), wanted, is_v5):
            return False
    return True


def select(documents: Iterable[Json], query: Json, is_v5: bool, default_limit: int = DEFAULT_LIMIT) -> list[Json]:
    """The page of documents that the filter asks for; at most ``default_limit`` when it sets none."""
    found = [document for document in documents if matches(document, query.get("where") or {}, is_v5)]
    limits = query.get("limits") or query
    if order := limits.get("order"):
        name, _, direction = str(order).replace(" ", ":").partition(":")
        found.sort(key=lambda document: str(document.get(name)), reverse=direction.lower() == "desc")
    skip = int(limits.get("skip") or 0)
    page = found[skip : skip + int(limits.get("limit") or default_limit)]
    if fields := query.get("fields"):
        page = [{name: document.get(name) for name in ("pid", *fields)} for document in page]
    return page
