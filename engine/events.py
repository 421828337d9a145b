"""The events of a sweep: what the engine tells, in order, and the page shows.

Every event is stored with a sequence number, counted from 1 within its sweep without gaps. Each carries
whole values (never differences), so that applying one twice changes nothing.

============  ==================================================================================
type          data
============  ==================================================================================
sweep         the sweep's state, progress and best, as `SweepView` (see store.sweeps.public)
stage         {index, steps, trials, space, sampler, pruner}: a stage begins, or is searched otherwise from now on
trial         the row of one trial, as store.trials.public gives it
progress      {trials: {number: {step, points: [[step, train, validation], …]}}}: what the running
              trials have reached since the last such event; at most 4 a second
process       {role, index, address, pid, state, detail, restarts}: a parameter server, worker or chief
resources     {processes: {name: [CPU in per cent of one processor, memory in MB]}}: what the processes of the
              optimizer's machine use; at most every 2 s
edit          {version, by, at, changes: {key: [before, after]}, points, retries}: a new version of
              the configuration, from its user; `sweep` tells when the engine has taken it up
log           {lines: [{at, level, text}, …]}: lines of the sweep's log; at most 4 a second
============  ==================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    SWEEP = "sweep"
    STAGE = "stage"
    TRIAL = "trial"
    PROGRESS = "progress"
    PROCESS = "process"
    RESOURCES = "resources"
    EDIT = "edit"
    LOG = "log"


class ProcessState(StrEnum):
    """What a TensorFlow process is doing."""

    STARTING = "starting"
    READY = "ready"
    TRAINING = "training"
    PAUSED = "paused"
    MISSING = "missing"
    LOST = "lost"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a sweep."""

    sweep_id: str
    seq: int
    type: EventType
    at: datetime
    data: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The event as the browser gets it."""
        return {"seq": self.seq, "type": str(self.type), "at": self.at.isoformat(), "data": self.data}
