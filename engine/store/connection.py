"""One connection to the database, and the collections behind it."""

from __future__ import annotations

from typing import Any

from pymongo import ASCENDING, DESCENDING, MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from engine.errors import StoreUnavailable
from engine.store.audit import Audit
from engine.store.calls import answered
from engine.store.columns import Columns
from engine.store.connections import Connections
from engine.store.creations import Creations
from engine.store.datasets import Datasets
from engine.store.deleted import DeletedRuns
from engine.store.events import Events
from engine.store.imports import Imports
from engine.store.links import Links
from engine.store.logs import Logs
from engine.store.machines import Machines
from engine.store.model_files import ModelFiles
from engine.store.models import Models
from engine.store.notices import Notices
from engine.store.reports import Reports
from engine.store.run_notes import RunNotes
from engine.store.run_parts import RunParts
from engine.store.runs import Runs
from engine.store.servers import Servers
from engine.store.sessions import Sessions
from engine.store.sweeps import Sweeps
from engine.store.tokens import Tokens
from engine.store.trials import Trials
from engine.store.users import Users
from engine.store.views import Views

Document = dict[str, Any]

CALL_SECONDS = 3.0
"""The longest that one call to the database may take."""

INDEXES = {
    "sweeps": (
        [("created", DESCENDING)],
        [("state", ASCENDING), ("created", ASCENDING)],
        [("finished", DESCENDING)],
    ),
    "trials": ([("sweep_id", ASCENDING), ("number", ASCENDING)],),
    "trial_columns": ([("sweep_id", ASCENDING), ("block", ASCENDING)],),
    "events": ([("at", ASCENDING)], [("sweep_id", ASCENDING), ("type", ASCENDING), ("seq", ASCENDING)]),
    "models": ([("sweep_id", ASCENDING)],),
    "model_files": ([("name", ASCENDING), ("uploaded", DESCENDING)],),
    "logs": ([("machine", ASCENDING)],),
    "servers": ([("host", ASCENDING)], [("sweep_id", ASCENDING)]),
    "runs": (
        [("start_time", DESCENDING)],
        [("status", ASCENDING)],
        [("info.sweep_id", ASCENDING)],
        [("info.imported.key", ASCENDING)],
    ),
    "run_notes": ([("database", ASCENDING), ("tags", ASCENDING)],),
    "datasets": ([("created", DESCENDING)],),
    "views": ([("owner", ASCENDING)], [("shared", ASCENDING)]),
    "notices": ([("sweep_id", ASCENDING)], [("open", ASCENDING), ("due", ASCENDING)]),
    "deleted_runs": ([("due", ASCENDING)], [("database", ASCENDING), ("at", DESCENDING)], [("batch", ASCENDING)]),
    "tokens": ([("account", ASCENDING), ("created", DESCENDING)],),
    "creations": ([("created", ASCENDING)],),
    "sessions": ([("account", ASCENDING), ("seen", DESCENDING)],),
    "metrics": ([("run_id", ASCENDING), ("name", ASCENDING)],),
}
UNIQUE = {"events": [("sweep_id", ASCENDING), ("seq", ASCENDING)], "tokens": [("digest", ASCENDING)]}


class Store:
    """Everything that is stored, by collection."""

    def __init__(self, database: Database[Document]) -> None:
        self.database = database
        self.sweeps = Sweeps(database)
        self.trials = Trials(database)
        self.columns = Columns(database)
        self.events = Events(database)
        self.machines = Machines(database)
        self.logs = Logs(database)
        self.users = Users(database)
        self.runs = Runs(database)
        self.run_parts = RunParts(database)
        self.run_notes = RunNotes(database)
        self.models = Models(database)
        self.model_files = ModelFiles(database)
        self.reports = Reports(database)
        self.servers = Servers(database)
        self.datasets = Datasets(database)
        self.notices = Notices(database)
        self.views = Views(database)
        self.tokens = Tokens(database)
        self.sessions = Sessions(database)
        self.links = Links(database)
        self.audit = Audit(database)
        self.creations = Creations(database)
        self.connections = Connections(database)
        self.deleted_runs = DeletedRuns(database)
        self.imports = Imports(database)

    def ping(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            StoreUnavailable: there is none.
        """
        with answered():
            self.database.command("ping")

    def make_indexes(self) -> None:
        """Create the indexes that pages and claims rest on; does nothing where they exist."""
        with answered():
            for collection, indexes in INDEXES.items():
                for index in indexes:
                    self.database[collection].create_index(index)
            for collection, index in UNIQUE.items():
                self.database[collection].create_index(index, unique=True)

    def close(self) -> None:
        self.database.client.close()


def connect(uri: str, database: str = "nhop", seconds: float = CALL_SECONDS) -> Store:
    """Open a store; the first call, not this one, finds out whether the database answers.

    Raises:
        StoreUnavailable: *uri* is not a MongoDB address.
    """
    try:
        client: MongoClient[Document] = MongoClient(
            uri,
            timeoutMS=int(seconds * 1000),
            serverSelectionTimeoutMS=int(seconds * 1000),
            connectTimeoutMS=int(seconds * 1000),
            tz_aware=True,
            appname="nhop",
        )
    except (PyMongoError, ValueError) as error:
        raise StoreUnavailable(f"mongo_uri is not a MongoDB address: {error}") from None
    return Store(client.get_database(database, write_concern=WriteConcern(w=1, j=True)))
