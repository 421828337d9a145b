"""Attacks on the application as its unit tests have it, and, where what travels matters, on the real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.conftest import Server
from tests.unit.webapp.conftest import ada, app, login, settings, visitor

__all__ = ["ada", "app", "login", "settings", "visitor"]


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`gunicorn wsgi:app` with an administrator."""
    running = Server(tmp_path_factory.mktemp("attacked") / "data")
    running.start()
    yield running
    running.stop()
