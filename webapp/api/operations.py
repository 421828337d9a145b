"""What an operation of the API is: told once; from it come its route, its checks and its part of the OpenAPI document.

`@operation("GET", "/sweeps/<sweep_id>", …)` above a function: it is called with the parts of the address and, where
they are described, `query` and `body`, checked; what it returns is an instance of the answer's model.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, current_app, g, request
from flask.typing import ResponseReturnValue
from itsdangerous import BadData, URLSafeSerializer
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import UnsupportedMediaType

from engine.config import readable
from engine.errors import ConfigError, Problem
from engine.store.sweeps import new_id
from webapp.errors import QueryError
from webapp.extensions import csrf, settings, store
from webapp.services import creations

PREFIX = "/api/v1"
JSON = "application/json"

blueprint = Blueprint("api", __name__, url_prefix=PREFIX)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. *path* is Flask's; *status* that of its success.

    *takes* and *gives* are the content types of a body and an answer that are no JSON. *once*: it is not done again
    under one Idempotency-Key. *steers*: it may come too late, and is then refused with 409.
    """

    name: str
    method: str
    path: str
    group: str
    summary: str
    text: str
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    takes: tuple[str, ...] = ()
    gives: str = JSON
    status: int = 200
    once: bool = False
    steers: bool = False


OPERATIONS: list[Operation] = []
"""All of them, in the order in which they are told."""

View = Callable[..., Any]


def operation(method: str, path: str, group: str, **about: Any) -> Callable[[View], View]:
    """Make a function an operation of the API: *about* are the fields of `Operation`; its docstring's first line is the
    summary."""

    def describe(view: View) -> View:
        summary, _, text = (view.__doc__ or "").strip().partition("\n")
        one = Operation(view.__name__, method, path, group, summary, " ".join(text.split()), **about)
        OPERATIONS.append(one)
        blueprint.add_url_rule(path, view.__name__, _answering(one, view), methods=[method])
        return view

    return describe


@blueprint.before_request
def protect() -> None:
    """Before anything reads the request: a file may be larger than other requests. One without a token comes from a
    browser with a session, and must not have been forged."""
    if any(one.takes for one in OPERATIONS if request.endpoint == f"{blueprint.name}.{one.name}"):
        request.max_content_length = settings().upload_mb * 2**20
    if not g.token:
        csrf.protect()


def _answering(one: Operation, view: View) -> Callable[..., ResponseReturnValue]:
    @functools.wraps(view)
    def answer(**given: Any) -> ResponseReturnValue:
        if one.query is not None:
            given["query"] = checked(one.query, request.args.to_dict())
        if one.body is not None:
            given["body"] = checked(one.body, _sent())
        if not one.once:
            return _response(one, view(**given))
        key = request.headers.get(creations.HEADER)
        if key is None:
            return _kept(one, _created(one, view, given, new_id()))
        kept, again = creations.once(store(), g.viewer, key, _digest(), lambda made: _created(one, view, given, made))
        response = _kept(one, kept)
        response.headers["Idempotency-Replayed"] = str(again).lower()
        return response

    return answer


def checked(model: type[BaseModel], given: Mapping[str, Any]) -> BaseModel:
    """*given* as an instance of *model*.

    Raises:
        ConfigError: with every problem, each at its field.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ConfigError(readable(error)) from None


def _sent() -> dict[str, Any]:
    """The JSON object that was sent; an empty one where nothing was.

    Raises:
        UnsupportedMediaType: it is said to be something else.
        QueryError: it is none.
    """
    sent = request.get_data()
    if not sent:
        return {}
    if not request.is_json:
        raise UnsupportedMediaType("Send JSON, with the header Content-Type: application/json.")
    try:
        body = json.loads(sent.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise QueryError(f"this is not JSON: {str(error)[:200]}") from None
    if not isinstance(body, dict):
        raise QueryError("send a JSON object: names with values")
    return body


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON has")


def _digest() -> str:
    """What tells a request from another one under the same key."""
    asked = f"{request.method} {request.full_path}\n".encode() + request.get_data()
    return hashlib.sha256(asked).hexdigest()


def _created(one: Operation, view: View, given: Mapping[str, Any], made: str) -> dict[str, Any]:
    """What is kept of an answer. The operation is told the id of what it makes, *made*, which is the address of what
    one that answers 201 has created."""
    own = {"made": made} if one.status == HTTPStatus.CREATED else {}
    return {"text": _text(view(**given, made=made)), **own}


def _kept(one: Operation, kept: Mapping[str, Any]) -> Response:
    response = Response(kept["text"], one.status, mimetype=JSON)
    if "made" in kept:
        response.location = f"{request.path}/{kept['made']}"
    return response


def _response(one: Operation, answer: Any) -> Response:
    return answer if isinstance(answer, Response) else Response(_text(answer), one.status, mimetype=JSON)


def _text(answer: BaseModel) -> str:
    """NaN and infinities become null, moments ISO 8601 in UTC."""
    return answer.model_dump_json()


def cursor_of(*place: int | str) -> str:
    """Where a list goes on, signed: in a form that nobody reads or makes up."""
    return str(_cursors().dumps(place))


def place_of(cursor: str) -> list[Any]:
    """What `cursor_of` was given.

    Raises:
        ConfigError: it has not made this cursor for this list.
    """
    try:
        return list(_cursors().loads(cursor))
    except BadData:
        raise ConfigError([Problem("cursor", "this list has given no such cursor; begin without one")]) from None


def _cursors() -> URLSafeSerializer:
    """Of the list that is asked for."""
    return URLSafeSerializer(current_app.secret_key or "", salt=f"cursor {request.endpoint}")
