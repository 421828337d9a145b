"""A trial that goes on from its checkpoint ends as one that was never interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.cluster.cluster import Broken, Cluster, Reached, Resumed
from engine.cluster.spec import ClusterPlan
from engine.config import parse
from engine.data import prepare
from engine.training import checkpoint
from engine.training.job import Job, Progress
from tests.integration.test_custom import COMMON, MLP, MLP_PARAMS
from tests.integration.test_lstm import texts
from tests.integration.test_training import FixedPace, job
from tests.waiting import wait_until

STEPS = 90
REGRESSOR = {**job(nodes=[6, 5]).params, "activation": "tanh"}
READER = {**COMMON, "layers": 1, "units_1": 5, "sequence_length": 8}


def jobs() -> dict[str, tuple[Any, Job]]:
    """Data and a job of every kind."""
    table = prepare(parse({"dataset": "diabetes", "nn_dimensions": [10, 1]}))
    folds = prepare(parse({"dataset": "diabetes", "nn_dimensions": [10, 1], "folds": 3}))
    files = texts()
    work = Job(1, 1, REGRESSOR, STEPS, 7, 0.0, 10, 1, "scaled", test=True)
    return {
        "regressor": (table, work),
        "folds": (folds, work),
        "own class": (table, replace(work, params=MLP_PARAMS, model="Custom", model_class=MLP)),
        "LSTM": (files, replace(work, params=READER, inputs=files.token_count, outputs=3, model="LSTM", steps=40)),
    }


@pytest.fixture(autouse=True)
def _chunks_of_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.training import trainer

    monkeypatch.setattr(trainer, "Pace", FixedPace)


@pytest.mark.parametrize("kind", ["regressor", "folds", "own class", "LSTM"])
def test_the_end_is_the_same_wherever_it_was_interrupted(tmp_path: Path, kind: str) -> None:
    from engine.training.local import LocalTrainer

    data, whole = jobs()[kind]
    *_, expected = LocalTrainer(data).train(whole)
    kept = replace(whole, checkpoint=str(tmp_path / "kept" / "1.npz"), checkpoint_seconds=0.0)
    reached = 0
    for _ in range(3):  # three processes, of which the first two die
        found = checkpoint.read(kept)
        assert (found.step if found else 0) == reached
        trained: Iterator[Progress] = LocalTrainer(data).train(kept, found)
        *_, last = islice(trained, 3)
        reached = checkpoint.read(kept).step  # type: ignore[union-attr]
        assert 0 < reached < last.step
    *_, end = LocalTrainer(data).train(kept, checkpoint.read(kept))
    assert end == expected


def test_another_jobs_or_a_spoilt_checkpoint_is_left_alone(tmp_path: Path) -> None:
    from engine.training.local import LocalTrainer

    data, work = jobs()["regressor"]
    kept = replace(work, checkpoint=str(tmp_path / "1.npz"), checkpoint_seconds=0.0)
    list(islice(LocalTrainer(data).train(kept), 4))
    assert checkpoint.read(kept) is not None
    assert checkpoint.read(replace(kept, attempt=2, keep="elsewhere")) is not None
    assert checkpoint.read(replace(kept, seed=8)) is None
    path = Path(kept.checkpoint)
    path.write_bytes(path.read_bytes()[:-100])
    assert checkpoint.read(kept) is None
    checkpoint.remove(path)
    assert checkpoint.read(kept) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("parallelism", ["async", "sync"])
def test_a_chief_that_dies_leaves_its_trial_to_the_next_one(tmp_path: Path, parallelism: str) -> None:
    config = parse({"data_instances": 400, "parallelism": parallelism, "worker_hosts": "localhost:1,localhost:2"})
    prepare(config).save(tmp_path / "data.npz")
    changes: dict[str, dict[str, Any]] = {}
    cluster = Cluster(
        ClusterPlan.of(config), tmp_path / "data.npz", tmp_path, lambda change: changes.update({change["role"]: change})
    )
    params = {"batch_size": 90, "learning_rate": 0.001, "activation": "tanh", "layers": 1, "units_1": 6}
    work = Job(
        1, 1, {**params, "train_optimizer": "Adam"}, 50_000_000, 5, 0.0, 4, 1, "scaled",
        checkpoint=str(tmp_path / "1.npz"), checkpoint_seconds=0.0,
    )  # fmt: skip
    seen: list[Any] = []

    def have(kind: type[Any]) -> Any:
        seen.extend(cluster.poll(0.1))
        return next((item for item in seen if isinstance(item, kind)), None)

    cluster.start()
    try:
        wait_until(lambda: have(Reached) or cluster.idle(), 60, "the chief")
        cluster.train("chief", work)
        wait_until(lambda: have(Reached) and checkpoint.read(work), 60, "a checkpoint")
        psutil.Process(changes["chief"]["pid"]).kill()
        assert wait_until(lambda: have(Broken), 20, "the end of the chief").lost
        step = checkpoint.read(work).step  # type: ignore[union-attr]
        wait_until(lambda: have(Reached) and cluster.idle(), 60, "the next chief")
        seen.clear()
        cluster.train("chief", replace(work, attempt=2))
        wait_until(lambda: have(Reached), 60, "progress")
        assert [item.step for item in seen if isinstance(item, Resumed)] == [step]
        assert have(Reached).step > step
    finally:
        cluster.stop()
