"""Training one trial in one process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.config import parse
from engine.data import Parts, load, prepare
from engine.models.regressor import Architecture
from engine.training.job import Job, Progress
from engine.training.pace import Pace


def linear(rows: int = 400) -> Parts:
    """y = x·c, without noise."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(rows, 3)).astype(np.float32)
    y = (x @ np.array([[1.0], [-2.0], [0.5]])).astype(np.float32)
    a, b = rows * 6 // 10, rows * 8 // 10
    return Parts(x[:a], y[:a], x[a:b], y[a:b], x[b:], y[b:], np.zeros(3, np.float32), np.ones(3, np.float32), 0.0, 1.0)


def job(steps: int = 300, inputs: int = 3, tolerance: float = 0.0, nodes: Iterable[int] = (8,), **params: Any) -> Job:
    nodes = list(nodes)
    units = {f"units_{layer}": count for layer, count in enumerate(nodes, start=1)}
    fixed = {"batch_size": 32, "learning_rate": 0.01, "train_optimizer": "Adam", "activation": "relu"}
    return Job(1, 1, {**fixed, "layers": len(nodes), **units, **params}, steps, 11, tolerance, inputs, 1, "scaled")


@pytest.fixture(scope="module")
def trainer() -> Any:
    from engine.training.local import LocalTrainer

    return LocalTrainer(linear())


class FixedPace(Pace):
    """Chunks of one size, however long they take."""

    size = 10

    def next(self, left: int) -> int:
        return min(left, self.size)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_gradient_is_the_one_of_finite_differences(activation: str) -> None:
    import tensorflow as tf

    from engine.training.regression import Regression

    network = Regression(Architecture((3, 5, 4, 1), activation), "scaled")
    sizes, shapes, learns = network.arguments
    rng = np.random.default_rng(3)
    rows = [tf.constant(rng.normal(size=(16, 4))), tf.constant(rng.normal(size=16))]
    flat = network.initial(1).astype(np.float64)
    flat += rng.normal(size=len(flat)) * 0.1 * learns

    def loss(at: Any) -> float:
        return float(network.measure(tf.constant(at), network.arguments, rows)["loss"])

    value, slope = network.gradient(tf.constant(flat), [sizes, shapes, learns.astype(np.float64)], rows)
    assert float(value) == pytest.approx(loss(flat))
    step = 1e-6
    for index in range(len(flat)):
        nudge = np.zeros_like(flat)
        nudge[index] = step
        difference = (loss(flat + nudge) - loss(flat - nudge)) / (2 * step) * learns[index]
        assert float(slope[index]) == pytest.approx(difference, rel=1e-4, abs=1e-7), f"parameter {index}"
    of_twice, _ = network.gradient(tf.constant(flat), [sizes, shapes, learns.astype(np.float64)], rows, 32)
    assert float(of_twice) == pytest.approx(loss(flat) / 2)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_network_computes_what_plain_matrices_do(activation: str) -> None:
    import tensorflow as tf

    from engine.training.regression import Regression

    architecture = Architecture((3, 5, 4, 1), activation)
    network = Regression(architecture, "normal")
    rng = np.random.default_rng(3)
    flat = network.initial(1)
    flat += rng.normal(size=len(flat)).astype(np.float32) * network.arguments[2]
    x, y = rng.normal(size=(7, 3)).astype(np.float32), rng.normal(size=7).astype(np.float32)
    rows = [tf.constant(np.hstack([x, np.ones((7, 1), np.float32)])), tf.constant(y)]
    (w1, b1), (w2, b2), (w3, b3) = architecture.matrices(flat)
    act = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}[activation]
    plain = w3 @ act(w2 @ act(w1 @ x.T + b1[:, None]) + b2[:, None]) + b3[:, None]
    np.testing.assert_allclose(architecture.predict(flat, x), plain.T, rtol=1e-4, atol=1e-5)
    mean = float(np.mean((plain[0] - y) ** 2))
    assert float(network.measure(flat, network.arguments, rows)["loss"]) == pytest.approx(mean, rel=1e-4)


def test_mini_batches_are_uniform_and_no_two_steps_share_their_draws() -> None:
    import tensorflow as tf

    from engine.training.network import random_key, sample

    table = [tf.range(50)]
    draws = [sample(table, 4000, random_key(3), step)[0].numpy() for step in range(3)]
    for one in draws:
        counts = np.bincount(one, minlength=50)
        assert counts.min() > 40, counts
        assert counts.max() < 130, counts
    for shift in range(12):
        assert np.mean(draws[1][: 4000 - shift] == draws[0][shift:]) < 0.1, "the steps' numbers overlap"
    assert list(sample(table, 10, random_key(3), 1)[0].numpy()) != list(sample(table, 10, random_key(4), 1)[0].numpy())


@pytest.mark.parametrize(("optimizer", "rate"), [("Adam", 0.01), ("sgd", 0.02), ("Adagrad", 0.1)])
def test_a_linear_problem_is_learnt(trainer: Any, optimizer: str, rate: float) -> None:
    reports = list(trainer.train(job(2000, train_optimizer=optimizer, learning_rate=rate)))
    assert reports[-1].step == 2000
    assert reports[-1].val < 0.02 * float(np.var(linear().y_val)), reports[-1]
    assert reports[-1].val < reports[0].val / 10


def trained(trainer: Any, monkeypatch: pytest.MonkeyPatch, size: int, **values: Any) -> list[Progress]:
    return trained_on(job(**values), trainer, monkeypatch, size)


def trained_on(work: Job, trainer: Any, monkeypatch: pytest.MonkeyPatch, size: int = 10) -> list[Progress]:
    from engine.training import trainer as loop

    class Fixed(FixedPace):
        pass

    Fixed.size = size
    monkeypatch.setattr(loop, "Pace", Fixed)
    return list(trainer.train(work))


def test_the_same_seed_gives_the_same_losses_whatever_the_size_of_the_chunks(
    trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.training.trainer.MEASURING", float("inf"))  # whatever it costs
    by_ten = {report.step: report.val for report in trained(trainer, monkeypatch, 10, steps=120)}
    by_thirty = {report.step: report.val for report in trained(trainer, monkeypatch, 30, steps=120)}
    at_once = {report.step: report.val for report in trained(trainer, monkeypatch, 120, steps=120)}
    assert sorted(by_ten) == list(range(10, 121, 10))
    assert by_thirty == {step: by_ten[step] for step in (30, 60, 90, 120)}
    assert at_once == {120: by_ten[120]}


def test_measuring_takes_no_more_than_a_small_part_of_the_time(trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And never is a trial without its figures at the end."""
    monkeypatch.setattr("engine.training.trainer.MEASURING", 1e-9)
    reports = trained(trainer, monkeypatch, 10, steps=120)
    assert [report.step for report in reports if report.val is not None] in ([10, 120], [10, 20, 120])


def test_another_seed_gives_other_losses(trainer: Any) -> None:
    first = list(trainer.train(job(50)))[-1]
    other = Job(**{**job(50).to_message(), "seed": 12})
    assert list(trainer.train(other))[-1].val != first.val


def test_the_validation_loss_is_the_mean_squared_error_of_the_whole_validation_part(
    trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a rate of nearly 0 the network stays as it was made, and can be computed by hand."""
    (report,) = trained(trainer, monkeypatch, 5, steps=5, learning_rate=1e-30, train_optimizer="sgd")
    data, network = linear(), job().architecture
    mean = float(np.mean((network.predict(network.initial(11, "scaled"), data.x_val) - data.y_val) ** 2))
    assert report.val == pytest.approx(mean, rel=1e-5)


def test_a_trial_that_still_learns_is_not_stopped_by_the_reference_tolerance(trainer: Any) -> None:
    assert list(trainer.train(job(600, tolerance=1e-8)))[-1].step == 600


def test_a_trial_stops_early_only_after_a_long_stand_still(trainer: Any) -> None:
    reports = list(trainer.train(job(5000, tolerance=1e9)))
    assert reports[-1].done
    assert 50 <= reports[-1].step <= 52, "one coincidence must not end a trial, fifty in a row must"


def test_a_diverging_trial_shows_it_in_its_losses(trainer: Any) -> None:
    reports = list(trainer.train(job(300, train_optimizer="sgd", learning_rate=10.0)))
    assert not np.isfinite(reports[-1].train)


def test_losses_of_real_data_are_in_the_targets_own_units() -> None:
    from engine.training.local import LocalTrainer

    data = prepare(parse({"dataset": "diabetes", "nn_dimensions": [10, 1]}))
    reports = list(LocalTrainer(data).train(job(300, inputs=10)))
    variance = float(np.var(data.y_val)) * data.target_scale**2
    assert 1000 < reports[-1].val < variance, "about 3,000 is what a good model reaches, of a variance of 5,900"


def test_cross_validation_trains_on_every_fold_and_reports_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.training import trainer as loop
    from engine.training.local import LocalTrainer

    data = prepare(parse({"dataset": "diabetes", "nn_dimensions": [10, 1], "folds": 3}))
    assert isinstance(data, Parts)
    rows = [len(fold.x_val) for fold in data.folds]
    assert sum(rows) == 442 - 89, "every row but the test part's judges once"
    monkeypatch.setattr(loop, "Pace", FixedPace)
    monkeypatch.setattr(loop, "MEASURING", float("inf"))
    work = job(30, inputs=10)
    alone = [list(LocalTrainer(replace(fold, others=())).train(work)) for fold in data.folds]
    together = list(LocalTrainer(data).train(work))
    assert [report.step for report in together] == [3, 6, 10, 13, 16, 20, 23, 26, 30]
    assert [report.done for report in together] == [False] * 8 + [True]
    assert together[-1].val == pytest.approx(np.mean([reports[-1].val for reports in alone]))
    assert together[-1].figures["mae"] == pytest.approx(np.mean([reports[-1].figures["mae"] for reports in alone]))


def test_the_folds_that_are_saved_are_loaded_again(tmp_path: Path) -> None:
    data = prepare(parse({"dataset": "diabetes", "nn_dimensions": [10, 1], "folds": 4}))
    data.save(tmp_path / "data.npz")
    again = load(tmp_path / "data.npz")
    assert isinstance(again, Parts)
    assert len(again.folds) == 4
    for fold, same in zip(data.folds, again.folds, strict=True):
        np.testing.assert_array_equal(fold.y_val, same.y_val)


LIMITS = [(7, float("inf")), (40, float("inf")), (41, float("inf"))]
"""Two of them a step apart, none at a multiple of 10."""


def test_a_trial_stops_over_at_its_rungs_and_tells_its_loss_there(
    trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.training.trainer.MEASURING", 1e-9)  # the validation loss only where it must be
    work = replace(job(120), limits=[*LIMITS, (500, 0.0)])
    reports = trained_on(work, trainer, monkeypatch)
    assert [report.step for report in reports if report.rung] == [7, 40, 41], "beyond the end there is none"
    assert all(report.rung == (report.step, report.val) for report in reports if report.rung)
    reports = trained_on(replace(work, objective="train_loss"), trainer, monkeypatch)
    assert [report.rung for report in reports if report.rung] == [
        (report.step, report.train) for report in reports if report.step in (7, 40, 41)
    ]
    assert reports[-1].step == 120


@pytest.mark.parametrize("optimizer", ["Adam", "sgd", "Adagrad"])
def test_rungs_change_nothing_of_what_is_learnt(trainer: Any, optimizer: str) -> None:
    work = job(300, train_optimizer=optimizer, tolerance=1e-6)
    plain = list(trainer.train(work))[-1]
    parameters = trainer.parameters()
    stopping_over = list(trainer.train(replace(work, limits=[*LIMITS, (300, 0.0)])))[-1]
    np.testing.assert_array_equal(trainer.parameters(), parameters)
    assert stopping_over == plain


def test_a_trial_that_converges_before_a_rung_never_reaches_it(trainer: Any) -> None:
    reports = list(trainer.train(replace(job(5000, tolerance=1e9), limits=[(20, 0.0), (1000, 0.0)])))
    assert [report.rung[0] for report in reports if report.rung] == [20]
    assert reports[-1].done
    assert reports[-1].step < 60


def test_with_cross_validation_the_rungs_are_the_first_folds_and_so_is_the_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from engine.training.local import LocalTrainer

    data = prepare(parse({"dataset": "diabetes", "nn_dimensions": [10, 1], "folds": 3}))
    assert isinstance(data, Parts)
    work = replace(job(30, inputs=10), limits=[(9, float("inf"))])
    alone = trained_on(work, LocalTrainer(replace(data, others=())), monkeypatch)
    together = trained_on(work, LocalTrainer(data), monkeypatch)
    assert [(report.step, report.rung) for report in together if report.rung] == [
        (3, report.rung) for report in alone if report.rung
    ], "9 of 30 steps of one fold of three"
    assert [report.step for report in together] == [3, 6, 9, 10, 13, 16, 20, 23, 26, 30]
