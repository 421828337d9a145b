"""What is done to a running installation: each kind a function that does it and waits until work goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import psutil

from engine.daemon import MOST_RESTARTS
from engine.errors import StateError, StoreError
from tests.faults.world import World, end
from tests.installation import ENDED_NAMES
from tests.waiting import PATIENCE

RESUME_SECONDS = 60.0
"""The longest that anything may take to go on, on a quiet machine; the daemon's lease is a part of it."""

PATIENT = 0.4
"""The part of those injections that end no optimizer after which work must go on before the next one comes."""

POINTS = {
    "journal-written": 6, "journal-synced": 6, "trials-stored": 6, "fields-stored": 6, "events-stored": 6,
    "metrics-stored": 4, "lease-renewed": 1, "trial-begun": 6, "trial-given": 6,
    "trial-begins": 6, "trial-goes-on": 6, "model-kept": 6, "trial-ends": 6, "events-relayed": 6,
    "process-forked": 1, "optimizer-begins": 1, "sweep-claimed": 1, "optimizer-started": 1,
}  # fmt: skip
"""Points that are passed again and again, and the latest pass at which a process is killed there."""
RARE = ("run-made", "stage-ended", "sweep-finishing", "sweep-finished")
"""Points that a sweep passes once or a few times: in each a process is killed at its first pass."""


class Over(Exception):
    """The sweep has ended, so that there is nothing left to wait for."""


@dataclass(slots=True)
class Done:
    """What one injection did."""

    kind: str
    detail: str = ""
    took: float = 0.0
    """Seconds until work went on."""
    times: dict[str, float] = field(default_factory=dict)
    """Seconds of what is measured of it."""
    faults: list[str] = field(default_factory=list)
    void: bool = False
    """Whether there was nothing to do it to."""


class Injector:
    """Does injections to a sweep of *world*."""

    def __init__(self, world: World, sweep_id: str) -> None:
        self._world = world
        self._rng = Random()
        self._patient = True
        self._id = sweep_id
        self.exits: list[str] = []
        """Orders that ended a worker with code 1: each costs a trial."""
        self.stopped = False
        """Whether the user has stopped the sweep."""

    def inject(self, kind: str, rng: Random) -> Done:
        """Do it, with the chance of *rng* alone, and wait until work goes on."""
        self._rng = rng
        self._patient = rng.random() < PATIENT
        done = Done(kind)
        begun = time.monotonic()
        word, _, rest = kind.partition(" ")
        try:
            self._let_it_get_on()
            getattr(self, f"_{word}")(done, rest)
        except Over:
            pass
        except psutil.NoSuchProcess:  # it died by itself at this moment
            done.void = True
        except AssertionError as error:
            done.faults.append(str(error))
        done.took = time.monotonic() - begun
        return done

    def ended(self) -> bool:
        """Whether the sweep has ended."""
        with suppress(StoreError):
            return self._world.store.sweeps.get(self._id)["state"] in ENDED_NAMES
        return False

    def stop_and_kill(self) -> None:
        """The user stops the sweep, and its optimizer dies at that moment."""
        with suppress(StateError):
            self._world.store.sweeps.stop(self._id, datetime.now(UTC))
            self.stopped = True
        if optimizer := self._world.optimizer():
            with suppress(psutil.Error):
                optimizer.kill()

    # --- waiting -------------------------------------------------------------------------------------------------

    def _wait(self, condition: Callable[[], Any], what: str, seconds: float = RESUME_SECONDS) -> Any:
        """The first true value of *condition*. Raises Over when the sweep ends before."""
        deadline = time.monotonic() + seconds * PATIENCE
        looked = 0.0
        while True:
            if value := condition():
                return value
            now = time.monotonic()
            if now - looked > 0.5:
                looked = now
                if self.ended():
                    raise Over
            assert now < deadline, f"{what} did not come within {seconds * PATIENCE:g} s"
            time.sleep(0.03)

    def _line(self, point: str, since: float, **wanted: Any) -> dict[str, Any] | None:
        """The first line of the ledger of *point* since then."""
        found = (line for line in self._world.ledger.since(since) if line["point"] == point)
        return next((line for line in found if all(line[key] == wanted[key] for key in wanted)), None)

    def _goes_on(self, since: float, what: str) -> float:
        """When the first trial ended that began after *since*."""

        def ended() -> float | None:
            lines = [line for line in self._world.ledger.look() if line["at"] > since]
            begun = {
                (line["number"], line["attempt"], line["pid"]) for line in lines if line["point"] == "trial-begins"
            }
            for line in lines:
                if line["point"] == "trial-ends" and (line["number"], line["attempt"], line["pid"]) in begun:
                    return float(line["at"])
            return None

        return float(self._wait(ended, f"a trial after {what}"))

    def _maybe_goes_on(self, since: float, what: str) -> None:
        if self._patient:
            self._goes_on(since, what)

    def _let_it_get_on(self) -> None:
        """A sweep whose optimizers die again and again without a completed trial fails: one must complete before."""

        def gets_on() -> bool:
            with suppress(StoreError):
                return bool(self._world.store.sweeps.get(self._id)["restarts"] < MOST_RESTARTS - 1)
            return False

        self._wait(gets_on, "a completed trial", 60)

    def _resumed(self, done: Done, killed: float, owner: int | None) -> None:
        """Wait until another optimizer trains."""

        def trains() -> dict[str, Any] | None:
            begun = (line for line in self._world.ledger.since(killed) if line["point"] == "trial-begins")
            return next((line for line in begun if line["owner"] not in (None, owner)), None)

        begun = self._wait(trains, f"an optimizer after {done.kind}")
        done.times["resume"] = begun["at"] - killed
        self._goes_on(killed, done.kind)

    def _gone(self, done: Done, processes: list[psutil.Process]) -> None:
        """All of *processes* end within 10 s."""
        since = time.monotonic()
        left = list(processes)
        while left and time.monotonic() - since < 10:
            left = [one for one in left if _runs(one)]
            time.sleep(0.01)
        if left:
            done.faults.append(f"orphans 10 s after {done.kind}: {[_command(one) for one in left]}")
            end(left)
        done.times["gone"] = time.monotonic() - since

    def kept(self, done: Done) -> None:
        """Within 10 s there is no process that nobody keeps."""
        since = time.monotonic()
        while (strays := self._world.strays()) and time.monotonic() - since < 10:
            time.sleep(0.1)
        if strays and (strays := [one for one in self._world.strays() if _runs(one)]):
            done.faults.append(f"orphans 10 s after {done.kind}: {[_command(one) for one in strays]}")
            end(strays)

    def _some(self, find: Callable[[], Any], what: str) -> Any:
        return self._wait(find, what)

    # --- kills ---------------------------------------------------------------------------------------------------

    def _kill(self, done: Done, whom: str) -> None:
        world = self._world
        if whom in ("worker", "ps", "chief"):
            index = self._rng.randrange(2) if whom == "worker" else 0
            victim = self._some(lambda: world.member(whom, index), f"{whom} {index}")
        else:
            victim = self._some(getattr(world, whom), f"the {whom}")
        family = [victim]
        with suppress(psutil.Error):
            family += victim.children(recursive=True)
        killed = time.monotonic()
        with suppress(psutil.Error):
            victim.kill()
        if whom == "optimizer":
            self._gone(done, family)
            self._resumed(done, killed, victim.pid)
        else:
            self._gone(done, family)
            self._maybe_goes_on(killed, done.kind)

    def _daemon(self, done: Done, _: str) -> None:
        """The daemon, and with it its optimizers."""
        world = self._world
        optimizer = self._some(world.optimizer, "the optimizer")
        daemon = self._some(world.keeper, "the daemon")
        family = daemon.children(recursive=True)
        killed = time.monotonic()
        daemon.kill()
        self._gone(done, family)
        self._resumed(done, killed, optimizer.pid)
        done.times["resume after daemon"] = done.times.pop("resume")

    def _twice(self, done: Done, _: str) -> None:
        """The optimizer, and the next one while it starts."""
        world = self._world
        first = self._some(world.optimizer, "the optimizer")
        killed = time.monotonic()
        first.kill()
        begun = self._wait(lambda: self._line("optimizer-begins", killed), "the next optimizer")
        time.sleep(self._rng.uniform(0, 4))
        with suppress(psutil.Error):
            second = psutil.Process(begun["pid"])
            killed = time.monotonic()
            second.kill()
        self._resumed(done, killed, begun["pid"])
        done.times.pop("resume")
        self.kept(done)

    def _web(self, done: Done, which: str) -> None:
        """The web server's master, its worker, or both."""
        world = self._world
        processes = self._some(lambda: len(found := world.web_processes()) > 1 and found, "the web server")
        killed = time.monotonic()
        chosen = {"master": processes[:1], "worker": processes[1:], "both": processes}[which]
        world.web_back = 0.0
        for process in chosen:
            with suppress(psutil.Error):
                process.kill()
        if which != "worker":
            self._gone(done, processes)
        self._caught_up(done, killed)

    def _caught_up(self, done: Done, since: float) -> None:
        """All browsers have what there was when the web server came back."""
        world = self._world
        back = self._wait(lambda: world.web_back > since and world.web_back, "the web server")
        last = self._wait(self._last, "the database")

        def all_have() -> float | None:
            times = []
            for client in range(2):
                at = next((at for seq, at in world.seen(client) if seq >= last), None)
                if at is None:
                    return None
                times.append(at)
            return max(times)

        done.times["catch-up"] = max(0.0, self._wait(all_have, f"event {last} at the browsers") - back)

    def _last(self) -> int | None:
        with suppress(StoreError):
            return self._world.store.events.last(self._id)
        return None

    def _everything(self, done: Done, upgrade: str) -> None:
        """All processes at once."""
        world = self._world
        optimizer = self._some(world.optimizer, "the optimizer")
        found = [*world.web_processes(), world.database(), world.keeper()]
        processes = [process for process in found if process is not None]
        family = [child for process in processes for child in process.children(recursive=True)]
        if upgrade:
            world.upgrade()
        killed = time.monotonic()
        world.web_back = 0.0
        for process in (*processes, *family):
            with suppress(psutil.Error):
                process.kill()
        self._gone(done, family)
        self._resumed(done, killed, optimizer.pid)
        done.times["resume after everything"] = done.times.pop("resume")
        if world.received is not None:
            self._caught_up(done, killed)
            done.times.pop("catch-up")

    def _away(self, done: Done, seconds: str) -> None:
        """The database is dead for so long; then everything that waited is written soon."""
        world = self._world
        database = self._some(world.database, "the database")
        world.down["database"] = time.monotonic() + float(seconds)
        database.kill()
        time.sleep(float(seconds))
        back = self._wait(lambda: world.database() is not None and self._last() and time.monotonic(), "the database")
        ended = [line["number"] for line in world.ledger.look() if line["point"] == "trial-ends" and line["at"] < back]
        numbers = set(ended[-50:])

        def stored() -> bool:
            with suppress(StoreError):
                trials = world.store.trials.of_sweep(self._id, after=min(numbers, default=1) - 1)
                return numbers <= {trial["number"] for trial in trials if trial["state"] == "COMPLETED"}
            return False

        self._wait(stored, "what waited for the database")
        done.times["drain"] = time.monotonic() - back

    # --- stops ---------------------------------------------------------------------------------------------------

    def _stop(self, done: Done, whom: str) -> None:
        """A process hangs for some seconds."""
        world = self._world
        if whom == "worker":
            victims = [self._some(lambda: world.member("worker", 0), "worker 0")]
        elif whom == "web":
            victims = world.web_processes()
        elif whom == "daemon":
            victims = [self._some(world.keeper, "the daemon")]
        else:
            victims = [self._some(getattr(world, whom), f"the {whom}")]
        since = time.monotonic()
        for sign, pause in ((signal.SIGSTOP, self._rng.uniform(0.3, 3)), (signal.SIGCONT, 0.0)):
            for victim in victims:
                with suppress(psutil.Error):
                    victim.send_signal(sign)
            time.sleep(pause)
        self._maybe_goes_on(since, done.kind)

    def _client(self, done: Done, _: str) -> None:
        """The browsers stop reading while others work on."""
        browsers = self._world.browsers()
        if browsers is None:
            done.void = True
            return
        browsers.suspend()
        self._world.later(self._rng.uniform(1, 8), browsers.resume)

    # --- points --------------------------------------------------------------------------------------------------

    def _point(self, done: Done, point: str) -> None:
        """A process is killed at a named point."""
        world = self._world
        nth = self._rng.randint(1, POINTS[point])
        done.detail = f"pass {nth}"
        optimizer = world.optimizer()
        order = world.arm(point, nth=nth)
        try:
            if point in OTHERS_DIE_BEFORE:
                self._some(world.optimizer, "the optimizer").kill()
            elif point == "process-forked":
                self._some(lambda: world.member("worker", 0), "worker 0").kill()
            self._wait(lambda: world.obeyed(order), f"pass {nth} of {point}")
        finally:
            world.disarm(point)
            done.void = not world.obeyed(order)
        killed = self._line("obeyed", 0.0, order=order)["at"]
        if point == "events-relayed":
            world.web_back = 0.0
            self._caught_up(done, killed)
        elif optimizer is not None and not _runs(optimizer):
            self._resumed(done, killed, optimizer.pid)
            if point in OTHERS_DIE_BEFORE:
                done.times.pop("resume")
        else:
            self._maybe_goes_on(killed, done.kind)
        self.kept(done)

    def _exit(self, done: Done, code: str) -> None:
        """A worker ends with an exit code: 1, its trial has failed; 137 and 139, as after a signal, it is retried."""
        world = self._world
        order = world.arm("trial-goes-on", f"exit {code}")
        try:
            self._wait(lambda: world.obeyed(order), "a trial in training")
        finally:
            world.disarm("trial-goes-on")
            done.void = not world.obeyed(order)
            if code == "1" and not done.void:
                self.exits.append(order)
        self._goes_on(time.monotonic(), done.kind)

    def _disk(self, done: Done, error: str) -> None:
        """The journal's disk is full, or does not sync, for some seconds."""
        world = self._world
        order = world.arm("journal-written", f"fail {error}", standing=True)
        try:
            self._wait(lambda: world.obeyed(order), "a write of the journal")
            time.sleep(self._rng.uniform(0.5, 3))
        finally:
            world.disarm("journal-written")
            done.void = not world.obeyed(order)
        self._goes_on(time.monotonic(), done.kind)

    # --- the way to the database, and the clock ------------------------------------------------------------------

    def _proxy(self, done: Done, how: str) -> None:
        """The network to the database is slow, hangs, breaks, or loses answers to what was applied."""
        proxy, since = self._world.proxy, time.monotonic()
        if not self._world.shared:
            done.void = True
            return
        seconds = self._rng.uniform(0.5, 5)
        if how == "delay":
            proxy.delay = self._rng.uniform(0.02, 0.4)
        elif how == "hang":
            proxy.hang = True
        elif how == "refuse":
            proxy.refuse = True
            proxy.reset()
        elif how == "reset":
            for _ in range(5):
                proxy.reset()
                time.sleep(seconds / 10)
        else:
            proxy.drop = self._rng.choice((b"insert", b"update"))
            dropped = proxy.dropped
            self._wait(lambda: proxy.dropped > dropped + 1, "lost answers")
        time.sleep(seconds)
        proxy.heal()
        self._maybe_goes_on(since, done.kind)

    def _clock(self, done: Done, _: str) -> None:
        """The clock of the daemon's machine jumps by an hour, and back."""
        world = self._world
        begun = since = time.monotonic()
        optimizer = self._some(world.optimizer, "the optimizer")
        hours = self._rng.choice((-1.0, 1.0))
        done.detail = f"{hours:+.0f} h"
        for shift in (hours, 0.0):
            world.shift_clock(shift)
            time.sleep(self._rng.uniform(1, 7))
            self._goes_on(since, done.kind)
            since = time.monotonic()
        if not _runs(optimizer) and not self._line("obeyed", begun):  # nor has it been killed at a point meanwhile
            done.faults.append("a jump of the clock ended the optimizer")


OTHERS_DIE_BEFORE = ("optimizer-begins", "sweep-claimed", "optimizer-started")
"""Points that are passed because another process has been killed."""


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return f"{process.pid} {' '.join(process.cmdline()[:5])} of {process.ppid()}"
    return f"{process.pid}"
