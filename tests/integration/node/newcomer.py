"""Somebody who installs by a page of the documentation: types its commands as they stand, writes the files it shows.

Only what a page leaves open is filled in: names of people, passwords, and the folders of the site. Each of these texts
must stand on the page. Two programs of the pages are not here and have stand-ins: ``docker push`` hands an image to the
node as a registry would, and ``k3s ctr`` is the ``ctr`` of the node.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import attach, helm_path
from tests.cluster.image import Image, build_means, save
from tests.cluster.node import Node
from tests.pages import ROOT, Page

_NOT_CLONED = shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", ".*_cache", ".hypothesis")
_SECONDS = 3600
_STATE = "NEWCOMERS_NODE"


class Newcomer:
    """A person with a clone of the repository, a shell in it, and one account at the cluster."""

    def __init__(self, node: Node, folder: Path, account: Path | None = None, *, helm: int = 3) -> None:
        """``account`` is a kubeconfig, the administrator's when None; ``helm`` the major version on the PATH."""
        self.clone = folder / "clone"
        shutil.copytree(ROOT, self.clone, ignore=_NOT_CLONED, symlinks=True)
        (self.clone / ".venv").symlink_to(sys.prefix)
        programs = folder / "programs"
        programs.mkdir()
        (programs / "helm").symlink_to(helm_path(helm))
        for name in ("docker", "k3s"):
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {__name__} {name} "$@"\n')
            (programs / name).chmod(0o755)
        environment = node.environment(account) | build_means()
        self._environment = environment | {
            "PATH": f"{programs}:{environment['PATH']}",
            "PYTHONPATH": str(ROOT),
            _STATE: str(node.state.folder),
        }

    def follow(
        self, page: Page, *sections: str, filled: Mapping[str, str], appended: Mapping[str, str] | None = None
    ) -> str:
        """Do what stands under some headings of a page, in its order; returns what the commands wrote.

        Args:
            page: the page.
            *sections: its headings.
            filled: what stands for the texts that the page leaves open.
            appended: what is put behind the files of the page, by their names: where the emulators are.
        """
        whole = page.path.read_text()
        assert not [text for text in filled if text not in whole], "the page does not have what is to be filled in"
        said = []
        for block in page.blocks:
            if block.section not in sections:
                continue
            if block.file:
                text = _with(filled, block.text) + (appended or {}).get(block.file, "")
                (self.clone / block.file).write_text(text)
            said += [self.type(_with(filled, command)) for command in block.commands]
        assert said, f"{page.path.name} tells nothing to do under {sections}"
        return "\n".join(said)

    def type(self, command: str) -> str:
        """One command in the shell, which keeps its variables; returns what it wrote."""
        kept = self.clone.parent / "variables"
        kept.touch()
        script = f". {kept}\n{command}\nended=$?\nexport -p > {kept}\nexit $ended\n"
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", script],
            cwd=self.clone,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\nended with {done.returncode}"
        return done.stdout


def _with(filled: Mapping[str, str], text: str) -> str:
    for open_text, chosen in filled.items():
        text = text.replace(open_text, chosen)
    return text


def main(program: str, *words: str) -> None:
    """The stand-ins: ``docker push NAME`` and ``k3s ctr images import FILE``."""
    node = attach(Path(os.environ[_STATE]))
    assert isinstance(node, Node)
    match (program, *words):
        case ("docker", "push", name):
            archive = node.state.folder / "pushed.tar"
            node.load(save(name, archive))
            archive.unlink()
        case ("k3s", "ctr", "images", "import", file):
            node.load(Image("", "", Path(file).resolve()))
        case _:
            sys.exit(f"{program} {' '.join(words)}: no page has this")


if __name__ == "__main__":
    main(*sys.argv[1:])
