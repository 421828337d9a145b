"""A trial's network as a SavedModel in a ZIP file, with what it takes to use it elsewhere.

    python -m engine.export SWEEP_ID TRIAL FILE.zip

The SavedModel takes what the user has: features in their own units, or texts. Normalisation, tokenizer and vocabulary
are inside. The ZIP holds model/, predict.py, which runs as it is, config.yaml with the sweep's configuration and
trial.json.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from engine import settings as settings_module
from engine.cluster.process import ENVIRONMENT
from engine.errors import NhopError
from engine.identity import die_with_parent
from engine.lean import load_tensorflow
from engine.models.trained import TrainedRegressor, must_be_built_in, trained
from engine.store import Store, connect
from engine.store.embedded import uri_of


def export(store: Store, sweep_id: str, number: int, path: Path) -> None:
    """Write the ZIP file of a trial's network to *path*.

    Raises:
        NotFound: there is no such sweep or trial, or its model is not kept.
        DataError: the model is a class of the user's own.
    """
    sweep = store.sweeps.get(sweep_id)
    must_be_built_in(sweep["config"])
    parameters = store.models.get(sweep_id, number)
    (trial,) = store.trials.some(sweep_id, [number])
    about = store.models.about(sweep_id)
    network = trained(sweep["config"]["nn_model"], trial["params"], about, parameters)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        save(network, model)
        part = path.with_suffix(".part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(model.rglob("*")):
                if file.is_file():
                    archive.write(file, str(file.relative_to(folder)))
            archive.writestr("predict.py", _example(network, about))
            archive.writestr("config.yaml", yaml.safe_dump(sweep["config"], sort_keys=False))
            archive.writestr("trial.json", json.dumps(_facts(sweep, trial, about), indent=2, default=str))
        part.replace(path)


def save(network: Any, folder: Path) -> None:
    """Write the SavedModel of a trained network."""
    load_tensorflow()
    import tensorflow as tf

    from engine.training import serving

    module = serving.regressor(network) if isinstance(network, TrainedRegressor) else serving.classifier(network)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.predict})


def _facts(sweep: dict[str, Any], trial: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    chosen = ("number", "params", "steps", "seed", "loss", "train_loss", "val_loss", "figures", "test", "finished")
    return {"sweep": sweep["name"], "sweep_id": sweep["_id"], "trial": {key: trial.get(key) for key in chosen},
            "confirmed": sweep.get("confirmed") or [], "data": about}  # fmt: skip


EXAMPLE = '''"""Predict with this model: `pip install tensorflow`, then `python predict.py`."""

import pathlib

import tensorflow as tf

model = tf.saved_model.load(str(pathlib.Path(__file__).parent / "model"))

{body}'''


def _example(network: Any, about: dict[str, Any]) -> str:
    """A program that uses the model."""
    if isinstance(network, TrainedRegressor):
        columns = ", ".join(about["columns"]) or "the features"
        body = (
            f"# One row for each prediction: {columns}.\n"
            f"rows = [{about['example']!r}]\n"
            f"print(model.predict(tf.constant(rows, tf.float32))[{about['target_name']!r}].numpy())\n"
        )
    else:
        body = (
            'texts = ["def main():\\n    print(1)"]\n'
            "answer = model.predict(tf.constant(texts))\n"
            'for label, shares in zip(answer["label"].numpy(), answer["probabilities"].numpy()):\n'
            "    print(label.decode(), shares)\n"
        )
    return EXAMPLE.format(body=body)


def main(sweep_id: str, number: int, path: Path) -> int:
    os.environ.update(ENVIRONMENT)
    try:
        settings = settings_module.load()
        with closing(connect(uri_of(settings), settings.database)) as store:
            export(store, sweep_id, number, path)
    except NhopError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    die_with_parent(os.getppid())
    sys.exit(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
