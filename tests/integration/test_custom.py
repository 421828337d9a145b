"""A user's own classes, trained: alone, on the whole cluster, in whole sweeps; and what goes wrong in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.config import parse
from engine.data import Parts, prepare
from engine.data.texts import Texts
from engine.models.custom import axes_of, load_class
from engine.settings import ROOT
from engine.training.job import Job, Progress
from tests.custom_classes import SOURCE
from tests.installation import Installation, installation
from tests.integration.test_lstm import texts

MLP = "docs.examples.residual_mlp:ResidualMLP"
CNN = "docs.examples.text_cnn:TextCNN"
COMMON = {"batch_size": 32, "learning_rate": 0.01, "train_optimizer": "Adam"}
MLP_PARAMS = {**COMMON, "width": 16, "blocks": 2, "dropout": 0.1}
CNN_PARAMS = {**COMMON, "width": 12, "filters": 16, "kernel": 3, "pooling": "max", "sequence_length": 20}


@pytest.fixture(scope="module")
def diabetes() -> Parts:
    data = prepare(parse({"dataset": "diabetes", "nn_dimensions": [10, 1]}))
    assert isinstance(data, Parts)
    return data


@pytest.fixture(scope="module")
def classes() -> Texts:
    return texts()


def train(data: Any, reference: str, params: Any, steps: int = 60, trainer: Any = None, seed: int = 5) -> Progress:
    """The end of a trial."""
    from engine.training.local import LocalTrainer

    shape = (10, 1) if isinstance(data, Parts) else (data.token_count, len(data.classes))
    job = Job(1, 1, params, steps, seed, 0.0, *shape, "scaled", "Custom", test=True, model_class=reference, length=20)
    *_, last = (trainer or LocalTrainer(data)).train(job)
    return last  # type: ignore[no-any-return]


def test_a_residual_network_learns_a_table_and_is_measured_in_the_target_s_units(diabetes: Parts) -> None:
    untrained, ended = train(diabetes, MLP, MLP_PARAMS, 1), train(diabetes, MLP, MLP_PARAMS, 200)
    variance = float(np.var(diabetes.y_test)) * diabetes.target_scale**2
    assert ended.test is not None
    assert ended.test["loss"] < 0.75 * variance
    assert ended.train < untrained.train / 1.5
    assert ended.val is not None
    assert 0.3 * ended.val < ended.train < 1.5 * ended.val, "both are in the target's unit, squared"
    assert ended.test["r2"] == pytest.approx(1 - ended.test["loss"] / variance, abs=1e-3)
    assert 0.5 * ended.test["loss"] ** 0.5 < ended.test["mae"] < ended.test["loss"] ** 0.5


def test_a_convolutional_network_learns_texts_and_its_classes_are_judged_alike(classes: Texts) -> None:
    ended = train(classes, CNN, CNN_PARAMS, 150)
    assert ended.test is not None
    assert ended.val is not None
    assert ended.val < 0.1
    assert ended.figures["error"] < 0.05
    assert np.array(ended.test["confusion"]).sum(axis=1) == pytest.approx([1 / 3] * 3)


def test_dropout_is_drawn_anew_in_each_step_the_same_for_a_seed_and_not_when_it_is_measured(diabetes: Parts) -> None:
    from engine.training.network import constants, random_key

    network = network_of(diabetes, MLP, {**MLP_PARAMS, "dropout": 0.3})
    flat = tensor(network.initial(3))
    tables = constants(network.tables(diabetes, "train"))
    x, y, numbers = network.rows(tables, 32, random_key(5), 7, ())
    assert numbers.numpy().tolist() == network.rows(tables, 32, random_key(5), 7, ())[2].numpy().tolist()
    other = network.rows(tables, 32, random_key(5), 8, ())[2]
    losses = [float(network.gradient(flat, (), [x, y, chance])[0]) for chance in (numbers, numbers, other)]
    assert losses[0] == losses[1] != losses[2]
    measured = [float(network.measure(flat, (), constants(network.tables(diabetes, "val")))["loss"]) for _ in range(2)]
    assert measured[0] == measured[1]


def test_a_trial_gives_the_same_whatever_it_trained_after(diabetes: Parts) -> None:
    from engine.training.local import LocalTrainer

    alone = train(diabetes, MLP, MLP_PARAMS)
    trainer = LocalTrainer(diabetes)
    train(diabetes, MLP, {**MLP_PARAMS, "width": 8}, 10, trainer, seed=9)
    after = train(diabetes, MLP, MLP_PARAMS, trainer=trainer)
    assert after.val == alone.val


def test_a_large_part_is_measured_in_pieces_and_comes_to_the_same(
    diabetes: Parts, classes: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.training import custom
    from engine.training.network import constants

    for data, reference, params in ((diabetes, MLP, MLP_PARAMS), (classes, CNN, CNN_PARAMS)):
        network = network_of(data, reference, params)
        flat, tables = tensor(network.initial(3)), constants(network.tables(data, "val"))
        whole = network.measure(flat, (), tables)
        monkeypatch.setattr(custom, "TABLE_ROWS", 7)
        monkeypatch.setattr(custom, "ROWS", 7)
        pieces = network.measure(flat, (), tables)
        monkeypatch.undo()
        assert set(pieces) == set(whole)
        for name, value in whole.items():
            np.testing.assert_allclose(pieces[name].numpy(), value.numpy(), rtol=1e-4, atol=1e-6)


def test_the_gradient_of_shares_adds_up_to_that_of_the_whole_mini_batch(diabetes: Parts) -> None:
    network = network_of(diabetes, MLP, {**MLP_PARAMS, "dropout": 0.0})
    flat = tensor(network.initial(3))
    rows = [tensor(diabetes.x_train[:9]), tensor(diabetes.y_train[:9, 0]), tensor(np.zeros(9, np.int32))]
    loss, slope = network.gradient(flat, (), rows)
    shares = [
        network.gradient(flat, (), [row[first:stop] for row in rows], 9) for first, stop in ((0, 4), (4, 4), (4, 9))
    ]
    assert sum(float(part) for part, _ in shares) == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(sum(part.numpy() for _, part in shares), slope.numpy(), atol=1e-5)


def test_only_the_newest_architectures_stay_in_memory(diabetes: Parts) -> None:
    from engine.training.local import LocalTrainer
    from engine.training.trainer import KEPT_KEYS

    trainer = LocalTrainer(diabetes)
    for width in range(1, KEPT_KEYS + 4):
        train(diabetes, MLP, {**MLP_PARAMS, "width": width, "blocks": 1}, 2, trainer)
    assert len(trainer._chunks) == KEPT_KEYS
    assert {key[0] for key in trainer._measures} == set(trainer._chunks)


def network_of(data: Any, reference: str, params: Any) -> Any:
    from engine.training.models import network_of

    shape = (10, 1) if isinstance(data, Parts) else (data.token_count, len(data.classes))
    return network_of(Job(1, 1, params, 1, 5, 0.0, *shape, "scaled", "Custom", model_class=reference, length=20), data)


def tensor(value: Any) -> Any:
    import tensorflow as tf

    return tf.constant(value)


def test_the_example_of_the_documentation_trains(
    diabetes: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "custom-models.md").read_text(), re.DOTALL)
    (tmp_path / "documented_example.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    params = {**COMMON, "width": 16, "scale": 1.0, "activation": "tanh"}
    axes = axes_of(load_class("documented_example:SmallNetwork"))
    assert all(params[name] in axis for name, axis in axes.items())
    first, ended = (train(diabetes, "documented_example:SmallNetwork", params, steps) for steps in (1, 200))
    assert ended.val is not None
    assert first.val is not None
    assert ended.val < first.val / 2


BODIES = {
    "axes": "{}",
    "build": "return {'w': np.zeros((shape.inputs, 1), np.float32)}",
    "forward": "return tf.matmul(x, variables['w'])[:, 0]",
    "loss": "return tf.square(outputs - y)",
    "metrics": "return {}",
}


@pytest.mark.parametrize(
    ("method", "body", "message"),
    [
        ("build", "return [1]", "build must return a dictionary of numpy arrays by name, got list"),
        ("build", "return {'w': 'x'}", "build: 'w' must be a numpy array of numbers"),
        (
            "build",
            "return {'w': np.full((shape.inputs, 1), np.nan)}",
            "'w' holds something that is not a finite number",
        ),
        ("build", "return {'w': np.zeros((3, 1))}", "Matrix size-incompatible"),
        ("forward", "return 1 / 0", "division by zero"),
        ("forward", "return variables['v']", "'v'"),
        ("forward", "return tf.matmul(x, variables['w'])[:2]", "forward must return outputs for each row"),
        ("forward", "return tf.cast(x, tf.float64)", "forward must return a tensor [batch, …] of float32, got float64"),
        ("forward", "return 'x'", "forward must return a tensor [batch, …] of float32, got str"),
        ("forward", "return x[:, 0]", "loss does not depend on the variables"),
        (
            "loss",
            "return tf.reduce_mean(outputs)",
            "loss must return one number for each row, [batch], got the shape ()",
        ),
        ("loss", "return tf.square(outputs[:, None] - y)", "got the shape (3, 3)"),
        ("loss", "return outputs[:1]", "of 3 rows it has 1"),
        ("metrics", "return {'own': y}", "metrics must return single numbers, and own has the shape"),
        ("metrics", "return 3", "metrics must return a dictionary of numbers by name, got int"),
        ("metrics", "return {'loss': 1.0}", "a figure cannot be called 'loss'"),
        ("metrics", "return {'own': tf.math.log(-1.0)}", "metrics: own is not a finite number"),
    ],
)
def test_what_a_class_does_wrong_is_told_in_words(
    diabetes: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, body: str, message: str
) -> None:
    name = f"wrong_{method}_{abs(hash(body))}"
    bodies = {**BODIES, method: body}
    (tmp_path / f"{name}.py").write_text(
        "import numpy as np\nimport tensorflow as tf\nclass Model:\n"
        f"    axes = {bodies['axes']}\n"
        f"    def build(self, params, shape, rng): {bodies['build']}\n"
        f"    def forward(self, variables, x, params): {bodies['forward']}\n"
        f"    def loss(self, outputs, y): {bodies['loss']}\n"
        f"    def metrics(self, outputs, y): {bodies['metrics']}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Exception, match=re.escape(message)):
        train(diabetes, f"{name}:Model", COMMON, 5)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("custom")) as made:
        made.start_daemon()
        made.store.model_files.add("tidy_lines.py", SOURCE.encode(), {}, "ada", datetime.now(UTC))
        yield made


SWEEP = {
    "nn_model": "Custom", "dataset": "diabetes", "nn_dimensions": [10, 1], "opt_stages": [[60, 3], [40, 2]],
    "batch_size": [32, 64], "learning_rate": [0.005, 0.01], "train_optimizer": ["Adam"], "confirm": 1,
    "confirm_seeds": 2,
}  # fmt: skip


@pytest.mark.parametrize("parallelism", ["trials", "async", "sync"])
def test_a_sweep_trains_an_uploaded_class(place: Installation, parallelism: str) -> None:
    sweep_id = place.create(**SWEEP, model_class="tidy_lines.py:Line", parallelism=parallelism)
    sweep = place.wait_ended(sweep_id, 120)
    assert (sweep["state"], sweep["error"]) == ("COMPLETED", None)
    search = [trial for trial in place.trials(sweep_id) if trial["confirms"] is None]
    assert [trial["state"] for trial in search] == ["COMPLETED"] * 5
    for trial in search:
        assert 2 <= trial["params"]["width"] <= 8
        assert trial["params"]["kind"] in ("tanh", "relu")
        assert trial["figures"]["mae"] < trial["loss"] ** 0.5, "both are in the target's units"
    assert 1000 < sweep["best"]["loss"] < 50_000
    second = sweep["stages"][1]["space"]["width"]
    best = next(trial for trial in search if trial["number"] == sweep["stages"][0]["best"])["params"]["width"]
    assert (second["low"], second["high"]) == (max(2, best - best // 2), min(8, best + best // 2))
    assert sweep["confirmed"][0]["figures"]["mae"]["mean"] > 0
    assert "rmse" not in sweep["confirmed"][0]["figures"]


@pytest.mark.parametrize("parallelism", ["trials", "async", "sync"])
def test_a_trial_in_which_the_class_goes_wrong_fails_with_its_traceback_and_the_sweep_goes_on(
    place: Installation, parallelism: str
) -> None:
    values = {**SWEEP, "opt_stages": [[30, 8]], "confirm": 0, "opt_tolerance": 0}
    sweep_id = place.create(**values, model_class="tidy_lines.py:Breaks", parallelism=parallelism)
    sweep = place.wait_ended(sweep_id, 120)
    assert (sweep["state"], sweep["error"]) == ("COMPLETED", None)
    trials = place.trials(sweep_id)
    assert {trial["params"]["width"] % 2 for trial in trials} == {0, 1}
    for trial in trials:
        if trial["params"]["width"] % 2:
            assert trial["state"] == "FAILED"
            assert "in build" in trial["error"]
            assert "RuntimeError: an odd width is not for me" in trial["error"]
            assert trial["attempt"] == 1
        else:
            assert trial["state"] == "COMPLETED"


def test_a_sweep_trains_the_example_for_texts(place: Installation, tmp_path: Path) -> None:
    for label, words in {"a": "alpha beta", "b": "gamma delta"}.items():
        for number in range(12):
            path = tmp_path / label / f"{number}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{words} common ; " * 30)
    values = {
        **SWEEP,
        "dataset": "synthetic",
        "load_data": True,
        "load_data_dir": str(tmp_path),
        "nn_dimensions": [4, 1],
    }
    sweep_id = place.create(**{**values, "opt_stages": [[60, 2]], "confirm": 0}, model_class=CNN)
    sweep = place.wait_ended(sweep_id, 120)
    assert (sweep["state"], sweep["error"]) == ("COMPLETED", None)
    assert sweep["best"]["loss"] < 0.3
    assert all(40 <= trial["params"]["sequence_length"] <= 120 for trial in place.trials(sweep_id))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import missing_library\n", "it cannot be read: ModuleNotFoundError: No module named 'missing_library'"),
        ("Line = 3\n", "the module broken has no class Line"),
    ],
)
def test_a_class_that_cannot_be_imported_fails_the_sweep_before_it_begins(
    place: Installation, source: str, message: str
) -> None:
    place.store.model_files.add("broken.py", source.encode(), {}, "ada", datetime.now(UTC))
    sweep_id = place.create(**SWEEP, model_class="broken.py:Line")
    sweep = place.wait_ended(sweep_id, 60)
    assert sweep["state"] == "FAILED"
    assert sweep["error"] == f"model_class: {message}"
    assert place.trials(sweep_id) == []
    assert ("Traceback (most recent call last)" in place.log(sweep_id).read_text()) is source.startswith("import")


def test_axes_that_the_class_no_longer_has_fail_the_sweep_before_it_begins(place: Installation) -> None:
    space = {"width": {"kind": "int", "low": 2, "high": 99}}
    sweep_id = place.create(**SWEEP, model_class="tidy_lines.py:Breaks", model_space=space)
    sweep = place.wait_ended(sweep_id, 60)
    assert sweep["error"] == "model_space.width: the bounds must lie within 2 and 8, got 2 and 99"
