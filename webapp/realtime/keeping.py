"""What the history needs done, whoever looks: deleted runs are removed when their time has come, connections that
nobody uses are closed, and runs are imported."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from engine.errors import StoreError
from engine.settings import Settings
from engine.store import Store
from webapp.services.histories import Histories
from webapp.services.run_import import work
from webapp.services.run_work import remove_due

log = logging.getLogger(__name__)

EVERY_SECONDS = 30.0
IMPORT_SECONDS = 2.0
"""How often imports that nobody works at are looked for."""


class HistoryKeeper:
    """Several servers may do this at once: nothing is done twice."""

    def __init__(self, store: Store, histories: Histories, sleep: Callable[[float], object]) -> None:
        self._store = store
        self._histories = histories
        self._sleep = sleep

    def run(self) -> None:
        """For ever."""
        while True:
            self._sleep(EVERY_SECONDS)
            self.turn(datetime.now(UTC))

    def turn(self, now: datetime) -> None:
        """Do what is due."""
        try:
            self._histories.close_unused()
            while remove_due(self._store, self._histories, now):
                pass
        except StoreError as error:
            log.warning("deleted runs wait: %s", error)
        except Exception:
            log.exception("keeping the history met an unexpected error and goes on")


class Importer:
    """Imports runs, one import after the other; several servers may."""

    def __init__(
        self, store: Store, settings: Settings, histories: Histories, sleep: Callable[[float], object]
    ) -> None:
        self._store = store
        self._settings = settings
        self._histories = histories
        self._sleep = sleep
        self._name = secrets.token_hex(6)

    def run(self) -> None:
        """For ever."""
        while True:
            self._sleep(IMPORT_SECONDS)
            self.turn()

    def turn(self) -> None:
        """Do the imports that wait."""
        try:
            while work(self._store, self._settings, self._histories, self._name, datetime.now(UTC)):
                pass
        except StoreError as error:
            log.warning("imports wait: %s", error)
        except Exception:
            log.exception("importing runs met an unexpected error and goes on")
