"""The command line, Sacred's: one sweep, run here and now.

    python -m engine
    python -m engine print_config
    python -m engine print_config with config.yaml
    python -m engine with train_epoch=500 nn_model=Regressor 'opt_stages=[[200,4],[100,2]]'

The run goes to the database that the dashboard uses, and appears there; the embedded database is started for the
run's duration where none is running.
"""

from __future__ import annotations

import getpass
import logging
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sacred import SETTINGS, Experiment
from sacred.utils import SacredError

from engine import settings as settings_module
from engine.config import SweepConfig, load_yaml
from engine.data import accept
from engine.domain import SweepState
from engine.errors import ConfigError, NhopError
from engine.models.inspection import settle
from engine.notify import sender
from engine.recorder import LEASE, give_up
from engine.session import clock, run_sweep
from engine.settings import SMTP_PASSWORD, Settings
from engine.store import Store, connect, embedded
from engine.store.sweeps import new_id

SETTINGS.CAPTURE_MODE = "no"
SETTINGS.CONFIG.READ_ONLY_CONFIG = False

NAMED = "file_{}"


class Refused(SacredError):
    """A configuration that is refused; Sacred prints the message alone."""

    def __init__(self, problems: str) -> None:
        super().__init__(f"the configuration is refused:\n{problems}", print_traceback=False)


def build() -> Experiment:
    """The experiment with SweepConfig's defaults as its configuration."""
    experiment = Experiment("optimizer", base_dir=str(settings_module.ROOT), save_git_info=False)
    experiment.logger = logging.getLogger("nhop.command")
    experiment.logger.setLevel(logging.ERROR)
    defaults = SweepConfig().whole()
    del defaults["seed"]
    experiment.add_config(defaults)

    @experiment.config_hook
    def refuse_nonsense(config: Mapping[str, Any], command_name: str, logger: logging.Logger) -> dict[str, Any]:
        try:
            accept(_own(config), _find)
        except ConfigError as error:
            raise Refused(str(error)) from None
        return {}

    @experiment.main
    def run(_config: Mapping[str, Any]) -> float | None:
        try:
            return sweep_now(accept(_own(_config), _find))
        except NhopError as error:
            raise SacredError(str(error), print_traceback=False) from None

    return experiment


def _own(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without what Sacred adds to it."""
    return {key: value for key, value in config.items() if key != "__doc__"}


def _find(reference: str) -> Mapping[str, Any] | None:
    """Look an uploaded data set up in the dashboard's database."""
    settings = settings_module.load()
    settings_module.make_data_dir(settings)
    with _database(settings) as store:
        return store.datasets.find(reference)


def sweep_now(config: SweepConfig) -> float | None:
    """Create a sweep that this process owns from the start, and run it; returns its best loss."""
    settings = settings_module.load()
    os.environ.pop(SMTP_PASSWORD, None)
    settings_module.make_data_dir(settings)
    if problems := sender.problems(settings, config):
        raise ConfigError(problems)
    with _database(settings) as store:
        store.make_indexes()
        seed = config.seed if config.seed is not None else random.SystemRandom().randrange(2**31)
        with tempfile.TemporaryDirectory() as folder:
            config = settle(config.model_copy(update={"seed": seed}), store.model_files.fetch, Path(folder))
        sweep_id = new_id()
        store.notices.create(sweep_id, config.webhook, config.notify, clock())
        store.sweeps.create(
            config.name or "from the command line",
            getpass.getuser(),
            config.model_dump(mode="json"),
            seed,
            config.total_trials,
            config.total_steps,
            clock(),
            claimed=(f"{settings.machine_name}, command line", LEASE),
            sweep_id=sweep_id,
        )
        sweep = store.sweeps.get(sweep_id)
        try:
            state = run_sweep(store, settings, sweep)
        except OSError as error:  # no room on a disk: nobody would resume it
            give_up(store, sweep, str(error), clock())
            state = SweepState.FAILED
        if state is SweepState.STOPPED:
            print("stopped; the results so far are kept", file=sys.stderr)
        sender.send_all(store, settings, sweep_id)
        sweep = store.sweeps.get(sweep_id)
        if state is SweepState.FAILED:
            raise SacredError(f"the sweep failed: {sweep['error']}", print_traceback=False)
        return sweep["best"]["loss"] if sweep["best"] else None


@contextmanager
def _database(settings: Settings) -> Iterator[Store]:
    """The dashboard's database; the embedded one is started where it is not running, and the last user stops it."""
    held = embedded.use(settings.data_dir) if settings.embedded else None
    try:
        if held is not None:
            embedded.start(settings.data_dir, guard=True)
        with closing(connect(embedded.uri_of(settings), settings.database)) as store:
            store.ping()
            yield store
    finally:
        if held is not None:
            embedded.stop_unused(settings.data_dir, held)


def with_files(experiment: Experiment, arguments: list[str]) -> list[str]:
    """The arguments with each YAML file after `with` replaced by a named configuration of its sweep's keys.

    Sacred would take the server's section for keys of the sweep.

    Raises:
        ConfigError: a file cannot be read.
    """
    if "with" not in arguments:
        return arguments
    begin = arguments.index("with") + 1
    replaced = arguments[:begin]
    for number, argument in enumerate(arguments[begin:]):
        if Path(argument).suffix in (".yaml", ".yml") and "=" not in argument:
            name = NAMED.format(number)
            experiment.add_named_config(name, load_yaml(Path(argument))[0])
            argument = name
        replaced.append(argument)
    return replaced


def main() -> int:
    experiment = build()
    try:
        experiment.run_commandline(with_files(experiment, sys.argv))
    except NhopError as error:
        print(f"nhop: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
