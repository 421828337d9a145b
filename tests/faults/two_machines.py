"""Two machines, each with its daemon, and sweeps across them. Run by test_many_machines, in a process of its own.

    python -m tests.faults.two_machines FOLDER namespaces|loopback SCENARIO

In namespaces each machine has a network of its own, joined by a virtual cable: localhost is another place on each.
On loopback they are two addresses of one machine.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from engine.cluster.namespace import enter
from engine.config import parse
from engine.settings import ROOT
from engine.store import Store, connect
from tests.installation import ENDED_NAMES, SMALL
from tests.waiting import wait_until

DATABASE_PORT = 27950
NEW_NETWORK = 0x40000000


class World:
    """Machine A, where sweeps run, and machine B, which helps."""

    def __init__(self, folder: Path, namespaces: bool) -> None:
        self.folder = folder
        self._namespaces = namespaces
        self.a, self.b = ("10.77.0.1", "10.77.0.2") if namespaces else ("127.0.0.2", "127.0.0.3")
        self._children: list[subprocess.Popen[bytes]] = []
        self._holder: subprocess.Popen[bytes] | None = None
        if namespaces:
            self._build()
        data = folder / "database"
        data.mkdir()
        server = str(Path(sys.executable).parent / "secantusd-py")
        self.start(
            [server, "--host", self.a, "--port", str(DATABASE_PORT), "--storage-path", str(data), "--standalone"],
            "database",
        )
        self.uri = f"mongodb://{self.a}:{DATABASE_PORT}/?directConnection=true"
        self.store: Store = connect(self.uri)
        wait_until(self._database_answers, 60, "the database")
        self.store.make_indexes()

    def _database_answers(self) -> bool:
        try:
            self.store.ping()
        except Exception:
            return False
        return True

    def _build(self) -> None:
        """This process is A already; B is a network held by a sleeping child, at the other end of a cable."""
        self._holder = subprocess.Popen(["sleep", "600"], preexec_fn=lambda: ctypes.CDLL(None).unshare(NEW_NETWORK))
        self._children.append(self._holder)
        pid = str(self._holder.pid)
        for command in (
            f"ip link add cable type veth peer name cable netns {pid}",
            f"ip addr add {self.a}/24 dev cable",
            "ip link set cable up",
            f"nsenter -t {pid} -n ip addr add {self.b}/24 dev cable",
            f"nsenter -t {pid} -n ip link set cable up",
            f"nsenter -t {pid} -n ip link set lo up",
        ):
            subprocess.run(command.split(), check=True)

    def start(self, command: list[str], name: str, on_b: bool = False, **environment: str) -> subprocess.Popen[bytes]:
        if on_b and self._holder is not None:
            command = ["nsenter", "-t", str(self._holder.pid), "-n", *command]
        with (self.folder / f"{name}.log").open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT,
                env={**os.environ, **environment},
            )  # fmt: skip
        self._children.append(process)
        return process

    def daemon(self, on_b: bool = False) -> subprocess.Popen[bytes]:
        name = "b" if on_b else "a"
        data = self.folder / f"data-{name}"
        return self.start(
            [sys.executable, "-m", "engine.daemon"], f"daemon-{name}", on_b,
            NHOP_MONGO_URI=self.uri, NHOP_DATA_DIR=str(data), NHOP_MACHINE=self.b if on_b else self.a,
            NHOP_SWEEP_SLOTS="1",
        )  # fmt: skip

    def sweep(self, **values: Any) -> str:
        """A sweep that the daemon of A has claimed."""
        config = parse({**SMALL, "train_log_dir": str(self.folder / "logs"), **values})
        sweep_id = self.store.sweeps.create(
            "across", "ada", config.model_dump(mode="json"), 7, config.total_trials, config.total_steps,
            datetime.now(UTC),
        )  # fmt: skip
        self.daemon()
        wait_until(lambda: self.store.sweeps.get(sweep_id)["state"] == "RUNNING", 60, "the claim")
        return sweep_id

    def process(self, sweep_id: str, name: str) -> dict[str, Any]:
        key = "chief_0" if name == "chief" else name
        return (self.store.sweeps.get(sweep_id).get("processes") or {}).get(key) or {}

    def wait_state(self, sweep_id: str, name: str, *states: str, seconds: float = 120) -> dict[str, Any]:
        wait_until(
            lambda: self.process(sweep_id, name).get("state") in states, seconds,
            f"{name} in {states}; it is {self.process(sweep_id, name)}",
        )  # fmt: skip
        return self.process(sweep_id, name)

    def wait_ended(self, sweep_id: str, seconds: float = 180) -> dict[str, Any]:
        wait_until(
            lambda: self.store.sweeps.get(sweep_id)["state"] in ENDED_NAMES, seconds, f"the end of sweep {sweep_id}"
        )
        sweep = self.store.sweeps.get(sweep_id)
        assert (sweep["state"], sweep["error"]) == ("COMPLETED", None), sweep
        return sweep

    def workers_used(self, sweep_id: str) -> set[str]:
        return {str(trial["worker"]) for trial in self.store.trials.of_sweep(sweep_id, curves=False)}

    def close(self) -> None:
        for child in reversed(self._children):
            for process in [*_descendants(child.pid), child]:
                process.kill()
            child.wait()


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def hosts(world: World, *places: str) -> dict[str, str]:
    """A parameter server here, and a worker at each of *places*."""
    return {
        "ps_hosts": "localhost:2223",
        "worker_hosts": ",".join(f"{place}:{2225 + index}" for index, place in enumerate(places)),
    }


def trials_across(world: World) -> None:
    """Trials train on both machines; the daemon of B starts the worker there, and ends it with the sweep."""
    sweep_id = world.sweep(**hosts(world, "localhost", world.b), missing_hosts="wait", opt_stages=[[400, 12]])
    other = world.daemon(on_b=True)
    there = world.wait_state(sweep_id, "worker_1", "ready", "training")
    assert there["address"] == f"{world.b}:2226", there
    server = wait_until(lambda: _server_below(other.pid), 10, "the server of B")
    world.wait_ended(sweep_id)
    assert world.workers_used(sweep_id) == {"worker_0", "worker_1"}
    wait_until(lambda: not server.is_running(), 10, "the end of B's server")


def together(world: World, mode: str) -> None:
    """All workers, here and there, train each trial together; a parameter server on B as well."""
    places = {"ps_hosts": f"localhost:2223,{world.b}:2224", "worker_hosts": f"localhost:2225,{world.b}:2226"}
    sweep_id = world.sweep(**places, parallelism=mode, opt_stages=[[100, 3]], missing_hosts="wait")
    world.daemon(on_b=True)
    world.wait_ended(sweep_id)
    trials = world.store.trials.of_sweep(sweep_id, curves=False)
    assert [trial["state"] for trial in trials] == ["COMPLETED"] * 3
    assert all(trial["loss"] < 10 for trial in trials), trials


def killed_server(world: World) -> None:
    """A worker on B that is killed costs its trial one attempt, and comes back."""
    sweep_id = world.sweep(**hosts(world, world.b), opt_stages=[[100_000, 2]], train_tolerance=0)
    other = world.daemon(on_b=True)
    world.wait_state(sweep_id, "worker_0", "training")
    wait_until(lambda: _server_below(other.pid), 10, "the server of B").kill()
    world.wait_ended(sweep_id)
    trials = world.store.trials.of_sweep(sweep_id, curves=False)
    assert [trial["state"] for trial in trials] == ["COMPLETED"] * 2
    assert max(trial["attempt"] for trial in trials) == 2, trials


def joined(world: World) -> None:
    """Without a daemon on B: the sweep says that its worker is missing, runs with fewer, and takes it in when
    somebody starts it there."""
    places = hosts(world, "localhost", world.b)
    sweep_id = world.sweep(**places, opt_stages=[[3000, 4000]], train_tolerance=0)
    missing = world.wait_state(sweep_id, "worker_1", "missing")
    assert missing["detail"] == f"does not answer; no daemon on {world.b} has taken it on"
    assert world.workers_used(sweep_id) == {"worker_0"}
    cluster = f'{{"ps": ["{world.a}:2223"], "worker": ["{world.a}:2225", "{world.b}:2226"]}}'
    task = f'{{"cluster": {cluster}, "task": {{"type": "worker", "index": 1}}}}'
    world.start([sys.executable, "-m", "engine.cluster.server"], "server", on_b=True, TF_CONFIG=task)
    world.wait_state(sweep_id, "worker_1", "training")
    wait_until(lambda: "worker_1" in world.workers_used(sweep_id), 60, "a trial on the worker that came late")
    world.store.sweeps.stop(sweep_id, datetime.now(UTC))
    wait_until(lambda: world.store.sweeps.get(sweep_id)["state"] == "STOPPED", 60, "the end")


def fewer_together(world: World) -> None:
    """In async training, too, a sweep begins with the workers that answer, and takes in the one that comes late."""
    places = hosts(world, world.b, "localhost")
    sweep_id = world.sweep(**places, parallelism="async", opt_stages=[[150, 4000]], train_tolerance=0)
    world.wait_state(sweep_id, "worker_0", "missing")
    alone = world.wait_state(sweep_id, "chief", "training")["pid"]
    world.daemon(on_b=True)
    world.wait_state(sweep_id, "worker_0", "ready")
    wait_until(
        lambda: world.process(sweep_id, "chief").get("pid") not in (None, alone), 60, "a new chief, of both workers"
    )
    done = world.store.sweeps.get(sweep_id)["progress"]["done"]
    wait_until(lambda: world.store.sweeps.get(sweep_id)["progress"]["done"] > done + 1, 60, "trials by both")
    trials = world.store.trials.of_sweep(sweep_id, curves=False)
    assert {trial["state"] for trial in trials} <= {"COMPLETED", "RUNNING", "QUEUED"}, trials
    world.store.sweeps.stop(sweep_id, datetime.now(UTC))
    wait_until(lambda: world.store.sweeps.get(sweep_id)["state"] == "STOPPED", 60, "the end")


def waits(world: World) -> None:
    """missing_hosts: wait begins nothing until the worker on B answers."""
    sweep_id = world.sweep(**hosts(world, "localhost", world.b), missing_hosts="wait", opt_stages=[[200, 4]])
    world.wait_state(sweep_id, "worker_1", "missing")
    assert world.store.trials.of_sweep(sweep_id, curves=False) == []
    world.daemon(on_b=True)
    world.wait_ended(sweep_id)
    assert world.workers_used(sweep_id) == {"worker_0", "worker_1"}


def _server_below(pid: int) -> psutil.Process | None:
    with suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            if "engine.cluster.server" in process.cmdline():
                return process
    return None


SCENARIOS: dict[str, Callable[[World], None]] = {
    "trials": trials_across,
    "async": lambda world: together(world, "async"),
    "sync": lambda world: together(world, "sync"),
    "killed": killed_server,
    "joined": joined,
    "fewer": fewer_together,
    "waits": waits,
}


def main(folder: Path, namespaces: bool, scenario: str) -> None:
    world = World(folder, namespaces)
    begun = time.monotonic()
    try:
        SCENARIOS[scenario](world)
        print(f"{scenario}: {time.monotonic() - begun:.1f} s")
    finally:
        world.close()


if __name__ == "__main__":
    in_namespaces = sys.argv[2] == "namespaces"
    if in_namespaces and not enter():
        sys.exit("this system allows no network namespaces")
    main(Path(sys.argv[1]), in_namespaces, sys.argv[3])
