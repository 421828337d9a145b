"""Forty run documents as years of Sacred, other programs, crashes and people have left them, some of them large."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Binary, Decimal128, Int64, ObjectId, Regex

Document = dict[str, Any]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LARGE = 15 * 2**20


def numpy(value: Any, kind: str = "float64") -> Document:
    """What jsonpickle makes of a number of numpy."""
    return {"py/object": f"numpy.{kind}", "dtype": kind, "value": value}


def nested(depth: int) -> Document:
    found: Document = {"end": 1}
    for _ in range(depth):
        found = {"a": found}
    return found


def ancient_runs() -> list[Document]:
    """The documents, each with an `_id` of its own."""
    whole = {
        "format": "MongoObserver-0.7.0",
        "experiment": {"name": "mnist", "base_dir": "/x", "sources": [["a.py", ObjectId()]], "dependencies": ["a==1"]},
        "command": "main",
        "host": {"hostname": "lab", "os": ["Linux", "6.1"], "ENV": {"SECRET": "hunter2"}},
        "config": {"lr": 0.1, "seed": 3},
        "meta": {"command": "main", "options": {"--beat-interval": None}},
        "captured_out": "epoch 1\n",
    }
    begun = {"start_time": NOW, "heartbeat": NOW}
    return [
        {"_id": 1},
        {"_id": 2, "status": None, "config": None, "info": None, "host": None, "experiment": None, "meta": None},
        {"_id": 3, **whole, "status": "QUEUED"},
        {"_id": 4, **whole, **begun, "status": "COMPLETED", "stop_time": NOW, "result": numpy(0.25)},
        {"_id": 5, **whole, **begun, "status": "RUNNING"},
        {"_id": 6, **whole, "status": "RUNNING", "start_time": NOW},
        {"_id": 7, "status": "RUNNING"},
        {"_id": 8, "status": "running", **begun, "heartbeat": "a while ago"},
        {"_id": 9, "status": "TIMEOUT", **begun},
        {"_id": 10, "status": "<b>odd</b>", **begun},
        {"_id": 11, "status": 5, "start_time": "yesterday", "stop_time": 12, "heartbeat": [NOW]},
        {"_id": 12, "status": {"py/object": "enum"}, "start_time": 1_700_000_000},
        {"_id": 13, "start_time": {"$date": "2020"}, "heartbeat": datetime(1969, 12, 31, tzinfo=UTC)},
        {"_id": 14, "start_time": datetime(1, 1, 1, tzinfo=UTC), "heartbeat": datetime(9999, 12, 31, tzinfo=UTC)},
        {"_id": 15, **begun, "result": float("nan"), "config": {"lr": float("inf"), "mu": float("-inf")}},
        {"_id": 16, **begun, "result": {"accuracy": numpy(float("nan")), "loss": numpy([1.0, 2.0], "ndarray")}},
        {"_id": 17, **begun, "result": Decimal128("1.5"), "config": {"big": Int64(2**62), "raw": Binary(b"\xff\x00")}},
        {"_id": 18, **begun, "result": "x" * 100_000, "config": {"text": "line\nline\ttab\x00\x1b[31mred"}},
        {"_id": 19, **begun, "config": [1, {"a": 2}], "info": 3, "host": "lab", "experiment": "text", "meta": True},
        {"_id": 20, **begun, "config": {"name": {"x": "<script>alert(1)</script>"}, "": 1, " ": 2, "a b": 3}},
        {"_id": 21, **begun, "config": nested(80)},
        {"_id": 22, **begun, "config": {f"key{n}": n for n in range(3000)}},
        {"_id": 23, **begun, "config": {"k" * 1000: 1, "list": list(range(10_000)), "unicode ✓ 漢字": "😀"}},
        {"_id": 24, **begun, "info": {"metrics": [{"id": "not an id", "name": 5}, 7, None], "sweep_id": ["x"]}},
        {"_id": 25, **begun, "info": {"metrics": {"loss": 1}, "a,b": {"$@": 1}}},
        {"_id": 26, **begun, "experiment": {"sources": [5, ["a.py"], [], None], "repositories": "git", "name": 7}},
        {"_id": 27, **begun, "experiment": {"repositories": [{"url": 1, "commit": None, "dirty": "maybe"}, 3]}},
        {"_id": 28, **begun, "fail_trace": "boom", "status": "FAILED", "captured_out": b"\xff\x00"},
        {"_id": 29, **begun, "fail_trace": [1, None, {"a": "b"}], "status": "FAILED", "captured_out": ["a", 1]},
        {"_id": 30, **begun, "captured_out": "x" * LARGE, "status": "COMPLETED"},
        {"_id": 31, **begun, "info": {"rows": [{"value": float(n), "text": "x" * 20} for n in range(150_000)]}},
        {"_id": 32, **begun, "omniboard": {"tags": ["keep", 5, None, ["x"]], "notes": "**fine**"}},
        {"_id": 33, **begun, "config": {"tags": "a, b,,c"}, "meta": {"comment": "x" * 5000, "tags": {"no": 1}}},
        {"_id": 34, **begun, "meta": {"options": {"--beat-interval": "sixty"}}, "status": "RUNNING"},
        {"_id": 35, **begun, "meta": {"options": {"--beat-interval": float("inf")}}, "status": "RUNNING"},
        {"_id": -5, **begun, "artifacts": [{"name": None, "file_id": "x"}, "y"], "resources": [1, ["a"]]},
        {"_id": "exp/with space?&<b>#%2F", "status": "RUNNING", "start_time": NOW - timedelta(days=900)},
        {"_id": "17", **begun, "config": {"re": Regex("a+"), "id": ObjectId()}},
        {"_id": ObjectId("5f0000000000000000000001"), **whole, **begun, "status": "INTERRUPTED"},
        {"_id": {"part": 1, "of": "two"}, **begun, "config": {"when": NOW, "none": None, "yes": True}},
    ]


def ancient_metrics() -> list[Document]:
    """Metrics of those runs, and of none."""
    return [
        {"run_id": 4, "name": "loss", "steps": [0, 1, 2], "values": [1.0, float("nan"), numpy(3.0)], "timestamps": []},
        {"run_id": 4, "name": "val.acc.top-5", "steps": [0, 10], "values": [0.5, 0.75]},
        {"run_id": 5, "name": None, "steps": "x", "values": 3},
        {"run_id": 5, "name": "empty", "steps": [], "values": []},
        {"run_id": 5, "name": "words", "steps": [1, 2], "values": ["a", None]},
        {"run_id": 6, "name": "long", "steps": list(range(50_000)), "values": [0.5] * 50_000},
        {"run_id": 7, "name": "uneven", "steps": [1, 2, 3], "values": [float("inf")]},
        {"run_id": 999, "name": "orphan", "steps": [1], "values": [1.0]},
        {"name": "nobody's"},
        {},
        {"_id": "own", "run_id": "17", "name": "x" * 500, "steps": [1], "values": [2]},
    ]
