"""The home page: what runs, what waits and why, what has ended, and the machines; and what ended last, for notices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from engine.confirmation import headline
from engine.store import Store
from webapp.services.accounts import Account
from webapp.services.plain import aware, plain
from webapp.services.queue import reason
from webapp.services.titles import in_titles

Document = dict[str, Any]

MOST_CARDS = 50
MOST_QUEUED = 50
RECENT = 30
NEWEST = 20
"""Ended sweeps among which a browser looks for those that it has not told of."""
POINTS = 40
"""Of the line of the best loss."""


@dataclass(frozen=True, slots=True)
class HomePage:
    """What templates/sweeps/home.html shows: the overview, and who looks at it."""

    overview: Document
    viewer: Account

    @property
    def island(self) -> Document:
        """What its script starts from; *steers*: whose sweeps this viewer may steer, "*" for everybody's."""
        viewer = self.viewer
        steers = "*" if viewer.role == "admin" else viewer.name if viewer.may_edit else ""
        return {"overview": self.overview, "steers": steers}


def overview(store: Store, now: datetime) -> Document:
    """{running: [card], queue: [row], recent: [row], machines: [machine]}: see the functions below."""
    machines = store.machines.all(now)
    queue = store.sweeps.queue(MOST_QUEUED)
    return dict(
        plain(
            {
                "running": [_card(store, sweep, now) for sweep in store.sweeps.running(MOST_CARDS)],
                "queue": [
                    {**_head(sweep), "priority": sweep.get("priority", 0), "why": reason(place, machines)}
                    for place, sweep in enumerate(queue)
                ],
                "recent": [_result(sweep) for sweep in store.sweeps.ended(RECENT)],
                "machines": [_machine(machine) for machine in machines],
            }
        )
    )


def machines(store: Store, after: str, limit: int, now: datetime) -> list[Document]:
    """At most *limit* machines, by name, from the first after *after* on, as the home page has them."""
    return [dict(plain(_machine(machine))) for machine in store.machines.after(after, limit, now)]


def newest_ended(store: Store) -> list[Document]:
    """What browsers are told of the sweeps that ended last: {id, name, owner, state, error, best}."""
    return [
        {
            **{key: plain(sweep.get(key)) for key in ("name", "owner", "state", "error")},
            "id": sweep["_id"],
            "best": plain((sweep.get("best") or {}).get("loss")),
        }
        for sweep in store.sweeps.ended(RECENT)[:NEWEST]
    ]


def _head(sweep: Mapping[str, Any]) -> Document:
    """{id, name, owner, state, stopping, created, trials: {done, failed, pruned, total}}: done are those that failed or
    were pruned, too."""
    progress = sweep.get("progress") or {}
    return {
        **{key: sweep.get(key) for key in ("name", "owner", "state", "created")},
        "id": sweep["_id"],
        "stopping": bool(sweep.get("stop_requested") or sweep.get("finish_requested")),
        "trials": {key: progress.get(key) or 0 for key in ("done", "failed", "pruned", "total")},
    }


def _card(store: Store, sweep: Mapping[str, Any], now: datetime) -> Document:
    """A sweep that runs: its head, {share of its work, seconds_left, confirming, best, trend, machine, silent}.

    *silent*: its lease has run out, so that its machine is gone and the sweep waits for another, or for this one.
    """
    progress, lease, best = sweep.get("progress") or {}, sweep.get("lease") or {}, sweep.get("best") or {}
    steps, total = progress.get("steps_done") or 0, progress.get("steps_total") or 0
    until = lease.get("until")
    return {
        **_head(sweep),
        "share": min(1.0, round(steps / total, 4)) if total else 0.0,
        "seconds_left": progress.get("seconds_left"),
        "confirming": bool(progress.get("to_confirm")),
        "best": best.get("loss"),
        "trend": _trend(store, sweep),
        "machine": lease.get("machine"),
        "silent": bool(until and aware(until) < now),
    }


def _trend(store: Store, sweep: Mapping[str, Any]) -> list[list[float]]:
    """[number of a trial, best loss] at each new best, at most POINTS, and [trials that are done, best loss]."""
    best, run_id = sweep.get("best") or {}, sweep.get("run_id")
    if run_id is None or best.get("loss") is None:
        return []
    done = _head(sweep)["trials"]["done"]
    return [
        *([min(number, done), loss] for number, loss in _improvements(store, run_id, best["number"])),
        [done, best["loss"]],
    ]


@lru_cache(maxsize=2 * MOST_CARDS)
def _improvements(store: Store, run_id: Any, best: int) -> tuple[tuple[float, float], ...]:
    """The new bests among the losses of a run, as long as trial *best* is the last of them."""
    metric = store.runs.metric(run_id, "loss") or {"steps": [], "values": []}
    steps: list[tuple[float, float]] = []
    for number, value in zip(metric["steps"], metric["values"], strict=False):
        if not steps or value < steps[-1][1]:
            steps.append((max(number, steps[-1][0]) if steps else number, value))
    return tuple(steps[:: -(-len(steps) // POINTS) or 1])


def _result(sweep: Mapping[str, Any]) -> Document:
    """A sweep that has ended: its head, {finished, seconds, best, confirmed: {name, mean, std, seeds}, how}."""
    started, finished = sweep.get("started"), sweep.get("finished")
    confirmed = next((one for one in sweep.get("confirmed") or [] if headline(one)), None)
    name = headline(confirmed) if confirmed else None
    figure = {key: confirmed["figures"][name][key] for key in ("mean", "std")} if confirmed and name else {}
    return {
        **_head(sweep),
        "finished": finished,
        "seconds": (finished - started).total_seconds() if started and finished else None,
        "best": (sweep.get("best") or {}).get("loss"),
        "confirmed": {"name": name, "seeds": confirmed["seeds"], **figure} if confirmed else None,
        "how": in_titles(" ".join(str(sweep.get("error") or sweep.get("ended_because") or "").split())[:200]),
    }


def _machine(machine: Mapping[str, Any]) -> Document:
    """{name, alive, slots, sweeps, load: [processes that want to compute, processors], seen: when, if it is silent}."""
    load = machine.get("load") or []
    return {
        "name": str(machine["_id"]),
        "alive": machine["alive"],
        "slots": machine.get("slots"),
        "sweeps": len(machine.get("running", [])),
        "load": [round(load[0], 1), load[1]] if len(load) == 2 else None,
        "seen": None if machine["alive"] else machine["seen"],
    }
