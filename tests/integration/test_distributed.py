"""Training one trial on the whole cluster, against the same trial in one process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.cluster.cluster import Broken, Cluster, Reached
from engine.cluster.spec import ClusterPlan
from engine.config import parse
from engine.data import prepare
from engine.training.job import Job
from tests.waiting import wait_until

SHALLOW = {"batch_size": 90, "learning_rate": 0.01, "activation": "tanh", "layers": 1, "units_1": 6}
DEEPER = {"batch_size": 2, "learning_rate": 0.003, "activation": "relu", "layers": 2, "units_1": 9, "units_2": 12}


def job(number: int, params: dict[str, Any], steps: int = 60) -> Job:
    return Job(number, 1, params, steps, 5, 0.0, 4, 1, "scaled")


JOBS = [
    job(1, {**SHALLOW, "train_optimizer": "Adam"}),
    job(2, {**DEEPER, "train_optimizer": "sgd"}),
    job(3, {**SHALLOW, "train_optimizer": "Adagrad"}),
]
"""The second has a mini-batch smaller than the number of workers, and needs larger variables than the first."""


def results(parallelism: str, folder: Path, limits: Sequence[tuple[int, float]] = ()) -> dict[int, Reached]:
    """The end of each of JOBS on 2 parameter servers and 3 workers, with *limits* that all of them keep."""
    config = parse(
        {"data_instances": 400, "parallelism": parallelism, "worker_hosts": "localhost:1,localhost:2,localhost:3"}
    )
    folder.mkdir()
    prepare(config).save(folder / "data.npz")
    cluster = Cluster(ClusterPlan.of(config), folder / "data.npz", folder, lambda change: None)
    cluster.start()
    waiting, ended = [replace(job, limits=limits) for job in JOBS], {}
    rungs: dict[int, list[int]] = {job.number: [] for job in JOBS}

    def all_ended() -> bool:
        for name in cluster.idle()[: len(waiting)]:
            cluster.train(name, waiting.pop(0))
        for happening in cluster.poll(0.1):
            assert not isinstance(happening, Broken), happening
            if happening.rung:
                rungs[happening.number].append(happening.rung[0])
            if happening.done:
                ended[happening.number] = happening
        return len(ended) == len(JOBS)

    try:
        wait_until(all_ended, 90, f"the end of all jobs; see {folder}")
    finally:
        cluster.stop()
    assert all(passed == [rung for rung, _ in limits] for passed in rungs.values())
    return ended


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Reached]:
    return results("trials", tmp_path_factory.mktemp("alone") / "logs")


def test_synchronous_training_equals_one_process_with_the_whole_batch(
    alone: dict[int, Reached], tmp_path: Path
) -> None:
    """Also when it stops over at rungs."""
    together = results("sync", tmp_path / "logs", [(7, float("inf")), (33, float("inf"))])
    for number, one in alone.items():
        assert together[number].val == pytest.approx(one.val, rel=1e-4)


def test_asynchronous_training_learns_as_much_as_one_process(alone: dict[int, Reached], tmp_path: Path) -> None:
    together = results("async", tmp_path / "logs")
    for number, one in alone.items():
        assert together[number].val == pytest.approx(one.val, rel=0.5)
