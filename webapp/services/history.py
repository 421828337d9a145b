"""The history's list: any Sacred run of any experiment, by whichever columns, filter and order, a page at a time."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from engine.errors import StateError
from engine.store import Store
from webapp.errors import AccountError, Forbidden, QueryError
from webapp.filters import figure
from webapp.services.accounts import Account
from webapp.services.connections import Connection
from webapp.services.histories import OWN as OWN_DATABASE
from webapp.services.histories import History
from webapp.services.plain import storable
from webapp.services.run_index import where
from webapp.services.run_index.fields import DATES, EPOCH, OWN, Value
from webapp.services.run_index.follower import Progress
from webapp.services.run_index.index import Found
from webapp.services.run_index.query import Place, Query, canonical
from webapp.services.runs import LEGEND, result

PAGE = 50
SIZES = (25, 50, 100, 200)
MOST_COLUMNS = 40
NARROWEST, WIDEST = 40, 1200
LONGEST_NAME = 60
MOST_VIEWS = 100
"""That an account keeps."""
LONGEST_QUERY = 6000
COLUMNS = "name,state,experiment,started,active,host,result"
"""What the list shows of whom has not chosen yet."""

COLUMN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^,:"]+)(?::(\d{1,4}))?\s*(?:,|$)')
METRIC = re.compile(r"metrics\.(?P<name>.+?)(?:\.(?P<kind>last|best|min|max|mean|count)|@(?P<step>\d{1,12}))")


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its field, the width that was given it in pixels, and how it stands to the order of the page."""

    name: str
    width: int | None = None

    @property
    def title(self) -> tuple[str, str]:
        """The heading: what is said before it in small, and itself."""
        if self.name in OWN:
            return "", OWN[self.name]
        if metric := METRIC.fullmatch(self.name):
            return f"{metric['kind']} " if metric["kind"] else f"step {metric['step']} ", metric["name"]
        begin, dot, rest = self.name.partition(".")
        return (f"{begin}.", rest) if dot else ("", begin)

    def __str__(self) -> str:
        name = self.name if re.fullmatch(r'[^,:"\s]+', self.name) else json.dumps(self.name, ensure_ascii=False)
        return f"{name}:{self.width}" if self.width else name


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks of the list."""

    where: str = ""
    text: str = ""
    sort: str = "-started"
    columns: str = COLUMNS
    size: int = PAGE
    after: str = ""
    before: str = ""
    database: str = OWN_DATABASE

    @classmethod
    def of(cls, given: Mapping[str, str], base: Asked | None = None) -> Asked:
        """What the parameters of an address say, over *base*.

        Raises:
            QueryError: naming the parameter that cannot be understood.
        """
        base = base or cls()
        if sum(map(len, given.values())) > LONGEST_QUERY:
            raise QueryError(f"the address has more than {LONGEST_QUERY} characters")
        size = given.get("size", str(base.size))
        if size not in map(str, SIZES):
            raise QueryError(f"size must be one of {', '.join(map(str, SIZES))}")
        text = {name: given.get(name, getattr(base, name)) for name in ("where", "text", "sort", "columns", "database")}
        places = {name: given.get(name, "") for name in ("after", "before")}
        asked = cls(size=int(size), **text, **places)
        return replace(asked, sort=asked.sort or "-started", columns=asked.columns.strip() or COLUMNS)

    def address(self, **changes: Any) -> str:
        """What stands after the question mark for this, or with *changes*; without a place unless one is given."""
        asked = replace(self, **{"after": "", "before": "", **changes})
        default = Asked()
        given = {name: getattr(asked, name) for name in PARAMETERS if getattr(asked, name) != getattr(default, name)}
        return urlencode(given, safe=SAFE)

    @property
    def query(self) -> Query:
        """
        Raises:
            QueryError: the filter is not understood.
        """
        wanted = where.parse(self.where)
        archived = "archived" in map(canonical, where.fields(wanted))
        return Query(wanted, self.text, self.sort.removeprefix("-"), self.sort.startswith("-"), archived)

    @property
    def shown(self) -> list[Column]:
        """The columns.

        Raises:
            QueryError: they are not understood.
        """
        return columns(self.columns)


SAFE = "(),:/@~="
"""Signs that an address can bear as they are."""
PARAMETERS = ("where", "text", "sort", "columns", "size", "after", "before", "database")


@dataclass(frozen=True, slots=True)
class Cell:
    """A value on the page: *kind* is text, number, time, duration, tags, state, or none."""

    kind: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run in the list: its row in the index, its id as addresses have it, and its cells."""

    n: int
    id: str
    name: str
    state: str
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class State:
    """A state of the legend: how many runs are in it, and the address that asks for them, or no longer does."""

    key: str
    label: str
    count: int
    chosen: bool
    address: str


@dataclass(frozen=True, slots=True)
class View:
    """A saved view."""

    id: str
    name: str
    owner: str
    shared: bool
    mine: bool
    query: str


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """What templates/history/index.html shows. *older* and *newer* are the addresses of the pages beside this one."""

    asked: Asked
    columns: Sequence[Column]
    rows: Sequence[RunLine]
    total: int
    states: Sequence[State]
    progress: Progress
    silent: str
    newest: int
    version: int
    older: str = ""
    newer: str = ""
    problem: str = ""
    views: Sequence[View] = ()
    view: str = ""
    databases: Sequence[Connection] = ()
    read_only: bool = False
    groups: Sequence[Sequence[where.Condition]] | None = ()
    sizes: Sequence[int] = SIZES

    @property
    def first(self) -> bool:
        """Whether this is the first page of all there is."""
        return not (self.asked.where or self.asked.text or self.asked.after or self.asked.before)

    @property
    def island(self) -> dict[str, Any]:
        """What the page's scripts know of it."""
        asked, usual = self.asked, Asked()
        groups = None if self.groups is None else [[asdict(condition) for condition in group] for group in self.groups]
        return {
            **{name: getattr(asked, name) for name in PARAMETERS},
            "columns": ",".join(map(str, self.columns)),
            "usual": {name: getattr(usual, name) for name in PARAMETERS},
            "shown": [asdict(column) for column in self.columns],
            "query": asked.address(),
            "groups": groups,
            "operators": dict(where.OPERATORS),
            "newest": self.newest,
            "version": self.version,
            "first": not (asked.after or asked.before),
            "problem": self.problem,
        }

    @property
    def filtered(self) -> bool:
        return bool(self.asked.where.strip() or self.asked.text.strip())

    def is_numeric(self, at: int) -> bool:
        """Whether a column, by its place, holds numbers on this page."""
        kinds = {row.cells[at].kind for row in self.rows} - {"none"}
        return bool(kinds) and kinds <= {"number", "duration"}

    def sorted_by(self, column: Column) -> str:
        """The direction in which a column is sorted: ascending, descending or none."""
        if canonical(self.asked.sort.removeprefix("-")) != canonical(column.name):
            return "none"
        return "descending" if self.asked.sort.startswith("-") else "ascending"

    def sort_address(self, column: Column) -> str:
        """The address that sorts by a column, the other way round if it is already."""
        first = "-" if column.name in DATES else ""
        now = self.sorted_by(column)
        sign = first if now == "none" else "" if now == "descending" else "-"
        return self.asked.address(sort=f"{sign}{column.name}")


def page(history: History, asked: Asked, now: datetime) -> HistoryPage:
    """A page of the list.

    Raises:
        QueryError: the address is not understood.
        StoreError: the database does not answer, and nobody follows it.
    """
    query, shown = asked.query, asked.shown
    history.refresh(now)
    history.follower.keep([canonical(name) for name in (*query.fields(), *(column.name for column in shown))])
    seconds, version, newest = now.timestamp(), history.index.version, history.index.newest()
    backwards = bool(asked.before)
    place = place_of(asked.before or asked.after)
    found = history.index.page(query, seconds, asked.size + 1, place, backwards)
    more = len(found) > asked.size
    found = found[-asked.size :] if backwards else found[: asked.size]
    older = found and (more or backwards)
    newer = found and (more if backwards else place is not None)
    return HistoryPage(
        asked=asked,
        columns=shown,
        rows=lines(history, found, shown),
        total=sum(history.index.count(query, seconds).values()),
        states=states(history, asked, query, seconds),
        progress=history.follower.progress(),
        silent=history.silent,
        read_only=history.read_only,
        newest=newest,
        version=version,
        older=asked.address(after=mark(found[-1].place)) if older else "",
        newer=asked.address(before=mark(found[0].place)) if newer else "",
        groups=where.groups(query.filter),
    )


def lines(history: History, found: Sequence[Found], shown: Sequence[Column]) -> list[RunLine]:
    """Runs as the list shows them."""
    names = [column.name for column in shown]
    cells = history.index.cells([run.n for run in found], [*names, "name"])
    return [
        RunLine(
            run.n,
            run.key,
            str(cells[run.n].get("name", "unnamed")),
            run.state,
            [cell(run, name, cells[run.n].get(name)) for name in names],
        )
        for run in found
    ]


def cell(run: Found, name: str, value: Value | None) -> Cell:
    """The cell of a field."""
    if name == "state":
        return Cell("state", state_cell(run))
    if value is None:
        return Cell("none")
    if name in DATES:
        return Cell("time", moment(value))
    if name == "tag":
        return Cell("tags", [tag for tag in str(value).split("\n") if tag])
    if name == "duration":
        return Cell("duration", value)
    if isinstance(value, float):
        return Cell("number", figure(value, 6))
    if name == "result" and str(value).startswith("{"):
        with suppress(ValueError):
            return Cell("text", result(json.loads(str(value))))
    return Cell("number" if isinstance(value, int) else "text", str(value))


def state_cell(run: Found) -> dict[str, Any]:
    """{key, label, why}: a state, the word for it, and for a run that is probably dead its last sign of life."""
    key = run.state if run.state in LEGEND else "other"
    label = LEGEND.get(run.state, run.state.upper() if run.state != "unknown" else "unknown")
    dead = run.state == "dead"
    silence = run.deadline - run.beat if run.deadline is not None and run.beat is not None else None
    return {"key": key, "label": label, "beat": moment(run.beat) if dead else None, "dead": dead, "silence": silence}


def moment(seconds: Value | None) -> datetime | None:
    """Seconds since 1970 as a moment; None for what a calendar does not have."""
    try:
        return None if seconds is None else EPOCH + timedelta(seconds=float(seconds))
    except (OverflowError, ValueError):
        return None


def states(history: History, asked: Asked, query: Query, seconds: float) -> list[State]:
    """The legend: how many runs of each state there are, whatever state is asked for."""
    others, chosen = split_states(query.filter)
    counts = history.index.count(replace(query, filter=others), seconds)
    known = [*LEGEND, *sorted((set(counts) | set(chosen)) - set(LEGEND))[:6]]
    found = []
    for key in known:
        wanted = [name for name in chosen if name != key] if key in chosen else [*chosen, key]
        parts = list(others.parts) if isinstance(others, where.All) else [others]
        if wanted:
            operator = "=" if len(wanted) == 1 else "in"
            parts.append(where.Condition("state", operator, tuple(wanted)))
        label = LEGEND.get(key, key.upper() if key != "unknown" else "unknown")
        address = asked.address(where=where.write(where.All(tuple(parts))))
        found.append(State(key, label, counts.get(key, 0), key in chosen, address))
    return found


def split_states(part: where.Filter) -> tuple[where.Filter, list[str]]:
    """A filter without what it asks of the state, and the states that it asks for."""
    parts = part.parts if isinstance(part, where.All) else (part,)
    others: list[where.Filter] = []
    chosen: list[str] = []
    for item in parts:
        if isinstance(item, where.Condition) and canonical(item.field) == "state" and item.operator in ("=", "in"):
            chosen += [value.lower() for value in item.values]
        else:
            others.append(item)
    return where.All(tuple(others)), list(dict.fromkeys(chosen))


def all_of_it(history: History, asked: Asked, now: datetime) -> None:
    """See to it that the index can tell all that *asked* asks for, which is not only to be looked at.

    Raises:
        QueryError: it is not understood.
        StateError: values of metrics at a step are still to be read.
    """
    names = [canonical(name) for name in (*asked.query.fields(), *(column.name for column in asked.shown))]
    history.follower.keep(names)
    history.refresh(now)
    history.index.page(asked.query, now.timestamp(), 1)
    if lacking := history.follower.lacks(names):
        if history.follower.is_out_of_steps():
            raise StateError(f"{lacking[0][:100]} is one metric at a step too many: others look at as many as are kept")
        raise StateError(f"the values of {lacking[0][:100]} are still being read; try again in a moment")


def progress_of(history: History) -> dict[str, Any]:
    """{runs, waiting, metrics, ready}: how far the index is."""
    return asdict(history.follower.progress())


def columns(text: str) -> list[Column]:
    """`name:220,state,config.lr` as columns.

    Raises:
        QueryError: they are not understood, or too many.
    """
    found: dict[str, Column] = {}
    place = 0
    while place < len(text):
        match = COLUMN.match(text, place)
        if match is None or match.end() == place:
            raise QueryError(f"columns: {text[place : place + 30]!r} is not understood; separate names by commas")
        try:
            name = storable(json.loads(match[1])) if match[1].startswith('"') else match[1].strip()
        except ValueError:
            raise QueryError(f"columns: {match[1][:40]} is not a text in quotes as JSON has it") from None
        if name:
            width = None if match[2] is None else max(NARROWEST, min(WIDEST, int(match[2])))
            found[name] = Column(name[:200], width)
        place = match.end()
    if len(found) > MOST_COLUMNS:
        raise QueryError(f"columns: at most {MOST_COLUMNS} can be shown")
    return list(found.values()) or columns(COLUMNS)


def mark(place: Place) -> str:
    """A place as addresses have it."""
    value = "inf" if place.value == float("inf") else "-inf" if place.value == float("-inf") else place.value
    kept = json.dumps([place.rank, value, place.n], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(kept.encode()).decode().rstrip("=")


def place_of(text: str) -> Place | None:
    """The place that `mark` made *text* of.

    Raises:
        QueryError: it is none.
    """
    if not text:
        return None
    try:
        rank, value, n = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
        if rank == 0:
            value = float(value) if isinstance(value, str) else value + 0
        good = rank in (0, 1, 2) and type(n) is int and abs(n) < 2**62 and (value is None) == (rank == 2)
        if not good or (rank == 1) != isinstance(value, str) or (isinstance(value, int) and abs(value) >= 2**63):
            raise ValueError
        storable(value)
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise QueryError("after and before name a place in the list, as its links have it; this is none") from None
    return Place(rank, value, n)


def fields(history: History, begin: str, limit: int = 40) -> list[dict[str, str]]:
    """Fields to choose from, by a part of their name: [{name, title}]."""
    part = begin.strip().lower()
    own = [name for name, title in OWN.items() if part in name or part in title.lower()]
    found: list[str] = []
    for name in history.index.names(begin.strip(), 4 * limit):
        found.append(name)
        if name.startswith("metrics.") and name.endswith(".min"):
            found.append(f"{name.removesuffix('.min')}.best")
    names = dict.fromkeys([*own, *(name for name in found if name not in OWN)])
    return [{"name": name, "title": "".join(Column(name).title)} for name in list(names)[:limit]]


def values(history: History, field: str, begin: str) -> list[str]:
    """Values that a field has, the most frequent first."""
    name = canonical(field)
    if name == "state":
        return [key for key in LEGEND if begin.lower() in key]
    if name in DATES:
        return []
    found = history.index.values(name, begin.strip()[:100], 20)
    if name == "tag":
        return list(dict.fromkeys(tag for value in found for tag in str(value).split("\n") if tag))[:20]
    return [str(value) for value in found]


# saved views


def asked_by(store: Store, account: Account, given: Mapping[str, str]) -> Asked:
    """What an address asks, over the saved view that it names, over the columns that the account last chose.

    Raises:
        QueryError: the address is not understood.
        NotFound: there is no such view.
    """
    base = Asked()
    if not given.get("columns") and (mine := store.views.columns(account.id)):
        base = replace(base, columns=mine)
    if view := given.get("view"):
        base = Asked.of(dict(parse_qsl(store.views.get(view, account.id)["query"])), base)
        given = {name: value for name, value in given.items() if name != "database"}
    return Asked.of(given, base)


def views(store: Store, account: Account) -> list[View]:
    """The views that an account may choose from."""
    return [
        View(view["_id"], view["name"], view["owner"], view["shared"], view["owner"] == account.id, view["query"])
        for view in store.views.seen_by(account.id)
        if "query" in view
    ]


def save_view(store: Store, account: Account, name: str, shared: bool, query: str, now: datetime) -> str:
    """Save what an address asks, without its place, under a name; its id.

    Raises:
        AccountError: the name will not do, or there are too many.
        QueryError: the address is not understood.
        Forbidden: the account may not share.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= LONGEST_NAME:
        raise AccountError(f"a view needs a name of at most {LONGEST_NAME} characters")
    if shared and not account.may_edit:
        raise Forbidden("this account may keep views for itself; ask an editor to share one")
    own = {view["name"] for view in store.views.of(account.id)}
    if name not in own and len(own) >= MOST_VIEWS:
        raise AccountError(f"an account keeps at most {MOST_VIEWS} views; delete one first")
    asked = Asked.of(dict(parse_qsl(query)))
    columns(asked.columns)
    where.parse(asked.where)
    given = {part: getattr(asked, part) for part in PARAMETERS if part not in ("after", "before")}
    return store.views.put(account.id, name, shared, urlencode(given, safe=SAFE), now)


def drop_view(store: Store, account: Account, view_id: str) -> None:
    """Delete a view.

    Raises:
        NotFound: there is none.
        Forbidden: it is somebody else's.
    """
    view = store.views.get(view_id, account.id)
    if view["owner"] != account.id and account.role != "admin":
        raise Forbidden("this view belongs to somebody else")
    store.views.drop(view_id)


def keep_columns(store: Store, account: Account, text: str) -> None:
    """Remember the columns that an account has chosen.

    Raises:
        QueryError: they are not understood.
    """
    chosen = ",".join(map(str, columns(text)))
    store.views.put_columns(account.id, "" if chosen == COLUMNS else chosen)
