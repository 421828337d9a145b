"""A Sacred experiment as anybody may write one, without this project: python plain_experiment.py ADDRESS DATABASE.

Each line of its input is one thing to do: `print TEXT` (with `\\x1b` for an escape), `log METRIC STEP VALUE`,
`keep FILE`, `info KEY VALUE`, `fail TEXT`. It ends with its input.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sacred import SETTINGS, Experiment
from sacred.observers import MongoObserver

SETTINGS.CAPTURE_MODE = "sys"
ex = Experiment("plain")


@ex.config
def config() -> None:
    lr = 0.1  # noqa: F841
    layers = {"units": [8, 4], "activation": "tanh"}  # noqa: F841


@ex.main
def main(_run: object, lr: float) -> float:
    for line in sys.stdin:
        what, _, rest = line.rstrip("\n").partition(" ")
        if what == "print":
            print(rest.replace("\\x1b", "\x1b"), flush=True)
        elif what == "log":
            name, step, value = rest.split()
            ex.log_scalar(name, float(value), int(step))
        elif what == "keep":
            ex.add_artifact(rest, name=Path(rest).name)
        elif what == "info":
            key, value = rest.split(" ", 1)
            ex.info[key] = value
        elif what == "fail":
            raise RuntimeError(rest)
    return lr


if __name__ == "__main__":
    ex.observers.append(MongoObserver(url=sys.argv.pop(1), db_name=sys.argv.pop(1)))
    ex.run_commandline()
