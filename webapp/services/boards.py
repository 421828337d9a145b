"""TensorBoards of chosen runs: a process each, on a Unix socket, for one account.

`python -m webapp.tensorboard` reads the runs, writes what TensorBoard reads into a folder of its own, and serves it; it
dies with this process. What it answers comes from files of runs that anybody may have written, and from scripts of
TensorBoard's own: so nothing of a request but what it asks for goes there, and of the answer little comes back, under a
policy that keeps those scripts from the pages and the API.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from engine.errors import ConfigError, NotFound, Problem
from engine.settings import ROOT, Settings
from engine.store import Store
from webapp.errors import Busy, HelperError
from webapp.services import sessions
from webapp.services.accounts import Account
from webapp.services.helpers import environment
from webapp.services.places import MOST_SERVERS, own_place

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "webapp.tensorboard")
MOST_RUNS = 50
MOST, MOST_OF_ONE = 4, 2
"""TensorBoards at once, of all accounts and of one."""
IDLE_SECONDS = 600.0
"""After so long without a request one ends."""
START_SECONDS = 300.0
ANSWER_SECONDS = 60.0
PIECE = 2**16

PART = re.compile(r"[A-Za-z0-9_./-]{0,500}")
"""What TensorBoard's own addresses are made of."""
ASKED = re.compile(r"(experiment/[A-Za-z0-9_-]+/)?data/plugin/[a-z_]+/[A-Za-z0-9_]+")
"""Where its page asks by POST, since what it asks for is too long for an address."""
SENT = ("Accept", "Accept-Encoding", "Content-Type")
RECEIVED = ("Content-Type", "Content-Encoding", "Content-Length", "Content-Disposition")
HASH = re.compile(r"'sha256-[A-Za-z0-9+/=]+'")

PAGE = (
    "default-src 'none'; script-src {0} 'unsafe-eval' {1}; style-src {0} 'unsafe-inline'; img-src {0} data: blob:; "
    "font-src {0} data:; media-src {0} data: blob:; connect-src {0} data:; worker-src {0}chart_worker.js; "
    "frame-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-scripts allow-same-origin allow-downloads"
)
"""The policy of its page: whatever runs there reaches nothing but its own addresses, and opens no other page."""
STILL = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@dataclass(slots=True, eq=False)
class Board:
    """A TensorBoard of an account; *asked* are the database and the runs, *sessions* those that have used it."""

    id: str
    owner: str
    asked: tuple[str, tuple[str, ...]]
    folder: Path
    process: subprocess.Popen[bytes]
    begun: float
    used: float
    sessions: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class BoardState:
    """How far one is: *words* while it starts, *problem* why it does not; *notes* say what is not shown."""

    ready: bool
    words: str = ""
    problem: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What TensorBoard answers."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


class Boards:
    """All of this server."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._guard = threading.RLock()
        self._boards: dict[str, Board] = {}
        self._folder: Path | None = None
        self._lock = -1

    def open(self, account: Account, session: str, database: str, ids: Sequence[str]) -> Board:
        """The TensorBoard of these runs, which is started where there is none; the *session* is its digest.

        Of one's own the one that was not used for longest ends where there are too many.

        Raises:
            ConfigError: these are no runs, or too many.
            Busy: as many as are allowed run already, for others.
        """
        once = tuple(sorted(set(ids)))
        if not 1 <= len(once) <= MOST_RUNS:
            raise ConfigError([Problem("runs", f"choose 1 to {MOST_RUNS} runs for TensorBoard, not {len(once)}")])
        with self._guard:
            self._end_idle()
            mine = sorted((one for one in self._boards.values() if one.owner == account.id), key=lambda one: one.used)
            board = next((one for one in mine if one.asked == (database, once)), None)
            if board is not None and self.state(board).problem:
                self.end(mine.pop(mine.index(board)))
                board = None
            if board is None:
                for old in mine[: len(mine) - MOST_OF_ONE + 1]:
                    self.end(old)
                if len(self._boards) >= MOST:
                    raise Busy(
                        f"{MOST} TensorBoards are open, as many as this server has at once; one ends "
                        f"{IDLE_SECONDS / 60:.0f} minutes after it was last used, or when its user logs out"
                    )
                board = self._start(account, (database, once))
            board.used = time.monotonic()
            board.sessions.add(session)
            return board

    def get(self, account: Account, session: str, board_id: str) -> Board:
        """One's own, which is thereby used.

        Raises:
            NotFound: there is none of this name, or it is somebody else's.
        """
        with self._guard:
            board = self._boards.get(board_id)
            if board is None or board.owner != account.id:
                raise NotFound(
                    f"this TensorBoard has ended, as each does {IDLE_SECONDS / 60:.0f} minutes after it was last used; "
                    "open it again from the page of its runs"
                )
            board.used = time.monotonic()
            board.sessions.add(session)
            return board

    def state(self, board: Board) -> BoardState:
        """How far it is."""
        try:
            told = json.loads((board.folder / "state.json").read_text())
        except (OSError, ValueError):
            told = {}
        ended = board.process.poll() is not None
        problem = str(told.get("problem") or "")
        if ended and not problem:
            self._log(board)
            problem = "TensorBoard ended unexpectedly; the server's log says why"
        ready = bool(told.get("ready")) and not problem
        if not ready and not problem and time.monotonic() - board.begun > START_SECONDS:
            problem = f"TensorBoard was not ready after {START_SECONDS:.0f} s; choose fewer runs"
            board.process.kill()
        return BoardState(ready, str(told.get("words") or "starting"), problem, told.get("notes") or ())

    def ask(
        self, board: Board, method: str, part: str, query: bytes, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """What TensorBoard answers at the address *part*.

        Raises:
            NotFound: it has no such addresses.
            HelperError: it does not answer.
        """
        if not PART.fullmatch(part) or ".." in part or (method == "POST" and not ASKED.fullmatch(part)):
            raise NotFound("TensorBoard has no such address")
        given = {name: headers[name] for name in SENT if name in headers}
        given.setdefault("Accept-Encoding", "identity")
        asked = "?" + quote(query, safe="!$%&'()*+,-./:;=?@[]_~") if query else ""
        connection = _Connection(board.folder)
        try:
            connection.request(method, f"/{part}{asked}", body or None, {**given, "Connection": "close"})
            found = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            log.warning("TensorBoard does not answer: %r", error)
            raise HelperError("TensorBoard does not answer; open it again from the page of its runs") from None
        if 300 <= found.status < 400:
            connection.close()
            raise NotFound("TensorBoard has no such address")
        kept = {name: value for name in RECEIVED if (value := found.headers.get(name)) is not None}
        kept["Content-Security-Policy"] = found.headers.get("Content-Security-Policy", "")
        return Answer(found.status, kept, _pieces(connection, found))

    def end(self, board: Board) -> None:
        """End one, and remove what it has written."""
        with self._guard:
            self._boards.pop(board.id, None)
        if board.process.poll() is None:
            board.process.kill()
        board.process.wait()
        shutil.rmtree(board.folder, ignore_errors=True)

    def turn(self, now: datetime) -> None:
        """End those that nobody uses, and those whose users have logged out or may not come any more.

        Raises:
            StoreError: the database does not answer; nobody is thrown out.
        """
        with self._guard:
            self._end_idle()
            boards = list(self._boards.values())
        if not boards:
            return
        alive = sessions.alive(self._store, set().union(*(board.sessions for board in boards)), now)
        for board in boards:
            board.sessions &= alive
            if not board.sessions:
                self.end(board)

    def close(self) -> None:
        """End all; who calls this meanwhile comes back when that is done, too."""
        with self._guard:
            for board in list(self._boards.values()):
                self.end(board)

    def _end_idle(self) -> None:
        for board in list(self._boards.values()):
            if time.monotonic() - board.used > IDLE_SECONDS:
                self.end(board)

    def _start(self, account: Account, asked: tuple[str, tuple[str, ...]]) -> Board:
        board_id = secrets.token_hex(16)
        folder = self._own_folder() / board_id
        folder.mkdir(mode=0o700)
        (folder / "request.json").write_text(json.dumps({"database": asked[0], "runs": asked[1]}))
        with (folder / "log").open("wb") as written:
            process = subprocess.Popen(
                [*COMMAND, str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                cwd=ROOT,
                env=environment(self._settings),
            )
        now = time.monotonic()
        board = self._boards[board_id] = Board(board_id, account.id, asked, folder, process, now, now)
        return board

    def _own_folder(self) -> Path:
        """A folder of this server alone, without what one that died has left in it."""
        if self._folder is not None:
            return self._folder
        shared = self._settings.data_dir / "tensorboard"
        place = own_place(shared)
        if place is None:
            raise Busy(f"more than {MOST_SERVERS} servers share the data directory {shared.parent}")
        self._folder, self._lock = place
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700)
        return self._folder

    def _log(self, board: Board) -> None:
        try:
            written = (board.folder / "log").read_bytes()[-2000:].decode(errors="replace")
        except OSError:
            written = ""
        log.warning("webapp.tensorboard ended with %s: %s", board.process.returncode, written)


class _Connection(http.client.HTTPConnection):
    """HTTP over the Unix socket in a folder, however long the name of that is."""

    def __init__(self, folder: Path) -> None:
        super().__init__("tensorboard", timeout=ANSWER_SECONDS)
        self._folder = folder

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        folder = os.open(self._folder, os.O_PATH)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/socket")
        finally:
            os.close(folder)


def policy(answer: Answer, base: str) -> str:
    """The policy of an answer, of which *base* is the address, up to the TensorBoard's own: wide enough for its page,
    whose scripts have the hashes that TensorBoard tells, and nothing for anything else."""
    kind = answer.headers.get("Content-Type", "")
    if kind.startswith("text/html"):
        hashes = " ".join(HASH.findall(answer.headers["Content-Security-Policy"]))
        return PAGE.format(base, hashes)
    return STILL if "javascript" in kind else f"{STILL}; sandbox"


def _pieces(connection: _Connection, found: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while piece := found.read(PIECE):
            yield piece
    except (OSError, http.client.HTTPException) as error:
        log.warning("TensorBoard broke off: %r", error)
        raise
    finally:
        connection.close()
