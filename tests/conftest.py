"""What all tests share: a data directory of their own, and one embedded database over a real socket."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from engine.settings import SETTINGS
from engine.store import Store, connect, embedded

hypothesis.settings.register_profile("nhop", deadline=None)  # how long a machine takes is no promise
hypothesis.settings.load_profile("nhop")


@pytest.fixture(scope="session", autouse=True)
def _own_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads the settings of the person who runs it, or touches ./data."""
    kept = {variable: os.environ.pop(variable, None) for variable, _, _ in SETTINGS.values()}
    os.environ["NHOP_DATA_DIR"] = str(tmp_path_factory.mktemp("data"))
    yield
    for variable, value in kept.items():
        os.environ.pop(variable, None)
        if value is not None:
            os.environ[variable] = value


@pytest.fixture(scope="session")
def database_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an embedded database that lives as long as the tests."""
    folder: Path = tmp_path_factory.mktemp("database")
    running, _ = embedded.start(folder)
    yield running.uri
    embedded.stop(running)


@pytest.fixture
def store(database_uri: str) -> Iterator[Store]:
    """An empty store."""
    opened = connect(database_uri, database=f"test_{uuid.uuid4().hex[:12]}")
    opened.make_indexes()
    yield opened
    opened.close()
