"""The cluster: real processes, forked from a real zygote, training real trials."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.cluster import cluster as cluster_module
from engine.cluster.cluster import Broken, Cancelled, Cluster, Deadlines, Happening, Pruned, Reached
from engine.cluster.process import start_zygote
from engine.cluster.spec import ClusterPlan
from engine.config import parse
from engine.data import prepare
from engine.settings import ROOT
from engine.training.job import Job
from tests.installation import wait_gone
from tests.waiting import wait_until

PORTS = range(2223, 2229)
TRIALS = {"ps_hosts": "localhost:2223", "worker_hosts": "localhost:2224,localhost:2225"}
ASYNC = {
    "ps_hosts": "localhost:2223,localhost:2224",
    "worker_hosts": "localhost:2225,localhost:2226",
    "parallelism": "async",
}


class Driver:
    """A started cluster, driven as the optimizer does it."""

    def __init__(
        self,
        folder: Path,
        private: bool = True,
        deadlines: Deadlines | None = None,
        early: bool | None = None,
        **values: str,
    ) -> None:
        self.told: list[dict[str, Any]] = []
        self.used: dict[str, list[int]] = {}
        self.log_dir = folder / "logs"
        self.log_dir.mkdir()
        config = parse({"data_instances": 400, **values})
        prepare(config).save(folder / "data.npz")
        self.zygote = None if early is None else start_zygote(self.log_dir, private=early)
        self.cluster = Cluster(
            ClusterPlan.of(config),
            folder / "data.npz",
            self.log_dir,
            self.told.append,
            private,
            deadlines=deadlines or Deadlines(),
            zygote=self.zygote,
            tell_used=self.used.update,
        )
        self.cluster.start()
        self.happened: list[Happening] = []

    def until(self, condition: Callable[[], Any], seconds: float = 40, what: str = "the condition") -> Any:
        def step() -> Any:
            self.happened += self.cluster.poll(0.05)
            return condition()

        return wait_until(step, seconds, f"{what} (logs in {self.log_dir})", every=0)

    def wait_idle(self, *names: str) -> None:
        self.until(lambda: set(names) <= set(self.cluster.idle()), what=f"{names} ready")

    def train(
        self, name: str, number: int, steps: int = 200, limits: Sequence[tuple[int, float]] = (), **params: Any
    ) -> None:
        assert self.cluster.train(name, replace(job(number, steps, **params), limits=limits))

    def wait_done(self, *numbers: int) -> None:
        def done() -> bool:
            ended = {item.number for item in self.happened if isinstance(item, Reached) and item.done}
            return set(numbers) <= ended

        self.until(done, what=f"the end of trials {numbers}")

    def reached(self, number: int) -> list[Reached]:
        return [item for item in self.happened if isinstance(item, Reached) and item.number == number]

    def wait_pruned(self, number: int) -> tuple[Reached, Pruned]:
        """The last of its reports, and its end at a rung."""

        def pruned() -> Pruned | None:
            return next((item for item in self.happened if isinstance(item, Pruned) and item.number == number), None)

        end = self.until(pruned, what=f"the end of trial {number} at a rung")
        of_it = [item for item in self.happened if item.number == number]
        assert of_it[-1] is end
        return of_it[-2], end

    def process(self, role: str, index: int = 0) -> dict[str, Any]:
        """What was last told of a process."""
        return [item for item in self.told if (item["role"], item["index"]) == (role, index)][-1]


def job(number: int, steps: int, **params: Any) -> Job:
    fixed = {
        "batch_size": 32, "learning_rate": 0.01, "train_optimizer": "Adam", "activation": "relu",
        "layers": 2, "units_1": 6, "units_2": 6,
    }  # fmt: skip
    return Job(number, 1, {**fixed, **params}, steps, 11, 0.0, 4, 1, "scaled")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    drivers: list[Driver] = []

    def begin(**values: Any) -> Driver:
        drivers.append(Driver(tmp_path, **values))
        return drivers[-1]

    yield begin
    for driver in drivers:
        driver.cluster.stop()


def host_ports() -> set[int]:
    """The ports on which this machine's own network listens."""
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if state == "0A":
                ports.add(int(local.rpartition(":")[2], 16))
    return ports


def test_workers_train_their_own_trials_and_one_that_is_killed_comes_back(start: Callable[..., Driver]) -> None:
    driver = start(**TRIALS)
    driver.wait_idle("worker_0", "worker_1")
    assert driver.cluster.private is True, "this system should allow a private network namespace"
    assert not host_ports() & set(PORTS), "a server of the cluster listens on the machine's own network"

    driver.train("worker_0", 1, 300)
    driver.train("worker_1", 2, 300)
    assert driver.cluster.idle() == []
    driver.wait_done(1, 2)
    for number in (1, 2):
        reports = driver.reached(number)
        assert [report.step for report in reports] == sorted({report.step for report in reports})
        assert reports[-1].step == 300
        assert reports[-1].val < reports[0].val
    assert [report.val for report in driver.reached(1)][-1] == driver.reached(2)[-1].val, "same seed, other result"

    driver.wait_idle("worker_0", "worker_1")
    driver.train("worker_0", 3, 10_000_000)
    driver.until(lambda: driver.reached(3), what="a first report of trial 3")
    old = driver.process("worker", 0)["pid"]
    os.kill(old, signal.SIGKILL)
    driver.until(lambda: any(isinstance(item, Broken) for item in driver.happened), 10, "the news of the lost trial")
    (broken,) = [item for item in driver.happened if isinstance(item, Broken)]
    assert (broken.number, broken.lost) == (3, True)
    assert broken.error == "worker_0 ended with signal SIGKILL"
    driver.wait_idle("worker_0")
    told = driver.process("worker", 0)
    assert (told["state"], told["restarts"]) == ("ready", 1)
    assert told["pid"] != old
    driver.train("worker_0", 4)
    driver.wait_done(4)

    driver.train("worker_0", 5, 50, train_optimizer="sgd", learning_rate=1e30)
    driver.until(lambda: len([item for item in driver.happened if isinstance(item, Broken)]) == 2, what="divergence")
    failed = [item for item in driver.happened if isinstance(item, Broken)][-1]
    assert (failed.number, failed.lost) == (5, False)
    assert "no longer a finite number by step" in failed.error
    assert "worker_0" in driver.cluster.idle(), "an error of the trial must not cost the worker"

    pids = [driver.process(role, index)["pid"] for role, index in (("ps", 0), ("worker", 0), ("worker", 1))]
    processes = [psutil.Process(pid) for pid in pids]
    driver.cluster.stop()
    wait_gone(processes)
    assert {driver.process(role, index)["state"] for role, index in (("ps", 0), ("worker", 1))} == {"stopped"}
    driver.cluster.stop = lambda: None  # type: ignore[method-assign]


def test_what_the_processes_use_is_told(start: Callable[..., Driver]) -> None:
    driver = start(**TRIALS)
    driver.wait_idle("worker_0", "worker_1")
    driver.train("worker_0", 1, steps=50_000_000)

    def works() -> bool:
        return driver.used.get("worker_0", [0])[0] > 0

    driver.until(works, what="the CPU of a process that trains")
    assert set(driver.used) == {"ps_0", "worker_0", "worker_1"}
    assert all(20 < megabytes < 5000 for _, megabytes in driver.used.values())


def test_all_workers_train_one_trial_asynchronously_and_it_survives_its_servers(start: Callable[..., Driver]) -> None:
    driver = start(**ASYNC)
    assert driver.cluster.executors == ["chief"]
    driver.wait_idle("chief")
    assert not host_ports() & set(PORTS)
    driver.train("chief", 1, 300)
    driver.wait_done(1)
    reports = driver.reached(1)
    assert reports[-1].step == 300
    assert reports[-1].val < reports[0].val / 2

    driver.train("chief", 2, 10_000_000)
    driver.until(lambda: driver.reached(2), what="a first report of trial 2")
    os.kill(driver.process("ps", 0)["pid"], signal.SIGKILL)
    driver.until(lambda: any(isinstance(item, Broken) for item in driver.happened), 20, "the news of the lost trial")
    (broken,) = [item for item in driver.happened if isinstance(item, Broken)]
    assert (broken.number, broken.lost, broken.counted) == (2, True, True)
    _some_trial_completes(driver)
    assert not any(item.counted for item in driver.happened if isinstance(item, Broken) and item is not broken)


def _some_trial_completes(driver: Driver) -> None:
    for number in (3, 4, 5):  # the workers may refuse the new server once more, until gRPC tries it again
        driver.wait_idle("chief")
        driver.train("chief", number, 200)
        driver.until(lambda n=number: _has_ended(driver, n), what=f"the end of trial {number}")
        if driver.reached(number) and driver.reached(number)[-1].done:
            return
    raise AssertionError(f"no trial completes after a parameter server was lost: {driver.happened[-3:]}")


def _has_ended(driver: Driver, number: int) -> bool:
    return any(
        item.number == number and (isinstance(item, Broken) or (isinstance(item, Reached) and item.done))
        for item in driver.happened
    )


def test_a_trial_can_be_held_and_let_go_and_ended_at_a_chunk_boundary(start: Callable[..., Driver]) -> None:
    driver = start(**TRIALS)
    driver.wait_idle("worker_0", "worker_1")
    driver.train("worker_0", 1, 10_000_000)
    driver.until(lambda: driver.reached(1), what="a first report")
    driver.cluster.pause(True)
    assert driver.process("worker", 0)["state"] == "paused"
    assert driver.cluster.idle() == [], "a paused cluster begins nothing"
    quiet_since = time.monotonic()

    def quiet() -> bool:
        nonlocal quiet_since
        before = len(driver.reached(1))
        driver.happened += driver.cluster.poll(0.05)
        if len(driver.reached(1)) > before:
            quiet_since = time.monotonic()
        return time.monotonic() - quiet_since > 1.5

    driver.until(quiet, what="silence of the paused trial")
    held_at = driver.reached(1)[-1].step
    driver.cluster.pause(False)
    driver.until(lambda: driver.reached(1)[-1].step > held_at, what="the trial going on where it was")
    driver.cluster.cancel("worker_0")
    driver.until(lambda: isinstance(driver.happened[-1], Cancelled), 10, "the end of the cancelled trial")
    assert driver.happened[-1].step == driver.reached(1)[-1].step
    assert set(driver.cluster.idle()) == {"worker_0", "worker_1"}, "the worker must live on"
    driver.train("worker_0", 2)
    driver.wait_done(2)


def test_a_trial_ends_at_a_rung_when_its_loss_is_above_the_limit_also_one_that_comes_while_it_trains(
    start: Callable[..., Driver],
) -> None:
    driver = start(**TRIALS)
    driver.wait_idle("worker_0", "worker_1")
    driver.train("worker_0", 1, 200, limits=[(30, float("inf")), (90, 0.0), (120, float("inf"))])
    last, end = driver.wait_pruned(1)
    assert (end.worker, end.step, end.rung, end.limit) == ("worker_0", 90, 90, 0.0)
    assert last.rung == (90, end.loss)
    assert last.val == end.loss > 0
    assert [item.rung[0] for item in driver.reached(1) if item.rung] == [30, 90]
    assert "worker_0" in driver.cluster.idle(), "the worker must live on"

    driver.train("worker_0", 2, 10_000_000, limits=[(200, 1e9), (20_000, float("inf")), (10_000_000 - 1, 0.0)])
    driver.until(lambda: any(item.step > 200 for item in driver.reached(2)), what="steps beyond the first rung")
    driver.cluster.limit("worker_0", [(200, 0.0), (20_000, 0.0)])
    last, end = driver.wait_pruned(2)
    assert (end.step, end.rung, end.limit) == (20_000, 20_000, 0.0)
    driver.cluster.limit("worker_0", [(20_000, 0.0)])  # too late: nothing comes of it
    driver.train("worker_0", 3, 200, limits=[(90, 1e9)])
    driver.wait_done(3)

    driver.train("worker_0", 4, 50, limits=[(10, 1e9)], train_optimizer="sgd", learning_rate=1e30)
    driver.until(lambda: isinstance(driver.happened[-1], Broken), what="divergence, which is no matter of limits")


def test_training_on_all_workers_ends_at_a_rung_too(start: Callable[..., Driver]) -> None:
    driver = start(**ASYNC)
    driver.wait_idle("chief")
    driver.train("chief", 1, 300, limits=[(25, 1e9), (67, 0.0)])
    last, end = driver.wait_pruned(1)
    assert (end.step, end.rung) == (67, 67)
    assert last.rung == (67, end.loss)
    driver.wait_idle("chief")
    driver.train("chief", 2, 100, limits=[(25, 1e9)])
    driver.wait_done(2)


def test_a_worker_that_the_system_has_stopped_is_replaced(start: Callable[..., Driver]) -> None:
    driver = start(deadlines=Deadlines(stopped=1.0), **TRIALS)
    driver.wait_idle("worker_0", "worker_1")
    driver.train("worker_0", 1, 10_000_000)
    driver.until(lambda: driver.reached(1), what="a first report")
    os.kill(driver.process("worker", 0)["pid"], signal.SIGSTOP)
    driver.until(lambda: any(isinstance(item, Broken) for item in driver.happened), 10, "the news of the lost trial")
    driver.wait_idle("worker_0")
    assert driver.process("worker", 0)["restarts"] == 1


def test_a_stopped_worker_costs_asynchronous_training_nothing(start: Callable[..., Driver]) -> None:
    """TensorFlow would wait for it for ever; the trial goes on when it has been replaced."""
    driver = start(deadlines=Deadlines(stopped=1.0), **ASYNC)
    driver.wait_idle("chief")
    driver.train("chief", 1, 1500)
    driver.until(lambda: len(driver.reached(1)) > 3, what="reports")
    os.kill(driver.process("worker", 1)["pid"], signal.SIGSTOP)
    driver.until(lambda: driver.process("worker", 1)["restarts"] == 1, 10, "the replacement")
    driver.until(lambda: _has_ended(driver, 1), 60, "the end of the trial")
    assert driver.reached(1)[-1].step == 1500


def test_a_stopped_parameter_server_costs_the_trial_in_training_and_no_more(start: Callable[..., Driver]) -> None:
    driver = start(deadlines=Deadlines(stopped=1.0), **ASYNC)
    driver.wait_idle("chief")
    driver.train("chief", 1, 10_000_000)
    driver.until(lambda: len(driver.reached(1)) > 3, what="reports")
    os.kill(driver.process("ps", 1)["pid"], signal.SIGSTOP)
    driver.until(lambda: _has_ended(driver, 1), 20, "the news of the lost trial")
    _some_trial_completes(driver)


@pytest.mark.parametrize("private", [True, False])
def test_a_zygote_that_was_started_before_is_used_if_its_network_is_the_right_one(
    start: Callable[..., Driver], private: bool
) -> None:
    driver = start(early=private, **TRIALS)
    assert driver.zygote is not None
    driver.wait_idle("worker_0", "worker_1")
    assert driver.cluster.private is True
    used = psutil.Process(driver.process("worker", 0)["pid"]).ppid()
    assert (used == driver.zygote.process.pid) is private
    assert (driver.zygote.process.poll() is None) is private, "the other one must end"


def test_a_zygote_may_die_any_number_of_times_between_which_its_processes_were_ready(
    start: Callable[..., Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "MOST_FAILURES", 1)
    driver = start(**TRIALS)
    for _ in range(2):
        driver.wait_idle("worker_0", "worker_1")
        zygote = psutil.Process(driver.process("worker", 0)["pid"]).parent()
        assert zygote is not None
        zygote.kill()
        driver.until(lambda: not driver.cluster.idle(), what="the news of its death")
    driver.wait_idle("worker_0", "worker_1")


def test_a_stopped_zygote_is_replaced_with_all_that_it_forked(start: Callable[..., Driver]) -> None:
    driver = start(deadlines=Deadlines(stopped=1.0), **TRIALS)
    driver.wait_idle("worker_0", "worker_1")
    driver.train("worker_0", 1, 10_000_000)
    driver.until(lambda: driver.reached(1), what="a first report")
    zygote = psutil.Process(driver.process("worker", 0)["pid"]).parent()
    assert zygote is not None
    zygote.send_signal(signal.SIGSTOP)
    driver.until(lambda: _has_ended(driver, 1), 20, "the news of the lost trial")
    driver.wait_idle("worker_0", "worker_1")
    assert zygote.pid not in psutil.pids()
    driver.train("worker_0", 2)
    driver.wait_done(2)


def test_what_is_ordered_together_with_a_trial_is_heeded() -> None:
    """Cancel, pause and fresher limits may arrive in one read with the order to train."""
    from engine.cluster.channel import Channel
    from engine.cluster.roles import Orders, _may_go_on

    ours, theirs = socket.socketpair()
    with ours, theirs:
        about = {"number": 1, "attempt": 1}
        fresh = [{"limit": about, "to": [[90, 0.5]]}, {"limit": {"number": 1, "attempt": 2}, "to": [[9, 0.1]]}]
        for order in ({"train": {}}, {"pause": True}, *fresh, {"pause": False}, {"cancel": about}):
            assert Channel(ours).send(order)
        orders = Orders(Channel(theirs))
        assert orders.next() == {"train": {}}
        limits = {9: 1.0, 90: 1.0}
        assert not _may_go_on(about, orders, limits)
        assert not orders.waiting()
        assert limits == {9: 1.0, 90: 0.5}, "those of another trial are none of its business"


def test_a_silent_chief_is_replaced_with_all_that_it_may_wait_for(start: Callable[..., Driver]) -> None:
    """Stuck servers that are not stopped cannot be told from well ones."""
    driver = start(deadlines=Deadlines(silent=3.0, stopped=600.0), **ASYNC)
    driver.wait_idle("chief")
    driver.train("chief", 1, 10_000_000)
    driver.until(lambda: len(driver.reached(1)) > 3, what="reports")
    os.kill(driver.process("ps", 0)["pid"], signal.SIGSTOP)
    driver.until(lambda: _has_ended(driver, 1), 20, "the news of the lost trial")
    _some_trial_completes(driver)
    assert all(driver.process(role, index)["restarts"] == 1 for role in ("ps", "worker") for index in (0, 1))


def test_without_a_private_network_free_ports_are_taken_and_the_log_warns(
    start: Callable[..., Driver], caplog: pytest.LogCaptureFixture
) -> None:
    driver = start(private=False, **TRIALS)
    driver.wait_idle("worker_0", "worker_1")
    assert driver.cluster.private is False
    assert "listen on all interfaces" in caplog.text
    ports = {int(driver.process(role, index)["address"].rpartition(":")[2])
             for role, index in (("ps", 0), ("worker", 0), ("worker", 1))}  # fmt: skip
    assert len(ports) == 3
    assert not ports & set(PORTS)
    driver.train("worker_0", 1)
    driver.wait_done(1)


HELPER = """
import json, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.integration.test_cluster import TRIALS, Driver
driver = Driver(Path(sys.argv[1]), **TRIALS)
driver.wait_idle("worker_0", "worker_1")
driver.train("worker_0", 1, 10_000_000)
driver.until(lambda: driver.reached(1))
print(json.dumps([item["pid"] for item in driver.told if item["pid"]]), flush=True)
driver.until(lambda: False, 600)
"""


def test_when_the_optimizer_is_killed_no_process_of_its_cluster_survives(tmp_path: Path) -> None:
    helper = subprocess.Popen(
        [sys.executable, "-c", HELPER.format(root=str(ROOT)), str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        assert helper.stdout is not None
        pids = set(json.loads(helper.stdout.readline()))
        processes = [psutil.Process(pid) for pid in pids]
        processes += psutil.Process(helper.pid).children(recursive=True)
        assert len(set(processes)) == 4, "a zygote, a parameter server and two workers were expected"
    finally:
        helper.kill()
        helper.communicate()
    begun = time.monotonic()
    wait_gone(processes, 5)
    assert time.monotonic() - begun < 5


def test_a_cluster_that_never_started_can_be_stopped(tmp_path: Path) -> None:
    config = parse({})
    Cluster(ClusterPlan.of(config), tmp_path / "data.npz", tmp_path, lambda _: None).stop()
