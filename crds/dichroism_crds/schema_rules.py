"""What the CRDs say beyond the types: validation rules (CEL), printer columns, selectable fields, status defaults.

A rule's message is read by the person whose object is refused, so it says what to do instead. No rule looks into the
items of a list: its cost would grow with the list and the API server would refuse the whole CRD.
"""

from typing import Any

from dichroism_crds.kinds import (
    SCAN_CONDITIONS,
    Condition,
    Prune,
    PruneSpec,
    Resource,
    Scan,
    ScanPhase,
    Transfer,
    TransferPhase,
)
from dichroism_crds.names import ANNOTATION_RETRY
from dichroism_crds.paths import RELATIVE_PATH_PATTERN, RELATIVE_PATH_RULE

Rule = dict[str, str]
Column = dict[str, Any]

_UNCHANGED = "self == oldSelf"


def _unchanged_but(model: type[PruneSpec], free: str) -> str:
    """A rule that every field but one stays as it is. Made from the model, so that a new field is not forgotten."""
    required = {field.alias or name: field.is_required() for name, field in model.model_fields.items()}
    computed = {field.alias or name: False for name, field in model.model_computed_fields.items()}
    terms = []
    for name, present in {**required, **computed}.items():
        same = f"self.{name} == oldSelf.{name}"
        if name != free:
            terms.append(
                same if present else f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || {same})"
            )
    return " && ".join(terms)


RULES: dict[type[Resource], dict[str, list[Rule]]] = {
    Scan: {
        "spec.beamline": [
            {"rule": _UNCHANGED, "message": "beamline is immutable: delete the Scan and create another"},
        ],
        "spec.path": [
            {"rule": _UNCHANGED, "message": "path is immutable: a file with another path is another Scan"},
            {"rule": f"self.matches(r'{RELATIVE_PATH_PATTERN}')", "message": f"path {RELATIVE_PATH_RULE}"},
        ],
    },
    Transfer: {
        "spec": [
            {
                "rule": _UNCHANGED,
                "message": f"a Transfer is immutable: to copy again, annotate the Scans with {ANNOTATION_RETRY}",
            },
        ],
    },
    Prune: {
        "spec": [
            {
                "rule": _unchanged_but(PruneSpec, "suspend"),
                "message": "a Prune is immutable but for suspend: to keep files longer, "
                "suspend it or put a hold into the configuration",
            },
        ],
    },
}
"""Validation rules by kind and dotted field."""

SELECTABLE = (".status.phase", ".spec.beamline")
"""Fields for ``kubectl get --field-selector``, on all three kinds."""

STATUS_DEFAULTS: dict[type[Resource], dict[str, Any]] = {
    Scan: {
        "phase": ScanPhase.PENDING.value,
        "message": "waits for its copy",
        "conditions": [Condition(type=name).wire() for name in SCAN_CONDITIONS],
    },
    Transfer: {"phase": TransferPhase.PENDING.value},
}
"""Status of an object that nobody has written to. A Prune has none: without a phase its Scans were not told yet."""


def _column(name: str, path: str, description: str, kind: str = "string", *, wide: bool = False) -> Column:
    column: Column = {"name": name, "type": kind, "jsonPath": path, "description": description}
    if kind == "integer":
        column["format"] = "int64"
    return column | ({"priority": 1} if wide else {})


_BEAMLINE = ("Beamline", ".spec.beamline", "Beamline that wrote the files.")
_PHASE = _column("Phase", ".status.phase", "How far it is.")
_MESSAGE = _column("Message", ".status.message", "What happens now, or what is wrong.")
_AGE = _column("Age", ".metadata.creationTimestamp", "Time since the object was created.", "date")

COLUMNS: dict[type[Resource], list[Column]] = {
    Scan: [
        _column(*_BEAMLINE),
        _column("Path", ".spec.path", "Path relative to the source endpoint's root."),
        _column("Size", ".spec.size", "Bytes.", "integer"),
        _PHASE,
        _MESSAGE,
        _AGE,
        *(
            _column(name, f'.status.conditions[?(@.type=="{name}")].reason', f"Reason of {name}.", wide=True)
            for name in SCAN_CONDITIONS
        ),
    ],
    Transfer: [
        _column(*_BEAMLINE),
        _column("From", ".spec.source", "Endpoint that the files come from."),
        _column("To", ".spec.destination", "Endpoint that the files go to."),
        _column("Files", ".spec.files", "Number of files.", "integer"),
        _column("Bytes", ".spec.bytes", "Bytes of all files.", "integer"),
        _PHASE,
        _MESSAGE,
        _AGE,
        _column("Verified", ".status.files", "Files verified at the destination.", "integer", wide=True),
        _column("Failed", ".status.failedCount", "Files that could not be carried.", "integer", wide=True),
        _column("Task", ".status.taskId", "The mover's task.", wide=True),
        _column("Bundle", ".spec.bundle.path", "Tape bundle that the Transfer makes.", wide=True),
    ],
    Prune: [
        _column("Endpoint", ".spec.endpoint.name", "Endpoint that the files go from."),
        _column("NotBefore", ".spec.notBefore", "First moment at which all files are due."),
        _column("Files", ".spec.files", "Number of files.", "integer"),
        _PHASE,
        _column("Freed", ".status.bytesFreed", "Bytes freed; files in the trash do not count yet.", "integer"),
        _column("Kept", ".status.keptCount", "Due files that were kept.", "integer"),
        _MESSAGE,
        _AGE,
        _column(*_BEAMLINE, wide=True),
        _column("Suspend", ".spec.suspend", "Whether nothing is pruned for now.", "boolean", wide=True),
        _column("Bytes", ".spec.bytes", "Bytes of all files.", "integer", wide=True),
        _column("Trashed", ".status.trashed", "Files in the trash.", "integer", wide=True),
        _column("Deleted", ".status.deleted", "Files deleted.", "integer", wide=True),
        _column(
            "Reason",
            '.status.conditions[?(@.type=="Complete")].reason',
            "Why files stay: the most frequent reason.",
            wide=True,
        ),
        _column(
            "Told",
            '.status.conditions[?(@.type=="CatalogueTold")].status',
            "Whether the catalogue knows what was removed.",
            wide=True,
        ),
    ],
}
"""Printer columns by kind; those marked wide show with ``-o wide`` only."""
