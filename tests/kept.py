"""Sweeps with trained models and reports in the store, as the engine leaves them, for tests without it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from engine.config import parse
from engine.domain import SweepState, Trial, TrialState
from engine.models.lstm import Stack
from engine.models.regressor import Architecture
from engine.models.trained import TrainedClassifier, TrainedRegressor
from engine.report import judged
from engine.space import Params
from engine.store import Store
from engine.store.trials import to_document

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
COLUMNS = ("age", "size")
POINT: Params = {
    "batch_size": 32, "learning_rate": 0.01, "train_optimizer": "Adam", "activation": "relu", "layers": 1, "units_1": 3,
}  # fmt: skip
READING: Params = {"layers": 1, "units_1": 3, "sequence_length": 6, "batch_size": 8, "learning_rate": 0.01}
ABOUT = {
    "columns": list(COLUMNS), "target_name": "price", "feature_mean": [40.0, 100.0], "feature_scale": [10.0, 20.0],
    "target_mean": 500.0, "target_scale": 100.0, "example": [35.5, 120.0],
}  # fmt: skip
LANGUAGES = {"vocabulary": ["def", "(", ")", "{", "}"], "classes": ["python", "css", "NONE"]}
CURVE = [[1, 9.0, 8.0], [5, 4.0, None], [10, 2.0, 3.0]]


def regressor(number: int) -> TrainedRegressor:
    """The network of trial *number*."""
    return TrainedRegressor(POINT, ABOUT, Architecture.of(POINT, 2, 1).initial(number, "scaled"))


def classifier(number: int) -> TrainedClassifier:
    """The network of trial *number*."""
    return TrainedClassifier(READING, LANGUAGES, Stack.of(READING, 7, 3).initial(number))


def regression(store: Store, name: str = "amber-falcon", **config: Any) -> str:
    """A sweep of two stages that has ended, with trials 1 to 3 and their models; trial 2 is the best."""
    sweep_id = _sweep(store, name, nn_dimensions=[2, 1], data_features=2, opt_stages=[[10, 2], [10, 1]], **config)
    for number, stage, loss in ((1, 0, 400.0), (2, 0, 100.0), (3, 1, 200.0)):
        _trial(store, sweep_id, number, stage, POINT, loss)
        store.models.put(sweep_id, {number: regressor(number).flat.tobytes()}, 1)
    store.models.describe(sweep_id, ABOUT)
    points = [[20.0, 400.0, 410.0], [30.0, 500.0, 480.0], [40.0, 600.0, None]]
    figures = {"rows": 3, "rmse": 10.0, "mae": 8.0, "r2": 0.75}
    part = {"train": {**figures, "points": [point[1:] for point in points]}, "val": {**figures, "points": points}}
    report = {"model": "Regressor", "columns": ["age"], "target": "price", "classes": [], "folds": 1}
    stages = [{"index": 0, "trial": 2, **part}, {"index": 1, "trial": 3, **part}]
    final = {"trial": 2, **part, "test": {**figures, "rmse": 12.5, "points": points}}
    store.reports.put({"_id": sweep_id, "fence": 1, **report, "stages": stages, "final": final})
    confirmed = {
        "trial": 2, "loss": 100.0, "params": POINT, "seeds": 3, "failed": 1, "optimism": 20.0,
        "figures": {
            "loss": {"mean": 120.0, "std": 6.0, "values": []}, "rmse": {"mean": 10.95, "std": 0.27, "values": []},
        },
    }  # fmt: skip
    _end(store, sweep_id, [2, 3], best={"number": 2, "stage": 0, "loss": 100.0, "params": POINT}, confirmed=[confirmed])
    return sweep_id


def classification(store: Store, name: str = "quiet-otter") -> str:
    """A classifier's sweep of one stage that has ended, with one trial and its model."""
    sweep_id = _sweep(store, name, nn_model="Custom", dataset="installed-sources", opt_stages=[[10, 1]])
    _trial(store, sweep_id, 1, 0, READING, 0.9)
    store.models.put(sweep_id, {1: classifier(1).flat.tobytes()}, 1)
    store.models.describe(sweep_id, LANGUAGES)
    val = {**judged((np.array([[8, 2, 0], [0, 5, 5], [0, 0, 10]]) / 30).tolist()), "files": 12}
    test = {**judged((np.array([[9, 1, 0], [0, 10, 0], [0, 0, 10]]) / 30).tolist()), "seeds": 2}
    report = {"model": "Custom", "columns": [], "target": "class", "classes": LANGUAGES["classes"], "folds": 1}
    stages, final = [{"index": 0, "trial": 1, "val": val}], {"trial": 1, "val": val, "test": test}
    store.reports.put({"_id": sweep_id, "fence": 1, **report, "stages": stages, "final": final})
    _end(store, sweep_id, [1], best={"number": 1, "stage": 0, "loss": 0.9, "params": READING})
    return sweep_id


def _sweep(store: Store, name: str, **values: Any) -> str:
    config = parse({"name": name, "seed": 7, **values})
    sweep_id = store.sweeps.create(
        name, "ada", config.model_dump(mode="json"), 7, config.total_trials, config.total_steps, NOW
    )
    assert store.sweeps.claim("turing", timedelta(minutes=10), NOW) is not None
    return sweep_id


def _trial(store: Store, sweep_id: str, number: int, stage: int, params: Params, loss: float) -> None:
    trial = Trial(sweep_id, number, stage, params, 10, number, TrialState.COMPLETED, step=10, loss=loss)
    trial.val_loss, trial.train_loss, trial.curve, trial.seconds = loss, 0.9 * loss, [list(row) for row in CURVE], 1.5
    store.trials.put(to_document(trial, 1))


def _end(store: Store, sweep_id: str, best_of: list[int], **fields: Any) -> None:
    config = parse(store.sweeps.get(sweep_id)["config"])
    narrower = {**config.space().to_document(), "batch_size": {"kind": "int", "low": 16, "high": 48}}
    spaces = [config.space().to_document(), narrower]
    stages = [
        {"index": index, "steps": steps, "trials": trials, "space": spaces[index], "best": best, "ended": trials}
        for index, ((steps, trials), best) in enumerate(zip(config.stages, best_of, strict=True))
    ]
    progress = {"done": config.total_trials, "failed": 0, "total": config.total_trials, "stage": len(stages) - 1}
    store.sweeps.finish(
        sweep_id, 1, SweepState.COMPLETED, {"finished": NOW, "stages": stages, "progress": progress, **fields}
    )
