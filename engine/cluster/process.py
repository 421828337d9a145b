"""What a process of the cluster is started with."""

from __future__ import annotations

import os


def environment_without_secrets() -> dict[str, str]:
    """This process's environment without the program's own settings, some of which are passwords.

    TensorFlow's servers obey whoever reaches them, and can be told to read their own environment.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("NHOP_")}
