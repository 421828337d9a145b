"""Why a sweep waits."""

from __future__ import annotations

from collections.abc import Mapping
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
    number = str(waiting.index(sweep["_id"]) + 1) if sweep["_id"] in waiting else f"after {MOST_QUEUED:,}"
    place = f"place {number} in the queue"
    alive = [machine for machine in store.machines.all(now) if machine["alive"]]
    if not alive:
        return f"no machine is there to take it; its daemon starts within seconds; {place}."
    free = [machine for machine in alive if len(machine.get("running", [])) < machine["slots"]]
    if free:
        return f"{free[0]['_id']} takes it within seconds; {place}."
    busy = [
        f"{len(machine['running'])} of {machine['slots']} slots are busy on {machine['_id']}"
        for machine in alive[:MOST_MACHINES]
    ]
    more = f", and on {len(alive) - MOST_MACHINES} more machines all are" if len(alive) > MOST_MACHINES else ""
    return f"{', '.join(busy)}{more}; {place}."
