"""Connections to other Sacred databases: where they are is sealed by whoever writes it, and read by nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.store.calls import answered

Document = dict[str, Any]

MOST = 100
CALL_SECONDS = 3.0
"""The longest that one call to another database may take."""
MOST_SOCKETS = 4


class Connections:
    """A document: {_id: name, host, database, prefix, read_only, sealed: the address with its credentials, by, at}."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["connections"]

    def all(self) -> list[Document]:
        """All of them, by name."""
        with answered():
            found = list(self._collection.find({}).limit(MOST))
        return sorted(found, key=lambda connection: str(connection["_id"]).casefold())

    def get(self, name: str) -> Document | None:
        with answered():
            return self._collection.find_one({"_id": {"$eq": name}})

    def create(self, document: Mapping[str, Any]) -> bool:
        """Keep a connection; False where the name is taken."""
        with answered():
            try:
                self._collection.insert_one(dict(document))
            except DuplicateKeyError:
                return False
        return True

    def drop(self, name: str) -> bool:
        """Forget one; False where there is none of this name."""
        with answered():
            return self._collection.delete_one({"_id": {"$eq": name}}).deleted_count == 1


def client_of(uri: str) -> MongoClient[Document]:
    """A client of another database, none of whose calls lasts longer than CALL_SECONDS.

    Raises:
        pymongo.errors.PyMongoError, ValueError: *uri* is not an address of MongoDB.
    """
    limit = int(CALL_SECONDS * 1000)
    return MongoClient(
        uri,
        timeoutMS=limit,
        serverSelectionTimeoutMS=limit,
        connectTimeoutMS=limit,
        maxPoolSize=MOST_SOCKETS,
        minPoolSize=0,
        retryWrites=False,
        tz_aware=True,
        connect=False,
        appname="nhop",
    )
