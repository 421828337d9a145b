"""Accounts: who may log in. Passwords are kept only as hashes, made by the caller."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.store.calls import answered

Document = dict[str, Any]


class Users:
    """A document: {_id: name in lower case, name, password_hash, role, epoch, created, active, subject}. A session
    carries the epoch it began under; raising it ends all sessions of the account. `active` is missing where nobody was
    ever deactivated; `subject`, by whom and as what somebody else checks who it is, where nobody does."""

    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["users"]
        self._setup = database["setup"]

    def any(self) -> bool:
        with answered():
            return self._collection.find_one({}, {"_id": 1}) is not None

    def get(self, name: str) -> Document | None:
        with answered():
            return self._collection.find_one({"_id": name.casefold()})

    def all(self) -> list[Document]:
        """All accounts, by name, without what their passwords are checked by."""
        with answered():
            return list(self._collection.find({}, {"password_hash": 0}).sort("_id"))

    def of_subject(self, subject: str) -> Document | None:
        """The account of which somebody else says that it is this subject's."""
        with answered():
            return self._collection.find_one({"subject": subject})

    def some(self, names: Sequence[str]) -> list[Document]:
        """Those of these accounts that there are, without what their passwords are checked by."""
        with answered():
            wanted = [name.casefold() for name in names]
            return list(self._collection.find({"_id": {"$in": wanted}}, {"password_hash": 0}))

    def create(self, name: str, password_hash: str, role: str, now: datetime, subject: str = "") -> bool:
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
                        **({"subject": subject} if subject else {}),
                    }
                )
        except DuplicateKeyError:
            return False
        return True

    def set_password(self, name: str, password_hash: str) -> None:
        """Replace a password and end the account's sessions."""
        self.change(name, password_hash=password_hash)

    def change(self, name: str, **fields: Any) -> bool:
        """Set fields of an account and end its sessions; False where there is no such account."""
        with answered():
            done = self._collection.update_one({"_id": name.casefold()}, {"$set": fields, "$inc": {"epoch": 1}})
        return done.matched_count == 1

    def administrators(self) -> list[str]:
        """The ids of all active administrators."""
        with answered():
            found = self._collection.find({"role": "admin", "active": {"$ne": False}}, {"_id": 1})
            return [account["_id"] for account in found]

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
