"""Why a sweep waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from engine.domain import SweepState
from engine.store import Store

MOST_QUEUED = 1000
"""Sweeps among which a place is looked for."""
MOST_MACHINES = 3
"""Named in one sentence."""


def why(store: Store, sweep: Mapping[str, Any], now: datetime) -> str:
    """What a waiting sweep waits for, and its place in the queue, in words; empty: it does not wait."""
    if sweep["state"] != SweepState.QUEUED:
        return ""
    waiting = [one["_id"] for one in store.sweeps.queue(MOST_QUEUED)]
    place = waiting.index(sweep["_id"]) if sweep["_id"] in waiting else MOST_QUEUED
    number = str(place + 1) if place < MOST_QUEUED else f"after {MOST_QUEUED:,}"
    return f"{reason(place, store.machines.all(now))}; place {number} in the queue."


def reason(place: int, machines: Sequence[Mapping[str, Any]]) -> str:
    """Why the sweep waits that has so many before it, in words."""
    alive = [machine for machine in machines if machine["alive"]]
    if not alive:
        return "no machine is there to take it; its daemon starts within seconds"
    free = [machine["_id"] for machine in alive for _ in range(machine["slots"] - len(machine.get("running", [])))]
    if place < len(free):
        return f"{free[place]} takes it within seconds"
    busy = [
        f"{len(machine.get('running', []))} of {machine['slots']} slots are busy on {machine['_id']}"
        for machine in alive[:MOST_MACHINES]
    ]
    more = f", and on {len(alive) - MOST_MACHINES} more machines all are" if len(alive) > MOST_MACHINES else ""
    return f"{', '.join(busy)}{more}"
