"""The sockets: who may connect, and joining a room.

Browser → server: `join` {sweep, after}, `join_home` {}, `join_notices` {} and `join_history` {query, newest, version,
shown}, `join_run` {run, output, database}; each is answered by an acknowledgement.
Server → browser: `events` {sweep, events}, `owner` {sweep, silent}, `overview`, `ended` [sweep] as webapp.services.home
gives them, `runs` and `runs_progress` as webapp.realtime.runs does, `run` {run, state, label, active, ended, seconds,
result}, `run_output` {run, start, end, text, anew}, `run_metrics` {run, metrics: [{name, start, total, steps, values,
seconds}]}, `database` {ok}.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Flask, request, session
from flask_socketio import ConnectionRefusedError, SocketIO, join_room, rooms

from engine.errors import NotFound, StoreError
from webapp.errors import QueryError
from webapp.extensions import STORE, store
from webapp.realtime.door import Door
from webapp.realtime.relay import HOME, NOTICES, ROOMS, Relay
from webapp.realtime.run_pages import RunPages
from webapp.realtime.runs import RunWatcher
from webapp.services import accounts, rights, sessions

RELAY = "nhop.relay"
DOOR = "nhop.door"
MOST_ROOMS = 50
"""That one socket is in; a page needs two or three. What is watched is looked at again and again."""


def attach(app: Flask, socketio: SocketIO, relay: Relay, watcher: RunWatcher, pages: RunPages, start: bool) -> None:
    """Install the handlers, and start the relay, the followers of the runs, and those of single ones."""
    app.extensions[RELAY] = relay
    door = app.extensions[DOOR] = Door(app.extensions[STORE], _Sockets(socketio))
    socketio.on_event("connect", lambda *_: _connect(door))
    socketio.on_event("disconnect", lambda *_: _leave(door, relay, watcher, pages))
    for event, join in (
        ("join", lambda message=None: _join(relay, message)),
        ("join_home", lambda *_: relay.join_home(_sid(), lambda: join_room(HOME))),
        ("join_notices", lambda *_: relay.join_notices(_sid(), lambda: join_room(NOTICES))),
        ("join_history", lambda message=None: watcher.join(message, _sid(), join_room)),
        ("join_run", lambda message=None: pages.join(message, _sid(), join_room)),
    ):
        socketio.on_event(event, functools.partial(_answered, door, event, join))
    if start:
        socketio.start_background_task(relay.run)
        socketio.start_background_task(watcher.run)
        socketio.start_background_task(pages.run)
        socketio.start_background_task(door.run)


class _Sockets:
    """Flask-SocketIO, as the door wants it."""

    def __init__(self, socketio: SocketIO) -> None:
        self.sleep = socketio.sleep
        self._server = socketio.server

    def close(self, sid: str) -> None:
        """Send a browser away; it asks again, and is told to log in."""
        self._server.disconnect(sid, namespace="/")


def _connect(door: Door) -> None:
    """Only those who may; the word of a refusal reaches the browser."""
    try:
        if not rights.may(_account(), "connect"):
            raise ConnectionRefusedError("login")
    except StoreError:
        raise ConnectionRefusedError("database") from None
    door.enter(_sid(), _secret())


def _leave(*places: Door | Relay | RunWatcher | RunPages) -> None:
    for place in places:
        place.leave(_sid())


def _join(relay: Relay, message: Any) -> dict[str, Any]:
    sweep_id, after = (message.get("sweep"), message.get("after")) if isinstance(message, dict) else (None, None)
    if not isinstance(sweep_id, str) or not 0 < len(sweep_id) <= 64 or sweep_id in ROOMS:
        return {"error": "no such sweep"}
    if not isinstance(after, int) or isinstance(after, bool) or after < 0:
        return {"error": "`after` must be a number of at least 0"}
    return relay.join(sweep_id, _sid(), after, lambda: join_room(sweep_id))


def _answered(door: Door, event: str, join: Callable[..., dict[str, Any]], *message: Any) -> dict[str, Any]:
    """What *join* answers, for whom the table of rights lets it."""
    if not door.hears(_sid()):
        return {"error": "too many messages"}
    if len(rooms()) > MOST_ROOMS:
        return {"error": "this page watches too much; load it anew"}
    try:
        if not rights.may(_account(), event):
            return {"error": "log in again", "login": True}
        return join(*message[:1])
    except NotFound:
        return {"error": "there is nothing of that name"}
    except (KeyError, ValueError):  # the client has gone meanwhile
        return {"error": "not connected"}
    except QueryError as error:
        return {"error": str(error)}
    except StoreError:
        return {"error": "the database does not answer", "retry": True}


def _account() -> accounts.Account | None:
    """The account of the session that opened this socket, asked anew: it may have ended since."""
    return sessions.account_of(store(), _secret(), request.remote_addr or "", datetime.now(UTC))


def _secret() -> str:
    return str(session.get("_user_id", ""))


def _sid() -> str:
    return str(request.sid)  # type: ignore[attr-defined]
