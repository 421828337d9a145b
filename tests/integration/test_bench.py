"""The benchmark of the search drives the engine's own optimizer: it must keep up with it."""

from __future__ import annotations

import subprocess
import sys

from engine.settings import ROOT

WAYS = ["random", "random, staged", "TPE", "TPE + ASHA"]


def test_every_search_of_this_engine_is_measured_and_repeats_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.search", "--tasks", "diabetes", "--ways", *WAYS, "--seeds", "1",
         "--budget", "0.1", "--length", "0.2", "--race", "0", "--costs", "0", "--processes", "1"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    assert rows[0][0] == "diabetes: 4,000 steps, whole trials of 200"
    found = {row[0]: row[1:] for row in rows[2:]}
    assert list(found) == WAYS
    for way, (seeds, trials, repeated, *figures) in found.items():
        assert (seeds, repeated) == ("1", "0"), way
        assert int(trials) >= 20, way
        assert "nan" not in " ".join(figures), way
    assert int(found["TPE + ASHA"][1]) > int(found["TPE"][1]), "trials that end early leave steps for others"
