"""`make bench-history`: the list of runs beside the list queries of Omniboard and SacredBoard, on one database.

The real server on the embedded database, with runs of 20 configuration keys, metrics of 1,000 points and 50 KB of
output each. Pages of 50 runs are asked for over HTTP. What the other two ask MongoDB for the same page is replayed with
the driver on the same database: Omniboard's aggregation (server/runs.response.js), with its join for metric columns,
and SacredBoard's count, sort, skip and limit of whole documents (app/data/pymongo/rundao.py). Their time is the
database's alone; ours is the whole page's.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pymongo
from bson import ObjectId
from pymongo.errors import PyMongoError

from bench.analysis import Browser, server
from engine.store import Store, connect, embedded
from webapp.services.history import mark
from webapp.services.run_index.query import Place

PORT = 5101
PAGE = 50
PATIENCE = 40
"""Seconds after which an answer is no longer waited for."""
OUTPUT = "".join(f"step {step}: loss {1 / (step + 1):.6f}\n" for step in range(2200))[:50_000]
NOW = datetime.now(UTC).replace(microsecond=0)
SHOWN = ("heartbeat", "experiment", "command", "artifacts", "host", "stop_time", "config", "result", "start_time",
         "resources", "format", "status", "omniboard", "meta")  # fmt: skip
"""What Omniboard's table selects."""


def write_runs(store: Store, count: int, metrics: int, points: int) -> None:
    """*count* completed runs, a minute apart, the newest a minute ago."""
    rng = random.Random(7)  # noqa: S311 - made-up runs
    steps = list(range(points))
    for first in range(1, count + 1, 100):
        runs, curves = [], []
        for run_id in range(first, min(first + 100, count + 1)):
            begun = NOW - timedelta(minutes=count - run_id + 1)
            level, ids = rng.random(), []
            for number in range(metrics):
                values = [level + math.exp(-step / 200) for step in steps]
                curve = {"_id": ObjectId(), "run_id": run_id, "name": f"metric{number}", "steps": steps,
                         "values": values, "timestamps": [begun] * points}  # fmt: skip
                ids.append({"name": curve["name"], "id": str(curve["_id"])})
                curves.append(curve)
            config = {f"key{number}": rng.random() for number in range(18)}
            config |= {"optimizer": {"lr": 10 ** rng.uniform(-4, -1)}, "model": rng.choice(["cnn", "lstm", "mlp"])}
            runs.append({
                "_id": run_id, "format": "MongoObserver-0.7.0", "command": "main", "status": "COMPLETED",
                "experiment": {"name": "bench", "base_dir": "/bench", "mainfile": "a.py", "sources": [],
                               "dependencies": ["numpy==2"], "repositories": []},
                "host": {"hostname": f"gpu-{run_id % 4}", "os": ["Linux", "6"], "python_version": "3.11", "cpu": "x"},
                "meta": {"command": "main", "options": {"--beat-interval": None}}, "config": config,
                "start_time": begun, "heartbeat": begun + timedelta(seconds=50),
                "stop_time": begun + timedelta(seconds=50), "captured_out": OUTPUT, "result": rng.random(),
                "info": {"metrics": ids}, "artifacts": [], "resources": [],
            })  # fmt: skip
        store.database["runs"].insert_many(runs)
        if curves:
            store.database["metrics"].insert_many(curves)


# what the other two ask


def omniboard(store: Store, match: dict[str, Any] | None = None, skip: int = 0, metric: str = "") -> list[Any]:
    """A page of Omniboard's table, by its newest runs, or by the least value of a metric."""
    status = {"$cond": {"if": {"$eq": ["$status", "RUNNING"]}, "then": "PROBABLY_DEAD", "else": "$status"}}
    wanted = {**dict.fromkeys(SHOWN, 1), **({"info.metrics": 1} if metric else {})}
    stages: list[dict[str, Any]] = [{"$project": wanted}, {"$addFields": {"status": status}}]
    if match:
        stages.append({"$match": match})
    page = [{"$skip": skip}, {"$limit": PAGE}]
    if not metric:
        stages += [{"$sort": {"_id": -1}}, *page]
        return list(store.database["runs"].aggregate(stages, allowDiskUse=True))
    stages += [
        {"$unwind": {"path": "$info.metrics", "preserveNullAndEmptyArrays": True}},
        {"$match": {"$expr": {"$in": ["$info.metrics.name", [metric]]}}},
        {"$lookup": {
            "from": "metrics", "let": {"metric_id": {"$toObjectId": "$info.metrics.id"}},
            "pipeline": [{"$match": {"$expr": {"$eq": ["$_id", "$$metric_id"]}}}], "as": "metrics",
        }},
        {"$addFields": {"metrics": {"$arrayElemAt": ["$metrics", 0]}}},
        {"$addFields": {"least": {"$min": "$metrics.values"}}},
        {"$project": {"metrics": 0, "info": 0}},
        {"$sort": {"least": 1}},
        *page,
    ]  # fmt: skip
    return list(store.database["runs"].aggregate(stages, allowDiskUse=True))


def sacredboard(store: Store, match: dict[str, Any] | None = None, skip: int = 0) -> list[Any]:
    """A page of SacredBoard's table: whole documents, and their count."""
    runs = store.database["runs"]
    runs.count_documents(match or {})
    return list(runs.find(match or {}).sort("start_time", -1).skip(skip).limit(PAGE))


# measuring


def timed(ask: Callable[[], Any], rounds: int, patient: bool = True) -> list[float]:
    """Milliseconds of each answer; empty when there is none in time. A slow one is asked for less often."""
    times: list[float] = []
    begun = time.monotonic()
    while len(times) < rounds and (not times or time.monotonic() - begun < PATIENCE):
        start = time.perf_counter()
        try:
            with pymongo.timeout(PATIENCE):
                ask()
        except PyMongoError as error:
            if patient:
                print(f"no answer: {str(error)[:120]}", file=sys.stderr)
            return []
        times.append(1000 * (time.perf_counter() - start))
    return times


def shown(times: list[float]) -> str:
    if not times:
        return f"> {PATIENCE} s"
    return f"{np.percentile(times, 50):,.0f} / {np.percentile(times, 95):,.0f}"


def ratio(theirs: list[float], ours: list[float]) -> str:
    least = 1000 * PATIENCE if not theirs else float(np.percentile(theirs, 50))
    return f"{'> ' if not theirs else ''}{least / float(np.percentile(ours, 50)):,.0f}×"


def wait_for_index(browser: Browser, count: int, seconds: float) -> tuple[float, float]:
    """Seconds until every run is listed, and until every metric is read."""
    begun, listed = time.monotonic(), 0.0
    while time.monotonic() - begun < seconds:
        html = browser.get("/history")[0].decode()
        total = int(re.findall(r"data-total>([\d,]+)<", html)[0].replace(",", ""))
        if total >= count and not listed:
            listed = time.monotonic() - begun
        note = re.findall(r"<p class=\"notice\"\s+data-progress\s+role=\"status\"\s*(hidden)?", html)
        if listed and note and note[0] == "hidden":
            return listed, time.monotonic() - begun
        time.sleep(0.5)
    raise SystemExit(f"the index is not made within {seconds:g} s")


def measure(count: int, metrics: int, points: int, rounds: int, port: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        data_dir.mkdir()
        running, _ = embedded.start(data_dir)
        store = connect(running.uri, seconds=PATIENCE)
        store.make_indexes()
        print(f"writing {count:,} runs", file=sys.stderr)
        write_runs(store, count, metrics, points)
        middle = count // 2
        deep = Place(0, (NOW - timedelta(minutes=middle + 1)).timestamp(), 0)
        rare = {"config.optimizer.lr": {"$lt": 0.001}}
        pages: list[tuple[str, str, Callable[[], Any] | None, Callable[[], Any] | None]] = [
            ("first page", "/history", lambda: omniboard(store), lambda: sacredboard(store)),
            ("page in the middle", f"/history?after={mark(deep)}", lambda: omniboard(store, skip=middle),
             lambda: sacredboard(store, skip=middle)),
            ("filter on a nested field", "/history?where=config.optimizer.lr<0.001", lambda: omniboard(store, rare),
             lambda: sacredboard(store, rare)),
            ("sorted by a metric", "/history?columns=name,state,metrics.metric1.min&sort=metrics.metric1.min",
             lambda: omniboard(store, metric="metric1"), None),
            ("one run", f"/history/{middle}", None, None),
            ("comparison of 10", "/history/compare?" + "&".join(f"run={middle + at}" for at in range(10)), None, None),
        ]  # fmt: skip
        with server(data_dir, port) as (browser, master):
            listed, whole = wait_for_index(browser, count, 3600)
            memory = max(child.memory_info().rss for child in master.children(recursive=True)) / 2**20
            size = sum(path.stat().st_size for path in (data_dir / "history").iterdir()) / 2**20
            print(f"\n{count:,} runs with {metrics} metrics of {points:,} points: listed after {listed:.0f} s, metrics "
                  f"read after {whole:.0f} s; index {size:.0f} MB, web process {memory:.0f} MB.\n")  # fmt: skip
            print(
                "| page | this list, ms | Omniboard, ms | SacredBoard, ms | ratios |\n|---|---|---|---|---|", flush=True
            )
            pages_ms: dict[str, list[float]] = {}
            # All of these first: a database works on for whom nobody waits any more.
            for name, address, *_ in pages:
                browser.get(address)
                pages_ms[name] = [browser.get(address)[1] for _ in range(rounds)]
                print(f"{name}: {shown(pages_ms[name])} ms", file=sys.stderr)
            for name, _, first, second in pages:
                ours = pages_ms[name]
                theirs = [timed(ask, rounds) if ask else None for ask in (first, second)]
                texts = [shown(times) if times is not None else "–" for times in theirs]
                ratios = [ratio(times, ours) if times is not None else "–" for times in theirs]
                print(f"| {name} | {shown(ours)} | {' | '.join(texts)} | {', '.join(ratios)} |", flush=True)
        store.close()
        embedded.stop(running)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 10_000], help="also 100000, which takes an hour")
    parser.add_argument("--metrics", type=int, default=5, help="of each run")
    parser.add_argument("--points", type=int, default=1000, help="of each metric")
    parser.add_argument("--rounds", type=int, default=30, help="answers of each kind that are measured")
    parser.add_argument("--port", type=int, default=PORT)
    arguments = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, "
          f"{psutil.virtual_memory().total / 2**30:.0f} GB. Median / 95th percentile.", flush=True)  # fmt: skip
    for count in arguments.runs:
        measure(count, arguments.metrics, arguments.points, arguments.rounds, arguments.port)


if __name__ == "__main__":
    main()
