"""The LSTM classifier: its graph against plain numpy, its gradient, its windows, and whether it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.data.texts import PADDING, TextFile, Texts, prepare_texts
from engine.models.lstm import Stack
from engine.training.job import Job

WORDS = {"a": "alpha beta gamma", "b": "delta epsilon beta", "c": "( ) { gamma }"}


def texts(files: int = 12, words: int = 40) -> Texts:
    """Three classes, each with words of its own among common ones."""
    rng = np.random.default_rng(1)
    made = []
    for label, own in WORDS.items():
        for index in range(files):
            drawn = rng.choice([*own.split(), "common", ";"], size=words + index)
            made.append(TextFile(label, f"{index:03d}", " ".join(drawn)))
    return prepare_texts(made, [], 0.2, 0.2, 3)


def network(stack: Stack) -> Any:
    from engine.training.sequence import LstmClassifier

    return LstmClassifier(stack)


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def scores_in_numpy(stack: Stack, flat: Any, windows: Any) -> Any:
    """The scores, with one-hot tokens and one step at a time."""
    pieces = np.split(flat, np.cumsum(stack.sizes)[:-1])
    matrices = [piece.reshape(shape) for piece, shape in zip(pieces, stack.shapes, strict=True)]
    layers = [(np.concatenate(matrices[:2]), matrices[2][0])]
    layers += [(matrix, bias[0]) for matrix, bias in zip(matrices[3:-2:2], matrices[4:-2:2], strict=True)]
    inputs = np.eye(stack.tokens)[windows.T]
    for (kernel, bias), units in zip(layers, stack.units, strict=True):
        h = c = np.zeros((inputs.shape[1], units))
        outputs = []
        for x in inputs:
            i, g, f, o = np.split(np.concatenate([x, h], axis=1) @ kernel + bias, 4, axis=1)
            c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            outputs.append(h)
        inputs = np.array(outputs)
    return inputs[-1] @ matrices[-2] + matrices[-1]


def cross_entropy(scores: Any, labels: Any) -> Any:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]


@pytest.mark.parametrize("units", [(5,), (4, 6), (3, 4, 5)])
def test_the_network_computes_what_one_hot_tokens_and_plain_steps_do(units: tuple[int, ...]) -> None:
    stack = Stack(units, 11, 3, 7)
    rng = np.random.default_rng(2)
    flat = (stack.initial(1) + rng.normal(size=int(stack.sizes.sum())) * 0.1).astype(np.float32)
    windows, labels = rng.integers(0, 11, size=(6, 7)), rng.integers(0, 3, size=6)
    one = network(stack)
    loss, _ = one.gradient(_constant(flat), one.arguments, [_constant(windows), _constant(labels)])
    expected = cross_entropy(scores_in_numpy(stack, flat, windows), labels)
    assert float(loss) == pytest.approx(float(expected.mean()), rel=1e-4)
    halved, _ = one.gradient(_constant(flat), one.arguments, [_constant(windows), _constant(labels)], 12)
    assert float(halved) == pytest.approx(float(expected.mean()) / 2, rel=1e-4)


def test_the_gradient_is_the_one_of_finite_differences() -> None:
    stack = Stack((3, 4), 8, 3, 5)
    rng = np.random.default_rng(2)
    flat = stack.initial(1) + rng.normal(size=int(stack.sizes.sum())) * 0.1
    windows, labels = rng.integers(0, 8, size=(6, 5)), rng.integers(0, 3, size=6)
    one = network(stack)
    rows = [_constant(windows), _constant(labels)]
    _, slope = one.gradient(_constant(flat.astype(np.float32)), one.arguments, rows)
    step = 1e-5
    for index in range(len(flat)):
        nudge = np.zeros_like(flat)
        nudge[index] = step
        losses = [
            cross_entropy(scores_in_numpy(stack, at, windows), labels).mean() for at in (flat + nudge, flat - nudge)
        ]
        assert float(slope[index]) == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=2e-3, abs=2e-5), index


def test_windows_are_parts_of_files_and_every_class_is_drawn_as_often() -> None:
    from engine.training.network import constants, random_key

    made = [TextFile("many", f"{index}", "x y z " * 30) for index in range(40)]
    made += [TextFile("few", f"{index}", "u v") for index in range(5)]
    data = prepare_texts(made, [], 0.2, 0.2, 3)
    one = network(Stack((4,), data.token_count, 2, 6))
    tables = constants(one.tables(data, "train"))
    windows, labels = (part.numpy() for part in one.rows(tables, 2000, random_key(5), 1, one.arguments))
    assert 800 < labels.sum() < 1200, "the classes are not balanced"
    few, many = data.classes.index("few"), data.classes.index("many")
    assert {tuple(row[:4]) for row in windows[labels == few]} == {(PADDING,) * 4}, "a short file is padded in front"
    assert len({tuple(row) for row in windows[labels == many]}) == 3, "windows begin anywhere"
    again = one.rows(tables, 2000, random_key(5), 2, one.arguments)[0].numpy()
    assert (again != windows).any()


def test_a_measure_weighs_every_class_alike_and_counts_confusions() -> None:
    from engine.training.network import constants

    data = texts()
    stack = Stack((6,), data.token_count, 3, 9)
    one = network(stack)
    flat = stack.initial(4)
    measured = one.measure(_constant(flat), one.arguments, constants(one.tables(data, "val")))
    part, rows, labels, weights = data.val, [], [], []
    counts = np.bincount(part.labels, minlength=3)
    for start, length, label in zip(part.starts, part.lengths, part.labels, strict=True):
        for number in range(4):
            begin = start + (length - 9) * number // 3
            rows.append(part.tokens[begin : begin + 9])
            labels.append(label)
            weights.append(1 / (3 * 4 * counts[label]))
    scores = scores_in_numpy(stack, flat, np.array(rows))
    wrong = scores.argmax(axis=1) != labels
    assert float(measured["loss"]) == pytest.approx(
        float((cross_entropy(scores, np.array(labels)) * weights).sum()), rel=1e-4
    )
    assert float(measured["error"]) == pytest.approx(float((wrong * weights).sum()), abs=1e-5)
    assert measured["confusion"].numpy().sum() == pytest.approx(1.0)
    assert measured["confusion"].numpy().sum(axis=1) == pytest.approx([1 / 3] * 3)


def test_it_learns_to_tell_texts_apart() -> None:
    from engine.training.local import LocalTrainer

    data = texts()
    params = {"batch_size": 32, "learning_rate": 0.01, "train_optimizer": "Adam", "layers": 2, "units_1": 12,
              "units_2": 8, "sequence_length": 20}  # fmt: skip
    job = Job(1, 1, params, 150, 5, 0.0, data.token_count, 3, "scaled", "Custom")
    reports = list(LocalTrainer(data).train(job))
    assert reports[-1].step == 150
    assert reports[-1].val is not None
    assert reports[-1].val < 0.3
    assert reports[-1].figures["error"] < 0.1


def _constant(value: Any) -> Any:
    import tensorflow as tf

    return tf.constant(value, tf.int32 if np.asarray(value).dtype.kind == "i" else None)
