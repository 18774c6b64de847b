"""What the catalogue says of a scan: metadata, techniques, keywords, times and the picture. No requests, no Kubernetes.

:func:`build_preview` does it all for one file and never raises; the parts can be used alone.
"""

from dichroism_operator.science.keywords import keywords
from dichroism_operator.science.metadata import FIELDS, scientific_metadata
from dichroism_operator.science.preview import Preview, build_preview
from dichroism_operator.science.sidecar import Sidecar, read_sidecar
from dichroism_operator.science.techniques import techniques

__all__ = [
    "FIELDS",
    "Preview",
    "Sidecar",
    "build_preview",
    "keywords",
    "read_sidecar",
    "scientific_metadata",
    "techniques",
]
