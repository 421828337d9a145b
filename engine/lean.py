"""TensorFlow without Keras, which it imports where it finds it: a third of the time that it takes, for nothing here."""

from __future__ import annotations

import sys
from importlib import import_module


def load_tensorflow() -> None:
    """Import TensorFlow, and Keras only when somebody asks for it, be it as `tf.keras`.

    Raises:
        ImportError: there is no TensorFlow.
    """
    if "keras" in sys.modules:
        import_module("tensorflow")
        return
    sys.modules["keras"] = None  # type: ignore[assignment]  # what Python takes for "there is no such module"
    try:
        import_module("tensorflow")
    finally:
        del sys.modules["keras"]
