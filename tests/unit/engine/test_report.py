"""What is reported of the best trials, and that nothing about it can fail a sweep."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data import Parts, Texts
from engine.data.texts import TextFile, prepare_texts
from engine.domain import SweepState, Trial, TrialState
from engine.errors import NotFound, StoreError, StoreUnavailable
from engine.models.lstm import Stack
from engine.models.regressor import Architecture
from engine.recorder import Recorder
from engine.report import Reporter, classification, figures, judged, regression, spread
from engine.store import Store
from engine.store.journal import Journal

PARAMS = {"layers": 1, "units_1": 2, "activation": "relu"}


class Released(Exception):
    """As the optimizer's, when a signal asks it to end."""


def table(rows: int = 30) -> Parts:
    """Two features around 10 and 20; the target is standardised: 100 ± 10."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(3 * rows, 2)).astype(np.float32), rng.normal(size=(3 * rows, 1)).astype(np.float32)
    cut = [part for first in (0, rows, 2 * rows) for part in (x[first : first + rows], y[first : first + rows])]
    mean, scale = np.array([10, 20], np.float32), np.array([2, 4], np.float32)
    return Parts(*cut, mean, scale, 100.0, 10.0, ("age", "size"), "price")


def network(data: Parts) -> Any:
    return Architecture.of(PARAMS, 2, 1).initial(3, "scaled")


def test_figures_are_in_the_targets_units_and_points_in_the_features() -> None:
    data = table()
    found = regression(data, PARAMS, network(data), ("train", "val"))
    assert set(found) == {"train", "val"}
    predicted = Architecture.of(PARAMS, 2, 1).predict(network(data), data.x_val)[:, 0] * 10 + 100
    truth = data.y_val[:, 0] * 10 + 100
    assert found["val"]["rmse"] == pytest.approx(np.sqrt(np.mean((predicted - truth) ** 2)), rel=1e-4)
    assert found["val"]["mae"] == pytest.approx(np.mean(np.abs(predicted - truth)), rel=1e-4)
    assert found["val"]["r2"] == pytest.approx(1 - np.mean((predicted - truth) ** 2) / np.var(truth), abs=1e-4)
    expected = np.stack([data.x_val[:, 0] * 2 + 10, truth, predicted], axis=1)
    np.testing.assert_allclose(found["val"]["points"], expected, rtol=1e-4)
    assert [len(point) for point in found["train"]["points"]] == [2] * 30
    assert json.loads(json.dumps(found)) == found


def test_of_many_rows_some_are_drawn_and_all_are_measured() -> None:
    data = table(500)
    found = regression(data, PARAMS, network(data), ("val",), points=50)
    assert found["val"]["rows"] == 500
    assert len(found["val"]["points"]) == 50
    assert regression(data, PARAMS, network(data), ("val",), points=50) == found, "the same rows are drawn every time"


def test_what_is_not_finite_is_null() -> None:
    truth, predicted = np.array([1.0, 2.0, 3.0]), np.array([1.0, np.inf, np.nan])
    assert figures(truth, predicted) == {"rows": 3, "rmse": None, "mae": None, "r2": None}
    data = table()
    found = regression(data, PARAMS, np.full_like(network(data), np.nan), ("val",))
    assert [point[2] for point in found["val"]["points"]] == [None] * 30


def test_the_explained_variance_of_a_constant_is_unknown() -> None:
    assert figures(np.ones(3), np.array([1.0, 1.0, 2.0]))["r2"] is None


def test_accuracy_is_the_mean_over_the_classes() -> None:
    found = judged([[0.4, 0.1], [0.25, 0.25]])
    assert found["accuracy"] == pytest.approx(0.65)
    assert found["of_class"] == pytest.approx([0.8, 0.5])
    assert judged([[0.5, 0.5], [0.0, 0.0]])["of_class"] == [0.5, None]


def test_places_are_spread_evenly() -> None:
    assert spread(3, 5).tolist() == [0, 1, 2]
    assert spread(10, 5).tolist() == [0, 2, 4, 6, 8]


def texts() -> Texts:
    files = [TextFile("ab"[n % 2], f"{n}", " ".join(["xyz"[n % 2]] * 9 + ["z"] * (n % 3))) for n in range(24)]
    return prepare_texts(files, ["x", "y"], 0.25, 0.25, 1)


def test_every_class_weighs_the_same_in_a_confusion() -> None:
    data = texts()
    params = {"layers": 1, "units_1": 2, "sequence_length": 5}
    stack = Stack.of(params, data.token_count, 2)
    flat = stack.initial(1)
    flat[-2:] = [100.0, 0.0]  # whatever it reads, it says the first class
    found = classification(data, params, flat, ("val",))["val"]
    assert found["confusion"] == [[0.5, 0.0], [0.5, 0.0]]
    assert (found["accuracy"], found["of_class"], found["files"]) == (0.5, [1.0, 0.0], data.val.files)


class Stored:
    """A store that knows no report, and no model that is not on the disk."""

    def __init__(self, known: Any = None) -> None:
        self.reports = self.models = self
        self.known = known

    def get(self, sweep_id: str, number: int | None = None) -> Any:
        if number is not None:
            raise NotFound(f"the model of trial {number} is not kept")
        if isinstance(self.known, Exception):
            raise self.known
        return self.known


class Recorded:
    def __init__(self, model: str = "Regressor") -> None:
        self.sweep = {"_id": "s", "lease": {"fence": 4}, "config": {"nn_model": model}}
        self.reports: list[dict[str, Any]] = []

    def report(self, document: dict[str, Any]) -> None:
        self.reports.append(document)


def trial(number: int) -> Trial:
    return Trial("s", number, 0, dict(PARAMS), 10, 1, TrialState.COMPLETED, loss=1.0)


def reporter(folder: Path, recorded: Recorded, stored: Stored | None = None, **fields: Any) -> Reporter:
    data = table()
    np.save(folder / "1.npy", network(data))
    return Reporter(stored or Stored(), recorded, data, folder, fields.get("stages", 2))  # type: ignore[arg-type]


def test_only_the_end_of_the_sweep_tells_of_the_test_part(tmp_path: Path) -> None:
    recorded = Recorded()
    made = reporter(tmp_path, recorded)
    made.stage_ended(0, trial(1))
    made.ended(trial(1), [])
    during, final = recorded.reports
    assert (during["_id"], during["fence"], during["final"], during["folds"]) == ("s", 4, None, 1)
    assert (during["columns"], during["target"]) == (["age"], "price")
    assert [(stage["index"], stage["trial"], set(stage) & {"train", "val", "test"}) for stage in during["stages"]] == [
        (0, 1, {"train", "val"})
    ]
    assert final["stages"] == during["stages"]
    assert set(final["final"]) == {"trial", "train", "val", "test"}


def test_a_model_that_is_nowhere_costs_the_report_and_not_the_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorded = Recorded()
    made = reporter(tmp_path, recorded)
    with caplog.at_level(logging.WARNING, "nhop.report"):
        made.stage_ended(0, trial(2))
    assert recorded.reports == []
    assert "the report lacks stage 1: the model of trial 2 is not kept" in caplog.text


def test_a_silent_database_and_a_broken_model_are_warnings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorded = Recorded()
    made = reporter(tmp_path, recorded, Stored(StoreUnavailable("silent")))
    np.save(tmp_path / "1.npy", np.zeros(3, np.float32))
    made.stage_ended(0, trial(1))
    made.ended(trial(1), [])
    assert recorded.reports == []
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 3


def test_a_signal_that_ends_the_process_is_not_held_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = reporter(tmp_path, Recorded())

    def release(*_: Any) -> None:
        raise Released

    def interrupted(*_: Any) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.2)
        return {}

    monkeypatch.setattr("engine.report.regression", interrupted)
    before = signal.signal(signal.SIGUSR1, release)
    try:
        with pytest.raises(Released):
            made.stage_ended(0, trial(1))
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_what_an_earlier_process_reported_is_kept(tmp_path: Path) -> None:
    recorded = Recorded()
    known = {"stages": [{"index": 0, "trial": 9, "val": "as it was"}]}
    made = reporter(tmp_path, recorded, Stored(known))
    made.stage_ended(0, trial(9))
    made.stage_ended(1, trial(1))
    assert recorded.reports[-1]["stages"][0] == known["stages"][0]
    assert [stage["trial"] for stage in recorded.reports[-1]["stages"]] == [9, 1]


@pytest.mark.parametrize("error", [ValueError("too large"), StoreError("refused")])
def test_a_report_that_the_database_refuses_is_a_warning_and_the_sweep_ends_well(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    now = datetime.now(UTC)
    sweep_id = store.sweeps.create("s", "ada", {}, 1, 1, 1, now, claimed=("here", timedelta(minutes=1)))

    def refuse(document: Any) -> None:
        raise error

    monkeypatch.setattr(store.reports, "put", refuse)
    recorder = Recorder(store, store.sweeps.get(sweep_id), Journal(tmp_path / "journal"), lambda: now)
    recorder.start()
    recorder.report({"_id": sweep_id})
    recorder.set(best={"number": 1})
    recorder.finish(SweepState.COMPLETED, 10)
    assert store.sweeps.get(sweep_id)["state"] == "COMPLETED"
    assert store.sweeps.get(sweep_id)["best"] == {"number": 1}
    assert f"the report cannot be stored: {error}" in caplog.text


def test_many_stages_share_the_points(tmp_path: Path) -> None:
    recorded = Recorded()
    reporter(tmp_path, recorded, stages=1199).stage_ended(0, trial(1))
    assert len(recorded.reports[0]["stages"][0]["val"]["points"]) == 10


def test_the_confusion_of_the_test_part_is_that_of_the_confirming_trials(tmp_path: Path) -> None:
    recorded, data = Recorded("Custom"), texts()
    params = {"layers": 1, "units_1": 2, "sequence_length": 5}
    np.save(tmp_path / "1.npy", Stack.of(params, data.token_count, 2).initial(1))
    best = Trial("s", 1, 0, params, 10, 1, TrialState.COMPLETED, loss=1.0)  # type: ignore[arg-type]
    made = Reporter(Stored(), recorded, data, tmp_path, 1)  # type: ignore[arg-type]
    confirmed = {"trial": 1, "seeds": 3, "figures": {"confusion": {"mean": [[0.4, 0.1], [0.1, 0.4]]}}}
    made.ended(best, [{"trial": 7, "seeds": 3, "figures": {}}, confirmed])
    made.ended(best, [])
    assert [set(report["final"]) for report in recorded.reports] == [{"trial", "val", "test"}] * 2
    from_others, own = (report["final"]["test"] for report in recorded.reports)
    assert (from_others["accuracy"], from_others["seeds"]) == (0.8, 3)
    assert own["files"] == data.test.files
    assert "seeds" not in own
