"""Paths of a collection, and what may be done there. A path never leads out of the collection's folder."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from tests.emulators.globus.settings import Collection, Settings
from tests.emulators.globus.store import Store


class OutsideError(Exception):
    """The path leads out of the collection."""


def resolve(collection: Collection, path: str, *, follow: bool = True) -> Path:
    """The real path behind a path of a collection; ``follow`` also resolves a symbolic link at its end.

    Raises:
        OutsideError: it leads out of the collection's folder.
    """
    home = path.removeprefix("/~").removeprefix("~") if path.startswith(("/~/", "~/")) or path in ("/~", "~") else path
    root = os.path.realpath(collection.root)
    plain = os.path.normpath(f"{root}/{home.lstrip('/')}")
    real = (
        os.path.realpath(plain)
        if follow
        else os.path.join(os.path.realpath(os.path.dirname(plain)), os.path.basename(plain))
    )
    if plain != root and not plain.startswith(root + "/"):
        raise OutsideError(path)
    if plain == root:
        return Path(root)
    if real != root and not real.startswith(root + "/"):
        raise OutsideError(path)
    return Path(real)


def may_read(collection: Collection, client_id: str) -> bool:
    """Whether the client has any right here."""
    return collection.permissions is None or client_id in collection.permissions


def may_write(collection: Collection, client_id: str) -> bool:
    """Whether the client may change files here."""
    return collection.permissions is None or collection.permissions.get(client_id) == "rw"


def used_bytes(root: str | Path) -> int:
    """Sum of the sizes of all files below a folder in which others are at work."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue
    return total


class Collections:
    """The collections as they are now: those of the settings, with what was changed or added since."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._store = store
        self._known = {collection.collection_id: collection for collection in settings.collections}
        for row in store.rows("SELECT id, doc FROM collection"):
            known = self._known.get(row["id"])
            changes = json.loads(row["doc"])
            self._known[row["id"]] = known.with_changes(changes) if known else Collection.from_json(changes)

    def get(self, collection_id: str) -> Collection | None:
        """The collection of that id."""
        return self._known.get(collection_id)

    def __iter__(self) -> Iterator[Collection]:
        return iter(self._known.values())

    def change(self, collection_id: str, changes: dict[str, object]) -> Collection:
        """Change some fields, or add a collection; durable with the next commit.

        Raises:
            TypeError: a field that there is not, or a new collection without a root.
        """
        known = self._known.get(collection_id)
        row = self._store.row("SELECT doc FROM collection WHERE id = ?", (collection_id,))
        all_changes = (json.loads(row["doc"]) if row else {}) | changes
        if known is None:
            all_changes["collection_id"] = collection_id
        changed = known.with_changes(changes) if known else Collection.from_json(all_changes)
        self._store.write("INSERT OR REPLACE INTO collection VALUES (?, ?)", (collection_id, json.dumps(all_changes)))
        self._known[collection_id] = changed
        return changed
