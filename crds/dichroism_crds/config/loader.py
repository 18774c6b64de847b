"""``config.yml`` from the file to a checked :class:`Config`, or to every error in it with file, line and key.

All errors are reported at once: a person who mends them one by one restarts the operator once per error.
"""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dichroism_crds.config import advice
from dichroism_crds.config.checks import check_document
from dichroism_crds.config.models import SECTIONS, Config
from dichroism_crds.config.outline import default_location
from dichroism_crds.config.wording import problems_of
from dichroism_crds.config.yaml_text import Document, KeyPath, Problem, read_yaml

MAX_FILE = 1024 * 1024
"""Bytes. A ConfigMap, in which the document travels to the cluster, cannot hold more."""
MOUNT_PREFIX = "DICHROISM_MOUNT_"


class ConfigError(Exception):
    """The document cannot be used. ``errors`` has one finished line per error."""

    def __init__(self, errors: tuple[str, ...]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a document: ``config`` exactly when there are no errors; lines for people in both lists."""

    config: Config | None
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in the file, with the mounts of this host from ``environ``.

    Raises:
        ConfigError: the file cannot be read or anything in it is wrong; all errors at once.
    """
    checked = check_file(path, environ)
    if checked.config is None:
        raise ConfigError(checked.errors)
    return checked.config


def check_file(path: Path, environ: Mapping[str, str] = os.environ) -> Checked:
    """Everything that can be said about the file. Never raises."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return _failed(f"{path}: cannot be read: {reason}. Name the file with beamlines and endpoints")
    if len(raw) > MAX_FILE:
        return _failed(f"{path}: is larger than {MAX_FILE} bytes, more than a ConfigMap holds. Is it the right file?")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return _failed(f"{path}:{line}: is not UTF-8 (byte {error.start}): save the file as UTF-8")
    return check_text(text, str(path), environ)


def check_text(text: str, source: str, environ: Mapping[str, str] = os.environ) -> Checked:
    """Everything that can be said about a document; ``source`` stands in the messages as the name of the file."""
    document = read_yaml(text)
    if not isinstance(document.data, dict):
        problems = document.problems or [Problem((), "must hold endpoints and beamlines, but has no keys")]
        return Checked(None, _lines(problems, document, source, {}), ())
    shaped = _shape(document.data, environ)
    problems = [*document.problems, *shaped.problems]
    try:
        config = Config.model_validate(shaped.wire(), by_alias=True, by_name=False)
    except ValidationError as error:
        config = None
        problems += problems_of(error)
    problems += check_document(shaped.endpoints, shaped.sections)
    if problems or config is None:
        return Checked(None, _lines(problems, document, source, shaped.overrides), ())
    notes = [*advice.warnings(config), *shaped.notes]
    return Checked(config, (), _lines(notes, document, source, shaped.overrides))


@dataclass(slots=True)
class _Shaped:
    """The document with endpoints and sections apart, names filled in from the keys and mounts from the host."""

    endpoints: dict[str, Any]
    sections: dict[str, Any]
    problems: list[Problem]
    notes: list[Problem]
    overrides: dict[KeyPath, str]

    def wire(self) -> dict[str, Any]:
        return {"endpoints": self.endpoints, **self.sections}


def _shape(data: dict[str, Any], environ: Mapping[str, str]) -> _Shaped:
    shaped = _Shaped({}, {}, [], [], {})
    for key, value in data.items():
        if key in SECTIONS:
            if value is not None:
                shaped.sections[key] = value
        elif not (isinstance(value, dict) and "root_path" in value) and (near := _near(key, SECTIONS)):
            shaped.problems.append(
                Problem((key,), f"unknown key. Did you mean {near!r}? (An endpoint has a root_path.)")
            )
        else:
            shaped.endpoints[key] = _named(shaped, (key,), value)
    beamlines = shaped.sections.get("beamlines")
    if isinstance(beamlines, dict):
        shaped.sections["beamlines"] = {
            key: _located(key, _named(shaped, ("beamlines", key), value)) for key, value in beamlines.items()
        }
    _mount(shaped, environ)
    return shaped


def _named(shaped: _Shaped, path: KeyPath, section: Any) -> Any:
    """The section with its key as its name; a name that is written out must be the key."""
    if not isinstance(section, dict):
        return section
    key = path[-1]
    if "name" in section and section["name"] != key:
        shaped.problems.append(Problem((*path, "name"), f"must be the key {key!r}, or be left out"))
    return {**section, "name": key}


def _located(name: str, beamline: Any) -> Any:
    ingest = beamline.get("ingest") if isinstance(beamline, dict) else None
    if not isinstance(ingest, dict) or "location" in ingest:
        return beamline
    return {**beamline, "ingest": {**ingest, "location": default_location(name)}}


def _mount(shaped: _Shaped, environ: Mapping[str, str]) -> None:
    """Apply ``DICHROISM_MOUNT_<NAME>``; an empty variable counts as absent."""
    by_variable = {MOUNT_PREFIX + name.upper().replace("-", "_"): name for name in shaped.endpoints}
    for variable in sorted(environ):
        if not variable.startswith(MOUNT_PREFIX) or not environ[variable]:
            continue
        name = by_variable.get(variable)
        if name is None:
            shaped.overrides[variable,] = variable
            known = ", ".join(sorted(shaped.endpoints)) or "none"
            shaped.notes.append(Problem((variable,), f"names no endpoint. Known: {known}"))
        elif isinstance(shaped.endpoints[name], dict):
            shaped.endpoints[name] = {**shaped.endpoints[name], "mount": environ[variable]}
            shaped.overrides[name, "mount"] = variable


def _near(word: str, known: Any) -> str | None:
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def _lines(
    problems: list[Problem], document: Document, source: str, overrides: Mapping[KeyPath, str]
) -> tuple[str, ...]:
    """``config.yml:23: beamlines.BL402.watch.root: ...``, in the order of the file, each once."""
    placed = {(problem.line or document.line_of(problem.path), problem): None for problem in problems}
    return tuple(
        f"environment variable {overrides[problem.path]}: {problem.message}"
        if problem.path in overrides
        else f"{source}:{line}: {_dotted(problem.path)}{problem.message}"
        for line, problem in sorted(placed, key=lambda entry: entry[0])
    )


def _dotted(path: KeyPath) -> str:
    """``holds[0].until: ``, or nothing for the document as a whole. Keys are the file's text: cut and on one line."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_shown(part)}"
    return f"{text.lstrip('.')}: " if text else ""


def _shown(key: str) -> str:
    return key if key.isprintable() and len(key) <= 80 else repr(key[:80])


def _failed(error: str) -> Checked:
    return Checked(None, (error,), ())
