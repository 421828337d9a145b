"""Sweeps: create one from what a form, or anything else, gives; stop one; the overview of the home page."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from engine.config import load_yaml, parse
from engine.data import accept
from engine.domain import SweepState
from engine.settings import CONFIG_FILE, Settings
from engine.store import Store
from engine.store.sweeps import public
from webapp.services import steering
from webapp.services.accounts import Account, must_edit
from webapp.services.classes import settled
from webapp.services.daemon import ensure_daemon
from webapp.services.plain import plain

Document = dict[str, Any]

OPEN = [SweepState.RUNNING, SweepState.PAUSED, SweepState.QUEUED]
RECENT = 30

ADJECTIVES = (
    *("amber", "brisk", "calm", "clear", "copper", "coral", "crisp", "golden", "green", "hazel", "indigo", "jade"),
    *("lunar", "mellow", "olive", "pearl", "quiet", "rapid", "royal", "silver", "solar", "steady", "teal", "vivid"),
)
NOUNS = (
    *("badger", "beacon", "cedar", "comet", "condor", "delta", "dune", "ember", "falcon", "fjord", "glade", "harbor"),
    *(
        "heron",
        "island",
        "kestrel",
        "lynx",
        "maple",
        "meadow",
        "otter",
        "plover",
        "reef",
        "sparrow",
        "summit",
        "willow",
    ),
)


def make_name() -> str:
    """A name for a sweep whose owner gave none."""
    return f"{secrets.choice(ADJECTIVES)}-{secrets.choice(NOUNS)}-{secrets.token_hex(2)}"


def create(store: Store, settings: Settings, account: Account, values: Mapping[str, Any], now: datetime) -> str:
    """Queue the sweep that *values* describe and see that a daemon will take it; returns its id.

    Raises:
        Forbidden: the account may only look.
        ConfigError: with every problem, each at its key.
    """
    must_edit(account)
    config = settled(store, settings, accept(values, store.datasets.find))
    seed = secrets.randbelow(2**31) if config.seed is None else config.seed
    config = config.model_copy(update={"seed": seed, "name": config.name.strip() or make_name()})
    sweep_id = store.sweeps.create(
        name=config.name,
        owner=account.name,
        config=config.model_dump(mode="json"),
        seed=seed,
        trials=config.total_trials,
        steps=config.total_steps,
        now=now,
    )
    steering.announce(store, sweep_id, now)
    ensure_daemon(settings, store, now)
    return sweep_id


def defaults() -> Document:
    """What an empty form starts from: the sweep's keys of config.yaml.

    Raises:
        ConfigError: the file holds nonsense; the server does not start with it.
    """
    return parse(load_yaml(CONFIG_FILE)[0]).model_dump(mode="json") if CONFIG_FILE.exists() else {}


def config_of(store: Store, sweep_id: str) -> Document:
    """The configuration of a sweep, as the start of another one: without its name and seed."""
    config = dict(store.sweeps.get(sweep_id)["config"])
    return {key: value for key, value in config.items() if key not in ("name", "seed", "running_stage")}


def overview(store: Store, now: datetime) -> Document:
    """The home page: {running: [public sweep], recent: [public sweep], machines: [{name, alive, slots, sweeps}]}."""
    machines = [
        {
            "name": str(machine["_id"]),
            "alive": machine["alive"],
            "slots": machine.get("slots"),
            "sweeps": len(machine.get("running", [])),
            "seen": machine["seen"],
        }
        for machine in store.machines.all(now)
    ]
    running = sorted(store.sweeps.recent(50, OPEN), key=lambda sweep: OPEN.index(sweep["state"]))
    return {
        "running": [plain(public(sweep)) for sweep in running],
        "recent": [plain(public(sweep)) for sweep in store.sweeps.recent(RECENT)],
        "machines": plain(machines),
    }
