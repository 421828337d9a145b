"""A daemon's part in the sweeps of other machines: starts the servers that they want here, keeps them, ends them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.cluster import spec
from engine.cluster.process import environment_without_secrets
from engine.logs import path_of_server
from engine.settings import ROOT
from engine.store.leases import Watch
from engine.store.servers import Servers

VOID_SECONDS = 20.0
"""A request that has not been renewed for so long is void."""
MOST_PAUSE = 60.0
"""Between two starts of a server that ends again and again, in seconds."""

log = logging.getLogger("nhop.keeper")


@dataclass(slots=True)
class _Kept:
    process: subprocess.Popen[bytes] | None
    """None where it could not be started."""
    version: tuple[int, int]
    """Fence and generation of the request."""
    address: str
    starts: int
    again_at: float
    """When it may be started again, should it end."""


class Keeper:
    """The servers of this machine that other machines' sweeps want.

    Args:
        machine: this machine's name.
        hosts: every name by which it may be meant.
        data_dir: where the servers' logs go.
    """

    def __init__(self, machine: str, hosts: Collection[str], data_dir: Path) -> None:
        self._machine = machine
        self._hosts = hosts
        self._data_dir = data_dir
        self._kept: dict[str, _Kept] = {}
        self._watch = Watch()
        self._first: dict[str, datetime] = {}
        """Until when each request was made when it was first seen: one that has been renewed since is alive."""

    @property
    def keeps(self) -> int:
        """How many servers it keeps."""
        return len(self._kept)

    def look_after(self, servers: Servers, now: datetime) -> None:
        """Start what is wanted and does not run, end what is wanted no longer. Whether a request is void is told by
        watching it: clocks may differ, and jump.

        Raises:
            StoreUnavailable: the database does not answer; what runs goes on.
        """
        found = {document["_id"]: document for document in servers.wanted(self._hosts)}
        ages = self._watch.ages({key: document["until"] for key, document in found.items()}, time.monotonic())
        self._first = {key: self._first.get(key) or document["until"] for key, document in found.items()}
        wanted = {
            key: document
            for key, document in found.items()
            if ages[key] < VOID_SECONDS
            and (key in self._kept or document["until"] > now or document["until"] != self._first[key])
        }
        for key, kept in list(self._kept.items()):
            document = wanted.get(key)
            if document is None or _version(document) != kept.version:
                self._end(kept)
                del self._kept[key]
            elif (kept.process is None or kept.process.poll() is not None) and time.monotonic() >= kept.again_at:
                self._start(servers, key, document, kept.starts + 1)
        for key, document in wanted.items():
            if key not in self._kept:
                self._start(servers, key, document, 1)

    def end(self) -> None:
        """End all of them."""
        for kept in self._kept.values():
            self._end(kept)
        self._kept.clear()

    def _start(self, servers: Servers, key: str, document: Mapping[str, Any], starts: int) -> None:
        address = document["jobs"][document["role"]][document["index"]]
        pause = min(MOST_PAUSE, 2.0 ** min(starts, 10))
        kept = _Kept(None, _version(document), address, starts, time.monotonic() + pause)
        self._kept[key] = kept
        path = path_of_server(self._data_dir, key)
        rival = next((other for other, one in self._kept.items() if other != key and one.address == address), None)
        if rival is not None:
            detail = f"{address} is in use by sweep {rival.partition('/')[0]}"
        else:
            try:
                kept.process = self._spawn(path, document)
                again = f", started {starts} times; {path} there says why" if starts > 1 else ""
                detail = f"started by the daemon on {self._machine}{again}"
            except OSError as error:
                detail = f"the daemon on {self._machine} cannot start it: {error.strerror or error}"
        log.info("server %s: %s", key, detail)
        pid = kept.process.pid if kept.process else None
        servers.report(key, document["generation"], {"pid": pid, "machine": self._machine, "detail": detail})

    def _spawn(self, path: Path, document: Mapping[str, Any]) -> subprocess.Popen[bytes]:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "engine.cluster.server"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT, start_new_session=True,
                env={**environment_without_secrets(), **environment(document, os.cpu_count() or 1),
                     "NHOP_PARENT": str(os.getpid())},
            )  # fmt: skip

    @staticmethod
    def _end(kept: _Kept) -> None:
        if kept.process is not None:
            kept.process.kill()
            kept.process.wait()


def _version(document: Mapping[str, Any]) -> tuple[int, int]:
    return document["fence"], document["generation"]


def environment(document: Mapping[str, Any], cores: int) -> dict[str, str]:
    """What a wanted server finds in its environment: its task, its GPU, and its share of this machine's *cores*."""
    role, index = document["role"], document["index"]
    return {
        "TF_CONFIG": json.dumps({"cluster": document["jobs"], "task": {"type": role, "index": index}}),
        **spec.environment(role, index, document["num_gpus"], document["workers_beside"], cores),
    }
