"""The OpenAPI 3.1 document, made from the operations and their models."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from webapp.api import schemas
from webapp.api.operations import JSON, OPERATIONS, PREFIX, Operation, blueprint
from webapp.services import rights
from webapp.services.creations import HEADER, LONGEST

Json = dict[str, Any]

VERSION = "1.0.0"
PROBLEM = "application/problem+json"
PART = re.compile(r"<(?:(?P<kind>\w+)(?:\((?P<rules>[^)]*)\))?:)?(?P<name>\w+)>")
REF = "#/components/schemas/{model}"
WHO = {
    rights.VIEWER: "",
    rights.EDITOR: "For editors and administrators.",
    rights.OWNER: "For the owner and administrators.",
    rights.ADMIN: "For administrators.",
}
ERRORS = {
    "400": "The request was not understood.",
    "401": "No token, or one that opens nothing.",
    "403": "The account, or the scope of the token, does not allow it.",
    "404": "There is nothing of this name.",
    "409": "It is too late for this, or somebody else was first.",
    "413": "What was sent is too large.",
    "415": "What was sent is not of a type that is taken.",
    "422": "What was sent has problems, each told at its field.",
    "429": "Too many wrong tokens, or too much at once; wait a little.",
    "503": "The database does not answer; ask again in a moment.",
}


@lru_cache(maxsize=1)
def document() -> Json:
    """The whole document."""
    paths: Json = {}
    for one in OPERATIONS:
        paths.setdefault(path_of(one), {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "NHOP",
            "version": VERSION,
            "description": "Sweeps over hyper-parameters of TensorFlow networks: create, watch and steer them.",
        },
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}, {"session": [], "csrf": []}],
        "tags": [{"name": group} for group in dict.fromkeys(one.group for one in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "responses": {status: _error(text) for status, text in ERRORS.items()},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token, which the page Tokens makes."},
                "session": {"type": "apiKey", "in": "cookie", "name": "nhop", "description": "That of a browser."},
                "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRFToken", "description": "With a session."},
            },
        },
    }


def path_of(one: Operation) -> str:
    """The path of an operation as OpenAPI writes it."""
    return PART.sub(lambda part: f"{{{part['name']}}}", one.path)


def _operation(one: Operation) -> Json:
    least = rights.rule(f"{blueprint.name}.{one.name}", one.method).least
    told: Json = {
        "operationId": one.name,
        "tags": [one.group],
        "summary": one.summary,
        "description": f"{one.text} {WHO[least]}".strip(),
        "parameters": [*_parts(one), *_asked(one)],
        "responses": {str(one.status): _success(one)}
        | {status: {"$ref": f"#/components/responses/{status}"} for status in _errors(one)},
    }
    if one.body is not None:
        required = any(field.is_required() for field in one.body.model_fields.values()) and one.body is not _NEW
        told["requestBody"] = {"required": required, "content": {JSON: {"schema": _ref(one.body)}}}
    elif one.takes:
        told["requestBody"] = {"required": True, "content": {kind: {} for kind in one.takes}}
    return told


_NEW = schemas.NewSweep
"""An empty one is a sweep, too."""


def _parts(one: Operation) -> list[Json]:
    """The parameters in the path."""
    return [
        {
            "name": part["name"],
            "in": "path",
            "required": True,
            "schema": {"type": "integer", "minimum": 0, "maximum": 10**9}
            if part["kind"] == "int"
            else {"type": "string", "minLength": 1},
        }
        for part in PART.finditer(one.path)
    ]


def _asked(one: Operation) -> list[Json]:
    """The parameters in the query and the headers."""
    told = []
    if one.query is not None:
        schema = one.query.model_json_schema(ref_template=REF)
        for name, known in schema["properties"].items():
            about = known.pop("description", "")
            told.append({"name": name, "in": "query", "description": about, "schema": _without_null(known)})
    if one.once:
        told.append(
            {
                "name": HEADER,
                "in": "header",
                "description": "A text of your own: asked for again under it within 24 hours, the same is not done "
                "twice, and the first answer comes again.",
                "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[ -~]+$"},
            }
        )
    return told


def _without_null(schema: Json) -> Json:
    """A parameter is there or not, but never null."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    return {**{key: value for key, value in schema.items() if key not in ("anyOf", "default")}, **choices[0]}


def _success(one: Operation) -> Json:
    content = {"schema": _ref(one.answer)} if one.answer else {}
    told: Json = {"description": "Done.", "content": {one.gives: content}}
    if one.status == 201:
        told["headers"] = {"Location": {"description": "Its address.", "schema": {"type": "string"}}}
    if one.status == 202:
        told["description"] = "Noted; the engine takes it up within a second."
    return told


def _errors(one: Operation) -> list[str]:
    """The errors that an operation may answer with."""
    sends = one.body is not None or bool(one.takes)
    may = {
        "400": True,
        "404": "<" in one.path,
        "409": one.steers or one.once,
        "413": sends,
        "415": one.body is not None,
        "422": sends or one.query is not None,
    }
    return [status for status in ERRORS if may.get(status, True)]


def _error(text: str) -> Json:
    return {"description": text, "content": {PROBLEM: {"schema": _ref(schemas.Problem)}}}


def _schemas() -> Json:
    models: set[tuple[type[BaseModel], JsonSchemaMode]] = {(schemas.Problem, "serialization")}
    models |= {(one.body, "validation") for one in OPERATIONS if one.body}
    models |= {(one.answer, "serialization") for one in OPERATIONS if one.answer}
    _, told = models_json_schema(sorted(models, key=lambda one: one[0].__name__), ref_template=REF)
    return dict(told["$defs"])


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": REF.format(model=model.__name__)}
