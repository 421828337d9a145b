"""Writes Sacred's run document through the recorder: as Sacred's MongoObserver does, but it survives the database.

Sacred's own observer gives up for the rest of a run after one failed call and writes the whole document at every
beat. This one hands each changed field to the recorder, which writes it when the database answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sacred.observers import RunObserver
from sacred.serializer import flatten

from engine.errors import LeaseLost, clipped
from engine.points import reached
from engine.recorder import Recorder
from engine.store import Store

FORMAT = "MongoObserver-0.7.0"
MOST_OUTPUT = 4 * 1024 * 1024
"""Characters of captured output that are kept; of a longer one, the end. A document may have 16 MB."""


class SweepObserver(RunObserver):
    """The Sacred run of one sweep. A resumed sweep continues the run it had."""

    def __init__(self, store: Store, recorder: Recorder) -> None:
        self._store = store
        self._recorder = recorder
        self._output_before = self._output = ""

    def started_event(
        self,
        ex_info: Mapping[str, Any],
        command: str,
        host_info: Mapping[str, Any],
        start_time: datetime,
        config: Mapping[str, Any],
        meta_info: Mapping[str, Any],
        _id: Any,
    ) -> int:
        sweep = self._recorder.sweep
        sweep_id, fence = sweep["_id"], sweep["lease"]["fence"]
        if sweep.get("run_id") is None and (begun := self._store.runs.of_sweep(sweep_id)) is not None:
            self._recorder.set(run_id=begun)  # an earlier process died between making the run and telling the sweep
        if sweep.get("run_id") is not None:
            taken = self._store.runs.take(sweep["run_id"], fence)
            self._output_before = self._store.runs.get(sweep["run_id"]).get("captured_out") or ""
            if not taken:
                raise LeaseLost(f"run {sweep['run_id']} is written by a later optimizer")
            resumed = {"status": "RUNNING", "heartbeat": _now(start_time), "stop_time": None, "fail_trace": None}
            self._recorder.run(resumed)
            return int(sweep["run_id"])
        run_id = self._store.runs.create(
            {
                "experiment": {**ex_info, "sources": self._sources(ex_info)},
                "format": FORMAT,
                "command": command,
                "host": dict(host_info),
                "start_time": _now(start_time),
                "config": flatten(config),
                "meta": dict(meta_info),
                "status": "RUNNING",
                "resources": [],
                "artifacts": [],
                "captured_out": "",
                "info": {"sweep_id": sweep_id, "fence": fence, "metrics": []},
                "heartbeat": _now(start_time),
                "result": None,
            }
        )
        reached("run-made")
        try:
            self._store.sweeps.update(sweep_id, fence, {"run_id": run_id})
        except LeaseLost:
            self._store.runs.drop(run_id, fence)
            raise
        self._recorder.set(run_id=run_id)
        return run_id

    def _sources(self, ex_info: Mapping[str, Any]) -> list[list[Any]]:
        base = Path(str(ex_info["base_dir"]))
        stored = []
        for name, _ in ex_info["sources"]:
            content = (base / name).read_bytes()
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            stored.append([name, self._store.runs.put_source(str(base / name), digest, content)])
        return stored

    def heartbeat_event(self, info: Mapping[str, Any], captured_out: str, beat_time: datetime, result: Any) -> None:
        output = clipped(self._output_before + captured_out, MOST_OUTPUT)
        told = {} if output == self._output else {"captured_out": output}
        self._output = output
        self._recorder.run({**told, "heartbeat": _now(beat_time)})

    def log_metrics(self, metrics_by_name: Mapping[str, Any], info: Mapping[str, Any]) -> None:
        for name, metric in metrics_by_name.items():
            stamps = [_now(stamp) for stamp in metric["timestamps"]]
            self._recorder.metrics.add(name, list(zip(metric["steps"], metric["values"], stamps, strict=True)))

    def completed_event(self, stop_time: datetime, result: Any) -> None:
        self._recorder.run({"stop_time": _now(stop_time), "status": "COMPLETED", "result": flatten(result)})

    def interrupted_event(self, interrupt_time: datetime, status: str) -> None:
        best = self._recorder.sweep.get("best")
        self._recorder.run(
            {"stop_time": _now(interrupt_time), "status": status, "result": best["loss"] if best else None}
        )

    def failed_event(self, fail_time: datetime, fail_trace: list[str]) -> None:
        self._recorder.run(
            {"stop_time": _now(fail_time), "status": "FAILED", "fail_trace": [clipped(line) for line in fail_trace]}
        )


def _now(moment: datetime) -> datetime:
    """Sacred's naive times are UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
