"""What gunicorn's hooks do, in its master process.

The master forks the worker, which then patches the standard library for gevent; so the master itself must not
load the database's driver, whose locks would reach the worker unpatched. Everything that needs it happens in
`python -m webapp.startup`, a process of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from typing import IO, Any

from engine.errors import SettingsError
from engine.settings import ROOT, Settings, load, make_data_dir

GRACE_SECONDS = 0.3
"""How long requests in flight may go on when the server ends."""

_ready: dict[str, Any] = {}
_lock: IO[str] | None = None
_users: IO[str] | None = None
"""As engine.store.embedded.use() would open it, without loading the driver."""


def read_settings() -> Settings:
    """The settings, or the end with one sentence."""
    try:
        return load()
    except SettingsError as error:
        raise SystemExit(f"NHOP cannot start: {error}") from None


def address(settings: Settings) -> str:
    """host:port as gunicorn wants it."""
    return f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"


def prepare(settings: Settings) -> None:
    """Check everything and start what is needed, or end with one sentence and status 1."""
    try:
        make_data_dir(settings)
        _own_data_dir(settings)
        _probe_port(settings)
    except SettingsError as error:
        raise SystemExit(f"NHOP cannot start: {error}") from None
    started = subprocess.Popen(
        [sys.executable, "-m", "webapp.startup"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches this process alone, which then puts everything away
    )
    try:
        answer, _ = started.communicate()
    except BaseException:
        started.terminate()
        started.wait()
        finish(settings)
        raise SystemExit(130) from None
    if started.returncode != 0:
        raise SystemExit(started.returncode)
    _ready.update(json.loads(answer))


def announce(settings: Settings) -> None:
    """Say where the dashboard is and, while nobody has an account, how to get in."""
    print(f"NHOP is at {settings.url}", flush=True)
    if token := _ready.get("setup_token"):
        print(f"Make the administrator's account (once): {settings.url}/setup?token={token}", flush=True)


def watch_for_the_end(worker: Any) -> None:
    """In the worker: notice when it is asked to end by SIGTERM, for which gunicorn has no hook."""
    import gevent

    def watch() -> None:
        while worker.alive:
            gevent.sleep(0.1)
        leave(worker)

    gevent.spawn(watch)


def leave(worker: Any) -> None:
    """In the worker: close the websockets, which would otherwise hold it, let requests finish, and end.

    The worker keeps nothing that would have to be put away but the folders of TensorBoards; browsers come back by
    themselves.
    """
    import gevent

    from webapp.extensions import BOARDS, socketio

    for connection in list(socketio.server.eio.sockets.values()):
        connection.close(wait=False)
    gevent.sleep(GRACE_SECONDS)
    worker.wsgi.extensions[BOARDS].close()
    os._exit(0)


def finish(settings: Settings) -> None:
    """Stop the embedded database unless somebody else uses it; the daemon goes on with its journal."""
    if _users is not None:
        from engine.store import embedded

        embedded.stop_unused(settings.data_dir, _users)


def _own_data_dir(settings: Settings) -> None:
    """With the embedded database, one web server for one data directory: the lock lasts as long as the process."""
    global _lock, _users
    if not settings.embedded:
        return
    _lock = (settings.data_dir / "web.lock").open("w")
    try:
        fcntl.flock(_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SettingsError(
            f"another NHOP runs with the data directory {settings.data_dir}; stop it or set NHOP_DATA_DIR"
        ) from None
    _users = (settings.data_dir / "database.users").open("w")
    fcntl.flock(_users, fcntl.LOCK_SH)


def _probe_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except socket.gaierror:
            raise SettingsError(f"{settings.host} is not an address of this machine; set NHOP_HOST") from None
        except PermissionError:
            raise SettingsError(f"port {settings.port} may not be used by this user; set NHOP_PORT") from None
        except OSError as error:
            if error.errno == 98:
                text = f"port {settings.port} on {settings.host} is in use; stop the other program or set NHOP_PORT"
            else:
                text = f"{settings.host}:{settings.port} cannot be used ({error.strerror}); set NHOP_HOST or NHOP_PORT"
            raise SettingsError(text) from None
