"""Sends the notices of sweeps that have ended: in the daemon's own thread, or at the end of the command line.

Nothing here is part of a sweep: it has ended, and its end is stored, when the first notice of it is due. How sending
went stands in its log, without the address.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.config import SweepConfig
from engine.domain import SweepState
from engine.errors import NotFound, NoticeError, NoticeRefused, Problem, StoreError
from engine.events import EventType
from engine.notify import mail, message, webhook
from engine.settings import Settings
from engine.store import Store
from engine.store.notices import EMAIL, WEBHOOK

LOOK_SECONDS = 1.0
LEASE = timedelta(seconds=120)
"""Longer than one try takes."""
AGAIN = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600))
"""How long to wait after each try that failed."""
PATIENCE_SECONDS = 60.0
"""How long the command line waits for its notices to be sent."""
TITLES = {WEBHOOK: "webhook", EMAIL: "e-mail"}

log = logging.getLogger("nhop.notify")


def problems(settings: Settings, config: SweepConfig) -> list[Problem]:
    """What, in a configuration, cannot work with these settings and can be told without asking the network."""
    found = []
    if config.notify and not settings.smtp_host:
        found.append(Problem("notify", "no e-mail is sent from here: an administrator must set smtp_host"))
    if config.webhook and webhook.is_refused(config.webhook, allowed_hosts(settings)):
        found.append(Problem("webhook", webhook.PRIVATE))
    return found


def allowed_hosts(settings: Settings) -> frozenset[str]:
    return frozenset(host.strip().lower() for host in settings.webhook_hosts.split(",") if host.strip())


def send_next(store: Store, settings: Settings, clock: Callable[[], datetime], sweep_id: str | None = None) -> bool:
    """Try to send one notice that is due, of a sweep if one is named; False: there was none.

    Raises:
        StoreError: the database refuses, or is silent; the notice is due again when its lease has run out.
    """
    notice = store.notices.take(clock(), LEASE, sweep_id)
    if notice is None:
        return False
    try:
        sweep = store.sweeps.get(notice["sweep_id"])
    except NotFound:
        store.notices.settle(notice, "the sweep is gone")
        return True
    title, tries = TITLES[notice["kind"]], notice["tries"]
    try:
        outcome = _send(settings, notice, sweep)
    except NoticeError as error:
        left = not isinstance(error, NoticeRefused) and tries <= len(AGAIN)
        if left:
            wait = AGAIN[tries - 1]
            store.notices.postpone(notice, clock() + wait, str(error))
            text = f"{title}: {error}; tried {tries} of {len(AGAIN) + 1} times, again in {wait.total_seconds():g} s"
        else:
            store.notices.settle(notice, str(error))
            text = f"{title} given up: {error}"
        _tell(store, sweep, "WARNING" if left else "ERROR", text, clock())
    except Exception as error:
        log.exception("a notice of sweep %s cannot be made", sweep["_id"])
        store.notices.settle(notice, type(error).__name__)
        _tell(store, sweep, "ERROR", f"{title} given up: an error of the program: {type(error).__name__}", clock())
    else:
        store.notices.settle(notice, outcome)
        _tell(store, sweep, "INFO", f"{title}: {outcome}", clock())
    return True


def _send(settings: Settings, notice: Mapping[str, Any], sweep: Mapping[str, Any]) -> str:
    """Send a notice; returns what came of it, in words. Raises NoticeError."""
    url = f"{settings.url}/sweeps/{sweep['_id']}"
    if notice["kind"] == WEBHOOK:
        status = webhook.post(notice["to"], message.document(sweep, notice["_id"], url), allowed_hosts(settings))
        return f"delivered, answered with {status}"
    if sweep["state"] == SweepState.STOPPED:
        return "not sent: the sweep was stopped by hand"
    mail.send(settings, notice["to"], *message.email(sweep, url))
    return f"sent to {len(notice['to'])} recipient{'' if len(notice['to']) == 1 else 's'}"


def _tell(store: Store, sweep: Mapping[str, Any], level: str, text: str, now: datetime) -> None:
    """A line of the sweep's log."""
    log.info("sweep %s: %s", sweep["_id"], text)
    line = {"at": now.isoformat(), "level": level, "text": text}
    store.events.append(sweep["_id"], [(EventType.LOG, {"lines": [line]}, now)])


class Sender(threading.Thread):
    """Sends whatever is due, until it is told to end; what it is sending then is due again under another sender."""

    def __init__(self, store: Callable[[], Store], settings: Settings) -> None:
        super().__init__(name="notices", daemon=True)
        self._store = store
        self._settings = settings
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                while not self._stopping.is_set() and send_next(self._store(), self._settings, _now):
                    pass
            except StoreError:
                continue  # the daemon says so
            except Exception:
                log.exception("the notices meet an error of the program and go on")

    def end(self) -> None:
        self._stopping.set()


def send_all(store: Store, settings: Settings, sweep_id: str) -> None:
    """Send the notices of a sweep that has ended, waiting for those that are to be tried again; what is still not sent
    after PATIENCE_SECONDS is left to a daemon. A database that fails here fails nothing else.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while store.notices.waiting(sweep_id) and time.monotonic() < deadline:
            if not send_next(store, settings, _now, sweep_id):
                time.sleep(LOOK_SECONDS)
    except StoreError as error:
        log.warning("%s", error)


def _now() -> datetime:
    return datetime.now(UTC)
