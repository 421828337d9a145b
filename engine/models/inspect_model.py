"""What axes a user's class has, as JSON: this runs its code, so nothing else should be running here.

    python -m engine.models.inspect_model module:Class
    python -m engine.models.inspect_model name.py:Class FOLDER
    python -m engine.models.inspect_model name.py FOLDER

The answer is {"axes": {name: axis}}, of a whole file {"classes": {name: {"axes"} or {"error"}}}, or {"error": one
sentence, "traceback": Python's, where there was one}.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any

from engine.errors import ModelError, NhopError
from engine.identity import die_with_parent
from engine.lean import load_tensorflow
from engine.models.custom import axes_of, classes_of, load_class
from engine.space import axis_document

MOST_CHARACTERS = 20_000
"""Of a traceback."""


def class_axes(reference: str) -> dict[str, Any]:
    """The axes of a class, as plain JSON."""
    return {name: axis_document(axis) for name, axis in axes_of(load_class(reference)).items()}


def file_classes(name: str) -> dict[str, Any]:
    """What is to be known of each class of a file that looks like a model."""
    classes = classes_of(importlib.import_module(name.removesuffix(".py")))
    if not classes:
        raise ModelError(f"{name} holds no class with the methods build, forward and loss")
    return {one: _answer(lambda one=one: {"axes": class_axes(f"{name}:{one}")}) for one in classes}


def _answer(find: Any) -> dict[str, Any]:
    try:
        return dict(find())
    except NhopError as error:
        return {"error": str(error), "traceback": ""}
    except BaseException as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return {"error": f"it cannot be read: {what}", "traceback": traceback.format_exc(limit=-8)[-MOST_CHARACTERS:]}


def main(what: str, folder: str = "") -> int:
    answers = os.dup(1)
    os.dup2(2, 1)  # what the class's module prints is no answer
    if folder:
        sys.path.append(folder)
    load_tensorflow()
    answer = _answer(lambda: {"axes": class_axes(what)} if ":" in what else {"classes": file_classes(what)})
    with os.fdopen(answers, "w", encoding="utf-8") as file:
        json.dump(answer, file)
    return 0


if __name__ == "__main__":
    die_with_parent(os.getppid())
    code = main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # whatever threads it has begun
