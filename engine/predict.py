"""Predict with a trial's network, outside any web process. Plain numpy: TensorFlow is not loaded.

    python -m engine.predict SWEEP_ID TRIAL < request.json

The request is {"rows": [[feature, …], …]} for a regressor, {"texts": ["…", …]} for a classifier; the answer
{"predictions": […]}, or {"error": "…"} in words.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from typing import Any

from engine import settings as settings_module
from engine.errors import DataError, NhopError
from engine.identity import die_with_parent
from engine.models.trained import must_be_built_in, trained
from engine.store import Store, connect
from engine.store.embedded import uri_of

MOST_ROWS = 10_000


def predict(store: Store, sweep_id: str, number: int, request: Any) -> list[Any]:
    """The predictions of a trial's network.

    Raises:
        NotFound: there is no such sweep or trial, or its model is not kept.
        DataError: the request cannot be predicted, or the model is a class of the user's own.
    """
    config = store.sweeps.get(sweep_id)["config"]
    must_be_built_in(config)
    parameters = store.models.get(sweep_id, number)
    (trial,) = store.trials.some(sweep_id, [number])
    network = trained(config["nn_model"], trial["params"], store.models.about(sweep_id), parameters)
    key = "rows" if config["nn_model"] == "Regressor" else "texts"
    given = request.get(key) if isinstance(request, dict) else None
    if not isinstance(given, list) or not given:
        raise DataError(f"give at least one entry in {key!r}")
    if len(given) > MOST_ROWS:
        raise DataError(f"at most {MOST_ROWS:,} at once")
    if key == "texts" and not all(isinstance(text, str) for text in given):
        raise DataError("every text must be a string")
    if key == "rows" and not all(isinstance(row, list) and all(_is_number(value) for value in row) for row in given):
        raise DataError("every row must be a list of numbers")
    return list(network.predict(given))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def main(sweep_id: str, number: int) -> int:
    answer: dict[str, Any]
    try:
        settings = settings_module.load()
        with closing(connect(uri_of(settings), settings.database)) as store:
            answer = {"predictions": predict(store, sweep_id, number, json.load(sys.stdin))}
    except json.JSONDecodeError as error:
        answer = {"error": f"the request is not valid JSON: {error}"}
    except NhopError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)
    return 0


if __name__ == "__main__":
    die_with_parent(os.getppid())
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
