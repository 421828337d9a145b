"""`make bench-analysis`: how long the charts of a sweep of 10,000 trials take, and how much they send.

The real server on the real embedded database; the sweep's trials lie there as the engine leaves them. Cold: the server
has nothing of the sweep in memory. Warm: it has been asked before. Live: a trial has ended since it was asked.
"""

from __future__ import annotations

import argparse
import http.cookiejar
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from engine.config import parse
from engine.domain import SweepState, Trial, TrialState
from engine.settings import ROOT
from engine.store import Store, connect, embedded
from engine.store.columns import MOST_ROWS
from engine.store.trials import to_document
from tests.waiting import wait_until

PORT = 5081
NAME, PASSWORD = "ada", "correct horse"
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
ROUTES = {
    "importance": "importance.json",
    "parallel coordinates": "parallel.json",
    "slices of all axes": "slice.json",
    "slice of one axis": "slice.json?axis=learning_rate",
    "contour": "contour.json?x=learning_rate&y=units_1",
    "contour over choices": "contour.json?x=batch_size&y=activation",
    "history": "history.json",
    "EDF": "edf.json",
    "timeline": "timeline.json",
}


def make_sweep(store: Store, count: int, ended: bool) -> str:
    """A sweep of *count* trials in three stages on four workers, with its columns unless it has just been *ended*."""
    share = count // 3
    config = parse({"name": "bench", "seed": 7, "hidden_layers": [4, 10], "activation": ["relu", "tanh"],
                    "opt_stages": [[1000, share], [5000, share], [10000, count - 2 * share]]})  # fmt: skip
    space = config.space()
    sweep_id = store.sweeps.create("bench", NAME, config.model_dump(mode="json"), 7, count, config.total_steps, STARTED)
    claimed = store.sweeps.claim("bench", timedelta(days=9999), STARTED)
    assert claimed is not None
    rng = np.random.default_rng(7)
    documents = []
    for number in range(1, count + 1):
        stage = min((number - 1) // share, 2)
        documents.append(to_document(make_trial(sweep_id, number, stage, space.draw(rng), rng), 1))
        if len(documents) == 500 or number == count:
            store.database["trials"].insert_many(documents)
            documents = []
    stages = [{"index": index, "steps": steps, "trials": trials, "space": space.to_document(), "best": 1, "ended": 1}
              for index, (steps, trials) in enumerate(config.stages)]  # fmt: skip
    store.sweeps.update(sweep_id, 1, {"stages": stages})
    if ended:
        store.columns.complete(sweep_id, 1)
        store.sweeps.finish(sweep_id, 1, SweepState.COMPLETED, {"finished": datetime.now(UTC)})
    return sweep_id


def make_trial(sweep_id: str, number: int, stage: int, params: dict[str, Any], rng: np.random.Generator) -> Trial:
    begun = STARTED + timedelta(seconds=number // 4)
    trial = Trial(sweep_id, number, stage, params, 1000, number, TrialState.COMPLETED, step=1000, created=begun)
    trial.started, trial.finished = begun, begun + timedelta(seconds=float(rng.uniform(0.5, 0.99)))
    trial.seconds, trial.worker = 0.8, f"worker_{number % 4}"
    rate = np.log10(float(params["learning_rate"]))
    trial.val_loss = float(10 ** (0.3 * (rate + 2.5) ** 2 - stage + rng.normal(0, 0.3)))
    trial.loss = trial.train_loss = trial.val_loss
    if number % 10 == 0:
        trial.state, trial.loss = TrialState.PRUNED, None
    elif number % 97 == 0:
        trial.state, trial.loss, trial.error = TrialState.FAILED, None, "the loss is not finite"
    trial.curve = [[step, trial.val_loss, trial.val_loss] for step in range(5, 1001, 5)]
    return trial


def copy_columns(store: Store, sweep_id: str) -> str:
    """Another ended sweep with the same columns: it is answered without its trials."""
    copied = f"{sweep_id[:6]}{os.urandom(3).hex()}"
    store.database["sweeps"].insert_one({**store.sweeps.get(sweep_id), "_id": copied})
    blocks = list(store.database["trial_columns"].find({"sweep_id": sweep_id}))
    store.database["trial_columns"].insert_many(
        [{**block, "_id": f"{copied}/{block['block']}", "sweep_id": copied} for block in blocks]
    )
    return copied


class Browser:
    """Somebody who is logged in."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._jar))

    def log_in(self) -> None:
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/login")[0].decode())
        assert token
        form = urllib.parse.urlencode({"name": NAME, "password": PASSWORD, "csrf_token": token[1]}).encode()
        self._opener.open(f"{self.url}/login", form).read()

    def get(self, path: str) -> tuple[bytes, float]:
        """The answer, and the milliseconds until all of it was there."""
        begun = time.perf_counter()
        content = self._opener.open(self.url + path).read()
        return content, 1000 * (time.perf_counter() - begun)

    def cookies(self) -> str:
        """Its session, as a header."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._jar)

    def answers(self) -> bool:
        try:
            return bool(self.get("/healthz")[0])
        except urllib.error.URLError:
            return False


@contextmanager
def server(data_dir: Path, port: int) -> Iterator[tuple[Browser, psutil.Process]]:
    """`gunicorn wsgi:app` as `make run` starts it, without a daemon: somebody logged in, and the master process."""
    environ = {"NHOP_DATA_DIR": str(data_dir), "NHOP_PORT": str(port), "NHOP_NO_DAEMON": "1",
               "NHOP_ADMIN_USER": NAME, "NHOP_ADMIN_PASSWORD": PASSWORD}  # fmt: skip
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "gunicorn"), "wsgi:app"],
        cwd=ROOT, env={**os.environ, **environ}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    browser = Browser(port)
    try:
        wait_until(browser.answers, 60, "the server")
        browser.log_in()
        yield browser, psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def figures(times: list[float]) -> str:
    return f"{np.percentile(times, 50):.0f} / {np.percentile(times, 95):.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20, help="answers of each kind that are measured")
    parser.add_argument("--port", type=int, default=PORT)
    arguments = parser.parse_args()
    count = arguments.trials
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        data_dir.mkdir()
        running, _ = embedded.start(data_dir)
        store = connect(running.uri, seconds=60)
        store.make_indexes()
        print(f"writing sweeps of {count:,} trials", file=sys.stderr)
        ended = make_sweep(store, count, ended=True)
        copies = [copy_columns(store, ended) for _ in range(MOST_ROWS // count + 2)]
        live = make_sweep(store, count, ended=False)
        space, rng = parse(store.sweeps.get(live)["config"]).space(), np.random.default_rng(1)
        with server(data_dir, arguments.port) as (browser, master):
            browser.get("/")
            first = browser.get(f"/sweeps/{ended}/analysis/importance.json")[1]
            rebuilt = browser.get(f"/sweeps/{live}/analysis/importance.json")[1]
            print("| answer | KB | cold, ms | warm, ms | live, ms |\n|---|---|---|---|---|", flush=True)
            number, turn = count, 0
            for name, route in ROUTES.items():
                times: dict[str, list[float]] = {"cold": [], "warm": [], "live": []}
                for _ in range(arguments.rounds):
                    address = f"/sweeps/{copies[turn % len(copies)]}/analysis/{route}"
                    turn += 1
                    content, cold = browser.get(address)
                    times["cold"].append(cold)
                    times["warm"].append(browser.get(address)[1])
                for _ in range(arguments.rounds):
                    browser.get(f"/sweeps/{live}/analysis/{route}")
                    number += 1
                    store.trials.put(to_document(make_trial(live, number, 2, space.draw(rng), rng), 1))
                    times["live"].append(browser.get(f"/sweeps/{live}/analysis/{route}")[1])
                print(f"| {name} | {len(content) / 1000:.0f} | " + " | ".join(map(figures, times.values())) + " |",
                      flush=True)  # fmt: skip
            worker = master.children()[0].memory_info().rss / 2**20
        store.close()
        embedded.stop(running)
    print(
        f"\n{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, {count:,} trials; median / "
        f"95th percentile of {arguments.rounds}. The first answer after the server's start took {first:.0f} ms, "
        f"that of a sweep whose columns had to be made {rebuilt / 1000:.1f} s; the web process has {worker:.0f} MB."
    )


if __name__ == "__main__":
    main()
