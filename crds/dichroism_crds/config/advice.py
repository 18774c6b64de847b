"""Settings that are legal and probably not meant. Warnings never stop anything."""

from collections.abc import Iterator
from datetime import timedelta

from dichroism_crds.config.models import Beamline, Config
from dichroism_crds.config.quantities import format_duration
from dichroism_crds.config.yaml_text import Problem

SHORT_RETENTION = timedelta(days=7)
SHORT_QUIET_PERIOD = timedelta(seconds=10)
SHORT_TRASH = timedelta(days=1)


def warnings(config: Config) -> Iterator[Problem]:
    """What a second look should go to, at the key it is about."""
    if config.trash.keep < SHORT_TRASH:
        yield Problem(
            ("trash", "keep"),
            f"{format_duration(config.trash.keep)} is short: after it nothing brings a pruned file back",
        )
    used = {name for beamline in config.beamlines.values() for name in beamline.produces}
    for name, endpoint in config.endpoints.items():
        if endpoint.has_placeholder:
            yield Problem((name, "uuid"), "is a placeholder: put the collection's UUID here before using Globus")
        if name not in used:
            yield Problem((name,), "no beamline uses this endpoint")
    for beamline in config.beamlines.values():
        yield from _beamline(beamline)
        for name, rule in beamline.prune.items():
            if rule.remove_empty_folders and config.trash.keep < SHORT_TRASH:
                yield Problem(
                    ("beamlines", beamline.name, "prune", name, "remove_empty_folders"),
                    "has no effect: a folder changes when its files go into the trash, and trash.keep is shorter than "
                    "the day for which it must be untouched",
                )


def _beamline(beamline: Beamline) -> Iterator[Problem]:
    at = ("beamlines", beamline.name)
    quiet = beamline.watch.quiet_period
    if quiet < SHORT_QUIET_PERIOD:
        yield Problem(
            (*at, "watch", "quiet_period"),
            f"{format_duration(quiet)} is short: a file still being written may be taken as finished, and copied again",
        )
    for endpoint, rule in beamline.prune.items():
        here = (*at, "prune", endpoint)
        if rule.after < SHORT_RETENTION:
            yield Problem(
                (*here, "after"),
                f"{format_duration(rule.after)} is short: a mistake elsewhere may be noticed only after the deletion",
            )
        for name in rule.needs:
            needed = beamline.prune.get(name)
            if needed is not None and needed.after <= rule.after:
                yield Problem(
                    here,
                    f"needs {name!r}, which is pruned after {format_duration(needed.after)}: "
                    f"copies that are due here later than that find it gone and stay for ever",
                )
