"""`make bench`: trials of the reference's workload, by this engine and by the ways its users know.

Every way trains the same architectures, drawn by the engine's own random sampler, with the same batch sizes, learning
rates, optimizers and steps, on the same synthetic data, on the same machine, one way after the other. What is
printed is seconds a trial, CPU seconds a trial, and the ratio to this engine's default.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from engine.cluster.cluster import Broken, Cluster
from engine.cluster.spec import ClusterPlan
from engine.config import SweepConfig, parse
from engine.data import prepare
from engine.optimizer import trial_seed
from engine.samplers import RandomSampler
from engine.space import Params
from engine.training.job import Job

SEED = 11
STEPS = 1000


@dataclass(frozen=True, slots=True)
class Measured:
    """What one way took for *trials* trials, its start included or not as the way's name says."""

    way: str
    trials: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        return self.trials / self.seconds


def jobs(config: SweepConfig, count: int, steps: int) -> list[Job]:
    """The first *count* trials of the workload."""
    inputs, outputs = config.nn_dimensions
    points: list[Params] = RandomSampler(config.space(), SEED).suggest(range(1, count + 1))
    return [
        Job(number, 1, params, steps, trial_seed(SEED, number), 0.0, inputs, outputs, "scaled")
        for number, params in enumerate(points, start=1)
    ]


def engine_way(parallelism: str, count: int, steps: int) -> Measured:
    """This engine on 2 parameter servers and as many workers as cores, warm: after the cluster is ready."""
    workers = ",".join(f"localhost:{2225 + i}" for i in range(os.cpu_count() or 2))
    config = parse({"parallelism": parallelism, "worker_hosts": workers})
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        prepare(config).save(data)
        cluster = Cluster(ClusterPlan.of(config), data, Path(folder), lambda change: None)
        cluster.start()
        try:
            while not cluster.idle():
                cluster.poll(0.1)
            before, begun = _cpu(), time.monotonic()
            waiting, left = jobs(config, count, steps), count
            while left:
                for name in cluster.idle()[: len(waiting)]:
                    cluster.train(name, waiting.pop(0))
                for happening in cluster.poll(0.05):
                    left -= isinstance(happening, Broken) or happening.done
            return Measured(f"this engine, {parallelism}", count, time.monotonic() - begun, _cpu() - before)
        finally:
            cluster.stop()


def fresh_processes(count: int, steps: int) -> Measured:
    """The reference's way: 2 parameter servers and 4 workers forked and TensorFlow imported anew for each trial."""
    before, begun = _children_cpu(), time.monotonic()
    config = parse({"parallelism": "async"})
    for job in jobs(config, count, steps):
        subprocess.run(
            [sys.executable, "-m", "bench.fresh", str(job.number), str(steps)],
            check=True,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    return Measured("fresh PS + worker processes, async", count, time.monotonic() - begun, _children_cpu() - before)


def keras_way(driver: str) -> Callable[[int, int], Measured]:
    """Keras fit under *driver*, in a process of its own; the import is not counted."""

    def measure(count: int, steps: int) -> Measured:
        done = subprocess.run(
            [sys.executable, "-m", "bench.keras_fit", driver, str(count), str(steps)],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        )  # fmt: skip
        seconds, cpu = (float(number) for number in done.stdout.split()[-2:])
        return Measured(f"{driver} + Keras fit", count, seconds, cpu)

    return measure


def classifier_steps(steps: int) -> str:
    """Milliseconds a step of the LSTM classifier, beside Keras' on the same architecture, as Markdown."""
    lines = ["| LSTM classifier, ms a step | batch 100 | batch 500 |", "|---|---|---|"]
    ways = {"ours": "this engine", "embedding": "Keras, embedding of 50", "one-hot": "Keras, one-hot tokens"}
    first: list[float] = []
    for way, name in ways.items():
        seconds = []
        for batch, count in ((100, steps), (500, steps // 3)):
            done = subprocess.run(
                [sys.executable, "-m", "bench.sequence", way, str(batch), str(count)],
                check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            seconds.append(float(done.stdout.split()[-1]))
        first = first or seconds
        cells = [f"{one * 1000:.0f} ({one / ours:.2f}×)" for one, ours in zip(seconds, first, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cpu() -> float:
    """CPU seconds of this process and all that live below it."""
    total = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        times = process.cpu_times()
        total += times.user + times.system
    return total


def _children_cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system


def table(results: list[Measured]) -> str:
    """The results as Markdown, each against the first."""
    first = results[0]
    lines = [
        "| way | trials | s a trial | CPU s a trial | trial rate against this engine |",
        "|---|---|---|---|---|",
    ]
    for one in results:
        lines.append(
            f"| {one.way} | {one.trials} | {one.seconds / one.trials:.2f} | {one.cpu_seconds / one.trials:.2f} "
            f"| {'1' if one is first else f'1/{first.rate / one.rate:.1f}'} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--trials", type=int, default=200, help="trials of this engine's default way")
    parser.add_argument("--few", type=int, default=4, help="trials of the slow ways")
    arguments = parser.parse_args()
    steps, few = arguments.steps, arguments.few
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
          f"Python {platform.python_version()}; {steps} steps a trial\n")  # fmt: skip
    results = [engine_way("trials", arguments.trials, steps)]
    for measure in (
        lambda: engine_way("async", few, steps),
        lambda: engine_way("sync", few, steps),
        lambda: keras_way("optuna")(few, steps),
        lambda: keras_way("keras_tuner")(few, steps),
        lambda: fresh_processes(few, steps),
    ):
        results.append(measure())
        print(f"measured: {results[-1].way}", file=sys.stderr)
    print(table(results))
    print(f"\n{classifier_steps(30)}")


if __name__ == "__main__":
    main()
