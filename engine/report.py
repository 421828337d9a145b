"""The report of a sweep: how well the best trial of each stage, and of all, predicts, and on what. Plain numpy.

The search never sees the test part; it stands in what is said of the whole sweep alone. Nothing here may fail a sweep.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data import Parts, Texts
from engine.data.texts import TextPart
from engine.domain import Trial
from engine.errors import NhopError
from engine.models.lstm import Stack
from engine.models.regressor import Architecture
from engine.models.trained import windows
from engine.recorder import Recorder
from engine.store import Store

MOST_POINTS = 300
"""Rows of each part whose predictions are kept, drawn by chance."""
POINTS_OF_ALL = 12_000
"""Shared by all stages: a document has 16 MB."""
MOST_ROWS = 100_000
"""Rows of each part that are predicted for the figures, evenly spread."""
MOST_FILES = 60
"""Files of each class, evenly spread, that a classifier is measured on here."""
BATCH = 125
"""Windows whose scores are computed at once."""
DIGITS = 6

Document = dict[str, Any]
Floats = NDArray[np.float64]

log = logging.getLogger("nhop.report")


class Reporter:
    """Makes the report of one sweep, and has the recorder keep it.

    Args:
        data: what the sweep's networks learn from.
        models: the folder with the parameters of the trials; those of other machines are asked of the store.
        stages: how many stages the sweep has.
    """

    def __init__(self, store: Store, recorder: Recorder, data: Parts | Texts, models: Path, stages: int) -> None:
        self._store = store
        self._recorder = recorder
        self._data = data
        self._models = models
        self._points = min(MOST_POINTS, max(1, POINTS_OF_ALL // (stages + 1)))
        self._id: str = recorder.sweep["_id"]
        self._model: str = recorder.sweep["config"]["nn_model"]
        self._stages: dict[int, Document] = {}
        _harmless("what earlier processes of the sweep reported", self._take_up)

    def stage_ended(self, index: int, best: Trial) -> None:
        """A stage is over, and *best* its best trial."""
        _harmless(f"stage {index + 1}", lambda: self._tell_stage(index, best))

    def ended(self, best: Trial, confirmed: Sequence[Mapping[str, Any]]) -> None:
        """The sweep is over: *best* is its best trial, *confirmed* what `engine.confirmation` has found."""
        _harmless("the whole sweep", lambda: self._tell_all(best, confirmed))

    def _take_up(self) -> None:
        known = self._store.reports.get(self._id)
        self._stages = {stage["index"]: stage for stage in known["stages"]} if known else {}

    def _tell_stage(self, index: int, best: Trial) -> None:
        if self._stages.get(index, {}).get("trial") != best.number:
            self._stages[index] = {"index": index, **self._report(best, ("train", "val"))}
        self._keep(None)

    def _tell_all(self, best: Trial, confirmed: Sequence[Mapping[str, Any]]) -> None:
        tested = _tested(best, confirmed) if isinstance(self._data, Texts) else None
        final = self._report(best, ("train", "val") if tested else ("train", "val", "test"))
        self._keep({**final, "test": tested} if tested else final)

    def _report(self, trial: Trial, parts: Sequence[str]) -> Document:
        flat, data = self._parameters(trial.number), self._data.folds[-1]  # the last fold's network is the one kept
        if isinstance(data, Parts):
            return {"trial": trial.number, **regression(data, trial.params, flat, parts, self._points)}
        judged = [name for name in parts if name != "train"]
        return {"trial": trial.number, **classification(data, trial.params, flat, judged)}

    def _parameters(self, number: int) -> NDArray[np.float32]:
        path = self._models / f"{number}.npy"
        if path.exists():
            loaded: NDArray[np.float32] = np.load(path, allow_pickle=False)
            return loaded
        return np.frombuffer(self._store.models.get(self._id, number), dtype=np.float32)

    def _keep(self, final: Document | None) -> None:
        data, fence = self._data, self._recorder.sweep["lease"]["fence"]
        if isinstance(data, Parts):
            about = {"columns": list(data.columns[:1]), "target": data.target_name, "classes": []}
        else:
            about = {"columns": [], "target": "class", "classes": list(data.classes)}
        stages = [self._stages[index] for index in sorted(self._stages)]
        report: Document = {"_id": self._id, "fence": fence, "model": self._model, **about, "folds": len(data.folds)}
        self._recorder.report({**report, "stages": stages, "final": final})


def regression(
    data: Parts, params: Mapping[str, Any], flat: NDArray[np.float32], parts: Sequence[str], points: int = MOST_POINTS
) -> Document:
    """What a regressor predicts of each of *parts*, in the target's own units, as plain JSON.

    Returns:
        {part: {rows, rmse, mae, r2, points}}: figures over *rows* rows; a point is [truth, prediction], after the first
        feature in its own units for every part but "train". What is not finite is null.
    """
    network = Architecture.of(params, data.x_train.shape[1], 1)
    found: Document = {}
    for name in parts:
        x, y = data.part(name)
        chosen = spread(len(x), MOST_ROWS)
        first = x[chosen, 0].astype(np.float64) * float(data.feature_scale[0]) + float(data.feature_mean[0])
        with np.errstate(all="ignore"):
            predicted, truth = (
                part.astype(np.float64) * data.target_scale + data.target_mean
                for part in (network.predict(flat, x[chosen])[:, 0], y[chosen, 0])
            )
        columns = [truth, predicted] if name == "train" else [first, truth, predicted]
        shown = np.sort(np.random.default_rng(0).permutation(len(truth))[:points])
        found[name] = {**figures(truth, predicted), "points": _plain(np.stack(columns, axis=1)[shown])}
    return found


def figures(truth: Floats, predicted: Floats) -> Document:
    """{rows, rmse, mae, r2} of predictions; r2 is null where the truth does not vary."""
    with np.errstate(all="ignore"):
        errors = predicted - truth
        square, variance = float(np.mean(errors**2)), float(np.var(truth))
        return {
            "rows": len(truth),
            "rmse": _finite(math.sqrt(square)),
            "mae": _finite(float(np.mean(np.abs(errors)))),
            "r2": _finite(1 - square / variance) if variance > 0 else None,
        }


def classification(data: Texts, params: Mapping[str, Any], flat: NDArray[np.float32], parts: Sequence[str]) -> Document:
    """How a classifier does on each of *parts*, as plain JSON: {part: as `judged`, and the files it was measured on}.

    Like in training, windows of each file count, and every class weighs the same.
    """
    stack = Stack.of(params, data.token_count, len(data.classes))
    found: Document = {}
    for name in parts:
        part = data.part(name)
        chosen = [
            int(files[place])
            for files in (np.flatnonzero(part.labels == label) for label in range(len(data.classes)))
            for place in spread(len(files), MOST_FILES)
        ]
        confusion = np.zeros((len(data.classes),) * 2)
        for file, predicted in zip(chosen, _predicted(stack, flat, part, chosen), strict=True):
            np.add.at(confusion[part.labels[file]], predicted, 1.0)
        rows = confusion.sum(axis=1, keepdims=True)
        shares = np.divide(confusion, rows, out=np.zeros_like(confusion), where=rows > 0)
        found[name] = {**judged((shares / max(1, np.count_nonzero(rows))).tolist()), "files": len(chosen)}
    return found


def judged(confusion: Sequence[Sequence[float]]) -> Document:
    """{accuracy, of_class, confusion} of a confusion [true, predicted] in which every class weighs the same.

    *of_class* is the accuracy of each class, null of one that the part has not.
    """
    rows = [(sum(row), row[index]) for index, row in enumerate(confusion)]
    return {
        "accuracy": _finite(sum(right for _, right in rows)),
        "of_class": [_finite(right / whole) if whole > 0 else None for whole, right in rows],
        "confusion": [[_finite(value) for value in row] for row in confusion],
    }


def spread(count: int, most: int) -> NDArray[np.int64]:
    """At most *most* of the places 0 to *count*, evenly spread."""
    return np.arange(count) if count <= most else np.arange(most) * count // most


def _predicted(
    stack: Stack, flat: NDArray[np.float32], part: TextPart, files: Sequence[int]
) -> Iterator[NDArray[np.int64]]:
    """The class that each window of each of *files* is taken for."""
    if not files:
        return
    starts, lengths = part.starts[list(files)], part.lengths[list(files)]
    texts = [part.tokens[start : start + length] for start, length in zip(starts, lengths, strict=True)]
    cut = np.stack([windows(text.tolist(), stack.length) for text in texts])
    every = cut.reshape(-1, stack.length)
    batches = [stack.scores(flat, every[first : first + BATCH]) for first in range(0, len(every), BATCH)]
    yield from np.concatenate(batches).argmax(axis=1).reshape(cut.shape[:2])


def _tested(best: Trial, confirmed: Sequence[Mapping[str, Any]]) -> Document | None:
    """The confusion of the test part as the trials that confirm *best* measured it; None where none did."""
    for one in confirmed:
        if one["trial"] == best.number and "confusion" in one["figures"]:
            return {**judged(one["figures"]["confusion"]["mean"]), "seeds": one["seeds"]}
    return None


def _plain(values: Floats) -> list[list[float | None]]:
    return [[_finite(value) for value in row] for row in values.tolist()]


def _finite(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _harmless(what: str, work: Callable[[], None]) -> None:
    """Do *work*: where it fails, the report lacks *what*, and nothing more happens.

    It is done in a thread of its own, since the signal that ends this process is raised in the main one, wherever that
    is, and must not be taken for a failure.
    """

    def attempt() -> None:
        try:
            work()
        except NhopError as error:
            log.warning("the report lacks %s: %s", what, error)
        except Exception as error:
            log.warning("the report lacks %s: %s: %s", what, type(error).__name__, error)

    thread = threading.Thread(target=attempt, name="report", daemon=True)
    thread.start()
    thread.join()
