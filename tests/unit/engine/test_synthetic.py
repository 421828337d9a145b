"""The synthetic problems and their parts, against the formulas written anew with numpy's global generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from engine.config import parse
from engine.data import Parts, load, prepare
from engine.data.synthetic import linear_cosine, powers


def test_the_default_problem_is_the_references() -> None:
    np.random.seed(1234)
    f = np.random.normal(size=(500, 4)) * 2
    c = np.random.normal(size=(4, 1))
    y = np.cos(1 / (np.abs(f.dot(c)) + 0.75))
    features, target = linear_cosine(500, 4)
    np.testing.assert_array_equal(features, f.astype(np.float32))
    np.testing.assert_array_equal(target, y.astype(np.float32))
    assert features.dtype == target.dtype == np.float32


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("noise", [False, True])
def test_the_power_method_is_the_references(cosine: bool, noise: bool) -> None:
    n, m = 300, 4
    np.random.seed(1234)
    x = np.random.normal(size=n)
    coefficients = np.random.normal(size=m)
    table = np.stack([x**k for k in range(1, m + 1)], axis=1)
    if cosine:
        table = np.cos(1 / (np.abs(table) + 0.75))
    y = sum(table[:, k] * coefficients[k] for k in range(m))
    if noise:
        y = y + np.random.normal(size=n) * 2
    features, target = powers(n, m, cosine, noise)
    np.testing.assert_allclose(features, table, rtol=1e-6)
    np.testing.assert_allclose(target[:, 0], y, rtol=2e-6, atol=1e-6)
    assert features.dtype == target.dtype == np.float32


def test_making_data_leaves_the_global_generator_alone() -> None:
    np.random.seed(99)
    expected = np.random.normal()
    np.random.seed(99)
    linear_cosine(30, 4)
    powers(30, 4, True, True)
    assert np.random.normal() == expected


def parts_of(**values: Any) -> Parts:
    return prepare(parse({"data_instances": 1000, **values}))


def test_the_test_part_is_the_references_fifth() -> None:
    features, target = linear_cosine(1000, 4)
    rest, test, _, test_y = train_test_split(features, target, test_size=0.2, random_state=42)
    train, _ = train_test_split(rest, test_size=200, random_state=42)
    parts = parts_of()
    np.testing.assert_array_equal(parts.y_test, test_y)
    np.testing.assert_allclose(parts.x_test, StandardScaler().fit(train).transform(test), atol=1e-5)


def test_features_are_standardised_by_the_training_part() -> None:
    parts = parts_of()
    np.testing.assert_allclose(parts.x_train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(parts.x_train.std(axis=0), 1, atol=1e-5)
    assert abs(parts.x_test.mean(axis=0)).max() > 1e-3, "the test part was used to fit the scaler"


def test_the_parts_have_the_sizes_asked_for_and_share_no_row() -> None:
    parts = parts_of(validation_fraction=0.1, test_fraction=0.3)
    assert [len(part) for part in (parts.x_train, parts.x_val, parts.x_test)] == [600, 100, 300]
    rows = np.concatenate([parts.x_train, parts.x_val, parts.x_test])
    assert len(np.unique(rows, axis=0)) == 1000


def test_features_and_targets_stay_together() -> None:
    parts = parts_of()
    raw = {tuple(row): value for row, value in zip(*linear_cosine(1000, 4), strict=True)}
    scale, mean = parts.feature_scale, parts.feature_mean
    known = np.array(list(raw))
    for x, y in zip(parts.x_val[:50], parts.y_val[:50], strict=True):
        nearest = np.abs(known - (x * scale + mean)).sum(axis=1).argmin()
        assert raw[tuple(known[nearest])] == y


def test_synthetic_targets_are_left_as_they_are() -> None:
    parts = parts_of()
    assert (parts.target_mean, parts.target_scale) == (0.0, 1.0)


def test_real_targets_are_standardised_by_the_training_part() -> None:
    parts = parts_of(dataset="diabetes", nn_dimensions=[10, 1])
    np.testing.assert_allclose(parts.y_train.mean(), 0, atol=1e-5)
    np.testing.assert_allclose(parts.y_train.std(), 1, atol=1e-5)
    assert parts.target_scale > 50
    assert len(parts.x_train) + len(parts.x_val) + len(parts.x_test) == 442


def test_a_constant_feature_becomes_zero_and_not_nan(tmp_path: Any) -> None:
    file = tmp_path / "table.csv"
    file.write_text("a,b,y\n" + "".join(f"5,{i},{i * 2}\n" for i in range(50)))
    parts = parts_of(load_data=True, load_data_dir=str(file), nn_dimensions=[2, 1])
    assert np.isfinite(parts.x_train).all()
    assert (parts.x_train[:, 0] == 0).all()


def test_saved_parts_are_loaded_as_they_were(tmp_path: Any) -> None:
    parts = parts_of(dataset="diabetes")
    parts.save(tmp_path / "data.npz")
    loaded = load(tmp_path / "data.npz")
    np.testing.assert_array_equal(loaded.x_train, parts.x_train)
    np.testing.assert_array_equal(loaded.y_test, parts.y_test)
    assert loaded.target_scale == pytest.approx(parts.target_scale)


def test_the_linear_baseline_is_scikit_learns() -> None:
    from sklearn.linear_model import LinearRegression
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    data = prepare(parse({"dataset": "diabetes", "nn_dimensions": [10, 1]}))
    model = LinearRegression().fit(data.x_train, data.y_train)
    truth, predicted = data.y_test * data.target_scale, model.predict(data.x_test) * data.target_scale
    assert data.linear_baseline() == pytest.approx({
        "rmse": root_mean_squared_error(truth, predicted),
        "mae": mean_absolute_error(truth, predicted),
        "r2": r2_score(truth, predicted),
    }, rel=1e-4)  # fmt: skip
