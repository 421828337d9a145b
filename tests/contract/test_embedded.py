"""The embedded database asks for its password, also after it was killed, and takes over what has none."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.store import connect, embedded
from tests.waiting import wait_until

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_embedded_database_gets_a_password_and_keeps_what_it_had(tmp_path: Path) -> None:
    before, _ = embedded.start(tmp_path)
    with closing(connect(before.uri)) as store:
        store.users.create("ada", "hash", "admin", NOW)
    embedded.stop(before)
    running, new = embedded.start(tmp_path, guard=True)
    try:
        assert new
        assert (tmp_path / embedded.PASSWORD_FILE).stat().st_mode & 0o777 == 0o600
        assert running.password not in repr(running)
        with closing(connect(running.uri)) as store:
            assert store.users.get("ada")
        without = f"mongodb://127.0.0.1:{running.port}/?directConnection=true"
        wrong = running.uri.replace(running.password, "guess")
        for uri in (without, wrong):
            with closing(connect(uri)) as store, pytest.raises(StoreError):
                store.users.get("ada")
        os.kill(running.pid, signal.SIGKILL)
        wait_until(lambda: not running.alive(), 10, "the database's death")
        running, _ = embedded.start(tmp_path)
        without = f"mongodb://127.0.0.1:{running.port}/?directConnection=true"
        with closing(connect(without)) as store, pytest.raises(StoreError):
            store.users.get("ada")
        found = embedded.recorded(tmp_path)
        assert found is not None
        with closing(connect(found.uri)) as store:
            assert store.users.get("ada")
        embedded.stop(running)
        (tmp_path / embedded.PASSWORD_FILE).unlink()
        again, _ = embedded.start(tmp_path, guard=True)
        assert again.password not in ("", running.password), "one that was lost is replaced"
        running = again
        with closing(connect(running.uri)) as store:
            assert store.users.get("ada")
    finally:
        embedded.stop(running)
