"""Folders with files on disk and in bundles, as the archive step leaves them; no cluster, no catalogue."""

import json
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from dichroism_cli.main import main
from dichroism_crds.names import PRIVATE_DIR
from dichroism_crds.timestamps import to_ns
from dichroism_operator.movers import bundle
from dichroism_operator.movers.bundle import Member
from tests.unit.mover_contract import MOMENT, put, sha256

MANIFEST_ONLY = ("--from", "manifest")


@dataclass
class Tape:
    """One beamline's archive and manifests below a folder, and the commands that work on them."""

    root: Path

    def __post_init__(self) -> None:
        for place in ("data402", "nersc402", "hpss402", "data631", "nersc631", "hpss631"):
            (self.root / place / PRIVATE_DIR).mkdir(parents=True)
        endpoints = {
            name: {"root_path": f"/site/{name}", "uri": name, "mount": str(self.root / name)}
            for name in ("data402", "nersc402", "hpss402", "data631", "nersc631", "hpss631")
        }
        beamlines = {
            f"BL{number}": {
                "watch": {"root": f"data{number}", "since": "2026-01-01"},
                "transfer": {"from": f"data{number}", "to": f"nersc{number}", "mover": "filesystem"},
                "archive": {"from": f"nersc{number}", "to": f"hpss{number}", "mover": "filesystem"},
            }
            for number in ("402", "631")
        }
        document: dict[str, Any] = {**endpoints, "beamlines": beamlines}
        self.config.write_text(yaml.safe_dump(document, sort_keys=False))

    @property
    def config(self) -> Path:
        return self.root / "config.yml"

    @property
    def target(self) -> Path:
        return self.root / "restored"

    def manifests(self, number: str = "402") -> Path:
        folder = self.root / f"nersc{number}" / PRIVATE_DIR / "manifests"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def pack(self, contents: dict[str, bytes], *, number: str = "402", later: int = 0) -> Path:
        """Make a bundle with its manifest, as an archive step does it; files are ``later`` seconds younger."""
        source = self.root / f"nersc{number}"
        moment = MOMENT + timedelta(seconds=later)
        items = [put(source, path, content, moment) for path, content in contents.items()]
        members = [Member(item.path, item.size, to_ns(item.modified_at) // 1000) for item in items]
        digest = sha256(b"".join(contents.values()))[:12]
        tar = self.root / f"hpss{number}" / "2026" / f"bl{number}-20261122-20261122-{digest}-{later:08d}.tar"
        tar.parent.mkdir(exist_ok=True)
        folder = os.open(source, os.O_RDONLY)
        with tar.open("w+b") as out:
            packed = bundle.pack(folder, members, out)
        os.close(folder)
        text = bundle.manifest_text(packed.members)
        (self.manifests(number) / f"{tar.name}.tsv").write_text(text, encoding="utf-8")
        return tar

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments])

    def restore(self, *arguments: str) -> Result:
        return self.run("restore", *arguments, "--config", str(self.config), "--to", str(self.target), *MANIFEST_ONLY)

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        shown = self.run("restore", *arguments, "--config", str(self.config), "--list", "-o", "json", *MANIFEST_ONLY)
        assert shown.exit_code == 0, shown.output
        found: list[dict[str, Any]] = json.loads(shown.stdout)
        return found
