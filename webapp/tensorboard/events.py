"""Event files as TensorBoard reads them: scalars, and the hyper-parameters of a session."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.summary.writer.record_writer import RecordWriter

from webapp.services.run_metrics import Line

NAME = "events.out.tfevents.{:05d}"
FARTHEST = 2.0**62
"""Steps beyond are drawn there."""
LONGEST_TEXT = 200
MOST_HPARAMS = 100


class EventFile:
    """The event file number *number* of a folder, which is made where there is none."""

    def __init__(self, folder: Path, number: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = RecordWriter((folder / NAME.format(number)).open("wb"))
        self._write(Event(wall_time=0, file_version="brain.Event:2"))

    def scalars(self, tag: str, line: Line, begin: float) -> None:
        """Points of a metric; one without a moment gets that of the point before it, the first *begin*."""
        placed = np.isfinite(line.steps)
        steps = np.clip(line.steps[placed], -FARTHEST, FARTHEST).tolist()
        at = begin
        for step, value, moment in zip(steps, line.values[placed].tolist(), line.moments[placed].tolist(), strict=True):
            at = at if math.isnan(moment) else moment
            point = Summary.Value(tag=tag, simple_value=value)
            self._write(Event(wall_time=at, step=int(step), summary=Summary(value=[point])))

    def session(self, values: Mapping[str, Any], begin: float, end: float | None, good: bool) -> None:
        """The hyper-parameters of what this folder shows, and how it ended; *end* None: it has not."""
        started = SessionStartInfo(start_time_secs=begin)
        for name, value in [item for item in values.items() if item[1] is not None][:MOST_HPARAMS]:
            if isinstance(value, bool):
                started.hparams[name].bool_value = value
            elif isinstance(value, int | float):
                started.hparams[name].number_value = float(value)
            else:
                started.hparams[name].string_value = str(value)[:LONGEST_TEXT]
        self._hparams(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=started), begin)
        if end is not None:
            status = api_pb2.STATUS_SUCCESS if good else api_pb2.STATUS_FAILURE
            ended = SessionEndInfo(status=status, end_time_secs=end)
            self._hparams(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=ended), end)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def _hparams(self, tag: str, data: HParamsPluginData, at: float) -> None:
        about = metadata.create_summary_metadata(data)
        value = Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)
        self._write(Event(wall_time=at, summary=Summary(value=[value])))

    def _write(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())
