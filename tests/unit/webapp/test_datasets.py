"""Data sets in the browser: who may what, uploading, choosing columns, deleting."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from engine.settings import Settings
from engine.store import Store
from tests.unit.webapp.conftest import token
from webapp.extensions import SETTINGS
from webapp.filters import bars, sentence, size

CSV = ("area,rooms,colour,price\n" + "".join(f"{i},{i % 4},red,{i * 3}\n" for i in range(30))).encode()


def texts() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(24):
            archive.writestr(f"t/{('py', 'sql', '<b>')[number % 3]}/{number}.txt", "select 1")
    return packed.getvalue()


def upload(client: FlaskClient, content: bytes = CSV, filename: str = "Houses 1.csv", **fields: str) -> TestResponse:
    form: dict[str, Any] = {
        "csrf_token": token(client, "/"),
        "file": FileStorage(io.BytesIO(content), filename),
        **fields,
    }
    boundary, body = encode_multipart(form)
    return client.post("/datasets", data=body, content_type=f"multipart/form-data; boundary={boundary}")


def choose(client: FlaskClient, store: Store, target: str, features: list[str], name: str = "houses") -> TestResponse:
    sha256 = store.datasets.get(name)["versions"][-1]["sha256"]
    form = {"csrf_token": token(client, "/"), "version": sha256, "target": target, "features": features}
    return client.post(f"/datasets/{name}", data=form)


def problem(answer: TestResponse, field: str) -> str:
    """What the page says at a field."""
    found = re.search(rf'id="{field}-problem"[^>]*>([^<]*)<', answer.get_data(as_text=True))
    assert found
    return found[1]


def test_the_list_shows_what_is_built_in_and_asks_for_a_file(ada: FlaskClient) -> None:
    html = ada.get("/datasets").get_data(as_text=True)
    for name in ("synthetic", "diabetes", "installed-sources"):
        assert f"/sweeps/new?dataset={name}" in html
    assert "Nothing yet." in html
    assert 'type="file"' in html


def test_an_uploaded_table_is_called_like_its_file_and_shown(ada: FlaskClient, store: Store) -> None:
    answer = upload(ada)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/datasets/houses-1")
    found = store.datasets.get("houses-1")
    assert (found["kind"], found["owner"], found["versions"][0]["filename"]) == ("table", "ada", "Houses 1.csv")
    html = ada.get("/datasets/houses-1").get_data(as_text=True)
    assert "Version 1 of houses-1 is stored." in html
    assert "Cannot be chosen: it holds text: line 2 has &#39;red&#39;." in html
    assert html.count('<svg class="histogram"') == 3
    assert re.search(r'value="price"\s+aria-label="Predict price"\s+checked', html)
    assert re.search(r'value="area"\s+aria-label="Learn from area"\s+checked', html)
    assert re.search(r'value="colour"\s+aria-label="Learn from colour"\s+disabled aria-describedby="reason-2"', html)
    listed = ada.get("/datasets").get_data(as_text=True)
    assert "30 rows, 2 features" in listed


def test_uploaded_texts_are_shown_by_class(ada: FlaskClient) -> None:
    assert upload(ada, texts(), "code.zip").status_code == 303
    html = ada.get("/datasets/code").get_data(as_text=True)
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert html.count('<svg class="class-bar"') == 3
    assert "24 files, 3 classes" in ada.get("/datasets").get_data(as_text=True)


def test_the_same_file_again_is_told_and_another_one_is_a_version(ada: FlaskClient, store: Store) -> None:
    upload(ada, name="houses")
    answer = upload(ada, name="houses")
    assert "already here: it is version 1" in ada.get(answer.headers["Location"]).get_data(as_text=True)
    upload(ada, CSV + b"1,2,red,3\n", name="houses")
    assert [version["about"]["rows"] for version in store.datasets.get("houses")["versions"]] == [30, 31]
    older = store.datasets.get("houses")["versions"][0]["sha256"][:12]
    html = ada.get(f"/datasets/houses?version={older}").get_data(as_text=True)
    assert "Version 1 of 2" in html
    assert f"/sweeps/new?dataset=houses@{older}" in html
    assert ada.get("/datasets/houses?version=abc").status_code == 404


@pytest.mark.parametrize(
    ("content", "filename", "fields", "field", "words"),
    [
        (CSV + b"1,2\n", "a.csv", {}, "file", "Line 32 has 2 values where the header has 4."),
        (b"PK\x03\x04", "a.zip", {}, "file", "The ZIP file is broken"),
        (b"", "a.csv", {}, "file", "The file is empty."),
        (b"", "", {}, "file", "Choose a CSV file, or a ZIP file of texts."),
        (CSV, "ä.csv", {}, "name", "The name must be 1 to 60 lower-case letters"),
        (CSV, "a.csv", {"name": "A b"}, "name", "The name must be 1 to 60 lower-case letters"),
        (CSV, "diabetes.csv", {}, "name", "belongs to a data set that is built in"),
    ],
)
def test_a_refusal_keeps_the_page_and_says_why_at_the_field(
    ada: FlaskClient, store: Store, content: bytes, filename: str, fields: dict[str, str], field: str, words: str
) -> None:
    answer = upload(ada, content, filename, **fields)
    assert answer.status_code == 400
    assert words in problem(answer, field)
    if "name" in fields:
        assert f'value="{fields["name"]}"' in answer.get_data(as_text=True)
    assert store.datasets.names() == []


def test_a_form_without_a_file_is_refused_like_an_empty_one(ada: FlaskClient) -> None:
    answer = ada.post("/datasets", data={"csrf_token": token(ada, "/"), "name": "x"})
    assert answer.status_code == 400
    assert "Choose a CSV file" in problem(answer, "file")


def test_both_fields_are_refused_at_once(ada: FlaskClient) -> None:
    answer = upload(ada, b"a\n", name="A b")
    assert "has 0 rows" in problem(answer, "file")
    assert "lower-case letters" in problem(answer, "name")


def test_a_file_of_another_kind_under_an_existing_name_is_refused(ada: FlaskClient) -> None:
    upload(ada, name="houses")
    assert "of kind table, and this file is of kind texts" in problem(upload(ada, texts(), name="houses"), "name")


@pytest.fixture
def _one_megabyte(app: Flask, settings: Settings) -> None:
    app.extensions[SETTINGS] = replace(settings, upload_mb=1)


@pytest.mark.usefixtures("_one_megabyte")
@pytest.mark.parametrize("length", [2**20 + 1, 3 * 2**20])
def test_a_file_that_is_too_large_is_refused_in_words(ada: FlaskClient, store: Store, length: int) -> None:
    answer = upload(ada, b"x" * length, name="large")
    assert answer.status_code == (400 if length < 2 * 2**20 else 413)
    assert problem(answer, "file") == "The file is larger than 1 MB, the most that this server takes."
    assert store.datasets.names() == []


def test_an_upload_may_be_larger_than_other_requests_and_only_an_upload(ada: FlaskClient, store: Store) -> None:
    content = b"a,b\n" + b"1234567,7654321\n" * 200_000
    assert len(content) > 3 * 2**20
    assert upload(ada, content, name="large").status_code == 303
    assert ada.post("/login", data={"name": "x" * len(content)}).status_code == 413


def test_the_columns_are_chosen(ada: FlaskClient, store: Store) -> None:
    upload(ada, name="houses")
    assert choose(ada, store, "area", ["price", "area"]).status_code == 303
    about = store.datasets.find("houses")
    assert about is not None
    assert (about["target"], about["features"]) == ("area", ["price"])


def test_a_choice_that_cannot_be_is_refused_and_kept_on_the_page(ada: FlaskClient, store: Store) -> None:
    upload(ada, name="houses")
    answer = choose(ada, store, "colour", ["area"])
    html = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert "column &#39;colour&#39; cannot be predicted: it holds text" in html
    assert re.search(r'value="area"\s+aria-label="Learn from area"\s+checked', html)
    assert not re.search(r'value="rooms"\s+aria-label="Learn from rooms"\s+checked', html)
    assert choose(ada, store, "price", []).status_code == 400
    found = store.datasets.find("houses")
    assert found is not None
    assert found["target"] == "price"


def test_choosing_in_what_is_not_there_is_not_found(ada: FlaskClient, store: Store) -> None:
    upload(ada, texts(), name="code")
    assert choose(ada, store, "a", ["b"], "code").status_code == 404
    form = {"csrf_token": token(ada, "/"), "version": "0" * 64, "target": "a", "features": "b"}
    assert ada.post("/datasets/code", data=form).status_code == 404
    assert ada.post("/datasets/none", data=form).status_code == 404
    assert ada.get("/datasets/none").status_code == 404


def test_the_form_opens_filled_in_for_a_data_set(ada: FlaskClient, store: Store) -> None:
    upload(ada, name="houses")
    html = ada.get("/sweeps/new?dataset=houses").get_data(as_text=True)
    assert re.search(r'id="dataset"\s+name="dataset"\s+value="houses"', html)
    assert re.search(r'name="nn_dimensions\.0"\s+value="2"', html)
    upload(ada, texts(), name="code")
    html = ada.get("/sweeps/new?dataset=code").get_data(as_text=True)
    assert re.search(r'value="Custom"\s+checked', html)
    assert ada.get("/sweeps/new?dataset=none").status_code == 404


@pytest.mark.parametrize("name", ["synthetic", "diabetes"])
def test_the_form_filled_in_for_a_built_in_table_is_accepted(ada: FlaskClient, name: str) -> None:
    html = ada.get(f"/sweeps/new?dataset={name}").get_data(as_text=True)
    first = re.search(r'name="nn_dimensions\.0"\s+value="(\d+)"', html)
    assert first
    assert first[1] == {"synthetic": "4", "diabetes": "10"}[name]


def test_the_form_suggests_every_data_set(ada: FlaskClient) -> None:
    upload(ada, name="houses")
    html = ada.get("/sweeps/new").get_data(as_text=True)
    assert 'list="dataset-list"' in html
    suggested = re.findall(r'<option value="([^"]*)"></option>', html)
    assert suggested == ["synthetic", "diabetes", "installed-sources", "houses"]


def test_a_sweep_learns_from_the_version_that_was_the_newest_when_it_was_made(ada: FlaskClient, store: Store) -> None:
    upload(ada, name="houses")
    form = {"csrf_token": token(ada, "/"), "dataset": "houses", "nn_dimensions.0": "2", "nn_dimensions.1": "1"}
    sweep_id = ada.post("/sweeps/new", data={**sweep_form(ada), **form}).headers["Location"].rpartition("/")[2]
    sha256 = store.datasets.get("houses")["versions"][0]["sha256"]
    assert store.sweeps.get(sweep_id)["config"]["dataset"] == f"houses@{sha256[:12]}"


def sweep_form(client: FlaskClient) -> dict[str, Any]:
    """The form of a new sweep, untouched."""
    from webapp.sweeps.typed import typed_from

    return {key: typed_from({}).getlist(key) for key in typed_from({})}


def test_what_a_sweep_uses_is_neither_changed_nor_deleted(ada: FlaskClient, store: Store) -> None:
    upload(ada, name="houses")
    form = {"csrf_token": token(ada, "/"), "dataset": "houses", "nn_dimensions.0": "2", "name": "brisk"}
    path = ada.post("/sweeps/new", data={**sweep_form(ada), **form}).headers["Location"]
    assert "while it is used by brisk" in ada.get("/datasets/houses").get_data(as_text=True)
    for answer in (
        ada.post("/datasets/houses/delete", data={"csrf_token": token(ada, "/")}),
        choose(ada, store, "area", ["price"]),
    ):
        assert answer.status_code == 409
        assert "Houses is used by brisk" in answer.get_data(as_text=True)
    ada.post(f"{path}/stop", data={"csrf_token": token(ada, "/")})
    assert ada.post("/datasets/houses/delete", data={"csrf_token": token(ada, "/")}).status_code == 303


def test_a_deleted_data_set_is_gone(ada: FlaskClient, store: Store) -> None:
    upload(ada, name="houses")
    answer = ada.post("/datasets/houses/delete", data={"csrf_token": token(ada, "/")})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/datasets")
    assert store.datasets.names() == []
    assert "all its versions are deleted" in ada.get("/datasets").get_data(as_text=True)
    assert ada.post("/datasets/houses/delete", data={"csrf_token": token(ada, "/")}).status_code == 404


def test_a_viewer_may_look_and_change_nothing(login: Callable[[str, str], FlaskClient], store: Store) -> None:
    editor, viewer = login("ed", "editor"), login("vera", "viewer")
    upload(editor, name="houses")
    html = viewer.get("/datasets").get_data(as_text=True)
    assert "houses" in html
    assert 'type="file"' not in html
    assert "/sweeps/new" not in html
    page = viewer.get("/datasets/houses").get_data(as_text=True)
    assert "Save the choice" not in page
    assert "/delete" not in page
    assert upload(viewer, name="mine").status_code == 403
    unread = viewer.post("/datasets", data=b"x" * 3 * 2**20, content_type="multipart/form-data; boundary=x")
    assert unread.status_code == 403, "it is refused before its token is looked for"
    assert choose(viewer, store, "area", ["price"]).status_code == 403
    assert viewer.post("/datasets/houses/delete", data={"csrf_token": token(viewer, "/")}).status_code == 403
    assert store.datasets.names() == ["houses"]


def test_an_editor_adds_versions_to_the_data_sets_of_others_but_does_not_change_them(
    login: Callable[[str, str], FlaskClient], ada: FlaskClient, store: Store
) -> None:
    ed, eve = login("ed", "editor"), login("eve", "editor")
    upload(ed, name="houses")
    assert upload(eve, CSV + b"1,2,red,3\n", name="houses").status_code == 303
    assert [version["by"] for version in store.datasets.get("houses")["versions"]] == ["ed", "eve"]
    assert "The owner, ed, chooses" in eve.get("/datasets/houses").get_data(as_text=True)
    assert choose(eve, store, "area", ["price"]).status_code == 403
    assert eve.post("/datasets/houses/delete", data={"csrf_token": token(eve, "/")}).status_code == 403
    assert choose(ed, store, "area", ["price"]).status_code == 303
    assert ada.post("/datasets/houses/delete", data={"csrf_token": token(ada, "/")}).status_code == 303


def test_a_large_request_of_nobody_is_refused_without_being_read(visitor: FlaskClient) -> None:
    answer = visitor.post("/datasets", data=b"x" * 3 * 2**20, content_type="multipart/form-data; boundary=x")
    assert answer.status_code == 403


def test_an_upload_without_a_token_is_refused(ada: FlaskClient, store: Store) -> None:
    assert ada.post("/datasets", data={"file": (io.BytesIO(CSV), "a.csv")}).status_code == 400
    assert store.datasets.names() == []


def test_the_pages_hold_no_inline_script_or_style(ada: FlaskClient) -> None:
    upload(ada, name="houses")
    upload(ada, texts(), name="code")
    for path in ("/datasets", "/datasets/houses", "/datasets/code"):
        html = ada.get(path).get_data(as_text=True)
        assert " style=" not in html
        assert not re.search(r"\son[a-z]+=", html)
        scripts = [part.split(">", 1)[0] for part in html.split("<script")[1:]]
        assert all("src=" in script for script in scripts)


def test_a_hostile_file_is_shown_as_text(ada: FlaskClient) -> None:
    content = b'<script>alert(1)</script>,"x""y",price\n' + b"<i>,1,2\n" * 30
    assert upload(ada, content, "<b>.csv", name="evil").status_code == 303
    html = ada.get("/datasets/evil").get_data(as_text=True)
    for tag in ("<script>alert", "<i>", "<b>"):
        assert tag not in html
    assert "&lt;script&gt;alert" in html


def test_sizes_are_written_for_people() -> None:
    assert [size(value) for value in (0, 1023, 2048, 1_234_567, 200 * 2**20, 5 * 2**30)] == [
        "0 bytes", "1023 bytes", "2.0 kB", "1.2 MB", "200 MB", "5.0 GB",
    ]  # fmt: skip
    assert size(None) == "–"


def test_a_histogram_is_drawn_to_scale_and_shows_bins_that_hold_little() -> None:
    assert bars([10, 0, 5, 0], width=40, height=20) == "M0 20v-20.0h9v20.0zM20 20v-10.0h9v10.0z"
    assert bars([10_000, 1], width=20, height=20).endswith("M10 20v-1.0h9v1.0z")
    assert bars([]) == ""


def test_a_message_becomes_a_sentence() -> None:
    assert (sentence("the file is empty"), sentence("")) == ("The file is empty.", "")
