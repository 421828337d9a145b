"""The folder that TensorBoard shows: one sub-folder a run, and below that of a sweep one a trial.

Event files that a run has among its artifacts are taken as they are; of a run without any its metrics are written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from engine.domain import TrialState
from engine.errors import NotFound
from engine.store import Store
from engine.store.run_parts import RunParts
from webapp.services import run_files, run_metrics
from webapp.services.plain import aware
from webapp.services.run_metrics import Line
from webapp.services.run_values import flat
from webapp.services.runs import Document, date, find, is_sweep, row, text
from webapp.tensorboard.events import NAME, EventFile

EVENT_FILE = re.compile(r"(.*[/\\])?events\.out\.tfevents\.[^/\\]*", re.DOTALL)
SLASH = re.compile(r"[/\\]")
MOST_BYTES = 100 * 2**20
"""Of the event files of all runs together."""
MOST_POINTS = 150_000
"""Of the metrics of all runs; TensorBoard takes more than a kilobyte of memory for each."""
LEAST_OF_LINE, MOST_OF_LINE = 20, 1000
"""Points of one metric; TensorBoard itself keeps 1,000."""
MOST_TRIALS = 100
LONGEST_NAME = 60

ENDED = {str(state) for state in TrialState} - {str(TrialState.QUEUED), str(TrialState.RUNNING)}


class Logs:
    """The runs with these *ids* below *folder*. *own* says whether they are of our own database, as sweeps are."""

    def __init__(self, store: Store, parts: RunParts, own: bool, folder: Path) -> None:
        self._store = store
        self._parts = parts
        self._own = own
        self._folder = folder
        self._taken: set[str] = set()
        self._bytes = MOST_BYTES
        self._most = MOST_OF_LINE
        self._growing: list[_Growing] = []
        self.notes: list[str] = []
        """What is not shown, in sentences."""

    def write(self, ids: Sequence[str], say: Callable[[str], None]) -> None:
        """Write all runs, and *say* how far that is.

        Raises:
            NotFound: none of them is there any more.
        """
        documents, lost = [], []
        for run_id in ids:
            try:
                documents.append(find(self._parts, run_id))
            except NotFound:
                lost.append(text(run_id))
        if not documents:
            raise NotFound("none of these runs is there any more")
        if lost:
            self.notes.append(f"Not there any more: {', '.join(lost)}.")
        counts = [len(self._parts.metric_lengths(document["_id"])) for document in documents]
        self._most = min(max(MOST_POINTS // max(sum(counts), 1), LEAST_OF_LINE), MOST_OF_LINE)
        now = datetime.now(UTC)
        for number, document in enumerate(documents, 1):
            say(f"reading run {number} of {len(documents)}")
            head = row(document, now)
            name = SLASH.sub("-", f"{head.id[:LONGEST_NAME]} {head.name[:LONGEST_NAME]}")
            folder = self._folder / run_files.unique_path(run_files.plain_file_name(name), self._taken)
            if self._copy(document, folder):
                continue
            run = _Growing(document, folder, self._sweep(document))
            run.grow(self._parts, self._store, self._most)
            if run.left_out:
                self.notes.append(f"{folder.name}: the {MOST_TRIALS} best of its {run.trials:,} trials are shown.")
            if head.state in ("running", "queued"):
                self._growing.append(run)
            else:
                run.close()
        if self._most < MOST_OF_LINE:
            self.notes.append(f"These are many metrics: of each at most {self._most} points are shown.")

    def grow(self) -> bool:
        """Append what running runs have got since; False when none was running."""
        for run in self._growing:
            run.grow(self._parts, self._store, self._most)
        return bool(self._growing)

    def _sweep(self, document: Mapping[str, Any]) -> Document | None:
        """The sweep of ours that a run is of."""
        info = document.get("info")
        sweep_id = info.get("sweep_id") if isinstance(info, Mapping) else None
        if not (self._own and isinstance(sweep_id, str) and is_sweep(document.get("config"))):
            return None
        try:
            return self._store.sweeps.get(sweep_id)
        except NotFound:
            return None

    def _copy(self, document: Document, folder: Path) -> bool:
        """Copy the event files among a run's artifacts; whether there were any that could be."""
        found = [file for file in run_files.listed(document, "artifact") if EVENT_FILE.fullmatch(file.name)]
        copied = 0
        for number, listed in enumerate(sorted(found, key=lambda file: file.name)):
            inner = PurePosixPath(run_files.inner_path(listed.name)).parent
            try:
                _, file = run_files.opened(self._parts, document, "artifact", listed.at)
                if file.length > self._bytes:
                    self.notes.append(
                        f"{folder.name}: the event file {text(listed.name)} ({file.length / 2**20:,.0f} MB) is left "
                        f"out; at most {MOST_BYTES // 2**20} MB of event files are shown at once."
                    )
                    continue
                place = folder / inner
                place.mkdir(parents=True, exist_ok=True)
                with (place / NAME.format(number)).open("wb") as sink:
                    for piece in file:
                        sink.write(piece)
                self._bytes -= file.length
                copied += 1
            except NotFound as error:
                self.notes.append(f"{folder.name}: {text(listed.name)}: {error}.")
        return copied > 0


class _Growing:
    """The files of one run: its metrics, and the trials of its sweep."""

    def __init__(self, document: Document, folder: Path, sweep: Document | None) -> None:
        self._id = document["_id"]
        self._folder = folder
        self._sweep = sweep
        self._begin = _seconds(document.get("start_time"), 0.0)
        self._seen: dict[str, int] = {}
        self._written: set[int] = set()
        self._file = EventFile(folder)
        self.trials = 0
        self.left_out = False
        if sweep is None:
            end = date(document.get("stop_time"))
            values = flat(document.get("config"))
            good = document.get("status") == "COMPLETED"
            self._file.session(values, self._begin, end.timestamp() if end else None, good)

    def grow(self, parts: RunParts, store: Store, most: int) -> None:
        """Write what is not yet written, of each metric at most so many points at once."""
        for metric in parts.metric_lengths(self._id):
            key, total = repr(metric["_id"]), metric["n"]
            seen = self._seen.get(key, 0)
            if total > seen:
                line = run_metrics.line_of(parts.metric_part(metric["_id"], seen, total - seen))
                self._file.scalars(run_metrics.name_of(metric), _thinned(line, most), self._begin)
                self._seen[key] = total
        self._file.flush()
        if self._sweep is not None:
            self._grow_trials(store, self._sweep)

    def _grow_trials(self, store: Store, sweep: Document) -> None:
        trials = store.columns.of_sweep(sweep)
        ended = trials.take(trials.state.equal(*ENDED))
        best = ended.number[np.argsort(ended.loss, kind="stable")][:MOST_TRIALS].tolist()
        self.trials, self.left_out = len(ended), len(ended) > MOST_TRIALS
        new = sorted(set(best) - self._written)
        for start in range(0, len(new), MOST_TRIALS):
            for trial in store.trials.some(sweep["_id"], new[start : start + MOST_TRIALS]):
                _write_trial(trial, self._folder / f"trial {trial['number']}")
        self._written.update(new)

    def close(self) -> None:
        self._file.close()


def _write_trial(trial: Document, folder: Path) -> None:
    """A trial's choices, learning curve and last figures."""
    file = EventFile(folder)
    begin = _seconds(trial.get("started") or trial.get("created"), 0.0)
    end = _seconds(trial.get("finished"), begin)
    file.session(trial["params"], begin, end, trial["state"] == str(TrialState.COMPLETED))
    curve = [point for point in trial.get("curve") or () if len(point) == 3]
    steps = run_metrics.numbers([point[0] for point in curve])
    last = max(float(steps[-1]), 1.0) if len(steps) else 1.0
    moments = begin + (end - begin) * steps / last  # a curve has steps alone
    for place, tag in ((1, "loss/training"), (2, "loss/validation")):
        values = run_metrics.numbers([point[place] for point in curve])
        measured = np.isfinite(values)
        file.scalars(tag, Line(steps[measured], values[measured], moments[measured]), begin)
    figures = {**(trial.get("figures") or {}), "loss": trial.get("loss")}
    for name, value in figures.items():
        at = np.array([float(trial.get("step") or 0)])
        if (given := run_metrics.numbers([value])) is not None and np.isfinite(given).all():
            file.scalars(name, Line(at, given, np.array([end])), end)
    file.close()


def _thinned(line: Line, most: int) -> Line:
    kept = run_metrics.thinned(line.values, most)
    return Line(line.steps[kept], line.values[kept], line.moments[kept])


def _seconds(value: Any, default: float) -> float:
    return aware(value).timestamp() if isinstance(value, datetime) else default
