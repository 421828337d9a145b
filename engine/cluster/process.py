"""A process that dies with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1


def environment_without_secrets() -> dict[str, str]:
    """This process's environment without the program's own settings, some of which are passwords.

    TensorFlow's servers obey whoever reaches them, and can be told to read their own environment.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("NHOP_")}


def die_with_parent(parent: int) -> None:
    """Have the system kill this process when *parent*, which started it, ends; at once if it has already.

    Linux does it in the kernel; elsewhere a thread watches.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
