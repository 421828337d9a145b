"""The daemon, one on each machine that computes: claims queued sweeps and keeps an optimizer running for each.

    python -m engine.daemon

A claimed sweep is under a lease with a fencing token, which its optimizer renews; when an optimizer dies, or a
machine with it, the sweep is claimed again under the next fence and its optimizer resumes it. The daemon's
children die with it; so the leases of a data directory's daemon are free when the next one begins there. Other leases
have run out when this daemon has seen them unchanged for so long: no wall clock counts.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO, Any

from engine import settings as settings_module
from engine.cluster.keeper import Keeper
from engine.cluster.machine import names_of
from engine.cluster.spec import ClusterPlan
from engine.config import parse
from engine.errors import LeaseLost, NhopError, NotFound, StoreError, StoreUnavailable
from engine.events import EventType
from engine.logs import end_of, path_of, path_of_server
from engine.notify.sender import Sender
from engine.points import reached
from engine.recorder import LEASE, RENEW_SECONDS, give_up, tell_end
from engine.settings import ROOT, SMTP_PASSWORD, Settings
from engine.store import connect
from engine.store.embedded import uri_of
from engine.store.journal import lacks_room
from engine.store.leases import Watch

TICK_SECONDS = 0.5
BEAT_SECONDS = 2.0
ABANDONED_SECONDS = 30.0
"""An idle daemon whose embedded database is gone for so long ends."""
MOST_RESTARTS = 5
"""Deaths of a sweep's optimizer, without a completed trial in between, that end the sweep."""
MOST_WORDS = 300
"""Bytes of an optimizer's output that are told when it has died too often."""
MOST_PAUSE = 30.0
"""Seconds before an optimizer that dies again and again is started once more: the first time none, then 1, 2, 4, …"""
HUNG_SECONDS = 60.0
"""An optimizer that has not renewed its lease for so long, while the database answers, is killed and replaced."""
PRUNE_SECONDS = 3600.0
EVENTS_KEPT = timedelta(days=30)
OPTIMIZER_STOP_SECONDS = 20.0
MOST_ENDS = 20
"""Sweeps whose end a new daemon makes sure of."""

log = logging.getLogger("nhop.daemon")


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    sweep_id: str
    fence: int
    started: float = field(default_factory=time.monotonic)


class Daemon:
    """Claims, starts, restarts."""

    def __init__(self, settings: Settings, holder: str) -> None:
        self._settings = settings
        self._holder = holder
        self._watch = Watch()
        self._free: dict[str, dict[str, Any]] = {}
        self._not_before: dict[str, float] = {}
        self._full: str | None = None
        self._name = settings.machine_name
        self._keeper = Keeper(self._name, names_of(settings), settings.data_dir)
        self._children: list[_Child] = []
        self._owed: deque[Callable[[], None]] = deque()
        """What the database is still to be told."""
        self._stopping = threading.Event()
        self._pruned = float("-inf")
        self._uri = uri_of(settings)
        self._store = connect(self._uri, settings.database)
        self._sender = Sender(lambda: self._store, settings)

    def run(self) -> None:
        """Work until asked to stop, or abandoned."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        log.info("daemon on %s, %d slots", self._name, self._settings.sweep_slots)
        self._sender.start()
        self._owed.append(self._tell_ends)
        reached("daemon-begins")
        beaten = float("-inf")
        answered, silent = time.monotonic(), False
        while not self._stopping.is_set():
            try:
                self._reap()
                self._pay()
                self._look_at_leases()
                if time.monotonic() - beaten > BEAT_SECONDS:
                    self._beat()
                    beaten = time.monotonic()
                if len(self._children) < self._settings.sweep_slots:
                    self._claim()
                self._keeper.look_after(self._store.servers, _now())
                self._show_logs()
                self._prune()
                answered = time.monotonic()
                silent = False
            except StoreUnavailable as error:
                if not silent:
                    log.warning("%s", error)
                silent = True
                self._reconnect()
                if (
                    not (self._children or self._keeper.keeps)
                    and time.monotonic() - answered > ABANDONED_SECONDS
                    and self._settings.embedded
                ):
                    log.info("the embedded database is gone and nothing runs: the daemon ends")
                    return
            except StoreError as error:
                log.error("%s", error)
            self._stopping.wait(TICK_SECONDS)
        self._end()

    def _beat(self) -> None:
        running = [child.sweep_id for child in self._children]
        load = (os.getloadavg()[0], os.cpu_count() or 1)
        self._store.machines.beat(self._name, os.getpid(), self._settings.sweep_slots, running, _now(), load)

    def _look_at_leases(self) -> None:
        """End optimizers that have lost their sweep, or hang; find the sweeps whose leases are free."""
        mine = {child.sweep_id: child for child in self._children}
        leases = self._store.sweeps.leases(list(mine))
        now = time.monotonic()
        ages = self._watch.ages({key: (lease["fence"], lease["until"]) for key, lease in leases.items()}, now)
        for sweep_id, child in mine.items():
            fence = leases[sweep_id]["fence"] if sweep_id in leases else child.fence
            if fence != child.fence:
                log.error("sweep %s is owned by fence %d: its optimizer of fence %d ends", sweep_id, fence, child.fence)
                child.process.kill()
            elif ages.get(sweep_id, 0.0) > HUNG_SECONDS:
                log.error("sweep %s: its optimizer has been silent for %.0f s, and ends", sweep_id, ages[sweep_id])
                child.process.kill()
            elif ages.get(sweep_id, 0.0) > RENEW_SECONDS and now - child.started < HUNG_SECONDS:
                with suppress(LeaseLost):  # it is still being loaded
                    self._store.sweeps.renew(sweep_id, fence, _now() + LEASE)
        self._free = {
            sweep_id: lease
            for sweep_id, lease in leases.items()
            if sweep_id not in mine
            and now >= self._not_before.get(sweep_id, now)
            and (lease["until"] is None or lease.get("holder") == self._holder
                 or ages[sweep_id] > LEASE.total_seconds())
        }  # fmt: skip

    def _claim(self) -> None:
        full = lacks_room(self._settings.data_dir)
        if full != self._full:
            self._full = full
            log.warning("%s", f"{full}; no sweep begins here" if full else "there is room on the disk again")
        if full:
            return
        sweep = self._store.sweeps.claim(self._name, LEASE, _now(), self._free, self._holder)
        if sweep is None:
            return
        self._free.pop(sweep["_id"], None)
        if sweep["restarts"] > MOST_RESTARTS:
            words = self._last_words(sweep["_id"])
            why = f"its optimizer died {sweep['restarts']} times; the last words of its log: {words}"
            self._owed.append(lambda: give_up(self._store, sweep, why, _now()))
            self._pay()
            return
        reached("sweep-claimed", sweep=sweep["_id"], fence=sweep["lease"]["fence"])
        try:
            self._start(sweep)
        except (OSError, ValueError, StoreUnavailable) as error:
            log.error("sweep %s cannot be started: %s", sweep["_id"], error)
            died = not isinstance(error, StoreUnavailable)
            self._owed.append(partial(self._give_back, sweep["_id"], sweep["lease"]["fence"], died))
            return
        except LeaseLost as error:  # this process was stopped in between
            log.error("%s", error)
            return
        self._beat()

    def _last_words(self, sweep_id: str) -> str:
        """The last line of an optimizer's output."""
        with suppress(OSError):
            text = self._output(sweep_id).read_bytes()[-MOST_WORDS:].decode(errors="replace")
            return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "there are none")
        return "it cannot be read"

    def _output(self, sweep_id: str) -> Path:
        return self._settings.data_dir / "sweeps" / sweep_id / "optimizer.log"

    def _start(self, sweep: dict[str, Any]) -> None:
        fence = sweep["lease"]["fence"]
        self._store.sweeps.renew(sweep["_id"], fence, _now() + LEASE)
        log.info("sweep %s: optimizer started, fence %d", sweep["_id"], fence)
        path = self._output(sweep["_id"])
        path.parent.mkdir(parents=True, exist_ok=True)
        zygote = self._zygote(sweep)
        with path.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "engine.child", sweep["_id"], str(fence), str(os.getpid()), *zygote],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=ROOT,
                env={**os.environ, **self._settings.environment(), "OPENBLAS_NUM_THREADS": "1"},
            )
        self._children.append(_Child(process, sweep["_id"], fence))
        reached("optimizer-started")

    def _zygote(self, sweep: dict[str, Any]) -> list[str]:
        """How an optimizer starts its zygote before all else: the folder for the logs, and whether it is private."""
        try:
            config = parse(sweep["config"])
            remote = ClusterPlan.of(config, names_of(self._settings)).remote
            Path(config.train_log_dir).expanduser()
        except (NhopError, RuntimeError):  # the optimizer will say what is wrong with it
            return []
        return [str(path_of(sweep, "zygote").parent), "0" if remote else "1"]

    def _reap(self) -> None:
        """Forget optimizers that have ended; a sweep whose optimizer died is up for the next claim at once."""
        for child in list(self._children):
            code = child.process.poll()
            if code is None:
                continue
            log.info("sweep %s: optimizer ended with code %d", child.sweep_id, code)
            self._children.remove(child)
            if code != 0:
                self._owed.append(partial(self._give_back, child.sweep_id, child.fence, code != os.EX_TEMPFAIL))

    def _give_back(self, sweep_id: str, fence: int, died: bool, to_all: bool = False) -> None:
        """Have a sweep resumed whose optimizer has ended, or was never started."""
        try:
            self._store.sweeps.release(sweep_id, fence, died, to_all)
        except LeaseLost:  # it has ended, perhaps a moment before it could be told
            tell_end(self._store, sweep_id, fence, _now())
        else:
            self._pause(sweep_id, self._store.sweeps.get(sweep_id)["restarts"] + 1)

    def _tell_ends(self) -> None:
        """Tell of the newest ends that are stored, but whose processes died before they had told them."""
        for sweep in self._store.sweeps.ended(MOST_ENDS):
            told = self._store.events.newest(sweep["_id"], EventType.SWEEP, 5)
            states = [event.data["state"] for event in told if "state" in event.data]
            if states and states[-1] != sweep["state"]:
                tell_end(self._store, sweep["_id"], sweep["lease"]["fence"], _now())

    def _pay(self) -> None:
        """Tell the database what it does not know yet, in order.

        Raises:
            StoreUnavailable: it is silent; what is left is told by the next call.
        """
        while self._owed:
            with suppress(LeaseLost, NotFound):  # the sweep is another's, or was deleted
                self._owed[0]()
            self._owed.popleft()

    def _pause(self, sweep_id: str, deaths: int) -> None:
        """Leave a sweep alone for a while after so many deaths of its optimizer."""
        pause = min(MOST_PAUSE, 2.0 ** (deaths - 2)) if 1 < deaths <= MOST_RESTARTS else 0.0
        self._not_before[sweep_id] = time.monotonic() + pause

    def _show_logs(self) -> None:
        """Tell what pages want to see of the logs that this machine has."""
        for key in self._store.logs.asked(self._name, _now()):
            sweep_id, _, name = key.partition("/")
            paths = [path_of_server(self._settings.data_dir, key)]
            with suppress(NotFound):
                paths.append(path_of(self._store.sweeps.get(sweep_id), name))
            found = next(((path, lines) for path in paths if (lines := end_of(path)) is not None), None)
            path, lines = found or ("", [])
            self._store.logs.answer(key, lines, str(path))

    def _prune(self) -> None:
        """Delete old events, now and then: a page that is opened later starts from the documents."""
        if time.monotonic() - self._pruned > PRUNE_SECONDS:
            self._pruned = time.monotonic()
            self._store.events.prune(_now() - EVENTS_KEPT)
            self._store.servers.sweep_out(_now() - EVENTS_KEPT)
            self._store.logs.sweep_out(_now() - EVENTS_KEPT)

    def _reconnect(self) -> None:
        """The embedded database may have come back on another port."""
        try:
            uri = uri_of(self._settings)
        except StoreUnavailable:
            return
        if uri != self._uri:
            self._store.close()
            self._uri, self._store = uri, connect(uri, self._settings.database)

    def _end(self) -> None:
        """End the optimizers, which leave their sweeps to be resumed, and say good-bye."""
        self._sender.end()
        self._keeper.end()
        for child in self._children:
            child.process.terminate()
        deadline = time.monotonic() + OPTIMIZER_STOP_SECONDS
        for child in self._children:
            try:
                child.process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        try:
            self._owed += [
                partial(self._give_back, child.sweep_id, child.fence, False, True) for child in self._children
            ]
            self._pay()
            self._store.machines.leave(self._name, os.getpid())
        except StoreError as error:
            log.warning("%s", error)


def _now() -> datetime:
    return datetime.now(UTC)


def lock(settings: Settings) -> IO[str] | None:
    """The lock that makes this the only daemon of its data directory; None where another holds it."""
    file = (settings.data_dir / "daemon.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def holder_of(held: IO[str]) -> str:
    """What leases call the daemon of the data directory whose lock is *held*: the same for all that come after."""
    held.seek(0)
    if not (own := held.read().strip()):
        own = uuid.uuid4().hex
        held.write(own)
        held.flush()
    return f"{socket.gethostname()}/{own}"


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s")
    try:
        settings = settings_module.load()
        os.environ.pop(SMTP_PASSWORD, None)  # no child of it, which may run a user's class, has a use for it
        settings_module.make_data_dir(settings)
        held = lock(settings)
        if held is None:
            log.info("another daemon runs for %s", settings.data_dir)
            return 0
        with held:
            Daemon(settings, holder_of(held)).run()
    except NhopError as error:
        print(f"nhop daemon: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
