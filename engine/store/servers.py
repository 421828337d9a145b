"""Servers wanted on other machines: an optimizer asks, the daemon of the machine starts, keeps and ends them.

{_id: "sweep/role_index", sweep_id, fence, host, role, index, jobs, workers_beside, num_gpus, generation, until,
pid, machine, detail}
A request that is not renewed is void, so that the servers of a dead optimizer end; the daemon tells by watching
`until`, since its clock and that of the optimizer's machine may differ. A higher generation asks for a new process in
place of the old.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.errors import LeaseLost
from engine.store.calls import answered

Document = dict[str, Any]


@contextmanager
def _later_fence(sweep_id: str) -> Iterator[None]:
    try:
        yield
    except DuplicateKeyError:  # the filter left out what is there
        raise LeaseLost(f"sweep {sweep_id} is owned by another optimizer") from None


class Servers:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["servers"]

    def want(self, sweep_id: str, fence: int, servers: Sequence[Mapping[str, Any]], until: datetime) -> None:
        """Ask for *servers*, {name, host, role, index, jobs, …}; those that an earlier fence asked for begin anew.

        Raises:
            LeaseLost: a later fence has asked for them.
        """
        with answered(), _later_fence(sweep_id):
            for server in servers:
                fields = {key: value for key, value in server.items() if key != "name"}
                self._collection.update_one(
                    {"_id": f"{sweep_id}/{server['name']}", "fence": {"$lte": fence}},
                    {
                        "$set": {**fields, "sweep_id": sweep_id, "fence": fence, "until": until, "pid": None,
                                 "machine": None, "detail": ""},
                        "$inc": {"generation": 1},
                    },
                    upsert=True,
                )  # fmt: skip

    def keep(self, sweep_id: str, fence: int, until: datetime) -> list[Document]:
        """Go on wanting the servers of a sweep; returns them as they stand."""
        with answered():
            self._collection.update_many({"sweep_id": sweep_id, "fence": fence}, {"$set": {"until": until}})
            return list(self._collection.find({"sweep_id": sweep_id, "fence": fence}))

    def replace(self, sweep_id: str, fence: int, name: str) -> None:
        """Ask for a new process in place of one that is stuck."""
        with answered():
            self._collection.update_one({"_id": f"{sweep_id}/{name}", "fence": fence}, {"$inc": {"generation": 1}})

    def drop(self, sweep_id: str, fence: int) -> None:
        """Want them no longer."""
        with answered():
            self._collection.delete_many({"sweep_id": sweep_id, "fence": {"$lte": fence}})

    def wanted(self, hosts: Collection[str]) -> list[Document]:
        """The requests for servers on a machine with these names, void ones too."""
        with answered():
            return list(self._collection.find({"host": {"$in": sorted(hosts)}}))

    def machine_of(self, key: str) -> str | None:
        """The machine whose daemon keeps a server."""
        with answered():
            found = self._collection.find_one({"_id": key}, {"machine": 1})
        return (found or {}).get("machine")

    def report(self, key: str, generation: int, fields: Mapping[str, Any]) -> None:
        """What has become of a request: {pid, machine, detail}."""
        with answered():
            self._collection.update_one({"_id": key, "generation": generation}, {"$set": dict(fields)})

    def sweep_out(self, before: datetime) -> None:
        """Delete requests that have long been void."""
        with answered():
            self._collection.delete_many({"until": {"$lt": before}})
