"""JSON Schema of the file, for editors and for the chart's values."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from dichroism_crds.config.models import ENDPOINT_NAME_PATTERN, Config
from dichroism_crds.config.quantities import DURATION_PATTERN, SIZE_PATTERN, format_duration, format_size

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _AsWritten(GenerateJsonSchema):
    """Defaults in the words of the file: ``24h``, not ``P1D``. An absent section needs no ``default: null``."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        result = super().default_schema(schema)
        if result.get("pattern") == DURATION_PATTERN:
            result["default"] = format_duration(schema["default"])
        elif result.get("pattern") == SIZE_PATTERN:
            result["default"] = format_size(schema["default"])
        elif "default" in result and result["default"] is None:
            del result["default"]
        return result


def json_schema() -> dict[str, Any]:
    """The schema of ``config.yml``: endpoints are all top-level keys that name no section.

    A schema cannot compare sections, so a document that fits may still be refused by ``dichroism config check``.
    """
    schema = Config.model_json_schema(by_alias=True, schema_generator=_AsWritten)
    properties = dict(schema["properties"])
    del properties["endpoints"]
    definitions = schema["$defs"]
    for keyed in ("Endpoint", "Beamline"):
        # The key is the name; the loader fills it in.
        definitions[keyed]["required"].remove("name")
    definitions["Ingest"]["properties"]["location"].pop("default")
    return {
        "$schema": DIALECT,
        "title": "dichroism configuration",
        "description": "Every top-level key that is not one of the sections here is an endpoint.",
        "type": "object",
        "properties": properties,
        "required": ["beamlines"],
        "additionalProperties": {"$ref": "#/$defs/Endpoint"},
        "propertyNames": {"anyOf": [{"enum": sorted(properties)}, {"pattern": ENDPOINT_NAME_PATTERN}]},
        "$defs": definitions,
    }
