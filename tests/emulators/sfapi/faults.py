"""What shall go wrong: one file for each fault, taken by whoever meets it first, in whichever process.

Standard library only: the stand-ins that jobs start many times import it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

Action = Literal[
    "status",  # a request is answered with `status` and not done
    "drop-before",  # the connection breaks, nothing was done
    "drop-after",  # it was done, the answer is lost
    "twice",  # a submission is taken twice
    "end-job",  # a job is killed at `point` (none: before it begins) and Slurm says `state`
    "hsi-fails",  # hsi `command` does nothing, says `text` and exits 1
    "hsi-dies",  # the whole job is killed half-way through hsi `command`; Slurm says `state`
    "hsi-corrupts",  # put stores other bytes under the right hash
    "hsi-wrong-hash",  # put stores a wrong hash
]


def add(folder: Path, action: Action, **conditions: Any) -> None:
    """Ask for a fault. ``path`` and ``command`` are regular expressions; ``skip`` matches pass before it happens."""
    if action not in get_args(Action):
        raise ValueError(f"no such fault: {action}")
    folder.mkdir(exist_ok=True)
    number = max((int(path.stem) for path in folder.glob("*.json")), default=0) + 1
    unfinished = folder / f"{number:06d}.new"
    unfinished.write_text(json.dumps({"action": action, **conditions}))
    unfinished.rename(folder / f"{number:06d}.json")


def waiting(folder: Path) -> list[dict[str, Any]]:
    """Faults that have not happened."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def clear(folder: Path) -> None:
    """Forget the faults that have not happened."""
    for path in folder.glob("*.json"):
        path.unlink(missing_ok=True)


def take(folder: Path, *actions: Action, **facts: str) -> dict[str, Any] | None:
    """The first fault of these actions that fits the facts; it happens once (or ``times``) and is used up."""
    for path, fault in _fitting(folder, actions, facts):
        if fault.get("skip", 0) > 0:
            path.write_text(json.dumps({**fault, "skip": fault["skip"] - 1}))
            continue
        if fault.get("times", 1) > 1:
            path.write_text(json.dumps({**fault, "times": fault["times"] - 1}))
            return fault
        try:
            path.unlink()
        except FileNotFoundError:
            continue  # Another process met it first.
        return fault
    return None


def _fitting(folder: Path, actions: tuple[Action, ...], facts: dict[str, str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.glob("*.json")):
        try:
            fault = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            continue
        if fault["action"] in actions and all(
            re.search(fault[name], value) for name, value in facts.items() if name in fault
        ):
            yield path, fault
