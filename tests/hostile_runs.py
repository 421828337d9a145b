"""Forty run documents as no tidy Sacred would write them: ancient, damaged, foreign, or meant to do harm."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex, Timestamp
from gridfs import GridFS
from pymongo.database import Database

Document = dict[str, Any]

NOW = datetime.now(UTC).replace(microsecond=0)
SCRIPT = "<script>document.title='harmed'</script>"
HTML = f"<!doctype html><title>x</title><p id=said>plot</p>{SCRIPT}<img src=x onerror=\"document.title='harmed'\">"
SVG = f'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><circle r="20"/>{SCRIPT}</svg>'
FILES: Mapping[str, bytes] = {
    "plot.html": HTML.encode(),
    "drawing.svg": SVG.encode(),
    "table.csv": b"step,loss\n1,0.5\n2,<b>0.25</b>\n",
    "notes.txt": SCRIPT.encode(),
    "no picture.png": b"\x89PNG\r\n\x1a\n" + HTML.encode(),
    "../../etc/passwd": b"root",
    'quo"te\r\nSet-Cookie: a=b; \u202egpj.exe': b"MZ\x00\x01",
    "empty": b"",
}


def nested(depth: int) -> Document:
    inner: Document = {"end": 1}
    for level in range(depth):
        inner = {f"level{level}": inner}
    return inner


DOCUMENTS: list[Document] = [
    {},
    {"_id": "exp/with space?&<b>", "status": "RUNNING"},
    {"_id": ObjectId(), "status": 5, "start_time": "yesterday", "config": [1, {"a": 2}]},
    {"_id": 7, "result": {"py/object": "numpy.float64", "dtype": "float64", "value": 0.25}, "start_time": NOW},
    {"_id": "7", "config": {"name": "the string 7"}},
    {"_id": 8, "result": float("nan"), "start_time": NOW, "host": "lab", "experiment": "text", "info": 3},
    {"_id": 9, "captured_out": b"\xff\x00", "config": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}}},
    {"_id": 10, "fail_trace": "boom", "status": "FAILED", "config": {"name": {"x": SCRIPT}}},
    {"_id": 11, "experiment": {"sources": [5, ["a.py"], [], None], "dependencies": "numpy"}, "stop_time": 12},
    {"_id": 12, "start_time": datetime(1, 1, 1, tzinfo=UTC), "heartbeat": datetime(9999, 12, 31, tzinfo=UTC)},
    {"_id": 13, "info": {"sweep_id": ["x"]}, "config": {f"key{n}": n for n in range(900)}},
    {"_id": 14, "start_time": Timestamp(2**31, 1), "heartbeat": 1.7e9, "status": "RUNNING"},
    {"_id": Int64(2**62), "config": {"big": Int64(2**63 - 1), "name": "big id"}},
    {"_id": -3, "status": "COMPLETED", "result": float("inf")},
    {"_id": 3.5, "status": "COMPLETED", "result": Decimal128("1.50")},
    {"_id": {"a": 1, "b": "x"}, "status": "COMPLETED"},
    {"_id": "compare", "status": "TIMEOUT"},
    {"_id": "", "status": "QUEUED", "config": {}},
    {"_id": "..", "status": None},
    {"_id": "507f1f77bcf86cd799439011", "config": {"name": "a string like an ObjectId"}},
    {"_id": '"quoted"', "config": {"name": "a string in quotes"}},
    {"_id": "ünï\u202ecode \U0001f9ea", "config": {"name": "\u202eeman"}},
    {"_id": "x" * 900, "config": {"name": "y" * 5000}},
    {"_id": 20, "config": nested(60), "info": nested(60), "status": "COMPLETED"},
    {"_id": 21, "captured_out": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J\r50%\r100%\n" + SCRIPT, "start_time": NOW},
    {"_id": 22, "captured_out": "line of output\n" * 300_000, "start_time": NOW, "status": "RUNNING", "heartbeat": NOW},
    {"_id": 23, "captured_out": "no end of the line " * 50_000, "status": "COMPLETED"},
    {"_id": 24, "captured_out": ["a", "list"], "fail_trace": [1, None, "x", {"y": 2}], "status": "FAILED"},
    {"_id": 25, "status": "RUNNING", "heartbeat": "now", "start_time": None, "stop_time": [], "meta": "none"},
    {"_id": 26, "status": {"state": "RUNNING"}, "result": {"loss": [0.1, float("nan")], "note": SCRIPT}},
    {"_id": 27, "meta": {"options": {"--beat-interval": "soon", "--comment": SCRIPT}, "comment": f"**bold** {SCRIPT}"}},
    {
        "_id": 28,
        "meta": {"config_updates": [1], "named_configs": "adam", "options": []},
        "command": ["main"],
        "experiment": {"name": 5, "mainfile": "/a b/train it.py", "repositories": [{"url": SCRIPT}, 7, {"dirty": 1}]},
    },
    {
        "_id": 29,
        "omniboard": {"tags": ["good", None, SCRIPT], "notes": f"see [this](javascript:alert(1)) {SCRIPT}"},
        "config": {"tags": "one"},
    },
    {
        "_id": 30,
        "config": {
            "code": Code("alert(1)"),
            "regex": Regex("a+"),
            "stamp": Timestamp(1, 1),
            "bytes": Binary(b"\x00", 5),
            "float": float("-inf"),
            "none": None,
            "empty": {},
            "list": [],
        },
    },
    {"_id": 31, "resources": [["a.csv", "md5"], "b.csv", [], None, [1, 2, 3]], "artifacts": "none"},
    {
        "_id": 32,
        "artifacts": [None, {}, {"name": None, "file_id": ObjectId()}, {"name": "x", "file_id": "y"}, ["z", 1]],
    },
    {
        "_id": 33,
        "experiment": {"name": "old", "sources": [["a.py", "507f1f77bcf86cd799439011"]]},
        "host": {"cpu": SCRIPT},
    },
    {"_id": 34, "config": {"nn_model": [1], "hyperparam_opt": {"a": 1}}, "info": {"sweep_id": "<x>"}},
    {"_id": 35, "status": "running", "start_time": NOW, "heartbeat": NOW - timedelta(hours=1)},
    {"_id": 36, "status": "MADE_UP", "config": {"a,b": {"@c": 1}}, "host": [1, 2]},
]

METRICS: list[Document] = [
    {"run_id": 7, "name": "loss", "steps": [0, 1, 2], "values": [1.0, float("nan"), {"py/object": "x", "value": 3}]},
    {"run_id": 7, "name": None, "steps": "x", "values": 3},
    {"run_id": 7, "name": "shorter", "steps": [1, 2, 3], "values": [1.0], "timestamps": ["never"]},
    {
        "run_id": 7,
        "name": "back.and.forth",
        "steps": [5, 1, 3, 3],
        "values": [1, 2, True, "4"],
        "timestamps": [NOW] * 4,
    },
    {
        "run_id": 7,
        "name": SCRIPT,
        "steps": [1],
        "values": [2**70 * 1.0],
        "timestamps": [datetime(9999, 12, 31, tzinfo=UTC)],
    },
    {"run_id": 8, "name": "all nan", "steps": list(range(5000)), "values": [float("nan")] * 5000},
]


def insert(database: Database[Document]) -> list[Any]:
    """Put all of them, their metrics and files into a database; the ids of the runs."""
    assert len(DOCUMENTS) == 40
    files = GridFS(database)
    stored = {
        name: files.put(content, filename=f"artifact://{name}", content_type="text/html\r\nX-Harm: y")
        for name, content in FILES.items()
    }
    documents = [{**document} for document in DOCUMENTS]
    documents[3]["artifacts"] = [{"name": name, "file_id": file_id} for name, file_id in stored.items()]
    documents[3]["experiment"] = {"name": "plain", "sources": [["plot.html", stored["plot.html"]]]}
    ids = database["runs"].insert_many(documents).inserted_ids
    database["metrics"].insert_many([{**metric} for metric in METRICS])
    return list(ids)
