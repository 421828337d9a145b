"""Giant and malformed numbers, endless grids, odd Unicode, and bodies that are too large: a clear answer, no 500."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from engine.store import Store
from tests.unit.webapp.conftest import token
from tests.unit.webapp.test_sweeps import typed

NUMBERS = [
    "9" * 5000,
    "1e400",
    "-1e400",
    "NaN",
    "inf",
    "-Infinity",
    "1e-400",
    "0x10",
    "1_000",
    "٣",
    "１",
    "1\u200b",
    "",
    "--1",
    "1e",
]
TEXTS = [
    "\u202egnp.exe",
    "a\u0000b",
    "e\u0301" * 20,
    "\ufdfa" * 50,
    "\U000e0041",
    "İstanbul",
    "ß" * 49,
    "𝕬𝖉𝖆",
    "\ud800",
]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_strange_number_is_refused_at_its_field(ada: FlaskClient, store: Store, number: str) -> None:
    for field in ("batch_size__0", "learning_rate__1", "seed", "opt_stages__0__1"):
        answer = ada.post("/sweeps/new", data=typed(ada, **{field: number}))
        assert answer.status_code in (303, 400), field
    for path in (f"/sweeps/x/trials/{number}", f"/sweeps/x/trials?numbers={number}", f"/history?before={number}"):
        assert ada.get(path.replace("\0", "%00")).status_code in (200, 303, 308, 400, 404), path
    for sweep in store.sweeps.recent(50):
        json.dumps(store.sweeps.get(sweep["_id"])["config"], allow_nan=False)


@pytest.mark.parametrize(
    "body", [b"{", b"[" * 100_000, b'{"priority": NaN}', b'{"priority": 1e999}', b"\xff\xfe", b"9" * 5000]
)
def test_malformed_json_is_refused_in_words(ada: FlaskClient, store: Store, body: bytes) -> None:
    sweep_id = store.sweeps.create("x", "ada", {}, 1, 1, 1, datetime.now(UTC))
    headers = {"X-CSRFToken": token(ada, "/"), "Accept": "application/json"}
    for path in (f"/sweeps/{sweep_id}/priority", f"/api/v1/sweeps/{sweep_id}/priority", "/api/v1/sweeps"):
        answer = ada.post(path, data=body, content_type="application/json", headers=headers)
        assert 400 <= answer.status_code < 500, path
        assert answer.get_json()["detail"]


def test_a_place_in_a_list_that_is_made_up_is_refused(ada: FlaskClient) -> None:
    for text in (b"[" * 2900, b'[1e999, "x", 1]', b"[NaN, 1, 2]", b'[1, "\\ud800", 1]', b"\xff", b"{}"):
        place = base64.urlsafe_b64encode(text).decode().rstrip("=")
        for path in ("/history?before=", "/api/v1/sweeps?cursor="):
            assert ada.get(path + place).status_code in (400, 422), (path, text[:20])


@pytest.mark.parametrize(
    "run_id",
    [
        '{"$numberDecimal":"x"}',
        '{"$date":"0001-01-01T00:00:00+23:59"}',
        '{"$numberLong":"99999999999999999999"}',
        '"\\ud800"',
        "9" * 19,
        "-" + "9" * 19,
    ],
)
def test_an_id_that_no_run_can_have_is_nobodys(ada: FlaskClient, run_id: str) -> None:
    assert ada.get("/history/run", query_string={"id": run_id}).status_code == 404
    assert ada.get(f"/api/v1/runs/{quote(run_id, safe='')}").status_code == 404
    form = {"id": run_id, "tags": "x", "csrf_token": token(ada, "/history")}
    assert ada.post("/history/mark", data=form).status_code in (303, 400, 404, 409)


def test_half_of_a_pair_is_refused_where_the_history_is_asked(ada: FlaskClient) -> None:
    for query in ({"where": 'state = "\\ud800"'}, {"columns": '"\\ud800"'}, {"sort": "\\ud800"}):
        assert ada.get("/history", query_string=query).status_code in (200, 400), query
    assert ada.get("/api/v1/runs", query_string={"where": 'state = "\\ud800"'}).status_code in (400, 422)
    form = {"columns": '"\\ud800"', "csrf_token": token(ada, "/history")}
    assert ada.post("/history/columns", data=form).status_code == 400


def test_sizes_of_an_lstm_without_end_are_refused_at_their_field(ada: FlaskClient) -> None:
    for sizes in (",".join(["1"] * 1000), "9" * 400):
        form = typed(ada, nn_model="Custom", hyperparam_opt="grid", rnn_state_dim=sizes)
        found = ada.post("/sweeps/new/check", data=form).get_json()
        assert "at most 20 sizes, each at most 4,096" in json.dumps(found)
        assert ada.post("/sweeps/new", data=form).status_code == 400


def test_the_name_of_a_class_without_end_is_refused_at_its_field(ada: FlaskClient) -> None:
    form = typed(ada, nn_model="Custom", model_class=f"a:{'B' * 300}")
    answer = ada.post("/sweeps/new/axes", data=form)
    assert answer.status_code == 400
    assert "200 characters" in answer.get_data(as_text=True)


def test_a_grid_of_a_billion_points_is_answered_at_once(ada: FlaskClient) -> None:
    form = typed(ada, hyperparam_opt="grid", grid_levels="1000000000", hidden_layers__1="64")
    assert ada.post("/sweeps/new/check", data=form).status_code == 200
    assert ada.post("/sweeps/new", data=form).status_code in (303, 400)


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_odd_text_is_kept_or_refused_and_never_confuses_names(ada: FlaskClient, store: Store, text: str) -> None:
    sent = text.encode("utf-8", "surrogatepass")
    for form in ({"name": sent}, {"tags": sent}):
        values: dict[str, Any] = dict(typed(ada)) | form
        answer = ada.post("/sweeps/new", data=values)
        assert answer.status_code in (303, 400)
    answer = ada.post(
        "/accounts/invite", data={"role": "viewer", "days": "7", "note": sent, "csrf_token": token(ada, "/")}
    )
    assert answer.status_code in (201, 400)
    for path in ("/", "/accounts", "/audit"):
        assert ada.get(path).status_code == 200, "what was kept can be shown"


def test_a_body_that_is_too_large_is_not_read(ada: FlaskClient, visitor: FlaskClient) -> None:
    csrf = token(ada, "/")
    large = b"x" * (3 * 2**20)
    for path in ("/sweeps/new", "/login", "/accounts/invite", "/sweeps/x/config", "/models"):
        answer = ada.post(path, data=large, headers={"X-CSRFToken": csrf}, content_type="application/octet-stream")
        assert answer.status_code in (400, 401, 404, 413), path
    form = {"csrf_token": csrf, "name": "x" * (3 * 2**20)}
    assert ada.post("/sweeps/new", data=form).status_code == 413
    assert ada.post(
        "/sweeps/new", data={f"k{n}": "" for n in range(6000)}, headers={"X-CSRFToken": csrf}
    ).status_code in (400, 413)
    assert visitor.post("/sweeps/new", data=form).status_code == 403, "refused before it is read"
