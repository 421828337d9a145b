"""Writes into the store what the engine writes while it runs a sweep, so that pages can be tested without it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from engine.config import SweepConfig, parse
from engine.domain import SweepState, Trial, TrialState
from engine.events import EventType
from engine.space import Params
from engine.store import Store
from engine.store import sweeps as sweep_store
from engine.store import trials as trial_store


class Writer:
    """One sweep, and the engine's side of its story."""

    def __init__(self, store: Store, owner: str = "ada", seed: int = 7, **values: Any) -> None:
        self.store = store
        self.config: SweepConfig = parse({"name": "amber-falcon-3f2a", "seed": seed, **values})
        self.rng = np.random.default_rng(seed)
        self.now = datetime.now(UTC) - timedelta(minutes=2)
        self.trials: dict[int, Trial] = {}
        self.processes: dict[str, dict[str, Any]] = {}
        self.stage = 0
        self.fence = 0
        self.best: dict[str, Any] | None = None
        self.id = store.sweeps.create(
            name=self.config.name,
            owner=owner,
            config=self.config.model_dump(mode="json"),
            seed=seed,
            trials=self.config.total_trials,
            steps=self.config.total_steps,
            now=self.now,
        )
        self.tell(EventType.SWEEP, self.public())

    def tell(self, kind: EventType, data: Mapping[str, Any]) -> int:
        self.now += timedelta(seconds=0.3)
        return self.store.events.append(self.id, [(kind, data, self.now)])

    def public(self) -> dict[str, Any]:
        return sweep_store.public(self.store.sweeps.get(self.id))

    def claim(self, machine: str = "turing") -> None:
        """A daemon takes the sweep; its processes start."""
        claimed = self.store.sweeps.claim(machine, timedelta(minutes=10), self.now)
        assert claimed is not None
        assert claimed["_id"] == self.id
        self.fence = claimed["lease"]["fence"]
        self.tell(EventType.SWEEP, self.public())
        hosts = [("chief", "localhost:2222"), *(("ps", host) for host in self.config.ps)]
        hosts += [("worker", host) for host in self.config.workers]
        counts: dict[str, int] = {}
        for place, (role, address) in enumerate(hosts):
            index = counts.get(role, 0)
            counts[role] = index + 1
            self.process(role, index, address, 4100 + place, "ready")
        self.log("info", f"cluster of {len(hosts)} processes is ready")

    def process(self, role: str, index: int, address: str, pid: int, state: str, detail: str = "") -> None:
        item = {"role": role, "index": index, "address": address, "pid": pid, "state": state, "detail": detail}
        self.processes[f"{role}_{index}"] = item
        self.store.sweeps.update(self.id, self.fence, {"processes": self.processes})
        self.tell(EventType.PROCESS, item)

    def set(self, **fields: Any) -> None:
        """Set fields of the sweep's document, and tell of it."""
        self.store.sweeps.update(self.id, self.fence, fields)
        self.tell(EventType.SWEEP, self.public())

    def log(self, level: str, *texts: str) -> None:
        lines = [{"at": self.now.isoformat(), "level": level, "text": text} for text in texts]
        self.tell(EventType.LOG, {"lines": lines})

    def begin_stage(self, index: int) -> None:
        self.stage = index
        steps, trials = self.config.stages[index]
        stage = {"index": index, "steps": steps, "trials": trials, "space": self.config.space().to_document()}
        stages = [*self.store.sweeps.get(self.id)["stages"], stage]
        self.store.sweeps.update(self.id, self.fence, {"stages": stages})
        self.tell(EventType.STAGE, stage)
        self.log("info", f"stage {index + 1}: {trials} trials of {steps} steps")

    def begin_trial(self, worker: int = 0) -> int:
        number = len(self.trials) + 1
        params: Params = self.config.space().draw(self.rng)
        steps = self.config.stages[self.stage][0]
        trial = Trial(self.id, number, self.stage, params, steps, seed=number, created=self.now)
        trial.state, trial.started, trial.worker = TrialState.RUNNING, self.now, f"worker_{worker}"
        self._put(trial)
        hosts = self.config.workers
        self.process("worker", worker, hosts[worker], 4103 + worker, "training", f"trial {number}")
        return number

    def progress(self, number: int, upto: float, points: int = 10) -> None:
        """Bring a trial to the part *upto* of its steps."""
        trial = self.trials[number]
        begun, last = trial.step, int(trial.steps * upto)
        fresh: list[list[float | None]] = []
        for step in np.unique(np.linspace(begun, last, points + 1).astype(int))[1:]:
            value = 0.4 * math.exp(-4 * step / trial.steps) + 0.002 * number
            noise = float(self.rng.uniform(0.9, 1.1))
            fresh.append([int(step), value * noise, value * 1.15 if int(step) % 3 else None])
        trial.step = last
        trial.curve = [*trial.curve, *fresh]
        self.tell(EventType.PROGRESS, {"trials": {str(number): {"step": last, "points": fresh}}})

    def end_trial(self, number: int, loss: float | None = None, error: str | None = None) -> None:
        trial = self.trials[number]
        trial.finished, trial.seconds = self.now, 2.5 + number / 10
        if error:
            trial.state, trial.error = TrialState.FAILED, error
        else:
            trial.step = trial.steps
            trial.state = TrialState.COMPLETED
            trial.loss = trial.val_loss = 0.4 * 0.7**number if loss is None else loss
            trial.train_loss = trial.loss * 0.9
            if self.best is None or trial.loss < self.best["loss"]:
                self.best = {"number": number, "loss": trial.loss, "params": trial.params}
        self._put(trial, curve=True)
        self._progress()

    def finish(self, state: SweepState = SweepState.COMPLETED, **fields: Any) -> None:
        for item in self.processes.values():
            self.process(**{**item, "state": "stopped", "detail": ""})
        self.store.sweeps.finish(self.id, self.fence, state, {"finished": self.now, **fields})
        self.tell(EventType.SWEEP, self.public())

    def _progress(self) -> None:
        ended = [trial for trial in self.trials.values() if trial.state in (TrialState.COMPLETED, TrialState.FAILED)]
        failed = sum(trial.state is TrialState.FAILED for trial in ended)
        progress = {
            "done": len(ended),
            "failed": failed,
            "pruned": 0,
            "total": self.config.total_trials,
            "steps_done": sum(trial.steps for trial in ended),
            "steps_total": self.config.total_steps,
            "stage": self.stage,
            "seconds_left": 3.5 * (self.config.total_trials - len(ended)),
        }
        self.store.sweeps.update(self.id, self.fence, {"progress": progress, "best": self.best})
        self.tell(EventType.SWEEP, self.public())

    def _put(self, trial: Trial, curve: bool = False) -> None:
        self.trials[trial.number] = trial
        document = trial_store.to_document(trial, self.fence)
        self.store.trials.put(document)
        row = trial_store.public(document)
        self.tell(EventType.TRIAL, {**row, "curve": trial.curve} if curve else row)
