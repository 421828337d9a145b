"""The trials of a sweep in columns, beside the trials themselves: thousands of them are read in a moment.

Collection `trial_columns`: {_id: "sweep/block", sweep_id, block, fence, and the columns as `engine.columns.pack` gives
them}. Block *n* has the trials of numbers n * BLOCK + 1 to (n + 1) * BLOCK; it is written when the last of them has
ended, and again when one of them is. It says nothing that the trials do not: a block that is missing is made from them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from bson.errors import InvalidDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from engine.columns import MOMENTS, PLAIN, TrialColumns, join, pack, unpack
from engine.domain import ENDED, TrialState
from engine.errors import LeaseLost, StoreError
from engine.store.calls import answered
from engine.store.trials import PAGE, above, between, first_above

Document = dict[str, Any]

BLOCK = 250
"""Trials a block: what has no block yet is read trial by trial."""
AT_ONCE = 50
"""Trials of a block that are read in one call: the optimizer, which does so while it runs, stays small."""
MOST_SWEEPS = 16
MOST_ROWS = 100_000
"""Of trials kept in memory, of all sweeps together; the sweep read last is kept whatever its size."""

SETTLED = tuple(str(state) for state in (TrialState.COMPLETED, TrialState.PRUNED, TrialState.FAILED))
"""The states in which a trial stays, whatever comes of its sweep."""
FIELDS = {"_id": 0, "fence": 1, "params": 1, **dict.fromkeys((*PLAIN, *MOMENTS), 1)}


@dataclass(frozen=True, slots=True)
class _Known:
    """The trials of a sweep as they were read under *fence*; *ended*: nothing more will come."""

    fence: int
    ended: bool
    columns: TrialColumns


class Columns:
    def __init__(self, database: Database[Document]) -> None:
        self._collection = database["trial_columns"]
        self._trials = database["trials"]
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._guard = threading.Lock()
        self._reading = [threading.Lock() for _ in range(MOST_SWEEPS)]

    def of_sweep(self, sweep: Mapping[str, Any]) -> TrialColumns:
        """The trials of *sweep*, its document. What was read before and cannot change is not read again."""
        sweep_id, fence, ended = sweep["_id"], sweep["lease"]["fence"], sweep["state"] in ENDED
        with self._reading[hash(sweep_id) % len(self._reading)]:
            with self._guard:
                known = self._known.get(sweep_id)
            if known is None or known.fence != fence:
                columns = self._read(sweep_id, ended)
            elif known.ended:
                columns = known.columns
            else:
                columns = join(known.columns, unpack([pack(self._newer(sweep_id, known.columns))]))
            self._keep(sweep_id, _Known(fence, ended, columns))
        return columns

    def write(self, sweep_id: str, block: int, fence: int) -> bool:
        """Write a block whose trials have all ended; False where some have not.

        Raises:
            LeaseLost: a newer optimizer has written it.
            StoreError: it is too large, say.
        """
        columns = pack(self._of_block(sweep_id, block))
        if not _is_settled(columns["number"], columns["state"]):
            return False
        self._put(sweep_id, block, fence, columns)
        return True

    def complete(self, sweep_id: str, fence: int) -> None:
        """Write the blocks that a sweep which ends still lacks; the last one may have fewer trials.

        Raises:
            LeaseLost: a newer optimizer has written one of them.
            StoreError: one is too large, say; those after it are not written.
        """
        with answered():
            written = self._collection.find({"sweep_id": sweep_id}, {"block": 1, "number": 1})
            whole = {found["block"] for found in written if len(found["number"]) == BLOCK}
        for block in count():
            if block in whole:
                continue
            columns = pack(self._of_block(sweep_id, block))
            if columns["number"]:
                self._put(sweep_id, block, fence, columns)
            elif first_above(self._trials, sweep_id, block * BLOCK) is None:
                return

    def _put(self, sweep_id: str, block: int, fence: int, columns: Mapping[str, Any]) -> None:
        document = _document(sweep_id, block, fence, columns)
        try:
            with answered():
                self._collection.replace_one({"_id": document["_id"], "fence": {"$lte": fence}}, document, upsert=True)
        except DuplicateKeyError:
            raise LeaseLost(f"the columns of sweep {sweep_id} were written by a newer optimizer") from None
        except InvalidDocument as error:
            raise StoreError(f"the columns of trials {block * BLOCK + 1} and after cannot be stored: {error}") from None

    def _read(self, sweep_id: str, ended: bool) -> TrialColumns:
        """All blocks, and in place of those that are missing the trials; blocks are made of these where they can be."""
        with answered():
            found = list(self._collection.find({"sweep_id": sweep_id}).sort("block", 1))
        parts = {part["block"]: part for part in found if ended or _is_settled(part["number"], part["state"])}
        missing = set(range(max(parts, default=-1) + 1)) - set(parts)
        last = max((max(part["number"]) for part in parts.values()), default=0)
        trials = [trial for block in sorted(missing) for trial in self._of_block(sweep_id, block)]
        trials += above(self._trials, sweep_id, last, FIELDS)
        by_block: dict[int, list[Document]] = {}
        for trial in trials:
            by_block.setdefault(block_of(trial["number"]), []).append(trial)
        for block, members in by_block.items():
            if ended or _is_whole(members):
                self._add(sweep_id, block, members)
        return unpack([*parts.values(), *map(pack, by_block.values())])

    def _newer(self, sweep_id: str, known: TrialColumns) -> list[Document]:
        """The trials that may have changed: those that had not ended, and those that were not there."""
        last = int(known.number[-1]) if len(known) else 0
        settled = known.number[known.state.equal(*SETTLED)]
        numbers = np.setdiff1d(np.arange(1, last + 1), settled)
        found: list[Document] = []
        for start in range(0, len(numbers), PAGE):
            ids = [f"{sweep_id}-{number}" for number in numbers[start : start + PAGE]]
            with answered():
                found += self._trials.find({"_id": {"$in": ids}}, FIELDS)
        return [*found, *above(self._trials, sweep_id, last, FIELDS)]

    def _of_block(self, sweep_id: str, block: int) -> Iterator[Document]:
        for low in range(block * BLOCK, (block + 1) * BLOCK, AT_ONCE):
            yield from between(self._trials, sweep_id, low, low + AT_ONCE, FIELDS)

    def _add(self, sweep_id: str, block: int, trials: Sequence[Document]) -> None:
        """Write a block that is missing, if that is possible; where it is there by now, its writer knows better."""
        fence = max(int(trial.get("fence") or 0) for trial in trials)
        with suppress(DuplicateKeyError, InvalidDocument, StoreError), answered():
            self._collection.insert_one(_document(sweep_id, block, fence, pack(trials)))

    def _keep(self, sweep_id: str, known: _Known) -> None:
        with self._guard:
            self._known[sweep_id] = known
            self._known.move_to_end(sweep_id)
            rows = sum(len(kept.columns) for kept in self._known.values())
            while len(self._known) > 1 and (len(self._known) > MOST_SWEEPS or rows > MOST_ROWS):
                _, dropped = self._known.popitem(last=False)
                rows -= len(dropped.columns)


def block_of(number: int) -> int:
    """The block that has the trial of this number."""
    return (number - 1) // BLOCK


def _document(sweep_id: str, block: int, fence: int, columns: Mapping[str, Any]) -> Document:
    return {"_id": f"{sweep_id}/{block}", "sweep_id": sweep_id, "block": block, "fence": fence, **columns}


def _is_whole(trials: Sequence[Mapping[str, Any]]) -> bool:
    """Whether these are all trials of a block, and none of them will change."""
    return _is_settled(trials, [trial["state"] for trial in trials])


def _is_settled(trials: Sequence[Any], states: Iterable[Any]) -> bool:
    return len(trials) == BLOCK and all(state in SETTLED for state in states)
