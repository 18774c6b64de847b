"""YAML text to plain data with the line of every key, within bounds. Nothing here knows what the keys mean.

Every scalar stays the text that was written (``2026-11-01`` is no date, ``010`` is not eight); the models decide. The
text is not trusted: no tags, bounded depth, bounded size after the expansion of aliases.
"""

from dataclasses import dataclass, field
from typing import Any

from yaml import MarkedYAMLError, YAMLError
from yaml.composer import Composer
from yaml.error import Mark
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

KeyPath = tuple[str | int, ...]

MAX_DEPTH = 32
MAX_VALUES = 50_000
"""Keys, items and scalars after alias expansion; a real document has some hundred."""

_STANDARD_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map", "null")}
_NULL = ("", "~", "null")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at a key. Without a ``line``, that of the key is shown, or of the nearest key above it."""

    path: KeyPath
    message: str
    line: int | None = None


@dataclass(slots=True)
class Document:
    """The data, where each key stands, and what was wrong with the text itself."""

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, path: KeyPath) -> int:
        """Line of the key, or of the nearest key above it."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML up to its nodes, with bounded depth; its constructors are not used."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _BoundsError(Exception):
    """The expanded document is too large or contains itself."""


@dataclass(slots=True)
class _Builder:
    document: Document
    values: int = 0
    open_nodes: set[int] = field(default_factory=set)

    def build(self, node: Node, path: KeyPath) -> Any:
        self.values += 1
        if self.values > MAX_VALUES:
            raise _BoundsError(f"the document has more than {MAX_VALUES} values once its aliases are expanded")
        if id(node) in self.open_nodes:
            raise _BoundsError("an alias stands inside its own anchor")
        if node.tag not in _STANDARD_TAGS:
            self.document.problems.append(
                Problem(path, f"the tag {node.tag!r} has no meaning here: remove it", _line(node))
            )
        self.open_nodes.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            if isinstance(node, SequenceNode):
                return self._sequence(node, path)
            assert isinstance(node, ScalarNode)
            return None if node.style is None and node.value in _NULL else str(node.value)
        finally:
            self.open_nodes.discard(id(node))

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = _line(key_node)
            if not isinstance(key_node, ScalarNode):
                self.document.problems.append(Problem(path, "a key must be one word, not a list or a section", line))
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key == "<<":
                self.document.problems.append(Problem(here, "merge keys are not supported: write the keys out", line))
            elif key in data:
                first = self.document.lines[here]
                self.document.problems.append(Problem(here, f"the key stands twice, first in line {first}", line))
            else:
                self.document.lines[here] = line
                data[key] = self.build(value_node, here)
        return data

    def _sequence(self, node: SequenceNode, path: KeyPath) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            self.document.lines[(*path, index)] = _line(item)
            items.append(self.build(item, (*path, index)))
        return items


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def read_yaml(text: str) -> Document:
    """Data and lines of one YAML document. Never raises on bad text: what is wrong is in ``problems``."""
    document = Document()
    try:
        root = _Loader(text).get_single_node()
        if root is not None:
            document.data = _Builder(document).build(root, ())
    except _BoundsError as error:
        document.problems.append(Problem((), str(error)))
    except MarkedYAMLError as error:
        mark: Mark | None = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        document.problems.append(Problem((), f"not YAML: {what}", mark.line + 1 if mark else None))
    except YAMLError as error:
        # Only the reader raises without a mark; its text shows the character's number, not the character.
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        document.problems.append(Problem((), "not YAML: a control character that no YAML file may have", line))
    return document
