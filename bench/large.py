"""`make bench-large`: the 2017 program's large schedule, run as a user runs it, and what its networks are worth.

The sweep goes through daemon, database and cluster like any other. Every network's parameters are kept; the best one
so far, by the validation loss, is put to the test part, which neither training nor the search sees.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import GOAL
from engine.config import LARGE_STAGES, parse
from engine.data import Parts, prepare
from engine.models.regressor import Architecture
from tests.installation import ENDED_NAMES, Installation, installation


def test_error(place: Installation, sweep_id: str, trial: dict[str, Any], data: Parts) -> float:
    """The root mean squared error on the test part of a trial's network, in the target's units."""
    flat = np.load(place.data_dir / "sweeps" / sweep_id / "models" / f"{trial['number']}.npy")
    network = Architecture.of(trial["params"], data.x_test.shape[1], 1)
    errors = network.predict(flat, data.x_test) - data.y_test
    return float(np.sqrt(np.mean(errors**2)) * data.target_scale)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fraction", type=float, default=1.0, help="of each stage's trials")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    stages = [[steps, max(1, round(trials * arguments.fraction))] for steps, trials in LARGE_STAGES]
    workers = ",".join(f"localhost:{2225 + index}" for index in range(os.cpu_count() or 2))
    values = {
        "opt_stages": stages, "seed": arguments.seed, "worker_hosts": workers, "opt_tolerance": 0,
        "data_instances": 10_000, "hidden_layers": [4, 10], "batch_size": [100, 2000], "activation": ["relu", "tanh"],
        "ps_hosts": "localhost:2223",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, installation(Path(folder)) as place:
        place.start_daemon()
        begun = time.monotonic()
        sweep_id = place.create("large", **values)
        data = prepare(parse(values))
        best: dict[str, Any] | None = None
        print("| minutes | stage | trials | best validation RMSE | its test RMSE |\n|---|---|---|---|---|", flush=True)
        goal_at: float | None = None
        while True:
            sweep = place.sweep(sweep_id)
            found = sweep["best"]
            minutes = (time.monotonic() - begun) / 60
            if found and (best is None or found["number"] != best["number"]):
                best = found
                error = test_error(place, sweep_id, found, data)
                if error < GOAL and goal_at is None:
                    goal_at = minutes
                print(f"| {minutes:.2f} | {found['stage'] + 1} | {sweep['progress']['done']} "
                      f"| {found['loss'] ** 0.5:.5f} | {error:.5f} |", flush=True)  # fmt: skip
            if sweep["state"] in ENDED_NAMES:
                break
            time.sleep(0.5)
    if sweep["state"] != "COMPLETED":
        sys.exit(f"the sweep ended as {sweep['state']}: {sweep['error']}")
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores: {stages} took {minutes:.1f} "
          f"minutes; test RMSE {error:.5f}, under {GOAL} after "
          f"{'never' if goal_at is None else f'{goal_at:.1f} minutes'}")  # fmt: skip


if __name__ == "__main__":
    main()
