"""Work on many runs of the history: tags, notes, the archive, deleting with an undo, and what is removed for good."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from engine.errors import ConfigError, NotFound, Problem, StateError, StoreError
from engine.store import Store
from engine.store.run_removal import remove
from engine.store.runs import run_id_text
from webapp.errors import Forbidden, QueryError
from webapp.services.accounts import Account
from webapp.services.histories import OWN, Histories, History
from webapp.services.history import Asked, all_of_it
from webapp.services.plain import dig
from webapp.services.run_index.fields import EPOCH, id_of, is_same, key_of, started_of
from webapp.services.run_index.index import Found
from webapp.services.run_notes import LONGEST_NOTES, LONGEST_TAG, MOST_TAGS, tags_of
from webapp.services.runs import RunRow, row, state

log = logging.getLogger(__name__)
Document = dict[str, Any]

MOST = 10_000
"""Runs that may be worked on at once."""
GROUP = 500
KEPT = timedelta(days=7)
LATER = timedelta(minutes=10)
"""When what cannot be removed now is tried again."""
LONGEST_TURN = 2.0
"""Seconds for which an answer waits until lists know what was changed."""
SHOWN = 500
"""Deleted runs on their page."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """A deleted run that can be had back until *due*."""

    id: str
    name: str
    experiment: str
    by: str
    at: datetime
    due: datetime


@dataclass(frozen=True, slots=True)
class Undo:
    """What was just deleted or archived: how many runs of which batch, and what was left, in words."""

    count: int
    batch: str
    left: str = ""


def all_found(history: History, asked: Asked, now: datetime, columns: Sequence[str] = ()) -> Iterator[list[Found]]:
    """Every run that a list's filter finds, in its order, in groups."""
    place, query = None, asked.query
    while found := history.index.page(query, now.timestamp(), GROUP, place):
        yield found
        place = found[-1].place


def chosen(history: History, ids: Sequence[str], everything: bool, query: str, now: datetime) -> list[str]:
    """The runs that a form has chosen, as addresses have their ids: *ids*, or *everything* that a list finds.

    Raises:
        QueryError: the list's address is not understood.
        StateError: what it filters by is still being read.
        ConfigError: none are chosen, or too many.
    """
    keys = list(dict.fromkeys(ids))
    if everything:
        asked = Asked.of(dict(parse_qsl(query)))
        if asked.database != history.name:
            raise QueryError("the list is of another database than the one to be worked on")
        keys = []
        all_of_it(history, asked, now)
        for found in all_found(history, asked, now):
            keys += [run.key for run in found]
            if len(keys) > MOST:
                break
    if not keys:
        raise ConfigError([Problem("runs", "choose at least one run first")])
    if len(keys) > MOST:
        raise ConfigError([Problem("runs", f"at most {MOST:,} can be worked on at once; filter for fewer")])
    return keys


def mark(
    store: Store, history: History, account: Account, keys: Sequence[str], given: Mapping[str, str], now: datetime
) -> int:
    """Add `tags` to runs, take the tags in `without` from them, and write `note` below their notes; how many runs.

    Raises:
        ConfigError: they are too long.
    """
    more, fewer, note = tags_of(given.get("tags", "")), tags_of(given.get("without", "")), _text(given.get("note", ""))
    problems = []
    if len(more) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in more):
        problems.append(Problem("tags", f"at most {MOST_TAGS} tags of at most {LONGEST_TAG} characters"))
    if len(note) > LONGEST_NOTES // 10:
        problems.append(Problem("note", f"at most {LONGEST_NOTES // 10:,} characters, got {len(note):,}"))
    if not (more or fewer or note):
        problems.append(Problem("tags", "type tags to add or to remove, or a note"))
    if problems:
        raise ConfigError(problems)

    def change(before: Mapping[str, Any]) -> Document:
        tags = [tag for tag in dict.fromkeys([*before["tags"], *more]) if tag not in fewer][:MOST_TAGS]
        notes = before["notes"]
        if note and note not in notes:
            notes = f"{notes}\n\n{note}".strip()
        return {"tags": tags, "notes": notes if len(notes) <= LONGEST_NOTES else before["notes"]}

    _change(store, history, account, keys, change, now)
    return len(keys)


def archive(store: Store, history: History, account: Account, keys: Sequence[str], now: datetime) -> Undo:
    """Put runs into the archive, where lists show them only if asked to."""
    batch = secrets.token_urlsafe(9)

    def change(before: Mapping[str, Any]) -> Document:
        return {} if before.get("archived") else {"archived": True, "batch": batch}

    _change(store, history, account, keys, change, now)
    return Undo(len(keys), batch)


def archived_with(store: Store, history: History, batch: str) -> list[str]:
    """The runs that were archived together and still are, as addresses have their ids.

    Raises:
        StateError: there are none.
    """
    keys = [key_of(run_id) for run_id in store.run_notes.archived(history.name, batch)]
    if not keys:
        raise StateError("these runs are out of the archive already")
    return keys


def take_out(store: Store, history: History, account: Account, keys: Sequence[str], now: datetime) -> int:
    """Take runs out of the archive; how many."""
    _change(store, history, account, keys, lambda _: {"archived": False}, now)
    return len(keys)


def _change(store: Store, history: History, account: Account, keys: Sequence[str], change: Any, now: datetime) -> None:
    for start in range(0, len(keys), GROUP):
        some = keys[start : start + GROUP]
        store.run_notes.change(history.name, [id_of(key) for key in some], change, account.name, now)
    history.take_over(keys, now, LONGEST_TURN)


def delete(store: Store, history: History, account: Account, keys: Sequence[str], now: datetime) -> Undo:
    """Delete those of these runs that may be: not those that run, nor those of sweeps that do, nor somebody else's.

    Raises:
        Forbidden: the database is read-only, or all of the runs are somebody else's.
        StateError: none of them can be deleted now.
        StoreError: the database does not answer.
    """
    if history.read_only:
        raise Forbidden("this database is read-only here: an administrator can add it for deleting as well")
    batch, gone = secrets.token_urlsafe(9), 0
    left = dict.fromkeys(("still run", "belong to sweeps that are not over", "belong to somebody else", "are gone"), 0)
    for start in range(0, len(keys), GROUP):
        some = keys[start : start + GROUP]
        heads = history.reader.heads([id_of(key) for key in some])
        sweeps = [str(dig(head, "info", "sweep_id") or "") for head in heads] if history.name == OWN else []
        open_ones, owners = store.sweeps.open_among(sweeps), store.sweeps.owners(list(filter(None, sweeps)))
        left["are gone"] += len(some) - len(heads)
        documents = []
        for head in heads:
            sweep = str(dig(head, "info", "sweep_id") or "")
            owner = owners.get(sweep, "") or str(dig(head, "info", "imported", "by") or "")
            if not account.may_stop(owner if history.name == OWN else ""):
                left["belong to somebody else"] += 1
            elif sweep in open_ones:
                left["belong to sweeps that are not over"] += 1
            elif state(head, now)[0] == "running":
                left["still run"] += 1
            else:
                shown = row(head, now)
                documents.append(
                    {
                        "database": history.name,
                        "run": head["_id"],
                        "started": started_of(head),
                        "batch": batch,
                        "name": shown.name,
                        "experiment": shown.experiment,
                        "owner": owner,
                        "by": account.id,
                        "at": now,
                        "due": now + KEPT,
                    }
                )
        store.deleted_runs.put(documents)
        gone += len(documents)
    words = "; ".join(f"{count:,} {why}" for why, count in left.items() if count)
    if not gone:
        if left["belong to somebody else"] == len(keys):
            raise Forbidden("runs can be deleted by who started them, or by an administrator")
        raise StateError(f"none of these runs can be deleted: {words}")
    history.take_over(keys, now, LONGEST_TURN)
    return Undo(gone, batch, words)


def deleted(store: Store, history: History) -> list[Deleted]:
    """The runs of a database that can be had back, the last one first."""
    return [_shown(found) for found in store.deleted_runs.of(history.name, SHOWN)]


def deleted_one(store: Store, history: History, run: RunRow) -> Deleted | None:
    """A run that is deleted and can be had back; None: it is not deleted."""
    found = store.deleted_runs.find(history.name, [id_of(run.id)])
    started = run.started and (run.started - EPOCH).total_seconds()
    return next((_shown(one) for one in found if is_same(one.get("started"), started)), None)


def restore(store: Store, history: History, account: Account, ids: Sequence[str], batch: str, now: datetime) -> int:
    """Have deleted runs back, those of *ids* or of a *batch*; how many.

    Raises:
        Forbidden: they are somebody else's.
        StateError: it is too late.
    """
    found = store.deleted_runs.find(history.name, [id_of(run_id) for run_id in ids], batch)
    mine = [one["run"] for one in found if account.may_stop(one["by"]) or account.may_stop(one["owner"])]
    if found and not mine:
        raise Forbidden("runs can be had back by who deleted them, or by an administrator")
    count = store.deleted_runs.restore(history.name, mine)
    if not count:
        raise StateError("these runs are back already, or it is too late: they are removed after 7 days")
    history.take_over([key_of(run_id) for run_id in mine], now, LONGEST_TURN)
    return count


def remove_due(store: Store, histories: Histories, now: datetime) -> int:
    """Really remove a group of runs whose time has come; how many."""
    due = store.deleted_runs.due(now, GROUP)
    if not due:
        return 0
    name = due[0]["database"]
    try:
        history = histories.get(name)
    except NotFound:
        store.deleted_runs.drop(due)  # the connection is no more, so the runs stay as they are
        return 0
    except StoreError as error:
        log.warning("deleted runs of %r are removed later: %s", name, error)
        store.deleted_runs.postpone(name, now + LATER)
        return 0
    if history.read_only:
        store.deleted_runs.drop(due)
        return 0
    due = store.deleted_runs.begin(due)
    try:
        begun = {key_of(head["_id"]): started_of(head) for head in history.reader.heads([one["run"] for one in due])}
        ids = [one["run"] for one in due if is_same(one.get("started"), begun.get(key_of(one["run"])))]
        remove(history.database, history.prefix, ids)
    except StoreError as error:
        log.warning("deleted runs of %r are removed later: %s", name, error)
        store.deleted_runs.postpone(name, now + LATER)
        return 0
    store.run_notes.drop(name, ids)
    store.deleted_runs.drop(due)
    for one in due:
        history.poke(key_of(one["run"]))
    return len(ids)


def _shown(found: Mapping[str, Any]) -> Deleted:
    return Deleted(run_id_text(found["run"]), *(found[name] for name in ("name", "experiment", "by", "at", "due")))


def _text(given: str) -> str:
    return given.replace("\r\n", "\n").strip()
