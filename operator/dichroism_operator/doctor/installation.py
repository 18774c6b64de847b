"""All checks of an installation, in the order in which they are told. A new system adds its module here."""

from dichroism_operator.doctor import (
    configuration,
    endpoints,
    flight,
    globus,
    header,
    kubernetes,
    permissions,
    prefect,
    scicat,
)
from dichroism_operator.doctor.check import Check
from dichroism_operator.doctor.place import Place

_SYSTEMS = (configuration, kubernetes, permissions, endpoints, globus, scicat, header, flight, prefect)


def checks(place: Place) -> list[Check]:
    """Every check that this configuration asks for."""
    return [check for system in _SYSTEMS for check in system.checks(place)]
