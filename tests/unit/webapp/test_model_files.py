"""Uploaded Python files with models: who may what, what is refused, and what the pages say."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from engine.store import Store
from tests.unit.webapp.conftest import token

PLAIN = b"""
from engine.space import Categorical, Int
class Model:
    axes = {"depth": Int(1, 3), "kind": Categorical(("<a>", "b"))}
    def build(self, params, shape, rng): pass
    def forward(self, variables, x, params): pass
    def loss(self, outputs, y): pass
"""


def upload(client: FlaskClient, content: bytes = PLAIN, filename: str = "own_model.py") -> TestResponse:
    data: dict[str, Any] = {"csrf_token": token(client, "/"), "file": FileStorage(io.BytesIO(content), filename)}
    boundary, body = encode_multipart(data)
    return client.post("/models", data=body, content_type=f"multipart/form-data; boundary={boundary}")


def problem(answer: TestResponse) -> str:
    found = re.search(r'id="file-problem"[^>]*>([^<]*)<', answer.get_data(as_text=True))
    assert found
    return html.unescape(found[1])


def test_an_uploaded_file_is_listed_with_its_classes_and_axes(ada: FlaskClient, store: Store) -> None:
    assert "Nothing yet." in ada.get("/models").get_data(as_text=True)
    answer = upload(ada)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/models")
    page = ada.get("/models").get_data(as_text=True)
    assert "own_model.py is stored, with Model." in page
    assert re.search(r"depth</th>\s*<td>\s*1 – 3\s*</td>", page)
    assert "&lt;a&gt;, b" in page
    assert "<a>" not in page
    version = store.model_files.all()[0]["sha256"][:12]
    assert f"own_model.py@{version}" in page
    assert "/sweeps/new?model=own_model.py:Model" in page
    assert "Uploading a file is running code:" in page
    form = ada.get("/sweeps/new?model=own_model.py:Model").get_data(as_text=True)
    assert re.search(r'id="model_class"\s+name="model_class"\s+value="own_model.py:Model"', form)
    assert '<option value="own_model.py:Model"></option>' in form
    assert re.search(r'value="Custom"\s+checked', form)


def test_the_same_content_is_stored_once_and_another_is_a_version(ada: FlaskClient, store: Store) -> None:
    upload(ada)
    upload(ada)
    assert "This version of own_model.py is already here" in ada.get("/models").get_data(as_text=True)
    upload(ada, PLAIN + b"# more\n")
    assert len(store.model_files.all()) == 2
    assert "2 versions, the newest" in ada.get("/models").get_data(as_text=True)


@pytest.mark.parametrize(
    ("content", "filename", "message"),
    [
        (b"", "", "Choose a Python file."),
        (PLAIN, "Own.py", "'Own.py' must be called name.py"),
        (PLAIN, "own.txt", "'own.txt' must be called name.py"),
        (PLAIN, "../../x-y.py", "'x-y.py' must be called name.py"),
        (PLAIN, "json.py", "A module json is installed already"),
        (PLAIN, "numpy.py", "A module numpy is installed already"),
        (PLAIN, "engine.py", "A module engine is installed already"),
        (b" \n", "own.py", "The file is empty."),
        (b"x" * (2**20 + 1), "own.py", "The file is larger than 1 MB"),
        (b"x" * (3 * 2**20), "own.py", "The file is larger than 1 MB"),
        (b"def f(:", "own.py", "It cannot be read: SyntaxError: invalid syntax"),
        (b"x = 1", "own.py", "Own.py holds no class with the methods build, forward and loss."),
    ],
)
def test_what_cannot_be_taken_is_refused_at_the_field(
    ada: FlaskClient, store: Store, content: bytes, filename: str, message: str
) -> None:
    answer = upload(ada, content, filename)
    assert answer.status_code == (413 if len(content) > 2 * 2**20 else 400)
    assert problem(answer).startswith(message)
    assert ("Traceback (most recent call last)" in answer.get_data(as_text=True)) is (content == b"def f(:")
    assert store.model_files.all() == []


def test_a_class_of_a_file_that_cannot_be_used_is_listed_with_the_reason(ada: FlaskClient) -> None:
    upload(ada, PLAIN + b"class Other(Model):\n    axes = {'batch_size': Int(1, 2)}\n")
    page = html.unescape(ada.get("/models").get_data(as_text=True))
    assert "The axis 'batch_size' of Other has the name of an axis that every sweep has" in page
    assert "model=own_model.py:Other" not in page


def test_what_an_open_sweep_uses_is_not_deleted(ada: FlaskClient, store: Store) -> None:
    upload(ada)
    config = {"model_class": "own_model.py@12345678:Model"}
    sweep_id = store.sweeps.create("brisk", "ada", config, 1, 1, 1, datetime.now(UTC))
    assert "while it is used by brisk" in ada.get("/models").get_data(as_text=True)
    form = {"csrf_token": token(ada, "/")}
    assert ada.post("/models/own_model.py/delete", data=form).status_code == 409
    store.sweeps.stop(sweep_id, datetime.now(UTC))
    assert ada.post("/models/own_model.py/delete", data=form).status_code == 303
    assert "own_model.py and all its versions are deleted" in ada.get("/models").get_data(as_text=True)
    assert ada.post("/models/own_model.py/delete", data=form).status_code == 404


def test_editors_see_the_files_and_only_administrators_change_them(
    ada: FlaskClient, login: Callable[[str, str], FlaskClient], store: Store
) -> None:
    upload(ada)
    editor, viewer = login("ed", "editor"), login("vera", "viewer")
    page = editor.get("/models").get_data(as_text=True)
    assert "own_model.py:Model" in page
    assert 'type="file"' not in page
    assert "/delete" not in page
    assert upload(editor, PLAIN + b"# more\n").status_code == 403
    assert upload(editor, b"x" * (3 * 2**20)).status_code in (403, 413)
    form = {"csrf_token": token(editor, "/")}
    assert editor.post("/models/own_model.py/delete", data=form).status_code == 403
    assert len(store.model_files.all()) == 1
    assert viewer.get("/models").status_code == 403
    assert 'href="/models"' not in viewer.get("/").get_data(as_text=True)


def test_a_model_of_a_class_of_one_s_own_is_neither_downloaded_nor_tried(ada: FlaskClient, store: Store) -> None:
    config = {"model_class": "own_model.py@12345678:Model", "nn_model": "Custom"}
    sweep_id = store.sweeps.create("brisk", "ada", config, 1, 1, 1, datetime.now(UTC))
    for path in ("model.zip", "try"):
        answer = ada.get(f"/sweeps/{sweep_id}/trials/1/{path}")
        assert answer.status_code == 400
        assert "can be neither downloaded nor tried here yet" in answer.get_data(as_text=True)
