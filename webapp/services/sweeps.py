"""Sweeps: create one from what a form, or anything else, gives, or from an earlier one; the example."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from engine.config import SweepConfig, examine, load_yaml, parse
from engine.data import accept
from engine.domain import SweepState
from engine.errors import ConfigError, NotFound, Problem
from engine.models.inspection import narrowed
from engine.notify import sender
from engine.settings import CONFIG_FILE, Settings
from engine.store import Store
from engine.store.notices import EMAIL, WEBHOOK
from engine.store.sweeps import new_id, public
from webapp.services import runs, steering
from webapp.services.accounts import Account
from webapp.services.classes import known, settled
from webapp.services.daemon import ensure_daemon
from webapp.services.plain import plain

log = logging.getLogger(__name__)
Document = dict[str, Any]

OPEN = [SweepState.RUNNING, SweepState.PAUSED, SweepState.QUEUED]

EXAMPLE = {
    "name": "Example",
    "hyperparam_opt": "TPE",
    "pruner": "asha",
    "hidden_layers": [1, 4],
    "nodes_per_layer": [8, 64],
    "batch_size": [50, 500],
    "learning_rate": [0.0003, 0.03],
    "log_scale": True,
    "opt_stages": [[3000, 60], [6000, 16]],
    "opt_tolerance": 0,
    "max_seconds": 45,
    "confirm": 2,
}
"""Less than a minute on two processors: TPE and ASHA on a synthetic problem, in two stages."""
CLUSTER = tuple(
    key
    for key, field in SweepConfig.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["group"] == "cluster"
)
"""The keys of the processes that do the work."""

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


def create(
    store: Store,
    settings: Settings,
    account: Account,
    values: Mapping[str, Any],
    now: datetime,
    sweep_id: str | None = None,
) -> str:
    """Queue the sweep that *values* describe and see that a daemon will take it; returns its id: *sweep_id*, or a new
    one. Doing it twice under one id makes one sweep.

    Raises:
        ConfigError: with every problem, each at its key.
    """
    config, problems = examined(store, values)
    if config.load_data and not settings.may_read(config.load_data_dir):
        text = f"must be below {settings.data_folders}; an administrator can allow others in data_folders"
        raise ConfigError([*problems, Problem("load_data_dir", text)])
    config = settled(store, settings, accept(values, store.datasets.find))
    if problems := sender.problems(settings, config):
        raise ConfigError(problems)
    seed = secrets.randbelow(2**31) if config.seed is None else config.seed
    config = config.model_copy(update={"seed": seed, "name": config.name.strip() or make_name()})
    sweep_id = sweep_id or new_id()
    store.notices.create(sweep_id, config.webhook, config.notify, now)
    store.sweeps.create(
        name=config.name,
        owner=account.name,
        config=config.model_dump(mode="json"),
        seed=seed,
        trials=config.total_trials,
        steps=config.total_steps,
        now=now,
        sweep_id=sweep_id,
    )
    steering.announce(store, sweep_id, now, whole=True)
    try:
        ensure_daemon(settings, store, now)
    except OSError as error:  # no room for its log, say; the relay tries again
        log.warning("the daemon cannot be started: %s", error)
    return sweep_id


def page(
    store: Store, limit: int, state: SweepState | None, owner: str, before: tuple[datetime, str] | None = None
) -> tuple[list[Document], bool]:
    """At most *limit* sweeps, the newest first, as `public` shows them, and whether there are more.

    Args:
        state: only sweeps in it.
        owner: only those of this account; empty: everybody's.
        before: only those before the sweep of this moment of creation and id.
    """
    wanted = {key: str(value) for key, value in (("state", state), ("owner", owner)) if value}
    found = store.sweeps.page(limit + 1, wanted, before)
    return [dict(plain(public(sweep))) for sweep in found[:limit]], len(found) > limit


def detail(store: Store, sweep_id: str) -> Document:
    """A sweep as `public` shows it, with `config` and `stages`.

    Raises:
        NotFound: there is no such sweep.
    """
    sweep = store.sweeps.get(sweep_id)
    return dict(plain({**public(sweep), "config": sweep["config"], "stages": sweep.get("stages") or []}))


def start_example(store: Store, settings: Settings, account: Account, now: datetime) -> str:
    """Queue the example, on the hosts that config.yaml names; returns its id. Raises as `create`."""
    hosts = {key: value for key, value in defaults().items() if key in CLUSTER}
    return create(store, settings, account, {**hosts, **EXAMPLE}, now)


def defaults() -> Document:
    """What an empty form starts from: the sweep's keys of config.yaml.

    Raises:
        ConfigError: the file holds nonsense; the server does not start with it.
    """
    return dict(_defaults(CONFIG_FILE.stat().st_mtime_ns)) if CONFIG_FILE.exists() else {}


@lru_cache(maxsize=1)
def _defaults(changed: int) -> Document:
    """Those of the file as it has been since *changed*."""
    return parse(load_yaml(CONFIG_FILE)[0]).whole()


def config_of(store: Store, account: Account, sweep_id: str) -> Document:
    """The configuration of a sweep, as the start of another one: without its name and seed, and without whom it
    notifies unless the account may steer it."""
    sweep = store.sweeps.get(sweep_id)
    told = _notified(store, sweep_id) if account.may_stop(sweep["owner"]) else {}
    return _again(sweep["config"]) | told


def _notified(store: Store, sweep_id: str) -> Document:
    """The private keys of a sweep."""
    key = {WEBHOOK: "webhook", EMAIL: "notify"}
    return {key[notice["kind"]]: notice["to"] for notice in store.notices.of_sweep(sweep_id)}


def _again(config: Mapping[str, Any]) -> Document:
    return {key: value for key, value in config.items() if key not in ("name", "seed", "running_stage")}


def config_of_run(store: Store, run_id: str) -> Document:
    """The configuration of a run of the history, if it is a sweep's, as the start of another one.

    Raises:
        NotFound: there is no such run, or it was no sweep.
    """
    config = runs.find(store.run_parts, run_id).get("config")
    if not runs.is_sweep(config):
        raise NotFound(f"run {run_id[:200]} is no sweep of this program; its configuration cannot start one")
    return _again(plain(config))


def examined(store: Store, values: Mapping[str, Any]) -> tuple[SweepConfig, list[Problem]]:
    """*values* with defaults in place of what is wrong, and all that is wrong with them, found without reading files
    or running a class's code: what can be said while somebody types."""
    config, problems = examine(values)
    if not config.load_data:
        try:
            accept(values, store.datasets.find)
        except ConfigError as error:
            problems = list(error.problems)
    if own := known(config.model_class):
        try:
            narrowed(own, config.model_space)
        except ConfigError as error:
            wrong = {problem.key for problem in problems}
            problems = [*problems, *(problem for problem in error.problems if problem.key not in wrong)]
    return config, problems
