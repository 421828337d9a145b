"""What must be true of a sweep that has ended, by the witnesses outside the system."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from engine.samplers.base import key_of
from tests.faults.world import CLIENTS, World
from tests.waiting import wait_until

Document = Mapping[str, Any]
Trials = Mapping[int, Document]


@dataclass(slots=True)
class Audit:
    """The findings of one sweep."""

    trials: int = 0
    acknowledged: int = 0
    begun: int = 0
    events: int = 0
    lost: list[str] = field(default_factory=list)
    """Acknowledged trials that are gone, or changed."""
    again: list[str] = field(default_factory=list)
    """Trials that began once more after they were acknowledged."""
    duplicates: list[str] = field(default_factory=list)
    """Points, trials or events that are there twice, or out of order."""
    missing: list[str] = field(default_factory=list)
    """Trials, events or records that are not there."""
    wrong: list[str] = field(default_factory=list)
    """Anything else that is not as it must be."""
    overlap: float = 0.0
    """Seconds in which a former owner wrote although another had claimed the sweep."""

    @property
    def faults(self) -> list[str]:
        return [*self.lost, *self.again, *self.duplicates, *self.missing, *self.wrong]


def audit(world: World, sweep_id: str, state: str, failed: int = 0) -> Audit:
    """Look at a sweep that is to have ended in *state*, with so many *failed* trials."""
    found = Audit()
    sweep = world.store.sweeps.get(sweep_id)
    trials = {trial["number"]: trial for trial in world.place.trials(sweep_id)}
    found.trials = len(trials)
    if sweep["state"] != state:
        found.wrong.append(f"the sweep is {sweep['state']}, not {state}: {sweep['error']}")
    _audit_trials(world, sweep, trials, state, failed, found)
    _audit_ledger(world, sweep_id, trials, found)
    _audit_owners(world, sweep_id, found)
    _audit_events(world, sweep_id, trials, found)
    _audit_run(world, sweep, trials, found)
    return found


def _audit_trials(
    world: World,
    sweep: Document,
    trials: Trials,
    state: str,
    failed: int,
    found: Audit,
) -> None:
    acknowledged = {number: trial for (sweep_id, number), (_, trial) in world.acknowledged.items()
                    if sweep_id == sweep["_id"]}  # fmt: skip
    found.acknowledged = len(acknowledged)
    for number, before in acknowledged.items():
        now = trials.get(number)
        if now is None:
            found.lost.append(f"trial {number} was acknowledged and is gone")
        elif {**now, "fence": before["fence"]} != before:
            changed = [key for key in before if now.get(key) != before[key]]
            found.lost.append(f"trial {number} was acknowledged and has changed: {changed}")
    total = sweep["progress"]["total"]
    states = Counter(trial["state"] for trial in trials.values())
    if state == "COMPLETED":
        if list(trials) != list(range(1, total + 1)):
            found.missing.append(f"{len(trials)} trials of {total}")
        if states["FAILED"] != failed or states["COMPLETED"] != total - failed:
            errors = {trial["error"] for trial in trials.values() if trial["error"]}
            found.wrong.append(f"the trials are {dict(states)}, and {failed} were to fail: {errors}")
    elif others := set(states) - {"COMPLETED", "STOPPED", "FAILED"}:
        found.wrong.append(f"trials of a stopped sweep are {others}")
    done = {number for number, trial in trials.items() if trial["state"] == "COMPLETED"}
    if without := done - set(world.store.models.kept(sweep["_id"])):
        found.missing.append(f"the networks of the trials {sorted(without)} were not kept")
    keys = Counter(key_of(trial["params"]) for trial in trials.values())
    if twice := [key for key, count in keys.items() if count > 1]:
        found.duplicates.append(f"{len(twice)} points are tried twice")
    for number, trial in trials.items():
        steps = [step for step, *_ in trial["curve"]]
        if steps != sorted(set(steps)):
            found.duplicates.append(f"the curve of trial {number} has points twice: {steps}")


def _audit_ledger(world: World, sweep_id: str, trials: Trials, found: Audit) -> None:
    lines = [line for line in world.ledger.look() if line.get("sweep") == sweep_id]
    begins: dict[int, list[float]] = {}
    for line in lines:
        if line["point"] == "trial-begins":
            begins.setdefault(line["number"], []).append(line["at"])
    ends = Counter(line["number"] for line in lines if line["point"] == "trial-ends")
    found.begun = sum(map(len, begins.values()))
    for number, trial in trials.items():
        count = len(begins.get(number, []))
        if trial["state"] != "COMPLETED":
            continue
        if ends[number] == 0:
            found.wrong.append(f"trial {number} is completed, and no process has trained it to its end")
        if count > len(trial["attempts"]) + 1:
            found.wrong.append(f"trial {number} began {count} times and was lost {len(trial['attempts'])} times")
        read_at, _ = world.acknowledged.get((sweep_id, number), (float("inf"), None))
        if late := [at for at in begins.get(number, []) if at > read_at]:
            found.again.append(f"trial {number} began again {late[0] - read_at:.2f} s after it was acknowledged")
    if unknown := set(begins) - set(trials):
        found.missing.append(f"trials {sorted(unknown)} were trained and are not in the database")


def _audit_owners(world: World, sweep_id: str, found: Audit) -> None:
    """Nobody begins a write after the next owner has claimed the sweep.

    A process notes a write when it has the answer: where it was stopped meanwhile, its first note after the claim may
    be of a write from before.
    """
    writes = ("lease-renewed", "trials-stored", "fields-stored", "events-stored", "sweep-finished")
    claims: dict[int, float] = {}
    wrote: dict[tuple[int, int], list[float]] = {}
    for line in world.ledger.look():
        if line.get("sweep") != sweep_id:
            continue
        if line["point"] == "sweep-claimed":
            if line["fence"] in claims:
                found.wrong.append(f"fence {line['fence']} was claimed twice")
            claims[line["fence"]] = line["at"]
        elif line["point"] in writes:
            wrote.setdefault((line["fence"], line["pid"]), []).append(line["at"])
    for fence, at in claims.items():
        older = (times for (other, _), times in wrote.items() if other < fence)
        late = max((times[-1] - at for times in older if len(times) > 1 and times[-2] > at), default=0.0)
        if late > 0:
            found.overlap = max(found.overlap, late)
            found.wrong.append(f"{late:.2f} s after fence {fence} was claimed an older one still wrote")


def _audit_events(world: World, sweep_id: str, trials: Trials, found: Audit) -> None:
    numbers = [event["seq"] for event in
               world.store.database["events"].find({"sweep_id": sweep_id}, {"seq": 1}).sort("seq", 1)]  # fmt: skip
    last = found.events = len(numbers)
    if numbers != list(range(1, last + 1)):
        found.missing.append(f"the events have gaps: {_gaps(numbers)}")
    told: dict[int, Any] = {}
    for event in world.store.database["events"].find({"sweep_id": sweep_id, "type": "trial"}).sort("seq", 1):
        told[event["data"]["number"]] = event["data"]["state"]
    if silent := [number for number, trial in trials.items() if told.get(number) != trial["state"]]:
        found.missing.append(f"no event tells how the trials {silent} ended")
    if world.received is None or not last:
        return

    def caught_up() -> bool:
        return all((seen := world.seen(client)) and seen[-1][0] >= last for client in range(CLIENTS))

    try:
        wait_until(caught_up, 20, f"event {last} at every browser")
    except AssertionError as error:
        found.missing.append(f"{error}; they have {[world.seen(client)[-1:] for client in range(CLIENTS)]}")
    for client in range(CLIENTS):
        received = [seq for seq, _ in world.seen(client)]
        if received != sorted(set(received)):
            found.duplicates.append(f"browser {client} received events twice or out of order: {_gaps(received)}")
        if missed := set(range(1, last + 1)) - set(received):
            found.missing.append(f"browser {client} never received {len(missed)} events from {min(missed)} on")
    refused = {what for _, what, _ in world.received.look() if isinstance(what, str) and what.startswith("refused")}
    if refused:
        found.wrong.append(f"browsers were told: {refused}")


def _gaps(numbers: list[int]) -> list[tuple[int, int]]:
    """The first places where the next number is not one more."""
    return [(a, b) for a, b in pairwise(numbers) if b != a + 1][:5]


def _audit_run(world: World, sweep: Document, trials: Trials, found: Audit) -> None:
    """The Sacred run tells the same story, and the journal has each result once."""
    completed = sorted(number for number, trial in trials.items() if trial["state"] == "COMPLETED")
    if sweep.get("run_id") is None:
        if trials:
            found.missing.append("the sweep has no Sacred run")
        return
    run = world.store.runs.get(sweep["run_id"])
    status = {"COMPLETED": "COMPLETED", "STOPPED": "INTERRUPTED", "FAILED": "FAILED"}.get(sweep["state"])
    if run["status"] != status:
        found.wrong.append(f"the Sacred run is {run['status']}")
    metrics = {metric["name"]: metric for metric in world.store.runs.metrics(run["_id"])}
    steps = sorted(metrics.get("loss", {}).get("steps", []))
    if steps != completed:
        twice = [step for step, count in Counter(steps).items() if count > 1]
        lacks = sorted(set(completed) - set(steps))
        (found.duplicates if twice else found.missing).append(f"the metric loss has {twice} twice and lacks {lacks}")
    journal = world.place.data_dir / "sweeps" / sweep["_id"] / "journal"
    if journal.exists():
        records = [json.loads(line.partition(b" ")[2]) for line in journal.read_bytes().splitlines()]
        ends = Counter(record["trial"]["number"] for record in records
                       if "trial" in record and record["trial"]["state"] == "COMPLETED")  # fmt: skip
        if twice := [number for number, count in ends.items() if count > 1]:
            found.duplicates.append(f"the journal has the results of {twice} twice")
