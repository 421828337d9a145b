"""Connections to other Sacred databases, which an administrator adds: tested, sealed, and never shown again."""

from __future__ import annotations

import math
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from engine.errors import ConfigError, NotFound, Problem, StoreError
from engine.notify.addresses import is_metadata
from engine.settings import Settings
from engine.store import Store
from engine.store.connections import MOST, client_of
from webapp.services import sealing
from webapp.services.accounts import Account
from webapp.services.runs import counted

Document = dict[str, Any]

NAME = re.compile(r"[^\W_][\w .-]{0,39}")
DATABASE = re.compile(r'[^/\\. "$*<>:|?\0]{1,63}')
PREFIX = re.compile(r"[\w.-]{0,60}")
LONGEST_URI = 2000
LOOK_SECONDS = 2.0
"""The longest that a resolver is waited for."""
FRESH_SECONDS = 10.0
"""So old may an answer be that came too late for whoever had asked."""
RUNS = "runs"
DENIED = {13, 18, 8000}
"""MongoDB's codes for: not authorized, wrong name or password, and both of Atlas."""
REFUSED_MECHANISMS = {"MONGODB-AWS", "MONGODB-OIDC", "GSSAPI"}
"""Ways to log in for which the driver asks the machine, or its cloud, for its own identity."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection as pages show it: of its address the hosts alone."""

    name: str
    host: str
    database: str
    prefix: str
    read_only: bool
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection in use; whoever opened it closes the client."""

    client: MongoClient[Document]
    database: Database[Document]
    prefix: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class ConnectionsPage:
    """What templates/history/databases.html shows; *typed* never holds an address."""

    connections: Sequence[Connection]
    typed: Mapping[str, Any] = field(default_factory=lambda: {"read_only": True})
    problems: Mapping[str, str] = field(default_factory=dict)


def page(store: Store, **rest: Any) -> ConnectionsPage:
    return ConnectionsPage(everything(store), **rest)


def everything(store: Store) -> list[Connection]:
    """All connections, by name."""
    return [_shown(found) for found in store.connections.all()]


def add(store: Store, settings: Settings, account: Account, typed: Mapping[str, Any], now: datetime) -> str:
    """Test a connection and keep it.

    Args:
        typed: `name`, `uri`, `database`, `prefix` and whether it is `read_only`.

    Returns:
        what was found there, in words.

    Raises:
        ConfigError: with the problems, at their fields.
    """
    name, uri = " ".join(str(typed["name"]).split()), str(typed["uri"]).strip()
    database, prefix = str(typed["database"]).strip(), str(typed["prefix"]).strip().removesuffix("_")
    problems = []
    if not NAME.fullmatch(name):
        problems.append(Problem("name", "1 to 40 letters, digits, blanks or . _ -, beginning with a letter or digit"))
    elif store.connections.get(name):
        problems.append(Problem("name", f"there is a connection {name} already"))
    if not PREFIX.fullmatch(prefix):
        problems.append(Problem("prefix", "letters, digits or . _ -, or nothing"))
    hosts, in_uri = _hosts(uri, problems)
    database = database or in_uri
    if not DATABASE.fullmatch(database):
        problems.append(Problem("database", "name the database that the runs are in, such as sacred"))
    if len(store.connections.all()) >= MOST:
        problems.append(Problem("name", f"there are {MOST} connections already; remove one first"))
    if problems:
        raise ConfigError(problems)
    found = _test(uri, ", ".join(hosts), database, prefix)
    store.deleted_runs.forget(name)  # what was deleted while one of this name was removed, perhaps another database
    kept = store.connections.create(
        {
            "_id": name,
            "host": ", ".join(hosts)[:200],
            "database": database,
            "prefix": prefix,
            "read_only": bool(typed["read_only"]),
            "sealed": sealing.seal(settings.data_dir, uri),
            "by": account.name,
            "at": now,
        }
    )
    if not kept:
        raise ConfigError([Problem("name", f"there is a connection {name} already")])
    return found


def drop(store: Store, name: str) -> None:
    """Forget a connection; the database stays as it is, with the runs that were deleted and not yet removed.

    Raises:
        NotFound: there is none of this name.
    """
    there_was_one = store.connections.drop(name)
    store.deleted_runs.forget(name)  # again, if the database did not answer the first time
    if not there_was_one:
        raise NotFound("there is no such connection; it may have been removed already")


def opened(settings: Settings, document: Mapping[str, Any]) -> Opened:
    """Open a connection, by its document; the first call finds out whether the database answers.

    Raises:
        StoreError: its address cannot be read, or leads where none may.
    """
    uri = sealing.unseal(settings.data_dir, document["sealed"])
    problems: list[Problem] = []
    _hosts(uri, problems)
    if problems:
        raise StoreError(f"the connection cannot be used: {problems[0].message}")
    try:
        client = client_of(uri)
    except (PyMongoError, ValueError):
        raise StoreError("the connection's address is not understood; remove the connection and add it again") from None
    database = client[document["database"]]
    return Opened(client, database, document["prefix"], bool(document["read_only"]))


def _shown(found: Mapping[str, Any]) -> Connection:
    return Connection(
        found["_id"], **{name: found[name] for name in ("host", "database", "prefix", "read_only", "by", "at")}
    )


def _hosts(uri: str, problems: list[Problem]) -> tuple[list[str], str]:
    """The hosts of an address as host:port, and the database that it names; what is wrong with it goes to *problems*,
    in words that repeat no part of it but hosts. A resolver that is silent holds up nobody for long: the next who asks
    waits for the same answer."""
    with _guard:
        look = _looks.get(uri)
        if look is None or look.is_over():
            look = _looks[uri] = _Look(uri)
    look.thread.join(LOOK_SECONDS)
    if look.found is None:
        text = f"its hosts have not been found within {LOOK_SECONDS:g} s; try again in a moment"
        problems.append(Problem("uri", text))
        return [], ""
    with _guard:
        _looks.pop(uri, None)
    problems += look.problems
    return look.found


class _Look:
    """Looks up the hosts of an address, once."""

    def __init__(self, uri: str) -> None:
        self.problems: list[Problem] = []
        self.found: tuple[list[str], str] | None = None
        self._at = math.inf
        self.thread = threading.Thread(target=self._work, args=(uri,), daemon=True)
        self.thread.start()

    def is_over(self) -> bool:
        """Whether what was found is too old to be believed."""
        return time.monotonic() - self._at > FRESH_SECONDS

    def _work(self, uri: str) -> None:
        self.found = _looked_up(uri, self.problems)
        self._at = time.monotonic()


_looks: dict[str, _Look] = {}
_guard = threading.Lock()


def _looked_up(uri: str, problems: list[Problem]) -> tuple[list[str], str]:
    """As `_hosts`, however long it takes."""
    if len(uri) > LONGEST_URI or not uri.startswith(("mongodb://", "mongodb+srv://")):
        problems.append(Problem("uri", "must begin with mongodb:// or mongodb+srv://"))
        return [], ""
    try:
        parsed = parse_uri(uri)
    except (InvalidURI, ConfigurationError, ValueError, UnicodeError):
        text = (
            "is not an address of MongoDB: mongodb://NAME:PASSWORD@HOST:PORT/, with : / @ in a password as %3A %2F %40"
        )
        problems.append(Problem("uri", text))
        return [], ""
    except Exception:  # the resolver of mongodb+srv:// has errors of its own
        problems.append(Problem("uri", "its hosts cannot be found; check the name after the @"))
        return [], ""
    options = {str(name).lower(): value for name, value in parsed["options"].items()}
    if str(options.get("authmechanism", "")).upper() in REFUSED_MECHANISMS:
        problems.append(Problem("uri", "must log in with a name and password, or a certificate"))
    for host, port in parsed["nodelist"]:
        if port is None:
            problems.append(Problem("uri", "must name a host, not a file"))
            continue
        try:
            addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        except (OSError, UnicodeError):
            problems.append(Problem("uri", f"the host {host} is not known; check its name"))
            continue
        if any(map(is_metadata, addresses)):
            problems.append(Problem("uri", f"{host} is an address that no connection may lead to"))
    return [f"{host}:{port}" for host, port in parsed["nodelist"]], str(parsed["database"] or "")


def _test(uri: str, host: str, name: str, prefix: str) -> str:
    """Look whether there are runs, and say what was found.

    Raises:
        ConfigError: at the field that has to be changed.
    """
    try:
        client = client_of(uri)
    except (PyMongoError, ValueError):
        raise ConfigError([Problem("uri", "has options that are not understood")]) from None
    with client:
        database = client[name]
        begin = f"{prefix}_" if prefix else ""
        _asked(lambda: client.admin.command("ping"), host)
        count = _asked(lambda: database[f"{begin}{RUNS}"].estimated_document_count(), host)
        try:
            names = _asked(database.list_collection_names, host)
        except ConfigError:
            names = []  # whoever may read the runs need not be allowed to list what there is
    if count or f"{begin}{RUNS}" in names:
        runs = counted(count)
        return f"{runs} found, prefix {prefix}" if prefix else f"{runs} found"
    others = sorted(found.removesuffix(RUNS).removesuffix("_") for found in names if found.endswith(f"_{RUNS}"))
    where = f"no runs there: {name} has no collection {begin}{RUNS}"
    there = ["there are runs without a prefix: leave it empty"] if RUNS in names else []
    if others:
        there.append(f"prefixes found: {', '.join(others[:10])}")
    if there:
        raise ConfigError([Problem("prefix", "; ".join([where, *there]))])
    raise ConfigError([Problem("database", f"{where}, nor any with a prefix")])


def _asked(call: Callable[[], Any], host: str) -> Any:
    """What *call* to the database at *host* answers.

    Raises:
        ConfigError: it does not.
    """
    try:
        return call()
    except OperationFailure as error:
        if error.code in DENIED:
            text = f"{host} needs a login: name and password are missing, wrong, or may not read this database"
            raise ConfigError([Problem("uri", text)]) from None
        raise ConfigError([Problem("uri", f"{host} refused the question (code {error.code})")]) from None
    except PyMongoError as error:
        tls = "; it may need, or not know, tls=true" if "SSL" in str(error) or "TLS" in str(error) else ""
        raise ConfigError([Problem("uri", f"{host} cannot be reached{tls}")]) from None
