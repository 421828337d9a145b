"""TensorFlow is imported without Keras, which is there when it is asked for."""

from __future__ import annotations

import subprocess
import sys

from engine.cluster.process import ENVIRONMENT, environment_without_secrets
from engine.settings import ROOT

PROGRAM = """
import sys
from engine.lean import load_tensorflow
load_tensorflow()
from engine.cluster import roles
print("keras" in sys.modules)
import keras
import tensorflow as tf
print(tf.keras.optimizers.Adam is keras.optimizers.Adam)
"""


def test_keras_is_loaded_when_it_is_asked_for_and_not_before() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=ROOT, timeout=120,
        env={**environment_without_secrets(), **ENVIRONMENT},
    )  # fmt: skip
    assert done.stdout.split() == ["False", "True"], done.stderr
