"""What earlier processes of a sweep have recorded, in the journal of this machine and in the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from engine.domain import Trial, TrialState
from engine.store.journal import Record
from engine.store.trials import from_document

PRECISION = timedelta(milliseconds=1)
"""Of the times in the database."""

Document = dict[str, Any]


def known(stored: Mapping[int, Document], sweep: Document, records: Iterable[Record]) -> tuple[list[Trial], set[int]]:
    """The trials and ended stages that are known to a process that resumes a *sweep*.

    Args:
        stored: the trials' documents in the database, by number.
        records: of the journal.
    """
    goes_on = not sweep.get("stop_requested")
    documents = {number: _begun_anew(document) if goes_on else document for number, document in stored.items()}
    ended = set()
    for record in records:
        if "trial" in record:
            trial = _with_times(_begun_anew(record["trial"]) if goes_on else record["trial"])
            if not _is_outdated(trial, documents.get(trial["number"])):
                documents[trial["number"]] = trial
        elif "stage_ended" in record:
            ended.add(record["stage_ended"])
    trials = Counter(document["stage"] for document in documents.values())
    stages = sweep["stages"][:-1] if sweep.get("ended_because") else sweep["stages"]  # the last may have been cut short
    ended |= {stage["index"] for stage in stages if stage["ended"] and trials[stage["index"]] >= stage["ended"]}
    ended |= {stage["index"] for stage in sweep["stages"] if stage.get("closed")}
    return [from_document(document) for document in documents.values()], ended


def _begun_anew(document: Document) -> Document:
    """A trial as it is taken up: one that was to end with the sweep, which has not ended, waits again."""
    if document["state"] != TrialState.STOPPED:
        return document
    return {**document, "state": str(TrialState.QUEUED), "finished": None, "error": None}


def not_ours(known: Iterable[Trial], records: Iterable[Record]) -> list[int]:
    """The trials of which this machine's journal tells another end than the one that is *known*: files that lie here
    under their numbers are of networks that are no longer theirs."""
    own = {
        record["trial"]["number"]: datetime.fromisoformat(record["trial"]["finished"])
        for record in records
        if "trial" in record and record["trial"]["finished"]
    }
    ended = ((trial.number, trial.finished) for trial in known if trial.finished)
    return [number for number, at in ended if number in own and abs(own[number] - at) >= PRECISION]


def _is_outdated(record: Document, found: Document | None) -> bool:
    """Whether what is *found* of a trial goes beyond a *record* of the journal, which another machine may have
    overtaken."""
    if found is None:
        return False
    if record["finished"] is None:
        ahead = len(found["attempts"]) - len(record["attempts"])
        begun = found["state"] != TrialState.QUEUED
        return bool(found["fence"] > record["fence"] or ahead > 0 or (ahead == 0 and begun))
    if found["finished"] is None or found["fence"] <= record["fence"]:
        return False
    return bool(abs(found["finished"] - record["finished"]) >= PRECISION)


def _with_times(document: Document) -> Document:
    times = {key: datetime.fromisoformat(document[key]) for key in ("created", "started", "finished") if document[key]}
    return {**document, **times}
