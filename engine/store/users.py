"""Accounts: who may log in. Passwords are kept only as hashes, made by the caller."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.store.calls import answered

Document = dict[str, Any]


class Users:
    """A document: {_id: name in lower case, name, password_hash, role, epoch, created}. A session carries the
    epoch it began under; raising it ends all sessions of the account."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["users"]
        self._setup = database["setup"]

    def any(self) -> bool:
        with answered():
            return self._collection.find_one({}, {"_id": 1}) is not None

    def get(self, name: str) -> Document | None:
        with answered():
            return self._collection.find_one({"_id": name.casefold()})

    def create(self, name: str, password_hash: str, role: str, now: datetime) -> bool:
        """Add an account; False when the name is taken."""
        try:
            with answered():
                self._collection.insert_one(
                    {
                        "_id": name.casefold(),
                        "name": name,
                        "password_hash": password_hash,
                        "role": role,
                        "epoch": 0,
                        "created": now,
                    }
                )
        except DuplicateKeyError:
            return False
        return True

    def set_password(self, name: str, password_hash: str) -> None:
        """Replace a password and end the account's sessions."""
        with answered():
            self._collection.update_one(
                {"_id": name.casefold()}, {"$set": {"password_hash": password_hash}, "$inc": {"epoch": 1}}
            )

    def set_setup_token(self, token_hash: str, now: datetime) -> None:
        """The one link that makes the administrator; an older one ends."""
        with answered():
            token = {"_id": "token", "hash": token_hash, "created": now}
            self._setup.replace_one({"_id": "token"}, token, upsert=True)

    def setup_token(self) -> str | None:
        with answered():
            found = self._setup.find_one({"_id": "token"})
        return found["hash"] if found else None

    def use_setup_token(self, token_hash: str) -> bool:
        """Spend the link; False when it is not, or no longer, the right one."""
        with answered():
            return self._setup.delete_one({"_id": "token", "hash": token_hash}).deleted_count == 1
