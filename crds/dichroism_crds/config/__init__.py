"""The configuration: ``config.yml`` read, checked and typed.

``models`` and ``holds`` say what may stand in it, ``fields`` and ``quantities`` how durations and sizes are written.
``yaml_text`` turns text into data with line numbers, ``checks`` compares the sections of that data with each other,
seen through ``outline``. ``loader`` puts it all together, with ``wording`` for errors and ``advice`` for warnings.
``runnable`` says whether the operator can run with it here, ``schema`` exports the JSON Schema for editors.
"""

from dichroism_crds.config.holds import Hold
from dichroism_crds.config.loader import Checked, ConfigError, check_file, check_text, load
from dichroism_crds.config.models import (
    ArchiveHop,
    Beamline,
    BundleLimits,
    Config,
    Endpoint,
    History,
    Hop,
    Ingest,
    Prefect,
    PruneCaps,
    PruneRule,
    Schedule,
    SciCat,
    Superfacility,
    Trash,
    Watch,
)
from dichroism_crds.config.runnable import check_runnable, movers_used
from dichroism_crds.config.schema import json_schema

__all__ = [
    "ArchiveHop",
    "Beamline",
    "BundleLimits",
    "Checked",
    "Config",
    "ConfigError",
    "Endpoint",
    "History",
    "Hold",
    "Hop",
    "Ingest",
    "Prefect",
    "PruneCaps",
    "PruneRule",
    "Schedule",
    "SciCat",
    "Superfacility",
    "Trash",
    "Watch",
    "check_file",
    "check_runnable",
    "check_text",
    "json_schema",
    "load",
    "movers_used",
]
