"""The OpenAPI document as its page shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.api.openapi import REF, document
from webapp.api.operations import JSON, PREFIX

Json = Mapping[str, Any]

ROOT_OF_REF = REF.format(model="")


@dataclass(frozen=True, slots=True)
class Value:
    """A parameter or a field; *kind* says in words what it may be; *schema* is the name of its own, or empty."""

    name: str
    kind: str
    schema: str
    text: str
    required: bool
    where: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """An operation; *takes* and *gives* are names of schemas, or content types; *curl* is an example."""

    id: str
    method: str
    path: str
    summary: str
    text: str
    values: Sequence[Value]
    takes: str
    gives: str
    status: str
    errors: Sequence[tuple[str, str]]
    curl: str


@dataclass(frozen=True, slots=True)
class Schema:
    """What an object has; *choices* are those of a word."""

    name: str
    text: str
    values: Sequence[Value]
    choices: Sequence[str]


@dataclass(frozen=True, slots=True)
class ApiPage:
    """What templates/api/index.html shows."""

    groups: Mapping[str, Sequence[Told]]
    schemas: Sequence[Schema]

    @property
    def names(self) -> frozenset[str]:
        """Those of the schemas, which can be led to."""
        return frozenset(schema.name for schema in self.schemas)


def page(host: str) -> ApiPage:
    """The whole document, with examples for the server at *host*."""
    whole = document()
    groups: dict[str, list[Told]] = {tag["name"]: [] for tag in whole["tags"]}
    for path, operations in whole["paths"].items():
        for method, operation in operations.items():
            groups[operation["tags"][0]].append(_told(whole, host, path, method.upper(), operation))
    return ApiPage(groups, [_schema(name, schema) for name, schema in whole["components"]["schemas"].items()])


def _told(whole: Json, host: str, path: str, method: str, operation: Json) -> Told:
    errors = whole["components"]["responses"]
    status = next(iter(operation["responses"]))
    body = operation.get("requestBody", {}).get("content", {})
    return Told(
        id=operation["operationId"],
        method=method,
        path=PREFIX + path,
        summary=operation["summary"],
        text=operation["description"],
        values=[
            _value(one["name"], one["schema"], one.get("required", False), one["in"], one.get("description", ""))
            for one in operation["parameters"]
        ],
        takes=_content(body),
        gives=_content(operation["responses"][status]["content"]),
        status=status,
        errors=[(code, errors[code]["description"]) for code in operation["responses"] if code != status],
        curl=_curl(whole, host, path, method, body),
    )


def _content(content: Json) -> str:
    """The name of the schema of a JSON body, or the content types."""
    return _name(content[JSON]["schema"]) if content.get(JSON) else ", ".join(content)


def _curl(whole: Json, host: str, path: str, method: str, body: Json) -> str:
    url = host.rstrip("/") + PREFIX + re.sub(r"{(\w+)}", lambda part: part[1].upper(), path)
    lines = [f"curl{'' if method == 'GET' else f' -X {method}'} {url}", '-H "Authorization: Bearer $NHOP_TOKEN"']
    if JSON in body:
        example = whole["components"]["schemas"][_name(body[JSON]["schema"])]["examples"][0]
        lines += [f'-H "Content-Type: {JSON}"', f"-d '{json.dumps(example)}'"]
    elif body:
        lines += [f'-H "Content-Type: {next(iter(body))}"', "--data-binary @table.csv"]
    return " \\\n  ".join(lines)


def _schema(name: str, schema: Json) -> Schema:
    required = schema.get("required", ())
    values = [
        _value(field, about, field in required, "", about.get("description", ""))
        for field, about in schema.get("properties", {}).items()
    ]
    return Schema(name, schema.get("description", ""), values, schema.get("enum", ()))


def _value(name: str, schema: Json, required: bool, where: str, text: str) -> Value:
    return Value(name, _kind(schema), _name(schema), text.replace("`", ""), required, where)


def _name(schema: Json) -> str:
    """The name of the schema that one refers to, itself or in its items; empty: none."""
    for one in (schema, schema.get("items", {}), *schema.get("anyOf", ())):
        if "$ref" in one:
            return str(one["$ref"]).removeprefix(ROOT_OF_REF)
    return ""


def _kind(schema: Json) -> str:
    """What a value may be, in words."""
    if "$ref" in schema:
        return _name(schema)
    if "anyOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " | ".join(map(str, schema.get("enum", [schema.get("const")])))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if schema.get("items") else "list"
    words = [str(schema.get("type", "anything"))]
    low, high = (schema.get(key, schema.get(f"exclusive{key.capitalize()}")) for key in ("minimum", "maximum"))
    if low is not None or high is not None:
        words.append(f"from {low:,}" if high is None else f"to {high:,}" if low is None else f"{low:,} to {high:,}")
    if schema.get("default") not in (None, "", [], {}):
        words.append(f"at first {json.dumps(schema['default'])}")
    return ", ".join(words)
