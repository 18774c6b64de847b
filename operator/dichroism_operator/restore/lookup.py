"""Asking every source that answers, and saying which ones did."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Config
from dichroism_operator.catalogue.choice import build_catalogue
from dichroism_operator.catalogue.errors import CatalogueError
from dichroism_operator.movers.bundle import BundleDamagedError
from dichroism_operator.restore import sources
from dichroism_operator.restore.asked import Asked
from dichroism_operator.restore.found import Source, TapeCopy


@dataclass(slots=True)
class Lookup:
    """What was found, and a sentence for each source that could not be asked."""

    copies: list[TapeCopy] = field(default_factory=list)
    silent: dict[Source, str] = field(default_factory=dict)


async def look_up(
    asked: Sequence[Asked],
    config: Config,
    namespace: str | None,
    chosen: Collection[Source],
    manifests: Path | None,
) -> Lookup:
    """Ask each chosen source for everything; one that does not answer is noted, not waited for."""
    found = Lookup()
    if Source.SCAN in chosen:
        await _scans(found, asked, namespace)
    if Source.CATALOGUE in chosen:
        await asyncio.to_thread(_catalogue, found, asked, config)
    if Source.MANIFEST in chosen:
        await asyncio.to_thread(_manifests, found, asked, config, manifests)
    return found


async def _scans(found: Lookup, asked: Sequence[Asked], namespace: str | None) -> None:
    try:
        async with await Api.connect(namespace) as api:
            for one in asked:
                found.copies += await sources.from_scans(api, one)
    except ApiError as error:
        found.silent[Source.SCAN] = f"the Kubernetes API does not answer: {error.message}"


def _catalogue(found: Lookup, asked: Sequence[Asked], config: Config) -> None:
    try:
        catalogue = build_catalogue(config)
        if catalogue is None:
            found.silent[Source.CATALOGUE] = "the configuration has no scicat section"
            return
        for one in asked:
            found.copies += sources.from_catalogue(catalogue, config, one)
    except (CatalogueError, ValueError) as error:
        found.silent[Source.CATALOGUE] = str(error)


def _manifests(found: Lookup, asked: Sequence[Asked], config: Config, folder: Path | None) -> None:
    beamlines = {beamline.name: beamline for one in asked for beamline in one.beamlines}.values()
    folders = [folder] if folder else sources.manifest_folders(config, beamlines)
    if not folders:
        found.silent[Source.MANIFEST] = (
            "no folder of manifests is mounted here: copy .dichroism/manifests of the endpoint that is archived from, "
            "or make them anew with dichroism archive rebuild-manifest, and name the folder with --manifests"
        )
    try:
        found.copies += sources.from_manifests(folders, asked)
    except (BundleDamagedError, OSError) as error:
        found.silent[Source.MANIFEST] = str(error)
