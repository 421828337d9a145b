"""Errors of the web half, and how every error becomes HTTP: in this one place.

A page for people; `application/problem+json` for programs, who say so in their Accept header, ask for a `.json`, or use
the API.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from flask import Flask, Response, g, jsonify, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from engine.errors import (
    NO_ROOM,
    ConfigError,
    DataError,
    NhopError,
    NotFound,
    Problem,
    StateError,
    StoreError,
    StoreUnavailable,
)

log = logging.getLogger(__name__)

API = "/api/"


class Unauthenticated(NhopError):
    """A program has not shown who it is."""


class TooManyTries(NhopError):
    """Too many wrong names, passwords or tokens came from one address."""


class Forbidden(NhopError):
    """The account may not do this."""


class AccountError(NhopError):
    """An account cannot be made or used; the text says why."""


class QueryError(NhopError):
    """What an address asks for after its question mark cannot be answered; the text says why."""


class HelperError(NhopError):
    """A program that works for the web process did not do it; the text says what, and what to do."""


class Busy(HelperError):
    """As many of these programs run as may."""


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """What templates/errors/error.html shows."""

    status: int
    title: str
    text: str
    retry: bool = False
    problems: Sequence[Problem] = ()


ENGINE: dict[type[NhopError], tuple[int, str]] = {
    StoreUnavailable: (503, "The database does not answer"),
    NotFound: (404, "Nothing here"),
    StateError: (409, "That is no longer possible"),
    ConfigError: (400, "The configuration has problems"),
    DataError: (400, "The data cannot be used"),
    AccountError: (400, "The account cannot be used"),
    QueryError: (400, "The request was not understood"),
    Unauthenticated: (401, "Who is this?"),
    TooManyTries: (429, "Too many tries"),
    Forbidden: (403, "Not for this account"),
    Busy: (429, "Busy"),
    HelperError: (503, "That did not work"),
    StoreError: (502, "The database refused the request"),
}
"""Engine error → status and title; the first class that matches decides."""

HTTP: dict[int, tuple[str, str]] = {
    400: ("The request was not understood", "Go back, reload the page and try again."),
    403: ("Not for this account", "This account may not do that. An administrator or the sweep's owner can."),
    404: ("Nothing here", "There is no page at this address. It may have been mistyped, or what it showed is gone."),
    405: ("Not that way", "This address does not take that kind of request."),
    413: ("Too large", "What was sent is larger than this server takes."),
    429: ("Too many tries", "Wait a minute, then try again."),
    500: (
        "Something went wrong on our side",
        "The error has been written to the server's log. Running sweeps are not affected: they run on their own.",
    ),
    507: (
        "The server's disk is full",
        "Have somebody make room on the machine of the dashboard, then try again. Running sweeps wait for it as well.",
    ),
}


def register(app: Flask) -> None:
    """Install the handlers."""
    app.register_error_handler(NhopError, _engine)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _engine(error: NhopError) -> Response:
    found = next((answer for kind, answer in ENGINE.items() if isinstance(error, kind)), None)
    if found is None:
        return _unexpected(error)
    status, title = found
    if isinstance(error, StoreUnavailable):
        log.warning("%s", error)
        text = (
            "Pages come back by themselves as soon as it does. Running sweeps go on and keep their results meanwhile."
        )
        return _answer(ErrorPage(status, title, text, retry=True))
    if isinstance(error, Forbidden) and g.get("token"):
        return _answer(ErrorPage(status, title, f"{_sentence(error)} A token may do no more than its scope."))
    problems = error.problems if isinstance(error, ConfigError) else ()
    if problems and for_api():
        return _answer(ErrorPage(422, "What was sent has problems", "; ".join(map(str, problems)), problems=problems))
    return _answer(ErrorPage(status, title, _sentence(error), problems=problems))


def _sentence(error: NhopError) -> str:
    return f"{str(error)[:1].upper()}{str(error)[1:]}."


def _csrf(error: CSRFError) -> Response:
    text = "The form was open for too long, or came from another page. Go back, reload, and send it again."
    return _answer(ErrorPage(400, "The form has expired", text))


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return make_response(error.get_response())
    title, text = HTTP.get(status, (error.name, error.description or ""))
    response = _answer(ErrorPage(status, title, text))
    if isinstance(error, MethodNotAllowed):
        response.allow.update(error.valid_methods or ())
    return response


def _unexpected(error: Exception) -> Response:
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        log.error("no room at %s %s: %s", request.method, request.path, error)
        return _answer(ErrorPage(507, *HTTP[507]))
    log.error("unexpected error at %s %s", request.method, request.path, exc_info=error)
    return _answer(ErrorPage(500, *HTTP[500]))


def _answer(page: ErrorPage) -> Response:
    if wants_json() or request.path.endswith(".json") or for_api():
        answer = {"type": "about:blank", "status": page.status, "title": page.title, "detail": page.text}
        if page.problems:
            answer["problems"] = [asdict(problem) for problem in page.problems]
        response = jsonify(answer)
        response.content_type = "application/problem+json"
    else:
        g.setdefault("viewer", None)
        response = make_response(render_template("errors/error.html", page=page))
    response.status_code = page.status
    if page.retry:
        response.headers["Retry-After"] = "5"
    if page.status == 401:
        response.www_authenticate = WWWAuthenticate("bearer")
    return response


def for_api() -> bool:
    """Whether the request is to the API, which has no pages."""
    return request.path.startswith(API)


def wants_json() -> bool:
    """Whether the client is a program: it prefers JSON to HTML."""
    best = request.accept_mimetypes.best_match(["text/html", "application/json", "application/problem+json"])
    return best in ("application/json", "application/problem+json")
