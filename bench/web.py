"""`make bench-web`: a sweep watched by many browsers, and a page with 10,000 trials.

The real server on the real embedded database. First, sockets of a process of their own watch one sweep while another
process writes its events; each event carries the time at which it was written. Then Chromium opens the page of a sweep
of 10,000 trials, and beside it optuna-dashboard's page of a study with as many, from memory, its fastest storage.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, sync_playwright

from bench.analysis import make_sweep, server
from engine.events import EventType
from engine.store import connect, embedded
from tests.waiting import wait_until

PORT, PEER_PORT = 5086, 5087
CHROMIUM = Path("/usr/bin/chromium")
TARGETS = "p50 under 80 ms, p99 under 250 ms, no gap, no duplicate, web process under 400 MB"


def watch(port: int, cookie: str, sweep_id: str, count: int, seconds: float, results: Any) -> None:
    """*count* sockets on one sweep: puts {joined}, and when *seconds* are over {delays, gaps, duplicates, events}."""
    import socketio

    delays: list[float] = []
    faults = {"gaps": 0, "duplicates": 0}

    async def one(first: int) -> Any:
        client = socketio.AsyncClient(reconnection=False)
        seen = first

        async def take(message: Any) -> None:
            nonlocal seen
            now = time.time()
            for event in message["events"]:
                faults["duplicates"] += event["seq"] <= seen
                faults["gaps"] += event["seq"] > seen + 1
                seen = event["seq"]
                if "sent" in event["data"]:
                    delays.append(now - event["data"]["sent"])

        client.on("events", take)
        await client.connect(f"http://127.0.0.1:{port}", transports=["websocket"], headers={"Cookie": cookie})
        answer = await client.call("join", {"sweep": sweep_id, "after": first})
        assert "seq" in answer, answer
        return client

    async def everybody() -> None:
        clients = []
        for start in range(0, count, 20):
            clients += await asyncio.gather(*(one(0) for _ in range(start, min(start + 20, count))))
        results.put({"joined": len(clients)})
        await asyncio.sleep(seconds)
        results.put({"delays": delays, **faults, "events": len(delays)})
        await asyncio.gather(*(client.disconnect() for client in clients))

    asyncio.run(everybody())


def write(uri: str, database: str, sweep_id: str, seconds: float, rate: float) -> int:
    """Append *rate* events a second, as the engine does: how many there were."""
    store = connect(uri, database=database)
    begun, count = time.monotonic(), 0
    while (now := time.monotonic()) < begun + seconds:
        store.events.append(
            sweep_id, [(EventType.PROGRESS, {"trials": {}, "sent": time.time()}, datetime.now(UTC))]
        )  # fmt: skip
        count += 1
        time.sleep(max(0.0, begun + count / rate - now))
    return count


def many_browsers(count: int, seconds: float, rate: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        data_dir.mkdir()
        running, _ = embedded.start(data_dir)
        store = connect(running.uri, seconds=60)
        store.make_indexes()
        sweep_id = make_sweep(store, 30, ended=False)
        context = multiprocessing.get_context("spawn")
        with server(data_dir, PORT) as (browser, master):
            results = context.Queue()
            watcher = context.Process(
                target=watch, args=(PORT, browser.cookies(), sweep_id, count, seconds + 3, results)
            )  # fmt: skip
            watcher.start()
            joined = results.get(timeout=300)["joined"]
            writer = context.Process(target=write, args=(running.uri, "nhop", sweep_id, seconds, rate))
            writer.start()
            time.sleep(seconds / 2)
            memory = max(process.memory_info().rss for process in [master, *master.children(recursive=True)]) / 2**20
            found = results.get(timeout=300)
            watcher.join()
            writer.join()
        store.close()
        embedded.stop(running)
    delays = 1000 * np.array(found["delays"])
    print(
        f"{joined} browsers, {rate:g} events a second for {seconds:g} s: event to client p50 "
        f"{np.percentile(delays, 50):.0f} ms, p99 {np.percentile(delays, 99):.0f} ms; {found['events']:,} received, "
        f"{found['gaps']} gaps, {found['duplicates']} duplicates; web process {memory:.0f} MB. Aim: {TARGETS}.",
        flush=True,
    )


def first_byte(url: str, cookie: str = "") -> float:
    """Milliseconds until the first byte of an answer."""
    request = urllib.request.Request(url, headers={"Cookie": cookie})  # noqa: S310 - our own address
    begun = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
        answer.read(1)
    return 1000 * (time.perf_counter() - begun)


def opened(chromium: Chromium, url: str, ready: str, cookies: list[Any]) -> tuple[float, float]:
    """(seconds until the selector *ready* is there, KB transferred by then and for a second after), nothing cached."""
    context = chromium.new_context()
    context.add_cookies(cookies)
    page: Page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    received = {"bytes": 0}
    session.on("Network.loadingFinished", lambda event: received.update(
        bytes=received["bytes"] + event["encodedDataLength"]))  # fmt: skip
    begun = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_selector(ready, timeout=120_000)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")  # it answers
    seconds = time.perf_counter() - begun
    page.wait_for_timeout(1000)
    context.close()
    return seconds, received["bytes"] / 1000


def print_page(name: str, byte: list[float], visits: list[tuple[float, float]]) -> None:
    seconds, size = (statistics.median(column) for column in zip(*visits, strict=True))
    print(f"| {name} | {statistics.median(byte):.0f} | {seconds:.2f} | {size:.0f} |", flush=True)


def large_page(count: int, rounds: int, peer: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        data_dir = Path(folder) / "data"
        data_dir.mkdir()
        running, _ = embedded.start(data_dir)
        store = connect(running.uri, seconds=60)
        store.make_indexes()
        sweep_id = make_sweep(store, count, ended=True)
        executable = str(CHROMIUM) if CHROMIUM.exists() else None
        chromium = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        print(
            f"| page with {count:,} trials | first byte, ms | all losses drawn, s | KB |\n|---|---|---|---|", flush=True
        )
        with server(data_dir, PORT) as (browser, _):
            url, cookie = f"http://127.0.0.1:{PORT}/sweeps/{sweep_id}", browser.cookies()
            byte = [first_byte(url, cookie) for _ in range(rounds)]
            name, _, value = cookie.partition("=")
            cookies = [{"name": name, "value": value, "domain": "127.0.0.1", "path": "/"}]
            visits = [opened(chromium, url, "[data-chart=history][data-is=drawn]", cookies) for _ in range(rounds)]
            print_page("this one", byte, visits)
        if peer:
            dashboard = subprocess.Popen(
                [sys.executable, "-m", "bench.web", "--serve-optuna", str(count)], stdout=DEVNULL, stderr=DEVNULL
            )
            try:
                url = f"http://127.0.0.1:{PEER_PORT}"
                wait_until(lambda: answers(url), 200, "optuna-dashboard", every=0.5)
                byte = [first_byte(f"{url}/dashboard/studies/0") for _ in range(rounds)]
                study, drawn = f"{url}/dashboard/studies/0", ".js-plotly-plot .points path"
                visits = [opened(chromium, study, drawn, []) for _ in range(rounds)]
                print_page("optuna-dashboard", byte, visits)
                api = [first_byte(f"{url}/api/studies/0?after=0") for _ in range(rounds)]
                print(
                    f"\noptuna-dashboard's answer with the trials has its first byte after {min(api):,.0f} ms at best."
                )
            finally:
                dashboard.terminate()
                dashboard.wait(timeout=30)
        chromium.close()
        store.close()
        embedded.stop(running)


def answers(url: str) -> bool:
    with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
        return bool(answer.status == 200)
    return False


def serve_optuna(count: int) -> None:
    """A study of *count* completed trials with the default axes, from memory."""
    import optuna
    import optuna_dashboard

    from engine.config import parse
    from engine.space import Categorical, Float

    space = parse({}).space()
    kinds = {
        name: optuna.distributions.CategoricalDistribution(axis.choices) if isinstance(axis, Categorical)
        else optuna.distributions.FloatDistribution(axis.low, axis.high) if isinstance(axis, Float)
        else optuna.distributions.IntDistribution(axis.low, axis.high)
        for name, axis in space.axes.items()
    }  # fmt: skip
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, study_name="bench")
    rng = np.random.default_rng(7)
    trials = []
    for _ in range(count):
        params = space.draw(rng)
        own = {name: kinds[name] for name in params}
        trials.append(optuna.trial.create_trial(params=params, distributions=own, value=float(rng.lognormal())))
    study.add_trials(trials)
    optuna_dashboard.run_server(storage, host="127.0.0.1", port=PEER_PORT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browsers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=10, help="events a second")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--only", choices=["browsers", "page"])
    parser.add_argument("--serve-optuna", type=int, metavar="TRIALS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve_optuna:
        serve_optuna(arguments.serve_optuna)
        return
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, "
          f"{psutil.virtual_memory().total / 2**30:.0f} GB\n", flush=True)  # fmt: skip
    if arguments.only != "page":
        many_browsers(arguments.browsers, arguments.seconds, arguments.rate)
    if arguments.only != "browsers":
        print()
        large_page(arguments.trials, arguments.rounds, not arguments.without_peer)


if __name__ == "__main__":
    main()
