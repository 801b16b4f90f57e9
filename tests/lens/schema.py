"""A validator for the part of JSON Schema that the package's schemas use."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

TYPES = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
    "boolean": bool, "null": type(None),
}  # fmt: skip


def errors(document: Any, name: str) -> list[str]:
    """What is wrong with a document, by a schema of ``chainrule.lens``."""
    text = (resources.files("chainrule.lens") / "schemas" / name).read_text(encoding="utf-8")
    schema = json.loads(text)
    return _errors(document, schema, schema, "$")


def _errors(x: Any, schema: dict, root: dict, at: str) -> list[str]:
    if "$ref" in schema:
        return _errors(x, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, at)
    found: list[str] = []
    if "anyOf" in schema:
        tries = [_errors(x, s, root, at) for s in schema["anyOf"]]
        if all(tries):
            found += min(tries, key=len)
    if "const" in schema and x != schema["const"]:
        found.append(f"{at}: {x!r} is not {schema['const']!r}")
    if "enum" in schema and x not in schema["enum"]:
        found.append(f"{at}: {x!r} is none of {schema['enum']}")
    if "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(
            isinstance(x, TYPES[k]) and not (isinstance(x, bool) and k in ("integer", "number"))
            for k in kinds
        ):
            return [*found, f"{at}: {type(x).__name__} is not {kinds}"]
    if isinstance(x, dict):
        known = schema.get("properties", {})
        found += [f"{at}: no {key}" for key in schema.get("required", ()) if key not in x]
        more = schema.get("additionalProperties", True)
        for key, value in x.items():
            inner = known.get(key, more)
            if inner is False:
                found.append(f"{at}: {key} is not known")
            elif isinstance(inner, dict):
                found += _errors(value, inner, root, f"{at}.{key}")
    if isinstance(x, list) and "items" in schema:
        for i, value in enumerate(x):
            found += _errors(value, schema["items"], root, f"{at}[{i}]")
    return found
