"""How a process of the cluster is started. Quick to import: the zygote is started before the optimizer has loaded."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from engine.cluster.channel import Channel

ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "GRPC_VERBOSITY": "NONE",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
}
"""What the zygote must find in its environment: TensorFlow reads it when it is imported."""


class Zygote(NamedTuple):
    """A zygote that was started, and the optimizer's end of its control socket."""

    process: subprocess.Popen[bytes]
    control: Channel
    private: bool


def start_zygote(log_dir: Path, private: bool) -> Zygote:
    """Start the zygote of a sweep whose processes write their logs into *log_dir*.

    It ends with this process, and when the control socket is closed.

    Args:
        private: it is to try and enter a network namespace of its own.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.cluster.zygote", str(theirs.fileno()), str(log_dir), str(os.getpid()),
             "1" if private else "0"],
            stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], cwd=Path(__file__).parents[2], start_new_session=True,
            env={**environment_without_secrets(), **ENVIRONMENT},
        )  # fmt: skip
    return Zygote(process, Channel(ours), private)


def environment_without_secrets() -> dict[str, str]:
    """This process's environment without the program's own settings, some of which are passwords.

    TensorFlow's servers obey whoever reaches them, and can be told to read their own environment.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("NHOP_")}
