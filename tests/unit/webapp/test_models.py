"""Downloading and trying models: who may, what is refused in words, and that the answer is the model's."""

from __future__ import annotations

import io
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from engine.settings import Settings
from engine.store import Store
from tests import kept
from tests.unit.webapp.conftest import token
from tests.waiting import wait_until
from webapp.errors import Busy, HelperError
from webapp.extensions import SETTINGS
from webapp.services import exports, tryout
from webapp.services.helpers import Helper
from webapp.services.tryout import parse_rows

COLUMNS = ("age", "size")


@pytest.fixture(autouse=True)
def _reachable(app: Flask, settings: Settings, database_uri: str) -> None:
    """The programs that work for the web process find the tests' database."""
    app.extensions[SETTINGS] = replace(settings, mongo_uri=database_uri)


def send(
    client: FlaskClient, path: str, file: bytes | None = None, name: str = "rows.csv", **form: str
) -> TestResponse:
    fields: dict[str, Any] = {"csrf_token": token(client, "/"), **form}
    if file is not None:
        fields["file"] = FileStorage(io.BytesIO(file), name)
    boundary, body = encode_multipart(fields)
    return client.post(path, data=body, content_type=f"multipart/form-data; boundary={boundary}")


def problem(answer: TestResponse, field: str) -> str:
    found = re.search(rf'id="{field}-problem"[^>]*>([^<]*)<', answer.get_data(as_text=True))
    assert found, answer.get_data(as_text=True)
    return found[1].replace("&#39;", "'")


def typed(answer: TestResponse, field: str) -> str:
    found = re.search(rf'id="{field}"[^>]*?value="([^"]*)"', answer.get_data(as_text=True), re.DOTALL)
    assert found
    return found[1]


def test_the_form_is_filled_with_an_example_and_open_to_every_account(
    login: Callable[[str, str], FlaskClient], store: Store
) -> None:
    viewer = login("vera", "viewer")
    answer = viewer.get(f"/sweeps/{kept.regression(store)}/trials/2/try")
    assert answer.status_code == 200
    assert (typed(answer, "feature-0"), typed(answer, "feature-1")) == ("35.5", "120")
    html = answer.get_data(as_text=True)
    assert re.search(r'<label[^>]*for="feature-1"[^>]*>size</label>', html)
    assert "Predict price" in html


def test_a_row_is_predicted_as_the_model_does(ada: FlaskClient, store: Store) -> None:
    path = f"/sweeps/{kept.regression(store)}/trials/2/try"
    answer = send(ada, path, what="one", typed="kept", **{"feature-0": "50", "feature-1": "90.5"})
    assert answer.status_code == 200
    (expected,) = kept.regressor(2).predict([[50, 90.5]])
    html = answer.get_data(as_text=True)
    assert f'<p class="answer-number">{expected:.6g}</p>' in html
    assert "are off by 10 (root mean squared error)" in html
    assert (typed(answer, "feature-0"), typed(answer, "feature-1")) == ("50", "90.5")
    assert re.search(r">\s*kept</textarea>", html)


def test_what_is_wrong_stands_at_its_field_and_everything_typed_is_kept(ada: FlaskClient, store: Store) -> None:
    path = f"/sweeps/{kept.regression(store)}/trials/2/try"
    answer = send(ada, path, what="one", typed="1,2", **{"feature-0": "<b>", "feature-1": "1,5"})
    assert answer.status_code == 400
    assert problem(answer, "feature-0") == "'&lt;b&gt;' is not a number."
    assert problem(answer, "feature-1") == "'1,5' is not a number; write decimals with a point."
    assert typed(answer, "feature-1") == "1,5"
    assert re.search(r">\s*1,2</textarea>", answer.get_data(as_text=True))
    assert answer.get_data(as_text=True).count("autofocus") == 1


@pytest.mark.parametrize(("text", "message"), [("", "Give a number."), ("nan", "Give a finite number.")])
def test_a_feature_must_be_a_finite_number(ada: FlaskClient, store: Store, text: str, message: str) -> None:
    path = f"/sweeps/{kept.regression(store)}/trials/2/try"
    assert problem(send(ada, path, what="one", **{"feature-0": text}), "feature-0") == message


def test_rows_are_pasted_or_uploaded(ada: FlaskClient, store: Store) -> None:
    path = f"/sweeps/{kept.regression(store)}/trials/2/try"
    pasted = send(ada, path, what="many", typed="size,price,age\n100,9,40\n90,9,30\n").get_data(as_text=True)
    first, second = (f"{value:.6g}" for value in kept.regressor(2).predict([[40, 100], [30, 90]]))
    assert re.findall(r"<strong>([^<]+)</strong>", pasted) == [first, second]
    assert "age,size,predicted price" in pasted
    file = send(ada, path, b"\xef\xbb\xbf30;90\r\n", what="many", typed="nonsense").get_data(as_text=True)
    assert f'<p class="answer-number">{second}</p>' in file
    assert problem(send(ada, path, b"a,b\n\xff,1", what="many"), "file").startswith("This is not UTF-8 text")
    assert problem(send(ada, path, b"1,2,3\n", what="many"), "file").startswith("Line 1 has 3 values, and 2 are needed")
    assert problem(send(ada, path, what="many", typed="x"), "typed").startswith(
        "The header line lacks the column 'age'"
    )


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("1,2", [[1, 2]]), ("1\t2\n3\t4\n", [[1, 2], [3, 4]]), ("age,size\n1,2", [[1, 2]]), (" 1 ; 2 \n\n", [[1, 2]]),
        ("size,age\n1,2", [[2, 1]]), ("name,size,age\nx,1,2", [[2, 1]]), ('"1","2"', [[1, 2]]),
    ],
)  # fmt: skip
def test_rows_are_read_with_and_without_a_header_line(text: str, rows: list[list[float]]) -> None:
    assert parse_rows(text, COLUMNS) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "give at least one row"), (" \n", "give at least one row"), ("age,size\n", "no row below the header line"),
        ("1,2\n3", "line 2 has 1 values, and 2 are needed: age, size"), ("1,x", "line 1, column 'size': 'x' is not"),
        ("age\n1", "lacks the column 'size'"), ("1,\n", "line 1, column 'size': give a number"),
        ("1,2\n" * 10_001, "10,001 rows; at most 10,000"), ("1,inf", "give a finite number"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_read_are_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_rows(text, COLUMNS)


def test_a_text_is_classified_with_every_class_the_likeliest_first(ada: FlaskClient, store: Store) -> None:
    path = f"/sweeps/{kept.classification(store)}/trials/1/try"
    assert "Predict its class" in ada.get(path).get_data(as_text=True)
    answer = send(ada, path, b"a { b }", "style.css", typed="def f ( ) <b>")
    html = answer.get_data(as_text=True)
    assert answer.status_code == 200
    for part, text in zip(html.split('class="card-soft answer"')[1:], ("def f ( ) <b>", "a { b }"), strict=True):
        (expected,) = kept.classifier(1).predict([text])
        ranked = sorted(expected.items(), key=lambda item: -item[1])
        found = re.findall(r'<th scope="row">([^<]+)</th>.*?<td class="num">([^<]+) %</td>', part, re.DOTALL)
        assert found == [(label, f"{100 * share:.1f}") for label, share in ranked]
    assert "style.css: <strong>" in html
    assert "def f ( ) &lt;b&gt;</textarea>" in html


def test_without_a_text_it_asks_for_one(ada: FlaskClient, store: Store) -> None:
    path = f"/sweeps/{kept.classification(store)}/trials/1/try"
    answer = send(ada, path, typed="  ")
    assert (answer.status_code, problem(answer, "typed")) == (400, "Type or paste a text, or choose a file.")
    assert problem(send(ada, path, b"", "x.txt"), "file") == "This file is empty."


def test_what_the_model_refuses_is_said(ada: FlaskClient, store: Store) -> None:
    answer = send(ada, f"/sweeps/{kept.regression(store)}/trials/2/try", what="one", **{"feature-0": "1e300"})
    assert answer.status_code == 400
    assert "Every value must be a finite number." in answer.get_data(as_text=True)


@pytest.mark.parametrize("path", ["trials/99/try", "trials/99/model.zip"])
def test_a_trial_without_a_kept_model_is_not_found_in_words(ada: FlaskClient, store: Store, path: str) -> None:
    answer = ada.get(f"/sweeps/{kept.regression(store)}/{path}")
    assert answer.status_code == 404
    assert "The model of trial 99 is not kept" in answer.get_data(as_text=True)
    assert ada.get(f"/sweeps/nothing/{path}").status_code == 404


def test_a_prediction_needs_the_token(ada: FlaskClient, store: Store) -> None:
    assert ada.post(f"/sweeps/{kept.regression(store)}/trials/2/try", data={"what": "one"}).status_code == 400


def test_what_is_too_large_is_said_on_the_form(ada: FlaskClient, store: Store) -> None:
    answer = send(ada, f"/sweeps/{kept.regression(store)}/trials/2/try", b"1,2\n" * 2**20, what="many")
    assert answer.status_code == 413
    assert "larger than 2 MB" in answer.get_data(as_text=True)


@pytest.fixture
def fake_export(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """An exporter that writes a small file at once; what it was asked for."""
    asked: list[list[str]] = []

    def run(settings: Settings, arguments: list[str], **_: Any) -> str:
        asked.append(arguments)
        Path(arguments[2]).write_bytes(b"zip")
        return ""

    monkeypatch.setattr(exports.exporter, "run", run)
    return asked


def test_a_model_is_made_once_and_sent_with_a_good_name(
    login: Callable[[str, str], FlaskClient], store: Store, settings: Settings, fake_export: list[list[str]]
) -> None:
    viewer, sweep_id = login("vera", "viewer"), kept.regression(store, "amber falcon")
    for _ in range(2):
        with viewer.get(f"/sweeps/{sweep_id}/trials/2/model.zip") as answer:
            assert (answer.status_code, answer.data, answer.mimetype) == (200, b"zip", "application/zip")
            assert answer.headers["Content-Disposition"] == "attachment; filename=amber-falcon-trial-2.zip"
    assert [arguments[:2] for arguments in fake_export] == [[sweep_id, "2"]]
    assert len(list((settings.data_dir / "exports").iterdir())) == 1


def test_when_more_is_confirmed_the_file_is_made_anew(
    ada: FlaskClient, store: Store, fake_export: list[list[str]]
) -> None:
    sweep_id = kept.regression(store)
    ada.get(f"/sweeps/{sweep_id}/trials/2/model.zip").close()
    store.database["sweeps"].update_one({"_id": sweep_id}, {"$set": {"confirmed": []}})
    ada.get(f"/sweeps/{sweep_id}/trials/2/model.zip").close()
    assert len(fake_export) == 2


def test_the_newest_files_are_kept_and_what_was_left_half_made_goes(tmp_path: Path) -> None:
    for number in range(25):
        path = tmp_path / f"{number}.zip"
        path.touch()
        os.utime(path, (number, number))
    for name, age in (("old", 0), ("new", None)):
        (tmp_path / name).mkdir()
        if age is not None:
            os.utime(tmp_path / name, (age, age))
    exports.prune(tmp_path)
    assert {path.stem for path in tmp_path.glob("*.zip")} == {str(number) for number in range(5, 25)}
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["new"]


def test_a_failed_export_leaves_nothing_behind(
    ada: FlaskClient, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(settings: Settings, arguments: list[str], **_: Any) -> str:
        Path(arguments[2]).write_bytes(b"half")
        raise HelperError("making the ZIP file took longer than 120 s")

    monkeypatch.setattr(exports.exporter, "run", run)
    answer = ada.get(f"/sweeps/{kept.regression(store)}/trials/2/model.zip")
    assert answer.status_code == 503
    assert "took longer than 120 s." in answer.get_data(as_text=True)
    assert list((settings.data_dir / "exports").iterdir()) == []


SLEEP = ["-n1", "-r1", "import time; time.sleep(20)"]


@pytest.fixture
def busy(settings: Settings) -> Iterator[Helper]:
    """A helper whose one place is taken."""
    helper = Helper("timeit", "waiting", 1.5, most=1)

    def wait() -> None:
        with pytest.raises(HelperError):
            helper.run(settings, SLEEP)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: not helper._places._value, 5, "the first one")  # type: ignore[attr-defined]
    yield helper
    thread.join()


def test_only_so_many_work_at_once_and_the_others_are_told(
    busy: Helper, settings: Settings, ada: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Busy, match="waiting is being done for others just now"):
        busy.run(settings, SLEEP)
    monkeypatch.setattr(exports, "exporter", busy)
    monkeypatch.setattr(tryout, "predictor", busy)
    path = f"/sweeps/{kept.regression(store)}/trials/2"
    assert ada.get(f"{path}/model.zip").status_code == 429
    answer = send(ada, f"{path}/try", what="one", **{"feature-0": "41"})
    assert (answer.status_code, typed(answer, "feature-0")) == (429, "41")
    assert "try again in a moment" in answer.get_data(as_text=True)


def test_what_takes_too_long_or_fails_is_ended_and_said(settings: Settings) -> None:
    with pytest.raises(HelperError, match=r"sleeping took longer than 0\.3 s"):
        Helper("timeit", "sleeping", 0.3, most=1).run(settings, SLEEP)
    helper = Helper("timeit", "failing", 20, most=1)
    for _ in range(2):
        with pytest.raises(HelperError, match="failing failed; the server's log says why"):
            helper.run(settings, ["raise ValueError"])


def test_helpers_know_the_settings_and_no_secrets(settings: Settings) -> None:
    helper = Helper("timeit", "telling", 20, most=1)
    environ = {**os.environ, "NHOP_ADMIN_PASSWORD": "secret"}
    code = "import os, sys; sys.stdout.write(os.environ['NHOP_DATA_DIR'] + str(os.environ.get('NHOP_ADMIN_PASSWORD')))"
    assert helper.run(settings, ["-n1", "-r1", code], environ=environ).startswith(f"{settings.data_dir}None")
