"""The optimizer's side of the cluster: starts the processes, hands them trials, replaces those that die.

The optimizer imports no TensorFlow. It talks to the zygote over a control socket, and to each process over a
socket pair of its own, whose closing tells both ends that the other is gone.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.cluster.channel import Channel, Message
from engine.cluster.ports import free_ports
from engine.cluster.spec import CHIEF, ENVIRONMENT, PS, WORKER, ClusterPlan, Member
from engine.errors import ClusterError
from engine.events import ProcessState
from engine.settings import ROOT
from engine.training.job import Job

READY_SECONDS = 60.0
"""A process that is not ready so long after its fork is replaced."""
SILENT_SECONDS = 60.0
"""A process that trains and says nothing for so long is stuck (stopped, or in a dead call), and replaced."""
MOST_FAILURES = 5
"""Starts of one process that may fail in a row before the sweep gives up."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A trial in training has reached a step."""

    number: int
    attempt: int
    worker: str
    step: int
    train: float
    val: float
    done: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """A trial ended without a result: by an error of its own, or (*lost*) with the process that trained it."""

    number: int
    attempt: int
    worker: str
    error: str
    lost: bool


Happening = Reached | Broken


@dataclass(slots=True)
class _Process:
    """One process as the optimizer sees it."""

    member: Member
    channel: Channel | None = None
    pid: int | None = None
    state: ProcessState = ProcessState.STARTING
    job: Job | None = None
    heard: float = field(default_factory=time.monotonic)
    failures: int = 0
    restarts: int = 0


class Cluster:
    """The processes of one sweep, kept across its trials and stages.

    Args:
        plan: which processes, and how trials use them.
        data: the .npz file of the sweep's data.
        log_dir: where each process writes its log.
        tell: called with every change of a process, as the data of a `process` event.
        private: try to run in a private network namespace.
    """

    def __init__(
        self, plan: ClusterPlan, data: Path, log_dir: Path, tell: Callable[[dict[str, Any]], None], private: bool = True
    ) -> None:
        self._plan = plan
        self._data = data
        self._log_dir = log_dir
        self._tell = tell
        self._want_private = private
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
        """Start the zygote; the processes follow as `poll` is called."""
        ours, theirs = socket.socketpair()
        self._control = Channel(ours)
        self._imported = False
        self._begun = time.monotonic()
        with theirs:
            self._zygote = subprocess.Popen(
                [sys.executable, "-m", "engine.cluster.zygote", str(theirs.fileno()), str(self._log_dir),
                 str(os.getpid()), "1" if self._want_private else "0"],
                stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], cwd=ROOT, start_new_session=True,
                env={**os.environ, **ENVIRONMENT},
            )  # fmt: skip
        self._selector.register(self._control, selectors.EVENT_READ, None)

    @property
    def executors(self) -> list[str]:
        """The processes that take trials: every worker, or the chief alone."""
        if self._plan.parallelism == "trials":
            return [member.name for member in self._plan.servers if member.role == WORKER]
        return [CHIEF]

    def idle(self) -> list[str]:
        """The executors that could take a trial now."""
        return [name for name in self.executors if (process := self._processes.get(name)) and _free(process)]

    def train(self, name: str, job: Job) -> bool:
        """Give *job* to an idle executor; False when it has just died."""
        process = self._processes[name]
        process.job, process.heard = job, time.monotonic()
        self._change(process, ProcessState.TRAINING, f"trial {job.number}")
        return process.channel is not None and process.channel.send({"train": job.to_message()})

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
        return happened + self._check_deadlines()

    def stop(self) -> None:
        """End every process. Safe when they are gone."""
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
                    self._fork(_Process(member))
            elif "started" in message:
                if process := self._processes.get(message["started"]):
                    process.pid = message["pid"]
                    self._change(process, ProcessState.STARTING, "")
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
        """Fix the addresses: the configured ones in a private namespace, else free ports of this machine."""
        self.private = private
        if not private:
            self._plan = self._plan.on_ports(free_ports(len(self._plan.servers)))
        members = [*self._plan.servers, *([Member(CHIEF, 0, "")] if CHIEF in self.executors else [])]
        for member in members:
            self._processes[member.name] = _Process(member)
            self._change(self._processes[member.name], ProcessState.STARTING, "waiting for TensorFlow's import")

    def _fork(self, process: _Process) -> None:
        """Have the zygote fork *process*, with a fresh channel."""
        assert self._control is not None  # noqa: S101
        ours, theirs = socket.socketpair()
        process.channel, process.pid, process.job = Channel(ours), None, None
        process.state, process.heard = ProcessState.STARTING, time.monotonic()
        self._processes[process.member.name] = process
        with theirs:
            self._control.send(
                {
                    "name": process.member.name,
                    "role": process.member.role,
                    "index": process.member.index,
                    "jobs": self._plan.jobs,
                    "parallelism": self._plan.parallelism,
                    "data": str(self._data),
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
                process.failures = 0
                self._change(process, ProcessState.READY, "")
                self._maybe_chief()
            elif process.job is not None:
                happened += self._said(process, process.job, message)
        return happened

    def _said(self, process: _Process, job: Job, message: Message) -> list[Happening]:
        """What an executor said of the trial it trains."""
        (kind, body), *_ = message.items()
        if (body["number"], body["attempt"]) != (job.number, job.attempt):
            return []
        if kind != "progress":
            process.job = None
            self._change(process, ProcessState.READY, "")
        name = process.member.name
        if kind in ("progress", "done"):
            return [
                Reached(job.number, job.attempt, name, body["step"], body["train"], body["val"], done=kind == "done")
            ]
        return [Broken(job.number, job.attempt, name, body.get("error", kind), lost=False)]

    def _exited(self, message: Message) -> list[Happening]:
        """A process has ended without being asked: replace it, and give its trial back."""
        process = self._processes.get(message["exited"])
        if process is None or (process.pid is not None and process.pid != message["pid"]):
            return []
        how = f"signal {signal.Signals(-message['code']).name}" if message["code"] < 0 else f"code {message['code']}"
        return self._replace(process, f"ended with {how}")

    def _replace(self, process: _Process, why: str) -> list[Happening]:
        name, job = process.member.name, process.job
        process.failures += 1
        process.restarts += 1
        if process.failures > MOST_FAILURES:
            raise ClusterError(
                f"{name} {why}, {process.failures} times in a row; {self._log_dir / f'{name}.log'} says why"
            )
        self._forget_channel(process)
        self._change(process, ProcessState.LOST, why)
        happened: list[Happening] = []
        if job is not None:
            happened.append(Broken(job.number, job.attempt, name, f"{name} {why}", lost=True))
        process.job, process.pid = None, None
        if name == CHIEF:
            process.state = ProcessState.LOST
            self._maybe_chief()
        else:
            self._fork(process)
            if process.member.role == PS and (chief := self._processes.get(CHIEF)) and chief.pid is not None:
                self._kill(chief)
        return happened

    def _forget_channel(self, process: _Process) -> None:
        if process.channel is not None:
            self._selector.unregister(process.channel)
            process.channel.close()
            process.channel = None

    def _maybe_chief(self) -> None:
        """Fork the chief when there is to be one, there is none, and all servers are ready."""
        chief = self._processes.get(CHIEF)
        servers = [self._processes[member.name] for member in self._plan.servers]
        if chief is None or chief.channel is not None or chief.pid is not None:
            return
        if all(server.state is ProcessState.READY for server in servers):
            self._fork(chief)

    def _check_deadlines(self) -> list[Happening]:
        now = time.monotonic()
        if not self._imported:
            if now - self._begun > READY_SECONDS * 2:
                raise ClusterError(
                    f"TensorFlow is not imported after {READY_SECONDS * 2:.0f} s; see {self._log_dir / 'zygote.log'}"
                )
            return []
        for process in self._processes.values():
            starting = process.state is ProcessState.STARTING and process.pid is not None
            limit = READY_SECONDS if starting else SILENT_SECONDS
            if (starting or process.job is not None) and now - process.heard > limit:
                process.heard = now
                self._kill(process)
        return []

    @staticmethod
    def _kill(process: _Process) -> None:
        """End a process that must be replaced; the zygote then reports it."""
        if process.pid is not None:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def _change(self, process: _Process, state: ProcessState, detail: str) -> None:
        process.state = state
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


def _free(process: _Process) -> bool:
    return process.state is ProcessState.READY and process.job is None and process.channel is not None
