"""The embedded database: SecantusDB, a MongoDB-compatible server, as a process of its own on loopback.

Its files, port and process id lie in the data directory, so that a second start finds it running and engine
processes find it without being told.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil
from pymongo.errors import OperationFailure

from engine.errors import StoreUnavailable
from engine.identity import identity
from engine.settings import Settings
from engine.store.calls import answered
from engine.store.connection import connect

USER = "nhop"
PASSWORD_FILE = "database.password"  # noqa: S105 - the file's name
ALREADY_THERE = 51003
"""MongoDB's code for a user that exists."""
START_SECONDS = 30.0
STOP_SECONDS = 10.0
ASK_SECONDS = 2.5
LET_GO_SECONDS = 3.0
PORTS = range(27100, 28000)
"""Below those that systems give to outgoing connections, one of which could sit on the port at the next start."""

_started: list[subprocess.Popen[bytes]] = []
"""The servers that this process has started and leaves running; a forgotten one would be a resource warning."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A running embedded database."""

    pid: int
    port: int
    born: str | float
    """The identity of its process; of one that an earlier version has started, when it was created."""
    password: str = field(default="", repr=False)

    @property
    def uri(self) -> str:
        if not self.password:
            return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"
        return f"mongodb://{USER}:{self.password}@127.0.0.1:{self.port}/?directConnection=true&authSource=admin"

    def alive(self) -> bool:
        """Whether this very process runs: its id may by now be somebody else's."""
        if isinstance(self.born, str):
            return identity(self.pid) == self.born
        try:
            process = psutil.Process(self.pid)
            return bool(abs(process.create_time() - self.born) < 1 and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


def _record(data_dir: Path) -> Path:
    return data_dir / "database.json"


def recorded(data_dir: Path) -> Embedded | None:
    """The database last started here, running or not."""
    try:
        return Embedded(**json.loads(_record(data_dir).read_text()), password=_password(data_dir))
    except (OSError, ValueError, TypeError):
        return None


def use(data_dir: Path) -> IO[str]:
    """Say that this process uses the database, until the returned file is closed. Start it after, not before."""
    file = (data_dir / "database.users").open("w")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def stop_unused(data_dir: Path, held: IO[str]) -> None:
    """Give up the use that *held* stands for, and stop the database if nobody else uses it."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        return
    with held:
        if running := recorded(data_dir):
            stop(running)


def start(data_dir: Path, guard: bool = False) -> tuple[Embedded, bool]:
    """The running database of *data_dir*, and whether this call started it. With *guard* it gets a password, unless it
    has one or runs: other users of this machine reach its port, too. Once it has one, it is never started without.

    Raises:
        StoreUnavailable: it does not come up.
    """
    with (data_dir / "database.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _start(data_dir, guard)


def _start(data_dir: Path, guard: bool) -> tuple[Embedded, bool]:
    before = recorded(data_dir)
    if before and before.alive():
        return before, False
    if guard and not _password(data_dir):
        _set_password(data_dir)
    embedded = _launch(data_dir, _free_port(before.port if before else 0), _password(data_dir))
    temporary = _record(data_dir).with_suffix(".tmp")
    temporary.write_text(json.dumps({"pid": embedded.pid, "port": embedded.port, "born": embedded.born}))
    temporary.replace(_record(data_dir))
    return embedded, True


def _password(data_dir: Path) -> str:
    """The password of the database; empty while it has none."""
    try:
        return (data_dir / PASSWORD_FILE).read_text()
    except FileNotFoundError:
        return ""


def _set_password(data_dir: Path) -> None:
    """Make the database's one user: it takes that only from a server that asks for no password yet."""
    password = secrets.token_urlsafe(24)
    running = _launch(data_dir, _free_port(0))
    try:
        with closing(connect(running.uri)) as store, answered():
            admin = store.database.client["admin"]
            try:
                admin.command("createUser", USER, pwd=password, roles=["root"])
            except OperationFailure as error:
                if error.code != ALREADY_THERE:
                    raise
                admin.command("updateUser", USER, pwd=password)  # of a start that ended before the password was kept
    finally:
        stop(running)
    descriptor = os.open(data_dir / PASSWORD_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(password)


def _launch(data_dir: Path, port: int, password: str = "") -> Embedded:
    """Start the server and wait until it answers."""
    log_path = data_dir / "database.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "secantusd-py"),
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--storage-path",
                str(data_dir / "database"),
                "--log-level",
                "WARNING",
                "--standalone",
                "--cache-size",
                "256M",
                *(("--auth",) if password else ()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=data_dir,
        )
    _started.append(process)
    embedded = Embedded(process.pid, port, identity(process.pid) or "", password)
    store = connect(embedded.uri, seconds=1)
    deadline = time.monotonic() + START_SECONDS
    while True:
        with suppress(StoreUnavailable):
            store.ping()
            if _listens(process.pid, port):  # else another server was there first, and this one is about to fail
                break
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            store.close()
            raise StoreUnavailable(f"the embedded database does not start; the last lines of {log_path} say why")
        time.sleep(0.05)
    store.close()
    return embedded


def _listens(pid: int, port: int) -> bool:
    with suppress(psutil.Error):
        found = psutil.Process(pid).net_connections("tcp")
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in found)
    return False


def restart(data_dir: Path) -> Embedded:
    """Start the database anew although its process runs, since it is of no use.

    Raises:
        StoreUnavailable: it does not come up.
    """
    if running := recorded(data_dir):
        stop(running)
    return start(data_dir)[0]


def stop(embedded: Embedded) -> None:
    """Ask it to end, wait, then insist."""
    begun, asked = time.monotonic(), float("-inf")
    # Not psutil's wait(): it also waits for the process to be reaped, which may be up to a slow init.
    while embedded.alive() and (now := time.monotonic()) < begun + 2 * STOP_SECONDS:
        if now > asked + ASK_SECONDS:
            asked = now
            with suppress(psutil.NoSuchProcess):
                sign = signal.SIGTERM if now < begun + STOP_SECONDS else signal.SIGKILL
                psutil.Process(embedded.pid).send_signal(sign)
            # SecantusDB 0.7 notices the signal when a client comes, else only after two seconds, sometimes never.
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", embedded.port), timeout=1).close()
        time.sleep(0.02)
    _started[:] = [child for child in _started if child.poll() is None]


def uri_of(settings: Settings) -> str:
    """The database's address: the configured one, or the embedded one's.

    Raises:
        StoreUnavailable: the embedded database has never been started here.
    """
    if settings.mongo_uri:
        return settings.mongo_uri
    embedded = recorded(settings.data_dir)
    if embedded is None:
        raise StoreUnavailable(f"no embedded database has been started in {settings.data_dir}; run `make run`")
    return embedded.uri


def _free_port(wanted: int) -> int:
    """*wanted*, for which a server that was just killed may still have to let go; else a free port."""
    deadline = time.monotonic() + LET_GO_SECONDS
    while wanted and time.monotonic() < deadline:
        if _is_free(wanted):
            return wanted
        time.sleep(0.05)
    ports = random.SystemRandom().sample(PORTS, len(PORTS))
    for port in ports:
        if _is_free(port):
            return port
    raise StoreUnavailable(f"no port from {PORTS[0]} to {PORTS[-1]} is free on 127.0.0.1 for the embedded database")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
