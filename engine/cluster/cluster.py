"""The optimizer's side of the cluster: starts the processes, hands them trials, replaces those that die.

The optimizer imports no TensorFlow. It talks to the zygote over a control socket, and to each process over a
socket pair of its own, whose closing tells both ends that the other is gone.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from engine.cluster.channel import Channel, Message
from engine.cluster.elsewhere import Elsewhere
from engine.cluster.machine import own_address
from engine.cluster.ports import free_ports, is_free
from engine.cluster.process import Zygote, start_zygote
from engine.cluster.spec import CHIEF, PROXY, PS, WORKER, ClusterPlan, Member
from engine.errors import ClusterError
from engine.events import ProcessState
from engine.identity import identity
from engine.training.job import Job

EXPOSED = "the parameter servers and workers listen on all interfaces, since %s; fence their ports"

log = logging.getLogger("nhop.cluster")

LOOK_SECONDS = 0.5
"""Between two looks at the processes' states."""
MEASURE_SECONDS = 2.0
"""Between two tellings of what the processes use."""
SHUNNED_SECONDS, MOST_SHUNNED_SECONDS = 5.0, 300.0
"""How long a server that does not answer is left alone: half of the first time's, and the longest."""
AFTER_SECONDS = 30.0
"""After the death of a parameter server, losses of the chief may all be due to it."""
MOST_FAILURES = 5
"""Starts of one process that may fail in a row before the sweep gives up."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long to wait for what, in seconds."""

    ready: float = 60.0
    """A process that is not ready so long after its fork is replaced."""
    silent: float = 60.0
    """A process that trains and says nothing for so long is stuck, and replaced."""
    stopped: float = 20.0
    """A process that the system has stopped for so long (SIGSTOP) is replaced: TensorFlow would wait for ever."""
    missing: float = 15.0
    """A server of another machine that has not answered for so long is reported missing."""
    gone: float = 3.0
    """The same for one that has answered before."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A trial in training has reached a step."""

    number: int
    attempt: int
    worker: str
    step: int
    train: float
    val: float | None
    done: bool
    figures: Mapping[str, float] = field(default_factory=dict)
    test: Mapping[str, Any] | None = None
    rung: tuple[int, float] | None = None
    """The rung that it has reached, and its loss there, by the job's objective."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A trial ended without a result: by an error of its own, or (*lost*) with the process that trained it, which costs
    it an attempt where that is *counted*."""

    number: int
    attempt: int
    worker: str
    error: str
    lost: bool
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A trial ended at *step* because it was to."""

    number: int
    attempt: int
    worker: str
    step: int


@dataclass(frozen=True, slots=True)
class Pruned(Cancelled):
    """A trial ended at *rung* because its *loss* there, which has just been told, is above the *limit*."""

    rung: int
    loss: float
    limit: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """A trial goes on from its checkpoint, at *step*."""

    number: int
    attempt: int
    worker: str
    step: int


Happening = Reached | Broken | Cancelled | Resumed


@dataclass(slots=True)
class _Process:
    """One process as the optimizer sees it."""

    member: Member
    channel: Channel | None = None
    pid: int | None = None
    born: str | None = None
    """The identity that goes with its number."""
    idle: bool = False
    """It is of no use any more, though it has not even begun."""
    state: ProcessState = ProcessState.STARTING
    detail: str = ""
    job: Job | None = None
    heard: float = field(default_factory=time.monotonic)
    answered: float = field(default_factory=time.monotonic)
    stopped: float | None = None
    watch: psutil.Process | None = None
    shunned: float = 0.0
    """Not to be used before: it accepts connections and does not answer."""
    shuns: int = 0
    failures: int = 0
    restarts: int = 0


class Cluster:
    """The processes of one sweep, kept across its trials and stages.

    Args:
        plan: which processes, and how trials use them.
        data: the .npz file of the sweep's data.
        log_dir: where each process writes its log.
        tell: called with every change of a process, as the data of a `process` event.
        zygote: one that was started for this sweep already, with the same *log_dir*.
        tell_used: called now and then with what the processes here use, {name: [CPU in per cent, memory in MB]}.
        private: try to run in a private network namespace, if all processes are to run here.
        elsewhere: asks for and watches the servers on other machines; needed where the plan has any.
        deadlines: how long to wait for what.
        wait_for_all: begin no trial while a worker is missing.
        modules: a folder of Python files that those that train can import; None: there is none.
    """

    def __init__(
        self,
        plan: ClusterPlan,
        data: Path,
        log_dir: Path,
        tell: Callable[[dict[str, Any]], None],
        private: bool = True,
        elsewhere: Elsewhere | None = None,
        deadlines: Deadlines = Deadlines(),
        wait_for_all: bool = False,
        modules: Path | None = None,
        zygote: Zygote | None = None,
        tell_used: Callable[[dict[str, list[int]]], None] = lambda used: None,
    ) -> None:
        self._plan = plan
        self._started = zygote
        self._elsewhere = elsewhere
        self._deadlines = deadlines
        self._wait_for_all = wait_for_all
        self._paused = False
        self._address = "localhost"
        self._chief_workers: list[str] = []
        self._dismissed: set[int] = set()
        self._looked = self._measured = 0.0
        self._zygote_stopped: float | None = None
        self._server_lost = self._chief_lost = float("-inf")
        self._data = data
        self._modules = modules
        self._log_dir = log_dir
        self._tell = tell
        self._tell_used = tell_used
        self._want_private = private and not plan.remote
        self.private: bool | None = None
        """Whether the processes live in a namespace of their own; None until the zygote has said so."""
        self._selector = selectors.DefaultSelector()
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: Channel | None = None
        self._processes: dict[str, _Process] = {}
        self._imported = False
        self._begun = time.monotonic()
        self._ends = 0

    def start(self) -> None:
        """Start the zygote, unless there is one; the processes follow as `poll` is called."""
        self._imported = False
        self._begun = time.monotonic()
        zygote, self._started = self._started, None
        if zygote is not None and zygote.private != self._want_private:
            zygote.process.kill()
            zygote.process.wait()
            zygote.control.close()
            zygote = None
        self._zygote, self._control, _ = zygote or start_zygote(self._log_dir, self._want_private)
        self._selector.register(self._control, selectors.EVENT_READ, None)

    @property
    def executors(self) -> list[str]:
        """The processes that take trials: every worker, or the chief alone."""
        if self._plan.parallelism == "trials":
            return [member.name for member in self._plan.servers if member.role == WORKER]
        return [CHIEF]

    def idle(self) -> list[str]:
        """The executors that could take a trial now."""
        executors = [process for name in self.executors if (process := self._processes.get(name))]
        if self._paused or (self._wait_for_all and any(process.channel is None for process in executors)):
            return []
        return [process.member.name for process in executors if _free(process)]

    def train(self, name: str, job: Job) -> bool:
        """Give *job* to an idle executor; False when it has just died."""
        process = self._processes[name]
        process.job, process.heard = job, time.monotonic()
        self._change(process, ProcessState.TRAINING, f"trial {job.number}")
        return process.channel is not None and process.channel.send({"train": job.to_message()})

    def cancel(self, name: str) -> None:
        """End at the next chunk boundary the trial that an executor trains; `Cancelled` follows."""
        self._order(name, "cancel")

    def limit(self, name: str, limits: Iterable[tuple[int, float]]) -> None:
        """Give the trial that an executor trains fresher *limits*, as `Job.limits`: it heeds those of rungs to come. An
        executor that does not read what it was sent before is left out, since waiting for it would hold up all."""
        channel = self._processes[name].channel
        if channel is not None and channel.takes():
            self._order(name, "limit", to=list(limits))

    def restart(self, name: str) -> None:
        """Replace a process; what it trains is tried again, as when it dies by itself."""
        process = self._processes.get(name)
        if process is None:
            return
        if process.member.remote and self._elsewhere is not None:
            self._elsewhere.replace(name)
        self._kill(process)

    def pause(self, paused: bool) -> None:
        """Hold every trial at its next chunk boundary and begin no other, or go on."""
        self._paused = paused
        for process in self._processes.values():
            if process.channel is not None and process.job is not None:
                process.channel.send({"pause": paused})
                process.heard = time.monotonic()
                state = ProcessState.PAUSED if paused else ProcessState.TRAINING
                self._change(process, state, f"trial {process.job.number}")

    def poll(self, seconds: float) -> list[Happening]:
        """What happened within *seconds*; returns early when something did.

        Raises:
            ClusterError: the processes cannot be kept running.
        """
        happened: list[Happening] = []
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                happened += self._hear_zygote()
            elif key.data.channel is key.fileobj:  # else it was replaced a moment ago, and must not be waited for
                happened += self._hear(key.data)
        self._look_elsewhere()
        self._look_for_stopped()
        self._measure()
        self._refresh_chief()
        self._check_deadlines()
        return happened

    def stop(self) -> None:
        """End every process. Safe when they are gone."""
        if self._elsewhere is not None:
            self._elsewhere.stop()
        if self._control is not None:
            self._control.close()
        if self._zygote is not None:
            try:
                self._zygote.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._zygote.kill()
                self._zygote.wait()
        for process in self._processes.values():
            if process.channel is not None:
                process.channel.close()
            process.pid, process.job, process.channel = None, None, None
            self._change(process, ProcessState.STOPPED, "")
        self._selector.close()

    def _order(self, name: str, what: str, **more: Any) -> None:
        """Tell an executor what to do with the trial that it trains."""
        process = self._processes[name]
        if process.channel is not None and process.job is not None:
            about = {"number": process.job.number, "attempt": process.job.attempt}
            process.channel.send({what: about, **more})

    def _hear_zygote(self) -> list[Happening]:
        assert self._control is not None  # noqa: S101
        messages = self._control.receive()
        if messages is None:
            return self._start_anew()
        happened: list[Happening] = []
        for message in messages:
            if "private" in message:
                self._settle(bool(message["private"]))
            elif "imported" in message:
                self._imported = True
                for member in self._plan.servers:
                    if not member.remote:
                        self._fork(_Process(member))
            elif "started" in message:
                if process := self._processes.get(message["started"]):
                    process.pid, process.born = message["pid"], identity(message["pid"])
                    starting = process.state is ProcessState.STARTING  # it may be heard of before
                    self._change(process, process.state, "" if starting else process.detail)
                    if process.idle:
                        self._dismiss(process)
            elif "exited" in message:
                happened += self._exited(message)
        return happened

    def _start_anew(self) -> list[Happening]:
        """The zygote has ended, and all that it forked with it: give their trials back and begin again."""
        why = f"the process that forks the cluster has ended; {self._log_dir / 'zygote.log'} says why"
        self._ends += 1
        if self._ends > MOST_FAILURES:
            raise ClusterError(why)
        happened: list[Happening] = []
        for process in self._processes.values():
            if process.job is not None:
                job = process.job
                happened.append(Broken(job.number, job.attempt, process.member.name, why, lost=True))
            self._forget_channel(process)
            process.pid, process.job = None, None
            self._change(process, ProcessState.LOST, why)
        if self._control is not None:
            self._selector.unregister(self._control)
            self._control.close()
        if self._zygote is not None:
            self._zygote.kill()
            self._zygote.wait()
        self.start()
        return happened

    def _settle(self, private: bool) -> None:
        """Fix the addresses: the configured ones in a private namespace or with other machines, else free ports."""
        self.private = private
        if self._plan.remote:
            log.warning(EXPOSED, "other machines take part")
            self._settle_among_others()
        elif not private:
            log.warning(EXPOSED, "this system allows no private network namespace")
            self._plan = self._plan.on_ports(free_ports(len(self._plan.servers)))
        members = [*self._plan.servers, *([Member(CHIEF, 0, "")] if CHIEF in self.executors else [])]
        for member in members:
            self._processes[member.name] = _Process(member)
            where = f"waiting for {member.host}" if member.remote else "waiting for TensorFlow's import"
            self._change(self._processes[member.name], ProcessState.STARTING, where)

    def _settle_among_others(self) -> None:
        self._address = own_address(member.host for member in self._plan.remote)
        taken = [member for member in self._plan.servers if not member.remote and not is_free(member.port)]
        for member, port in zip(taken, free_ports(len(taken)), strict=True):
            log.warning("port %d is in use; %s takes port %d", member.port, member.name, port)
            self._plan = self._plan.with_port(member, port)
        self._plan = self._plan.seen_from_elsewhere(self._address)
        if self._elsewhere is not None and not self._elsewhere.started:
            self._elsewhere.start(self._plan)

    def _fork(self, process: _Process, workers: list[str] | None = None) -> None:
        """Have the zygote fork *process*, with a fresh channel; the chief of *workers*."""
        assert self._control is not None  # noqa: S101
        ours, theirs = socket.socketpair()
        process.channel, process.pid, process.job, process.idle = Channel(ours), None, None, False
        process.state, process.heard, process.stopped = ProcessState.STARTING, time.monotonic(), None
        self._processes[process.member.name] = process
        jobs = self._plan.jobs
        if workers is not None:
            jobs = {**jobs, WORKER: [self._processes[name].member.address for name in workers]}
        with theirs:
            self._control.send(
                {
                    "name": process.member.name,
                    "role": PROXY if process.member.remote else process.member.role,
                    "index": process.member.index,
                    "jobs": jobs,
                    "address": self._address,
                    "parallelism": self._plan.parallelism,
                    "data": str(self._data),
                    "modules": str(self._modules) if self._modules else "",
                    "environment": self._plan.environment(process.member, os.cpu_count() or 1),
                },
                (theirs.fileno(),),
            )
        self._selector.register(process.channel, selectors.EVENT_READ, process)

    def _hear(self, process: _Process) -> list[Happening]:
        assert process.channel is not None  # noqa: S101
        messages = process.channel.receive()
        if messages is None:
            self._forget_channel(process)
            return []
        process.heard = time.monotonic()
        happened: list[Happening] = []
        for message in messages:
            if "ready" in message:
                process.failures = process.shuns = self._ends = 0
                self._change(process, ProcessState.READY, self._kept_by(process))
                self._maybe_chief()
            elif process.job is not None:
                happened += self._said(process, process.job, message)
        return happened

    def _said(self, process: _Process, job: Job, message: Message) -> list[Happening]:
        """What an executor said of the trial it trains."""
        (kind, body), *_ = message.items()
        if (body["number"], body["attempt"]) != (job.number, job.attempt):
            return []
        if kind == "waiting":
            self._change(process, process.state, body["why"])
            return []
        if kind not in ("progress", "resumed"):
            process.job = None
            self._change(process, ProcessState.READY, self._kept_by(process))
        return [happening(job, process.member.name, message)]

    def _exited(self, message: Message) -> list[Happening]:
        """A process has ended without being asked: replace it, and give its trial back."""
        process = self._processes.get(message["exited"])
        if process is None or (process.pid is not None and process.pid != message["pid"]):
            return []
        if message["pid"] in self._dismissed:
            self._dismissed.discard(message["pid"])
            self._forget_channel(process)
            process.pid = None
            self._maybe_chief()
            return []
        how = f"signal {signal.Signals(-message['code']).name}" if message["code"] < 0 else f"code {message['code']}"
        return self._replace(process, f"ended with {how}", lost=not _ended_by_itself(message["code"]))

    def _replace(self, process: _Process, why: str, lost: bool = True) -> list[Happening]:
        """Replace a process that has ended; what it trained is *lost*, or has failed with it."""
        name, job, remote = process.member.name, process.job, process.member.remote
        process.failures += 1
        process.restarts += 1
        if process.failures > MOST_FAILURES and not remote:
            raise ClusterError(
                f"{name} {why}, {process.failures} times in a row; {self._log_dir / f'{name}.log'} says why"
            )
        self._forget_channel(process)
        self._change(process, ProcessState.LOST, f"the connection to it {why}" if remote else why)
        happened: list[Happening] = []
        if job is not None:
            counted = not lost or self._is_counted(process)
            happened.append(Broken(job.number, job.attempt, name, f"{name} {why}", lost, counted))
        process.job, process.pid = None, None
        if process.member.role == PS:
            self._server_lost = time.monotonic()
        if remote:
            if process.failures > 1:
                self._shun(process)
        elif name == CHIEF:
            self._maybe_chief()
        else:
            self._fork(process)
            if process.member.role == PS:
                self._kill_chief()
        return happened

    def _is_counted(self, process: _Process) -> bool:
        """Whether a trial's loss costs it an attempt: not the second that the death of one parameter server brings."""
        now = time.monotonic()
        recent = now - AFTER_SECONDS
        if process.member.name == CHIEF and self._server_lost > recent and self._chief_lost > recent:
            return False
        if process.member.name == CHIEF:
            self._chief_lost = now
        return True

    def _kill_chief(self) -> None:
        """Its variables are gone with a parameter server."""
        if (chief := self._processes.get(CHIEF)) is None:
            return
        if chief.pid is not None:
            self._kill(chief)
        chief.idle = chief.pid is None and chief.channel is not None

    def _dismiss(self, process: _Process) -> None:
        """End a process that trains nothing; that counts as no failure."""
        assert process.pid is not None  # noqa: S101
        self._dismissed.add(process.pid)
        process.state = ProcessState.STARTING
        self._kill(process)

    def _forget_channel(self, process: _Process) -> None:
        if process.channel is not None:
            self._selector.unregister(process.channel)
            process.channel.close()
            process.channel = None

    def _maybe_chief(self) -> None:
        """Fork the chief when there is to be one and there is none, and the servers it needs are ready."""
        chief = self._processes.get(CHIEF)
        if chief is not None and chief.channel is None and chief.pid is None and (workers := self._able()):
            self._chief_workers = workers
            self._fork(chief, workers)

    def _able(self) -> list[str]:
        """The workers that a chief could use now; none while something it must wait for is not ready."""
        servers = [self._processes[member.name] for member in self._plan.servers]
        absent = [server for server in servers if server.state is not ProcessState.READY]
        for server in absent:
            if server.member.role == PS or self._wait_for_all or server.state is not ProcessState.MISSING:
                return []
        return [server.member.name for server in servers if server.member.role == WORKER and server not in absent]

    def _refresh_chief(self) -> None:
        """Have an idle chief replaced by one of all workers that are ready now."""
        chief = self._processes.get(CHIEF)
        if chief is None or chief.pid is None or not _free(chief) or chief.pid in self._dismissed:
            return
        if (able := self._able()) and able != self._chief_workers:
            self._dismiss(chief)

    def _look_elsewhere(self) -> None:
        """Bring the servers of other machines to where they stand."""
        if self._elsewhere is None or not self._imported:
            return
        now = time.monotonic()
        for process in [self._processes[member.name] for member in self._plan.remote]:
            if process.channel is not None or process.pid is not None:  # a process here stands for it, and ends with it
                process.answered = now
            elif now >= process.shunned and self._elsewhere.answers(process.member.name):
                process.answered = now
                if process.state is ProcessState.MISSING:
                    log.info("%s at %s answers", process.member.name, process.member.address)
                if process.member.name in self.executors:
                    self._fork(process)
                    self._change(process, ProcessState.STARTING, "connecting")
                elif process.state is not ProcessState.READY:
                    self._change(process, ProcessState.READY, self._kept_by(process))
                    self._maybe_chief()
            else:
                self._miss(process, now)

    def _miss(self, process: _Process, now: float) -> None:
        """A server elsewhere does not answer at the moment."""
        was_ready = process.state is ProcessState.READY
        limit = self._deadlines.gone if was_ready else self._deadlines.missing
        if process.state is not ProcessState.MISSING and now - process.answered < limit:
            return
        known = self._elsewhere.known(process.member.name) if self._elsewhere else {}
        why = known.get("detail") or f"no daemon on {process.member.host} has taken it on"
        silent = "accepts connections but does not answer" if now < process.shunned else "does not answer"
        detail = f"{silent}; {why}"
        if (process.state, process.detail) == (ProcessState.MISSING, detail):
            return
        log.warning("%s at %s %s", process.member.name, process.member.address, detail)
        self._change(process, ProcessState.MISSING, detail)
        if was_ready and process.member.role == PS:
            self._kill_chief()
        self._maybe_chief()

    def _kept_by(self, process: _Process) -> str:
        """What is worth saying of a server that is well: who keeps it, when it lives elsewhere."""
        if not process.member.remote or self._elsewhere is None:
            return ""
        known = self._elsewhere.known(process.member.name)
        return f"kept by the daemon on {known['machine']}" if known.get("machine") else "joined by itself"

    def _look_for_stopped(self) -> None:
        """End processes that the system has stopped: nobody else would notice."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if self._zygote is not None and not _is_stopped(self._zygote.pid):
            self._zygote_stopped = None
        elif self._zygote_stopped is None:
            self._zygote_stopped = now
        elif self._zygote is not None and now - self._zygote_stopped > self._deadlines.stopped:
            self._zygote.kill()
        for process in self._processes.values():
            if process.pid is None or not _is_stopped(process.pid):
                process.stopped = None
            elif process.stopped is None:
                process.stopped = now
            elif now - process.stopped > self._deadlines.stopped:
                process.stopped = now
                self._kill(process)

    def _measure(self) -> None:
        """Tell what the processes of this machine use."""
        now = time.monotonic()
        if now - self._measured < MEASURE_SECONDS:
            return
        self._measured = now
        used: dict[str, list[int]] = {}
        for process in self._processes.values():
            with suppress(psutil.Error):  # it has just ended
                if process.pid is not None:
                    used[process.member.name] = _used(process, process.pid)
        if used:
            self._tell_used(used)

    def _check_deadlines(self) -> None:
        now = time.monotonic()
        if not self._imported:
            limit = self._deadlines.ready * 2
            if now - self._begun > limit:
                raise ClusterError(
                    f"TensorFlow is not imported after {limit:.0f} s; see {self._log_dir / 'zygote.log'}"
                )
            return
        for process in self._processes.values():
            starting = process.state is ProcessState.STARTING and process.pid is not None
            working = process.job is not None and not self._paused
            limit = self._deadlines.ready if starting else self._deadlines.silent
            if (starting or working) and now - process.heard > limit:
                process.heard = now
                self._end_stuck(process)

    def _end_stuck(self, process: _Process) -> None:
        """End a process that is silent, and whatever it may be waiting for."""
        self._kill(process)
        self._shun(process)
        if process.member.role == CHIEF:
            for server in [self._processes[member.name] for member in self._plan.servers]:
                self._shun(server)
                if process.state is ProcessState.TRAINING:
                    self._kill(server)

    def _shun(self, process: _Process) -> None:
        """Have a server elsewhere replaced, and leave it alone for a while, longer each time."""
        if process.member.remote and self._elsewhere is not None:
            now = time.monotonic()
            process.shuns += 1
            process.shunned = now + min(SHUNNED_SECONDS * 2**process.shuns, MOST_SHUNNED_SECONDS)
            process.answered = now - self._deadlines.missing
            self._elsewhere.replace(process.member.name)

    @staticmethod
    def _kill(process: _Process) -> None:
        """End a process that must be replaced; the zygote then reports it."""
        if process.pid is not None and identity(process.pid) == process.born:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def _change(self, process: _Process, state: ProcessState, detail: str) -> None:
        process.state, process.detail = state, detail
        member = process.member
        self._tell(
            {
                "role": member.role,
                "index": member.index,
                "address": member.address,
                "pid": process.pid,
                "state": str(state),
                "detail": detail,
                "restarts": process.restarts,
            }
        )


def happening(job: Job, worker: str, message: Message) -> Happening:
    """What an executor said of *job*, the trial it trains."""
    (kind, body), *_ = message.items()
    about = (job.number, job.attempt, worker)
    if kind == "cancelled":
        return Cancelled(*about, body["step"])
    if kind == "resumed":
        return Resumed(*about, body["step"])
    if kind == "pruned":
        return Pruned(**body, worker=worker)
    if kind in ("progress", "done"):
        rung = tuple(body["rung"]) if body["rung"] else None
        return Reached(
            *about, body["step"], body["train"], body["val"], kind == "done", body["figures"], body["test"], rung
        )
    return Broken(*about, body.get("error", kind), lost=False)


def _free(process: _Process) -> bool:
    return process.state is ProcessState.READY and process.job is None and process.channel is not None


def _ended_by_itself(code: int) -> bool:
    """Whether a process that ended with *code* would do so again with the same trial. Signals come as negative numbers,
    or as a shell tells them, from 128 on; EX_TEMPFAIL says that others were lost."""
    return 0 < code < 128 and code != os.EX_TEMPFAIL


def _used(process: _Process, pid: int) -> list[int]:
    """[CPU in per cent of one processor since the last call, memory in MB]. Raises psutil.Error."""
    if process.watch is None or process.watch.pid != pid:
        process.watch = psutil.Process(pid)
    with process.watch.oneshot():
        return [round(process.watch.cpu_percent()), round(process.watch.memory_info().rss / 2**20)]


def _is_stopped(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False
