"""Sweeps: created by the web, claimed under a lease by a daemon, moved by whoever holds the lease.

A document: {_id, name, owner, state, config, seed, created, started, finished, restarts, released, run_id,
error, lease: {machine, holder, fence, until}, stages: [{index, steps, trials, space, sampler, pruner, best, ended}],
processes: {name: process}, best: {number, stage, loss, params}, confirmed: [as engine.confirmation gives them],
baseline: {rmse, mae, r2} of a linear regression on the test part,
progress: {done, failed, total, steps_done, steps_total, stage, confirmed, to_confirm, seconds_left},
stop_requested, finish_requested, pause_requested, cancel_requested: [trial numbers],
restart_requested: [names of processes], priority: of a waiting one, 0 if nothing was said,
version: of the configuration, applied: the one that the engine has taken up, edits: [as engine.domain.Edit],
closed: no more edits are taken, ended_because: why the search ended before its last trial,
held: why its trials wait although nobody has paused them, resumed: {at, seconds} of the last time when an optimizer
went on, that long after the one before was last heard of}.
The fence rises with every claim; a write that carries an older fence matches nothing. A lease's *until* is written
anew by whoever renews it; None: it was given back. Its *holder* is the data directory whose daemon has claimed it.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pymongo import DESCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.domain import ENDED, SWEEP_MOVES, Edit, SweepState, Wishes
from engine.errors import LeaseLost, NotFound, StateError
from engine.store.calls import answered

Document = dict[str, Any]

NO_WISHES = Wishes()
HEAVY = dict.fromkeys(("config", "stages", "edits", "processes"), 0)
"""What lists leave out."""
OWNED = [str(SweepState.RUNNING), str(SweepState.PAUSED)]
WISHES = frozenset({"version", "priority", "stop_requested", "pause_requested", "finish_requested"})
"""What `public` shows of users' wishes: the web's to tell; all else is the optimizer's, from its claim to the end."""
NO_LEASES: Mapping[str, Document] = {}


def new_id() -> str:
    """The id of a sweep that is to be created."""
    return uuid.uuid4().hex[:12]


class Sweeps:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["sweeps"]
        self._since: datetime | None = None

    def create(
        self,
        name: str,
        owner: str,
        config: Mapping[str, Any],
        seed: int,
        trials: int,
        steps: int,
        now: datetime,
        claimed: tuple[str, timedelta] | None = None,
        sweep_id: str | None = None,
    ) -> str:
        """Queue a sweep, or begin it under the (machine, lease) of *claimed*; returns its id, a new one if None.

        Doing it twice under one id changes nothing.
        """
        sweep_id = sweep_id or new_id()
        lease: Document = {"machine": None, "fence": 0, "until": None}
        if claimed is not None:
            lease = {"machine": claimed[0], "fence": 1, "until": now + claimed[1]}
        with suppress(DuplicateKeyError), answered():
            self._collection.insert_one(
                {
                    "_id": sweep_id,
                    "name": name,
                    "owner": owner,
                    "state": str(SweepState.QUEUED if claimed is None else SweepState.RUNNING),
                    "config": dict(config),
                    "seed": seed,
                    "created": now,
                    "started": None if claimed is None else now,
                    "finished": None,
                    "restarts": 0,
                    "released": False,
                    "run_id": None,
                    "error": None,
                    "lease": lease,
                    "stages": [],
                    "processes": {},
                    "progress": {
                        "done": 0,
                        "failed": 0,
                        "total": trials,
                        "steps_done": 0,
                        "steps_total": steps,
                        "stage": 0,
                        "seconds_left": None,
                    },
                    "best": None,
                    "stop_requested": False,
                    "pause_requested": False,
                    "cancel_requested": [],
                    "finish_requested": False,
                    "restart_requested": [],
                    "priority": 0,
                    "version": 1,
                    "applied": 1,
                    "edits": [],
                }
            )
        return sweep_id

    def get(self, sweep_id: str) -> Document:
        """
        Raises:
            NotFound: there is no such sweep.
        """
        with answered():
            found = self._collection.find_one({"_id": sweep_id})
        if found is None:
            raise NotFound(f"there is no sweep {sweep_id}")
        return found

    def recent(self, limit: int, states: list[SweepState] | None = None) -> list[Document]:
        """The newest sweeps first, without their configurations and spaces."""
        wanted = {"state": {"$in": [str(state) for state in states]}} if states else {}
        with answered():
            cursor = self._collection.find(wanted, {"config": 0, "stages": 0})
            return list(cursor.sort("created", DESCENDING).limit(limit))

    def page(self, limit: int, wanted: Mapping[str, str], before: tuple[datetime, str] | None = None) -> list[Document]:
        """The newest sweeps first, those *before* one of this moment of creation and id, without what is heavy.

        Args:
            wanted: values that fields must have.
        """
        older: Document = {}
        if before is not None:
            created, sweep_id = before
            older = {"$or": [{"created": {"$lt": created}}, {"created": created, "_id": {"$lt": sweep_id}}]}
        with answered():
            found = self._collection.find({**wanted, **older}, HEAVY)
            return list(found.sort([("created", DESCENDING), ("_id", DESCENDING)]).limit(limit))

    def completed(self, limit: int) -> list[Document]:
        """The newest completed sweeps first, with their configurations: who ran them, when, and as which version."""
        fields = dict.fromkeys(("config", "started", "finished", "lease", "restarts", "version"), 1)
        with answered():
            cursor = self._collection.find({"state": str(SweepState.COMPLETED)}, fields)
            return list(cursor.sort("created", DESCENDING).limit(limit))

    def owners(self, sweep_ids: Sequence[str]) -> dict[str, str]:
        """Who started these sweeps, by their ids."""
        if not sweep_ids:
            return {}
        with answered():
            found = list(self._collection.find({"_id": {"$in": list(sweep_ids)}}, {"owner": 1}))
        return {sweep["_id"]: str(sweep.get("owner") or "") for sweep in found}

    def open_among(self, sweep_ids: Sequence[str]) -> set[str]:
        """Those of these sweeps that are not over."""
        wanted = {"_id": {"$in": [sweep_id for sweep_id in sweep_ids if sweep_id]}}
        over = {"state": {"$nin": [str(state) for state in ENDED]}}
        with answered():
            return {sweep["_id"] for sweep in self._collection.find({**wanted, **over}, {"_id": 1})}

    def queue(self, limit: int) -> list[Document]:
        """The sweeps that wait, in the order in which they are claimed."""
        with answered():
            queued = self._collection.find({"state": str(SweepState.QUEUED)}, HEAVY)
            return list(queued.sort([("priority", DESCENDING), ("created", 1)]).limit(limit))

    def running(self, limit: int) -> list[Document]:
        """The sweeps that a machine has claimed, the newest first."""
        with answered():
            return list(
                self._collection.find({"state": {"$in": OWNED}}, HEAVY).sort("created", DESCENDING).limit(limit)
            )

    def ended(self, limit: int) -> list[Document]:
        """The sweeps that have ended, the last that did first.

        The database reads all that a filter matches before it sorts: so the next call begins where this one ended.
        """
        found = self._ended(limit, {"finished": {"$gte": self._since}}) if self._since else []
        if len(found) < limit:
            found = self._ended(limit, {"state": {"$in": [str(state) for state in ENDED]}})
        self._since = found[-1]["finished"] if len(found) == limit else None
        return found

    def _ended(self, limit: int, wanted: Document) -> list[Document]:
        with answered():
            return list(self._collection.find(wanted, HEAVY).sort("finished", DESCENDING).limit(limit))

    def leases(self, ids: Sequence[str] = ()) -> dict[str, Document]:
        """The leases of the sweeps that somebody owns, and of those of these *ids* that have ended."""
        with answered():
            found = self._collection.find({"state": {"$in": OWNED}}, {"lease": 1})
            leases = {str(sweep["_id"]): dict(sweep["lease"]) for sweep in found}
            if others := [sweep_id for sweep_id in ids if sweep_id not in leases]:
                found = self._collection.find({"_id": {"$in": others}}, {"lease": 1})
                leases |= {str(sweep["_id"]): dict(sweep["lease"]) for sweep in found}
        return leases

    def claim(
        self,
        machine: str,
        lease: timedelta,
        now: datetime,
        free: Mapping[str, Document] = NO_LEASES,
        holder: str | None = None,
    ) -> Document | None:
        """Take one of the sweeps that are *free*, or else the one that has waited longest. None: nothing to do. Of what
        is returned `given_back` says that its last optimizer was asked to end: it did not die.

        Args:
            free: leases that have run out or were given back, as they were seen: one that has been renewed since is
                left alone.
            holder: whose lease it then is.
        """
        with answered():
            candidates: list[Document] = []
            if free:
                owned = {"_id": {"$in": list(free)}, "state": {"$in": OWNED}}
                candidates = list(self._collection.find(owned).sort("created", 1).limit(5))
            queued = self._collection.find({"state": str(SweepState.QUEUED)})
            candidates += list(queued.sort([("priority", DESCENDING), ("created", 1)]).limit(5))
            for sweep in candidates:
                fence = sweep["lease"]["fence"]
                died = fence > 0 and not sweep.get("released", False)
                seen = free.get(sweep["_id"], sweep["lease"])
                taken = self._collection.update_one(
                    {
                        "_id": sweep["_id"],
                        "state": sweep["state"],
                        "lease.fence": seen["fence"],
                        "lease.until": seen["until"],
                    },
                    {
                        "$set": {
                            "state": str(SweepState.RUNNING),
                            "started": sweep["started"] or now,
                            "restarts": sweep["restarts"] + died,
                            "released": False,
                            "given_back": bool(sweep.get("released")),
                            "lease": {"machine": machine, "holder": holder, "fence": fence + 1, "until": now + lease},
                        }
                    },
                )
                if taken.matched_count == 1:
                    return self._collection.find_one({"_id": sweep["_id"], "lease.fence": fence + 1})
        return None

    def release(self, sweep_id: str, fence: int, died: bool, to_all: bool = False) -> None:
        """Give up a sweep whose optimizer has ended. Its holder, whose disk has the journal, may claim it at once.

        Args:
            died: its optimizer ended by itself; such ends are counted, and too many are the sweep's end.
            to_all: others may claim it at once, too, not only when the lease has run out.

        Raises:
            LeaseLost: somebody else has it, or the sweep has ended.
        """
        until = {"lease.until": None} if to_all else {}
        self._guarded(sweep_id, fence, {**until, "released": not died}, states=OWNED)

    def renew(self, sweep_id: str, fence: int, until: datetime) -> None:
        """Keep the lease.

        Raises:
            LeaseLost: somebody else has it, or the sweep has ended.
        """
        self._guarded(sweep_id, fence, {"lease.until": until}, states=OWNED)

    def update(self, sweep_id: str, fence: int, fields: Mapping[str, Any]) -> None:
        """Set *fields* of a sweep that this *fence* owns.

        Raises:
            LeaseLost: somebody else has it, or the sweep has ended.
        """
        self._guarded(sweep_id, fence, fields, states=OWNED)

    def finish(self, sweep_id: str, fence: int, state: SweepState, fields: Mapping[str, Any]) -> None:
        """Move a sweep to its end; harmless when this fence has already moved it there.

        Raises:
            LeaseLost: somebody else has it.
        """
        movable = [str(old) for old in SWEEP_MOVES if state in SWEEP_MOVES[old]]
        self._guarded(sweep_id, fence, {**fields, "state": str(state)}, states=[*movable, str(state)])

    def _guarded(self, sweep_id: str, fence: int, fields: Mapping[str, Any], states: list[str]) -> None:
        with answered():
            done = self._collection.update_one(
                {"_id": sweep_id, "lease.fence": fence, "state": {"$in": states}}, {"$set": dict(fields)}
            )
        if done.matched_count != 1:
            raise LeaseLost(f"sweep {sweep_id} is no longer owned by fence {fence}")

    def wishes(self, sweep_id: str, before: Wishes = NO_WISHES) -> Wishes:
        """What the user wants of the sweep; *before* is what was wanted when last asked."""
        names = ("stop_requested", "finish_requested", "pause_requested", "cancel_requested", "restart_requested")
        fields = dict.fromkeys((*names, "version"), 1)
        with answered():
            found = self._collection.find_one({"_id": sweep_id}, fields) or {}
            edits, config = before.edits, before.config
            if found.get("version", 1) != before.version:
                whole = self._collection.find_one({"_id": sweep_id}, {"edits": 1, "config": 1}) or {}
                edits, config = edits_of(whole), whole.get("config", {})
        stop, finish, pause = (bool(found.get(name)) for name in names[:3])
        cancel, restart = (found.get(name) or [] for name in names[3:])
        return Wishes(stop, finish, pause, frozenset(cancel), tuple(restart), edits, config)

    def edit(self, sweep_id: str, edit: Edit, config: Mapping[str, Any], trials: int, steps: int) -> bool:
        """Make *config*, by *edit*, the configuration of a sweep that has not ended; False: another edit was first.

        Args:
            trials: that *config* asks for.
            steps: that they train.

        Raises:
            NotFound: there is no such sweep.
            StateError: it has ended.
        """
        sweep = self.get(sweep_id)
        if sweep["state"] in ENDED:
            raise StateError(f"the sweep has ended: {sweep['state']}")
        if sweep.get("closed"):
            raise StateError("the sweep is about to end; its search is over")
        queued = sweep["state"] == SweepState.QUEUED
        totals = {"progress.total": trials, "progress.steps_total": steps} if queued else {}
        own = {"version": edit.version - 1} if "version" in sweep else {"version": {"$exists": False}}
        with answered():
            done = self._collection.update_one(
                {"_id": sweep_id, "state": sweep["state"], "closed": {"$ne": True}, **own},
                {
                    "$set": {"config": dict(config), "version": edit.version, **totals},
                    "$push": {"edits": dataclasses.asdict(edit)},
                },
            )
        return done.matched_count == 1

    def pause(self, sweep_id: str, pause: bool) -> None:
        """The user's wish to hold every trial at its next report, or to go on. Idempotent.

        Raises:
            NotFound: there is no such sweep.
            StateError: it does not run.
        """
        self._wish(sweep_id, {"$set": {"pause_requested": pause}})

    def cancel_trial(self, sweep_id: str, number: int) -> None:
        """The user's wish to end a trial in training early; it is then PRUNED. Idempotent.

        Raises:
            NotFound: there is no such sweep.
            StateError: it does not run.
        """
        self._wish(sweep_id, {"$addToSet": {"cancel_requested": number}})

    def close_edits(self, sweep_id: str, fence: int, version: int) -> bool:
        """Take no more edits of a sweep that this *fence* owns, if its configuration has this *version*."""
        sweep = self.get(sweep_id)
        own = {"version": version} if "version" in sweep else {}
        with answered():
            done = self._collection.update_one(
                {"_id": sweep_id, "lease.fence": fence, **own}, {"$set": {"closed": True}}
            )
        return done.matched_count == 1

    def finish_early(self, sweep_id: str) -> None:
        """The user's wish to propose no more trials: those in training end, and the best is confirmed. Idempotent.

        Raises:
            NotFound: there is no such sweep.
            StateError: it does not run.
        """
        self._wish(sweep_id, {"$set": {"finish_requested": True}})

    def restart_process(self, sweep_id: str, name: str) -> None:
        """The user's wish to have a process of a sweep replaced.

        Raises:
            NotFound: there is no such sweep.
            StateError: it does not run.
        """
        self._wish(sweep_id, {"$push": {"restart_requested": name}})

    def prioritise(self, sweep_id: str, priority: int) -> None:
        """Set a waiting sweep's place in the queue: higher priorities are claimed first.

        Raises:
            NotFound: there is no such sweep.
            StateError: it waits no longer.
        """
        with answered():
            done = self._collection.update_one(
                {"_id": sweep_id, "state": str(SweepState.QUEUED)}, {"$set": {"priority": priority}}
            )
        if done.matched_count != 1:
            raise StateError(f"the sweep no longer waits: it is {self.get(sweep_id)['state']}")

    def _wish(self, sweep_id: str, change: Document) -> None:
        with answered():
            done = self._collection.update_one({"_id": sweep_id, "state": {"$in": OWNED}}, change)
        if done.matched_count != 1:
            state = self.get(sweep_id)["state"]
            raise StateError(f"the sweep does not run: it is {state}")

    def stop(self, sweep_id: str, now: datetime) -> SweepState:
        """The user's wish to stop: a queued sweep is STOPPED at once, a running one is asked to. Idempotent.

        Raises:
            NotFound: there is no such sweep.
            StateError: it has ended by itself.
        """
        with answered():
            queued = self._collection.update_one(
                {"_id": sweep_id, "state": str(SweepState.QUEUED)},
                {"$set": {"state": str(SweepState.STOPPED), "finished": now, "stop_requested": True}},
            )
            if queued.matched_count == 1:
                return SweepState.STOPPED
            self._collection.update_one({"_id": sweep_id, "state": {"$in": OWNED}}, {"$set": {"stop_requested": True}})
        state = SweepState(self.get(sweep_id)["state"])
        if state in ENDED and state is not SweepState.STOPPED:
            raise StateError(f"the sweep has already ended: {state}")
        return state


def edits_of(sweep: Mapping[str, Any]) -> tuple[Edit, ...]:
    """What has changed a sweep's configuration, the oldest first."""
    fields = {field.name for field in dataclasses.fields(Edit)}
    return tuple(
        Edit(**{key: value for key, value in edit.items() if key in fields}) for edit in sweep.get("edits") or []
    )


def public(sweep: Mapping[str, Any]) -> Document:
    """What the pages and events show of a sweep, as plain JSON."""
    lease = sweep.get("lease") or {}
    return {
        "id": sweep["_id"],
        "name": sweep["name"],
        "owner": sweep["owner"],
        "state": sweep["state"],
        "created": _iso(sweep.get("created")),
        "started": _iso(sweep.get("started")),
        "finished": _iso(sweep.get("finished")),
        "machine": lease.get("machine"),
        "run_id": sweep.get("run_id"),
        "error": sweep.get("error"),
        "restarts": sweep.get("restarts", 0),
        "progress": sweep.get("progress"),
        "best": sweep.get("best"),
        "confirmed": sweep.get("confirmed") or [],
        "baseline": sweep.get("baseline"),
        "stop_requested": sweep.get("stop_requested", False),
        "pause_requested": sweep.get("pause_requested", False),
        "finish_requested": sweep.get("finish_requested", False),
        "priority": sweep.get("priority", 0),
        "version": sweep.get("version", 1),
        "applied": sweep.get("applied", 1),
        "ended_because": sweep.get("ended_because"),
        "held": sweep.get("held"),
        "resumed": sweep.get("resumed"),
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
