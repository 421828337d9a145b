"""`python -m webapp.startup`: before the server listens, find or start the database, the indexes, the
administrator and the daemon. Prints {"setup_token": …} for the server; ends with one sentence and status 1
when something is missing.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from engine.errors import ConfigError, NhopError, SettingsError, StoreError
from engine.settings import CONFIG_FILE, Settings, load
from engine.store import Store, connect, embedded
from webapp.errors import AccountError
from webapp.services import accounts, sweeps
from webapp.services.daemon import ensure_daemon


def main(environ: Mapping[str, str] = os.environ) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    started: embedded.Embedded | None = None
    try:
        settings = load(environ)
        _check_defaults()
        administrator = _administrator(environ)
        if settings.embedded:
            found, new = embedded.start(settings.data_dir, guard=True)
            started = found if new else None
        token = _populate(settings, administrator)
    except (NhopError, OSError) as error:
        if started:
            embedded.stop(started)
        print(f"NHOP cannot start: {error}", file=sys.stderr)
        return 1
    json.dump({"setup_token": token}, sys.stdout)
    return 0


def _populate(settings: Settings, administrator: tuple[str, str] | None) -> str | None:
    """Make the indexes, the administrator, the daemon; the token of the one-time link while there is no account."""
    now = datetime.now(UTC)
    store = _open(settings)
    try:
        store.make_indexes()
        if administrator and store.users.get(administrator[0].strip()) is None:
            try:
                accounts.create(store, *administrator, "admin", now)
            except AccountError as error:
                raise SettingsError(f"NHOP_ADMIN_USER and NHOP_ADMIN_PASSWORD: {error}") from None
        ensure_daemon(settings, store, now)
        return None if store.users.any() else accounts.new_setup_token(store, now)
    finally:
        store.close()


def _open(settings: Settings) -> Store:
    """The store, once it has answered."""
    uri = embedded.uri_of(settings)
    where = re.sub(r"^.*@|^.*?//", "", uri).split("/")[0].split("?")[0]
    try:
        store = connect(uri, settings.database)
        store.ping()
    except StoreError:
        raise SettingsError(f"the database at {where} does not answer; start it or correct mongo_uri") from None
    return store


def _check_defaults() -> None:
    """
    Raises:
        SettingsError: config.yaml's defaults of a sweep are refused.
    """
    try:
        sweeps.defaults()
    except ConfigError as error:
        raise SettingsError(f"{CONFIG_FILE.name}: {error.problems[0]}") from None


def _administrator(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Name and password of the administrator that the environment asks for.

    Raises:
        SettingsError: only one of them is given.
    """
    name, password = environ.get("NHOP_ADMIN_USER", ""), environ.get("NHOP_ADMIN_PASSWORD", "")
    if bool(name) != bool(password):
        raise SettingsError("NHOP_ADMIN_USER and NHOP_ADMIN_PASSWORD must be set together")
    return (name, password) if name else None


if __name__ == "__main__":
    raise SystemExit(main())
