"""Whether the operator can run here with a document that is right: mounts differ between hosts, uuids may be open."""

from dichroism_crds.config.models import Config, Hop


def movers_used(config: Config) -> frozenset[str]:
    """Names of all movers that the hops name."""
    return frozenset(hop.mover for _path, hop in _hops(config))


def check_runnable(config: Config) -> list[str]:
    """Why the operator must not start with this configuration in this place; empty when it may.

    Not part of loading: mounts differ between hosts, and ``dichroism config check`` runs anywhere.
    """
    obstacles = []
    for path, hop in _hops(config):
        for name in (hop.source, hop.destination):
            endpoint = config.endpoints[name]
            if hop.mover == "filesystem" and endpoint.mount is None:
                obstacles.append(
                    f"{path}: the mover filesystem needs endpoint {name!r} mounted here: "
                    f"set {name}.mount or DICHROISM_MOUNT_{name.upper().replace('-', '_')}"
                )
            if hop.mover == "globus" and endpoint.has_placeholder:
                obstacles.append(f"{path}: the uuid of endpoint {name!r} still is a placeholder")
    return list(dict.fromkeys(obstacles))


def _hops(config: Config) -> list[tuple[str, Hop]]:
    hops: list[tuple[str, Hop]] = []
    for name, beamline in config.beamlines.items():
        hops.append((f"beamlines.{name}.transfer", beamline.transfer))
        if beamline.archive is not None:
            hops.append((f"beamlines.{name}.archive", beamline.archive))
    return hops
