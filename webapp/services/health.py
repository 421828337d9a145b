"""How the parts of the installation are: no secrets, for programs that watch it."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import psutil

from engine.errors import StoreError
from engine.store import Store


def health(store: Store, now: datetime) -> tuple[dict[str, Any], bool]:
    """The report, and whether the database answers. `degraded`: it does not, or no daemon is alive."""
    process = psutil.Process(os.getpid())
    web = {
        "ok": True,
        "uptime_seconds": round(now.timestamp() - process.create_time()),
        "memory_mb": round(process.memory_info().rss / 2**20),
    }
    try:
        store.ping()
        daemons = [
            {
                "machine": machine["_id"],
                "alive": machine["alive"],
                "seen_seconds_ago": round((now - machine["seen"]).total_seconds(), 1),
                "sweeps": len(machine.get("running", [])),
                "slots": machine.get("slots"),
            }
            for machine in store.machines.all(now)
        ]
    except StoreError:
        return {"status": "degraded", "web": web, "database": {"ok": False}, "daemons": []}, False
    alive = any(daemon["alive"] for daemon in daemons)
    return {
        "status": "ok" if alive else "degraded",
        "web": web,
        "database": {"ok": True},
        "daemons": daemons,
    }, True
