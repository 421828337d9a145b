"""A whole installation that faults are injected into: web, database, daemon and their children, and what watches them.

What has died is started again at once, as a service manager would. The daemon and its optimizers reach the database
through a proxy. Three witnesses stand outside: the ledger that the processes write (tests.faults.hook), what browsers
received (tests.faults.browser), and who has read in the database that a trial is completed.
"""

from __future__ import annotations

import bisect
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from bench.analysis import NAME, PASSWORD, Browser
from engine.cluster.ports import free_ports
from engine.errors import StoreError
from engine.settings import ROOT
from engine.store import connect, embedded
from tests.faults.proxy import Proxy
from tests.installation import Installation
from tests.waiting import wait_until

CLIENTS = 2

Line = dict[str, Any]


class Lines:
    """A file that grows by a JSON value a line, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._lock = threading.Lock()
        self.all: list[Any] = []

    def look(self) -> list[Any]:
        """All lines that are there now."""
        with self._lock, suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read += len(whole)
            self.all += [json.loads(line) for line in whole.splitlines()]
        return self.all

    def since(self, at: float) -> list[Any]:
        """The lines written after the monotonic time *at*; those of a ledger are in order, but for moments."""
        lines = self.look()
        first = bisect.bisect_left(lines, at - 1, key=lambda line: line["at"])
        return [line for line in lines[first:] if line["at"] > at]


class World:
    """
    Args:
        folder: where everything of it lies.
        port: of the web server; 0: a free one.
        with_web: whether there are a web server and browsers.
        shared: whether the daemon takes the database for one that other machines use, and reaches it through the
            proxy; else it is the embedded one.
    """

    def __init__(self, folder: Path, port: int = 0, with_web: bool = True, shared: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.points = folder / "points"
        for name in ("armed", "taken"):
            (self.points / name).mkdir(parents=True)
        self.place = Installation(folder, guard=True)
        self.place.store.make_indexes()
        self.store = self.place.store
        self.ledger = Lines(self.points / "ledger")
        self.received: Lines | None = None
        self.proxy = Proxy(self._database_port)
        self.port = port or free_ports(1)[0]
        self.shared = shared
        self.code = ROOT
        """Where the program is started from."""
        self.acknowledged: dict[tuple[str, int], tuple[float, dict[str, Any]]] = {}
        """When each completed trial was first read in the database, and its document."""
        self.changed: list[str] = []
        """What was read later and was not as it had been."""
        self.down: dict[str, float] = {}
        """What is not to be started again before when."""
        self.web_back = 0.0
        """When the web server, started last, first answered."""
        self._environment = {"TEST_POINTS": "tests.faults.hook:reached", "TEST_POINTS_DIR": str(self.points)}
        self.shift_clock(0)
        self.web: subprocess.Popen[bytes] | None = None
        self.daemon: subprocess.Popen[bytes] | None = None
        self._browsers: subprocess.Popen[bytes] | None = None
        self._with_web = with_web
        self._cookie = ""
        self._orders = 0
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._sweep = ""
        self._ending = threading.Event()
        self._lock = threading.RLock()
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._keep, self._read_acknowledged)
        ]
        for thread in self._threads:
            thread.start()
        if with_web:
            try:
                wait_until(lambda: self.web_back, 60, f"the web server ({folder / 'web.log'})")
            except AssertionError:
                self.close()
                raise
            browser = Browser(self.port)
            browser.log_in()
            self._cookie = browser.cookies()

    # --- what runs -----------------------------------------------------------------------------------------------

    def _database_port(self) -> int:
        found = embedded.recorded(self.place.data_dir)
        if found is None:
            raise LookupError("there is no database")
        return found.port

    def _keep(self) -> None:
        """Start again what has died; do what is due."""
        while not self._ending.wait(0.05):
            now = time.monotonic()
            with self._lock:
                due = [action for at, action in self._later if at <= now]
                self._later = [item for item in self._later if item[0] > now]
            for action in due:
                action()
            with suppress(psutil.Error, OSError, StoreError):
                self._keep_database()
                self._keep_daemon()
                if self._with_web:
                    self._keep_web()

    def _may_start(self, name: str) -> bool:
        return time.monotonic() >= self.down.get(name, 0.0)

    def _keep_database(self) -> None:
        found = embedded.recorded(self.place.data_dir)
        if found is not None and not found.alive() and self._may_start("database"):
            embedded.start(self.place.data_dir)

    def _keep_daemon(self) -> None:
        if (self.daemon is None or self.daemon.poll() is not None) and self._may_start("daemon"):
            self.daemon = self.start_daemon()

    def start_daemon(self, **environment: str) -> subprocess.Popen[bytes]:
        settings = {"NHOP_DATA_DIR": str(self.place.data_dir)}
        if self.shared:
            settings["NHOP_MONGO_URI"] = self.place.database.uri.replace(
                f":{self.place.database.port}/", f":{self.proxy.port}/"
            )
        return self._spawn([sys.executable, "-m", "engine.daemon"], "daemon", {**settings, **environment})

    def _keep_web(self) -> None:
        if (self.web is None or self.web.poll() is not None) and self._may_start("web"):
            self.web_back = 0.0
            settings = {"NHOP_DATA_DIR": str(self.place.data_dir), "NHOP_PORT": str(self.port), "NHOP_NO_DAEMON": "1",
                        "NHOP_ADMIN_USER": NAME, "NHOP_ADMIN_PASSWORD": PASSWORD}  # fmt: skip
            self.web = self._spawn([str(Path(sys.executable).parent / "gunicorn"), "wsgi:app"], "web", settings)
        if not self.web_back and Browser(self.port).answers():
            self.web_back = time.monotonic()

    def _spawn(self, command: list[str], name: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as output:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.code, start_new_session=True,
                env={**os.environ, **self._environment, **environment},
            )  # fmt: skip

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do *action* in so many seconds."""
        with self._lock:
            self._later.append((time.monotonic() + seconds, action))

    def settle(self) -> None:
        """Wait until all that was to be done later is done, and everything runs."""
        wait_until(lambda: not self._later, 60, "what is due later")
        wait_until(lambda: self.daemon is not None and self.daemon.poll() is None, 30, "the daemon")
        if self._with_web:
            wait_until(lambda: self.web_back, 60, "the web server")

    def keeper(self) -> psutil.Process | None:
        """The daemon's process."""
        with suppress(psutil.Error):
            if self.daemon is not None and self.daemon.poll() is None:
                return psutil.Process(self.daemon.pid)
        return None

    def optimizer(self) -> psutil.Process | None:
        """The optimizer below the daemon."""
        with suppress(psutil.Error):
            for child in keeper.children() if (keeper := self.keeper()) else []:
                if "engine.child" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                    return child
        return None

    def zygote(self) -> psutil.Process | None:
        with suppress(psutil.Error):
            for child in optimizer.children() if (optimizer := self.optimizer()) else []:
                if "engine.cluster.zygote" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                    return child
        return None

    def member(self, role: str, index: int) -> psutil.Process | None:
        """A process of the cluster, as the sweep's document knows it, if it lives below the zygote."""
        with suppress(psutil.Error, StoreError):
            pid = ((self.store.sweeps.get(self._sweep).get("processes") or {}).get(f"{role}_{index}") or {}).get("pid")
            zygote = self.zygote()
            for child in zygote.children() if zygote and pid else []:
                if child.pid == pid and child.status() != psutil.STATUS_ZOMBIE:
                    return child
        return None

    def web_processes(self) -> list[psutil.Process]:
        """The master and its workers."""
        with suppress(psutil.Error):
            if self.web is not None:
                master = psutil.Process(self.web.pid)
                return [master, *master.children(recursive=True)]
        return []

    def database(self) -> psutil.Process | None:
        found = embedded.recorded(self.place.data_dir)
        with suppress(psutil.Error):
            return psutil.Process(found.pid) if found and found.alive() else None
        return None

    def browsers(self) -> psutil.Process | None:
        return psutil.Process(self._browsers.pid) if self._browsers else None

    def strays(self) -> list[psutil.Process]:
        """The program's processes that nobody keeps any more."""
        roots = {process.pid for process in (self.daemon, self.web) if process is not None and process.poll() is None}
        mark = f"TEST_POINTS_DIR={self.points}".encode()
        found = []
        database = self.database()
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if mark not in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                    continue
                if process.status() == psutil.STATUS_ZOMBIE or process == database:
                    continue
                if not {process.pid, *(parent.pid for parent in process.parents())} & roots:
                    found.append(process)
        return found

    # --- the sweep -----------------------------------------------------------------------------------------------

    def begin(self, name: str, **values: Any) -> str:
        """Queue a sweep, and watch it."""
        sweep_id = self.place.create(name, **values)
        self._sweep = sweep_id
        if self._with_web:
            path = self.folder / f"received-{sweep_id}"
            self.received = Lines(path)
            with (self.folder / "browsers.log").open("ab") as output:
                self._browsers = subprocess.Popen(
                    [sys.executable, "-m", "tests.faults.browser", f"http://127.0.0.1:{self.port}", self._cookie,
                     sweep_id, str(path), str(CLIENTS)],
                    cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                )  # fmt: skip
        return sweep_id

    def leave(self) -> None:
        """Watch the sweep no longer."""
        self._sweep = ""
        if self._browsers is not None:
            with suppress(ProcessLookupError):
                self._browsers.send_signal(signal.SIGCONT)
            self._browsers.kill()
            self._browsers.wait()
            self._browsers = None

    def _read_acknowledged(self) -> None:
        """Read, again and again, which trials the database calls completed, and whether they stay as they were."""
        store, uri, done = connect(self.place.database.uri), self.place.database.uri, 0
        sweep_id = ""
        while not self._ending.wait(0.1):
            if sweep_id != self._sweep:
                sweep_id, done = self._sweep, 0
            found = embedded.recorded(self.place.data_dir)
            if found is not None and found.uri != uri:
                store.close()
                store, uri = connect(found.uri), found.uri
            if not sweep_id:
                continue
            with suppress(StoreError):
                trials = store.trials.of_sweep(sweep_id, curves=True, after=done, limit=100)
                now = time.monotonic()
                for trial in trials:
                    if trial["state"] == "COMPLETED":
                        self.acknowledged.setdefault((sweep_id, trial["number"]), (now, trial))
                while (sweep_id, done + 1) in self.acknowledged:
                    done += 1
        store.close()

    def seen(self, client: int) -> list[tuple[int, float]]:
        """(number, time) of each event that a client received."""
        lines = self.received.look() if self.received else []
        return [(what, at) for who, what, at in lines if who == client and isinstance(what, int)]

    # --- what happens to it --------------------------------------------------------------------------------------

    def arm(self, point: str, action: str = "signal SIGKILL", nth: int = 1, standing: bool = False) -> str:
        """Order what the next process that comes to *point* for the nth time is to do; returns the order's id."""
        self._orders += 1
        order = f"{self._orders}-{point}"
        part = self.points / f"{order}.part"
        part.write_text(json.dumps({"id": order, "pass": nth, "action": action, "standing": standing}))
        part.rename(self.points / "armed" / point)
        return order

    def disarm(self, point: str) -> None:
        (self.points / "armed" / point).unlink(missing_ok=True)

    def obeyed(self, order: str) -> bool:
        return any(line["point"] == "obeyed" and line["order"] == order for line in self.ledger.look())

    def shift_clock(self, hours: float) -> None:
        """Have the daemon and its optimizers believe that it is so much later than it is."""
        part = self.points / "clock.part"
        part.write_text(str(hours * 3600))
        part.replace(self.points / "clock")

    def upgrade(self) -> None:
        """Have all that is started from now on come from another copy of the program."""
        copy = self.folder / f"version-{time.monotonic_ns()}"
        for name in ("engine", "webapp", "templates", "static", "tests"):
            ignored = shutil.ignore_patterns("__pycache__", "browser", "unit", "integration", "contract")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        for name in ("wsgi.py", "gunicorn.conf.py", "config.yaml", "requirements.txt"):
            shutil.copy(ROOT / name, copy / name)
        with (copy / "engine" / "__init__.py").open("a") as file:
            file.write("# another version\n")
        self.code = copy

    def close(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(40)
        self.leave()
        end(psutil.Process(process.pid) for process in (self.daemon, self.web) if process and process.poll() is None)
        for process in (self.daemon, self.web):
            if process is not None:
                process.wait(30)
        end(self.strays())
        self.proxy.close()
        self.place.close()


def end(processes: Iterable[psutil.Process]) -> None:
    """Kill processes and what descends from them."""
    for process in processes:
        with suppress(psutil.Error):
            for one in (process, *process.children(recursive=True)):
                with suppress(psutil.Error):
                    one.kill()
