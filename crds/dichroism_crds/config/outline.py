"""The names in a beamline's section as far as they can be read, whatever else is wrong with the section."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dichroism_crds.config.yaml_text import KeyPath

_SWITCH = TypeAdapter(bool)
_THREE_DIGITS = re.compile(r"BL([0-9])([0-9])([0-9])")


def text_at(data: Any, *keys: str | None) -> str | None:
    """The text at the nested keys, None when anything on the way is absent or something else."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, str) else None


def _is_true(data: Any) -> bool:
    """Whether a switch is on, in any of the words that the models take for it."""
    try:
        return _SWITCH.validate_python(data)
    except ValidationError:
        return False


def default_location(beamline: str) -> str:
    """``ALS 4.0.2`` for ``BL402``; empty where it cannot be told (``BL1102`` has two readings)."""
    found = _THREE_DIGITS.fullmatch(beamline)
    return f"ALS {'.'.join(found.groups())}" if found else ""


@dataclass(frozen=True, slots=True)
class Outline:
    """Which endpoints a beamline names where."""

    name: str
    root: str | None
    source: str | None
    destination: str | None
    mover: str | None
    archive_source: str | None
    archive_destination: str | None
    archive_mover: str | None
    ingests: bool
    location: str
    needs: dict[str, list[str]]
    """Pruned endpoint -> endpoints it needs."""
    loses_folders: list[str]
    """Pruned endpoints whose empty folders are removed."""

    @property
    def path(self) -> KeyPath:
        """Key path of the section."""
        return ("beamlines", self.name)

    @property
    def produces(self) -> list[str]:
        """Endpoints on which the beamline's steps make a copy, the source first."""
        return list(dict.fromkeys(name for name in (self.root, self.destination, self.archive_destination) if name))

    def references(self) -> Iterator[tuple[KeyPath, str]]:
        """Every endpoint name with the key at which it stands."""
        for keys, name in (
            (("watch", "root"), self.root),
            (("transfer", "from"), self.source),
            (("transfer", "to"), self.destination),
            (("archive", "from"), self.archive_source),
            (("archive", "to"), self.archive_destination),
        ):
            if name is not None:
                yield (*self.path, *keys), name
        for endpoint, needs in self.needs.items():
            yield (*self.path, "prune", endpoint), endpoint
            for name in needs:
                yield (*self.path, "prune", endpoint, "needs"), name


def beamline_outlines(beamlines: Any) -> list[Outline]:
    """One outline per beamline section that is a section at all."""
    if not isinstance(beamlines, dict):
        return []
    return [_outline(name, section) for name, section in beamlines.items() if isinstance(section, dict)]


def _outline(name: str, section: dict[str, Any]) -> Outline:
    prune = section.get("prune")
    needs: dict[str, list[str]] = {}
    loses_folders: list[str] = []
    for endpoint, rule in (prune if isinstance(prune, dict) else {}).items():
        listed = rule.get("needs") if isinstance(rule, dict) else None
        needs[endpoint] = [need for need in (listed if isinstance(listed, list) else []) if isinstance(need, str)]
        if isinstance(rule, dict) and _is_true(rule.get("remove_empty_folders")):
            loses_folders.append(endpoint)
    return Outline(
        name=name,
        root=text_at(section, "watch", "root"),
        source=text_at(section, "transfer", "from"),
        destination=text_at(section, "transfer", "to"),
        mover=text_at(section, "transfer", "mover"),
        archive_source=text_at(section, "archive", "from"),
        archive_destination=text_at(section, "archive", "to"),
        archive_mover=text_at(section, "archive", "mover"),
        ingests=isinstance(section.get("ingest"), dict),
        location=text_at(section, "ingest", "location") or default_location(name),
        needs=needs,
        loses_folders=loses_folders,
    )
