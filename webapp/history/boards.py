"""TensorBoards of chosen runs: opening one, waiting for it, and the way to it."""

from __future__ import annotations

from typing import cast

from flask import Response, current_app, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from engine.errors import NotFound
from webapp.extensions import BOARDS, csrf, settings
from webapp.history.blueprint import blueprint, history_shown
from webapp.history.work import chosen
from webapp.services import boards as service
from webapp.services import sessions
from webapp.services.boards import Board, Boards


@blueprint.post("/tensorboard")
def open_board() -> ResponseReturnValue:
    """Open a TensorBoard of runs that are chosen, or go to the one that is open."""
    keys = chosen()
    board = _boards().open(g.viewer, _session(), history_shown().name, keys)
    return redirect(url_for("history.board", board=board.id, database=None), 303)


@blueprint.get("/tensorboard")
def board() -> ResponseReturnValue:
    """Wait for the TensorBoard `?board=`, or say what is wrong with it or not shown there."""
    found = _mine(request.args.get("board", ""))
    state = _boards().state(found)
    if state.ready and not state.notes:
        return redirect(_address(found), 303)
    page = {"id": found.id, "state": state, "address": _address(found), "count": len(found.asked[1])}
    return render_template("history/board.html", page=page), 503 if state.problem else 200


@blueprint.get("/tensorboard.json")
def board_state() -> ResponseReturnValue:
    """How far the TensorBoard `?board=` is: {ready, words, problem, notes}."""
    state = _boards().state(_mine(request.args.get("board", "")))
    return jsonify(ready=state.ready, words=state.words, problem=state.problem, notes=state.notes)


@blueprint.get("/tensorboard/<board_id>/", defaults={"part": ""})
@blueprint.get("/tensorboard/<board_id>/<path:part>")
def pass_on(board_id: str, part: str) -> ResponseReturnValue:
    """What the TensorBoard itself answers."""
    return _passed(board_id, part)


@blueprint.post("/tensorboard/<board_id>/<path:part>")
def pass_question_on(board_id: str, part: str) -> ResponseReturnValue:
    """The same where its page asks by POST. That changes nothing, and has no token of ours to show; from where it comes
    is checked all the same."""
    return _passed(board_id, part)


csrf.exempt(pass_question_on)


def _passed(board_id: str, part: str) -> ResponseReturnValue:
    found = _mine(board_id)
    if "[" in request.host:
        raise NotFound(
            "TensorBoard is not shown at an address of IPv6 in digits, which its policy cannot name; use a name"
        )
    if not _boards().state(found).ready:
        return redirect(url_for("history.board", board=found.id, database=None), 303)
    body = request.get_data(cache=False) if request.method == "POST" else b""
    answer = _boards().ask(found, request.method, part, request.query_string, dict(request.headers), body)
    response = Response(answer.pieces, answer.status, dict(answer.headers))
    response.headers["Content-Security-Policy"] = service.policy(answer, request.host_url + _address(found)[1:])
    response.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"  # browsers refuse any other in a sandbox
    return response


def _mine(board_id: str) -> Board:
    return _boards().get(g.viewer, _session(), board_id)


def _boards() -> Boards:
    if not settings().tensorboard:
        raise NotFound("TensorBoard is switched off on this server")
    return cast(Boards, current_app.extensions[BOARDS])


def _session() -> str:
    return sessions.digest(current_user.get_id() or "")


def _address(found: Board) -> str:
    return url_for("history.pass_on", board_id=found.id, part="", database=None)
