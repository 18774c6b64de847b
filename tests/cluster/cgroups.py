"""The control groups of a node: one folder of its own in each hierarchy, made before it starts and removed after it."""

import contextlib
import os
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Version 2 has one hierarchy for all controllers, version 1 one for each."""
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return [path for path in sorted(_ROOT.iterdir()) if (path / "cgroup.procs").exists()]


def make(name: str) -> None:
    """Make the folder of a node everywhere.

    Raises:
        OSError: this process may not.
    """
    for hierarchy in hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)
        # A new cpuset of version 1 holds no processor and no memory, and no process may enter it.
        for kind in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / kind).exists():
                (hierarchy / name / kind).write_text((hierarchy / kind).read_text())


def remove(name: str) -> bool:
    """Remove the folders of a node, innermost first; False while processes are left in one."""
    for hierarchy in hierarchies():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
    return not any((hierarchy / name).exists() for hierarchy in hierarchies())
