"""What the history needs done now and then, whoever looks: deleted runs are removed when their time has come, and
connections that nobody uses are closed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from engine.errors import StoreError
from engine.store import Store
from webapp.services.histories import Histories
from webapp.services.run_work import remove_due

log = logging.getLogger(__name__)

EVERY_SECONDS = 30.0


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
