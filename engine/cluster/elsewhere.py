"""The servers of a sweep on other machines: asked for through the store, watched over the network.

Threads of their own do both, so that neither a silent database nor a silent host holds the sweep up. Who starts the
servers does not matter: the machine's daemon, or anything else that runs `python -m engine.cluster.server` there.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.cluster.machine import answers
from engine.cluster.spec import ClusterPlan, Member
from engine.errors import LeaseLost, StoreError
from engine.store import Store

WATCH_SECONDS = 1.0
WANTED_FOR = timedelta(seconds=20)
"""How long servers outlive an optimizer that has died with its machine."""

log = logging.getLogger("nhop.cluster")


class Elsewhere:
    """The servers of one sweep on other machines.

    Args:
        sweep_id, fence: whose they are.
    """

    def __init__(self, store: Store, sweep_id: str, fence: int) -> None:
        self._store = store
        self._sweep_id = sweep_id
        self._fence = fence
        self._members: list[Member] = []
        self._documents: list[dict[str, Any]] = []
        self._answering: dict[str, bool] = {}
        self._known: dict[str, dict[str, Any]] = {}
        self._replace: set[str] = set()
        self._asked = False
        self._closing = threading.Event()
        self._keeping = threading.Thread(target=self._keep, name="elsewhere", daemon=True)

    @property
    def started(self) -> bool:
        return bool(self._members)

    def start(self, plan: ClusterPlan) -> None:
        """Ask for the plan's remote servers, and watch them."""
        self._members = plan.remote
        self._documents = [
            {
                "name": member.name,
                "host": member.host,
                "role": member.role,
                "index": member.index,
                "jobs": plan.jobs,
                "workers_beside": plan.workers_beside(member),
                "num_gpus": plan.num_gpus,
            }
            for member in self._members
        ]
        self._keeping.start()
        for member in self._members:
            threading.Thread(target=self._watch, args=(member,), name=f"watch {member.name}", daemon=True).start()

    def answers(self, name: str) -> bool:
        """Whether the server answered when it was last called."""
        return self._answering.get(name, False)

    def known(self, name: str) -> dict[str, Any]:
        """What its daemon has reported: {pid, machine, detail}; empty where none has."""
        return self._known.get(name, {})

    def replace(self, name: str) -> None:
        """Have the server replaced by a new process, where a daemon keeps it."""
        self._answering[name] = False
        self._replace.add(name)

    def stop(self) -> None:
        """Want them no longer."""
        if not self._members:
            return
        self._closing.set()
        self._keeping.join(timeout=5)
        try:
            self._store.servers.drop(self._sweep_id, self._fence)
        except StoreError as error:
            log.warning("the servers on other machines end in %.0f s: %s", WANTED_FOR.total_seconds(), error)

    def _keep(self) -> None:
        """Go on wanting the servers; a thread of its own, since calling a host may take long."""
        while not self._closing.is_set():
            try:
                self._ask()
            except (StoreError, LeaseLost) as error:  # who owns the sweep now is the recorder's to find out
                log.debug("%s", error)
            except Exception:
                log.exception("the servers on other machines cannot be asked for")
            self._closing.wait(WATCH_SECONDS)

    def _watch(self, member: Member) -> None:
        """Call one server again and again; a thread of its own, since resolving a name may take long."""
        while not self._closing.is_set():
            self._answering[member.name] = answers(member.address)
            self._closing.wait(WATCH_SECONDS)

    def _ask(self) -> None:
        until = datetime.now(UTC) + WANTED_FOR
        servers = self._store.servers
        if not self._asked:
            servers.want(self._sweep_id, self._fence, self._documents, until)
            self._asked = True
        for name in list(self._replace):
            servers.replace(self._sweep_id, self._fence, name)
            self._replace.discard(name)
        kept = servers.keep(self._sweep_id, self._fence, until)
        self._known = {document["_id"].rpartition("/")[2]: document for document in kept}
        self._asked = len(kept) == len(self._members)
