"""What the history needs done, whoever looks: deleted runs are removed when their time has come, connections that
nobody uses are closed, runs are imported, and TensorBoards end."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from engine.errors import StoreError
from engine.settings import Settings
from engine.store import Store
from webapp.services.boards import Boards
from webapp.services.histories import Histories
from webapp.services.run_import import work
from webapp.services.run_work import remove_due

log = logging.getLogger(__name__)

EVERY_SECONDS = 30.0
IMPORT_SECONDS = 2.0
"""How often imports that nobody works at are looked for."""
BOARD_SECONDS = 1.0
"""A TensorBoard lives at most about so long after the session of its user."""


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


class BoardKeeper:
    """Ends TensorBoards that are not used, or whose users have gone."""

    def __init__(self, boards: Boards, sleep: Callable[[float], object]) -> None:
        self._boards = boards
        self._sleep = sleep

    def run(self) -> None:
        """For ever."""
        while True:
            self._sleep(BOARD_SECONDS)
            try:
                self._boards.turn(datetime.now(UTC))
            except StoreError:
                continue
            except Exception:
                log.exception("ending TensorBoards met an unexpected error and goes on")
