"""An installation as a user has it, for tests: a data directory, its embedded database, and real daemons."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from engine import settings
from engine.config import parse
from engine.domain import ENDED
from engine.settings import ROOT
from engine.store import Store, connect, embedded
from engine.store.sweeps import new_id
from tests.waiting import wait_until

SMALL = {
    "opt_stages": [[200, 4], [150, 3], [100, 2]],
    "data_instances": 500,
    "batch_size": [20, 60],
    "hidden_layers": [2, 3],
    "activation": ["relu"],
    "opt_tolerance": 0,
    "confirm": 0,
    "ps_hosts": "localhost:2223",
    "worker_hosts": "localhost:2225,localhost:2226",
    "seed": 7,
}
"""A sweep like the reference's laptop schedule, that takes seconds."""

ENDED_NAMES = {str(state) for state in ENDED}


class Installation:
    """A data directory in *folder* and what runs for it; *guard* as `embedded.start` takes it."""

    def __init__(self, folder: Path, guard: bool = False) -> None:
        self.data_dir = folder / "data"
        self.log_dir = folder / "logs"
        self.data_dir.mkdir()
        self.database, _ = embedded.start(self.data_dir, guard)
        self.store: Store = connect(self.database.uri)
        self.daemons: list[subprocess.Popen[bytes]] = []
        self.settings = settings.load({"NHOP_DATA_DIR": str(self.data_dir)}, folder / "none")

    def start_daemon(self, **environment: str) -> subprocess.Popen[bytes]:
        with (self.data_dir / "daemon.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "engine.daemon"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT, start_new_session=True,
                env={**os.environ, "NHOP_DATA_DIR": str(self.data_dir), **environment},
            )  # fmt: skip
        self.daemons.append(process)
        return process

    def create(self, name: str = "a sweep", **values: Any) -> str:
        """Queue a sweep of SMALL with *values* over it."""
        config = parse({**SMALL, "train_log_dir": str(self.log_dir), "name": name, **values})
        assert config.seed is not None
        now, sweep_id = datetime.now(UTC), new_id()
        self.store.notices.create(sweep_id, config.webhook, config.notify, now)
        return self.store.sweeps.create(
            name, "ada", config.model_dump(mode="json"), config.seed, config.total_trials, config.total_steps, now,
            sweep_id=sweep_id,
        )  # fmt: skip

    def sweep(self, sweep_id: str) -> dict[str, Any]:
        return self.store.sweeps.get(sweep_id)

    def run(self, sweep_id: str) -> dict[str, Any]:
        """The sweep's Sacred run."""
        return self.store.runs.get(self.sweep(sweep_id)["run_id"])

    def trials(self, sweep_id: str) -> list[dict[str, Any]]:
        return self.store.trials.of_sweep(sweep_id, curves=True)

    def wait_ended(self, sweep_id: str, seconds: float = 60) -> dict[str, Any]:
        """The sweep's document when it has ended."""
        wait_until(
            lambda: self.sweep(sweep_id)["state"] in ENDED_NAMES,
            seconds,
            f"the end of the sweep ({self.log(sweep_id)})",
        )
        return self.sweep(sweep_id)

    def wait_trials(self, sweep_id: str, count: int, seconds: float = 60) -> list[dict[str, Any]]:
        """The trials, once *count* have completed."""

        def completed() -> list[dict[str, Any]]:
            assert self.sweep(sweep_id)["state"] != "FAILED", self.sweep(sweep_id)["error"]
            return [trial for trial in self.trials(sweep_id) if trial["state"] == "COMPLETED"]

        wait_until(lambda: len(completed()) >= count, seconds, f"{count} completed trials")
        return completed()

    def log(self, sweep_id: str) -> Path:
        return self.log_dir / sweep_id / "hyper_opt.log"

    def optimizer(self, sweep_id: str) -> psutil.Process:
        """The sweep's optimizer process."""
        return wait_until(lambda: self._find(sweep_id), 10, "the optimizer process")

    def _find(self, sweep_id: str) -> psutil.Process | None:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                command = process.cmdline()
                if "engine.child" in command and sweep_id in command:
                    return process
        return None

    def end_daemons(self) -> None:
        """End the daemons, as one who shuts the machine down would; their sweeps are left to the next one."""
        for daemon in self.daemons:
            if daemon.poll() is None:
                daemon.terminate()
            try:
                daemon.wait(timeout=30)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def close(self) -> None:
        self.end_daemons()
        self.store.close()
        running = embedded.recorded(self.data_dir)
        if running:
            embedded.stop(running)


@contextmanager
def installation(folder: Path) -> Iterator[Installation]:
    made = Installation(folder)
    try:
        made.store.make_indexes()
        yield made
    finally:
        made.close()


def kill(process: psutil.Process) -> None:
    process.send_signal(signal.SIGKILL)


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all that descend from it."""
    return [process, *process.children(recursive=True)]


def wait_gone(processes: list[psutil.Process], seconds: float = 10) -> None:
    """Wait until none of *processes* runs."""

    def running() -> list[psutil.Process]:
        return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    def gone() -> bool:
        try:
            return not running()
        except psutil.NoSuchProcess:
            return False

    wait_until(gone, seconds, f"the end of {processes}")
