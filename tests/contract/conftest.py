"""The databases that the store must work on: the embedded one, and an independent second implementation."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from engine.cluster.ports import free_ports
from engine.errors import StoreUnavailable
from engine.store import Store, connect, embedded
from tests.waiting import wait_until

BACKENDS = ("secantus", "nx-27017")


def answers(uri: str) -> bool:
    store = connect(uri, seconds=1)
    try:
        store.ping()
    except StoreUnavailable:
        return False
    finally:
        store.close()
    return True


@contextmanager
def server(backend: str, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A running server of *backend* with its files in *folder*: (address, process)."""
    if backend == "secantus":
        running, _ = embedded.start(folder)
        try:
            yield running.uri, psutil.Process(running.pid)
        finally:
            embedded.stop(running)
        return
    port = free_ports(1)[0]
    command = [
        str(Path(sys.executable).parent / "nx-27017"), "--port", str(port), "--data-dir", str(folder / "files"),
        "--log-file", str(folder / "log"), "--pid-file", str(folder / "pid"),
    ]  # fmt: skip
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder)
    try:
        uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
        wait_until(lambda: answers(uri), 30, f"{backend} on port {port}")
        yield uri, psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session", params=BACKENDS)
def backend_uri(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(request.param, tmp_path_factory.mktemp(request.param)) as (uri, _):
        yield uri


@pytest.fixture
def store(backend_uri: str) -> Iterator[Store]:
    opened = connect(backend_uri, database=f"test_{uuid.uuid4().hex[:12]}", seconds=10)
    opened.make_indexes()
    yield opened
    opened.close()


@pytest.fixture
def _dates_set(backend_uri: str, request: pytest.FixtureRequest) -> None:
    """For tests that read a date which an update wrote."""
    if request.node.callspec.params["backend_uri"] == "nx-27017":
        reason = "nx-27017 0.8.1 stores the dates of $set as text"
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))


@pytest.fixture
def _chunks_seen(backend_uri: str, request: pytest.FixtureRequest) -> None:
    """For tests that look into, or spoil, what GridFS has stored."""
    if request.node.callspec.params["backend_uri"] == "nx-27017":
        reason = "nx-27017 0.8.1 hides the chunks of GridFS from plain calls"
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))


@pytest.fixture
def _bytes_taken(backend_uri: str, request: pytest.FixtureRequest) -> None:
    """For tests that replace a document by one that holds bytes."""
    if request.node.callspec.params["backend_uri"] == "nx-27017":
        reason = "nx-27017 0.8.1 takes no bytes in a replaced document"
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
