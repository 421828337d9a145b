"""The audit log: writing what was changed through the web, and showing it to administrators."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from engine.errors import StoreError
from engine.settings import Settings
from engine.store import Store

log = logging.getLogger(__name__)

PAGE = 100
FORGETS_EVERY = 500
"""Entries, the first of a process among them, after which old ones are looked for."""
LONGEST = 300

_written = count()


@dataclass(frozen=True, slots=True)
class AuditPage:
    """What templates/auth/audit.html shows: entries as engine.store.audit has them, the filter, and where an older page
    begins, or an empty text."""

    entries: Sequence[Mapping[str, Any]]
    asked: Mapping[str, str]
    before: str
    days: int


def record(
    store: Store, settings: Settings, who: str, what: str, where: str, now: datetime, **rest: str | bool
) -> None:
    """Write an entry; *rest* are its `target`, `detail` and `refused`. What was done is not undone when this fails: the
    log of the server then has it."""
    entry = {"who": who, "what": what, "where": where, "target": "", "detail": "", "refused": False} | rest
    entry = {key: value[:LONGEST] if isinstance(value, str) else value for key, value in entry.items()}
    try:
        store.audit.add({"_id": f"{time.time_ns():020d}{secrets.token_hex(4)}", "at": now, **entry})
        if next(_written) % FORGETS_EVERY == 0:
            store.audit.forget(now - timedelta(days=settings.audit_days))
    except StoreError as error:
        log.warning("the audit log misses %s: %s", entry, error)


def page(store: Store, settings: Settings, asked: Mapping[str, str]) -> AuditPage:
    """The newest entries that are *asked* for by `who`, `text` and `where`, older than the one of the id `before`."""
    wanted = {key: asked.get(key, "").strip()[:LONGEST] for key in ("who", "text", "where")}
    found = store.audit.page(PAGE + 1, **wanted, before=asked.get("before", "")[:LONGEST])
    shown = found[:PAGE]
    return AuditPage(shown, wanted, shown[-1]["_id"] if len(found) > PAGE else "", settings.audit_days)
