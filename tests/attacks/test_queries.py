"""What a database would take for an operator or a path, and addresses that lead elsewhere."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from engine.config import parse
from engine.data import run_folders
from engine.domain import Trial, TrialState
from engine.errors import DataError, NotFound, StoreError
from engine.store import Store
from engine.store.trials import to_document
from tests.unit.webapp.conftest import PASSWORD, token
from webapp.services import accounts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "otter-6c1e"
POINT: dict[str, Any] = {
    "batch_size": 200,
    "learning_rate": 0.001,
    "train_optimizer": "Adam",
    "activation": "relu",
    "layers": 1,
    "units_1": 8,
}
OPERATORS: list[Any] = [
    {"$ne": None},
    {"$gt": ""},
    {"$regex": ".*"},
    {"$where": "sleep(9)"},
    {"a.b": 1},
    {"$set": {"x": 1}},
]


def test_an_operator_opens_no_account(visitor: FlaskClient, store: Store) -> None:
    accounts.create(store, "ada", PASSWORD, "admin", NOW)
    csrf = token(visitor, "/login")
    forms: list[dict[str, str]] = [
        {"name[$ne]": "", "password[$ne]": ""},
        {"name": '{"$ne": null}', "password": '{"$ne": null}'},
        {"name": "ada", "password[$gt]": ""},
        {"name": "ada\0", "password": PASSWORD},
    ]
    for form in forms:
        assert visitor.post("/login", data={**form, "csrf_token": csrf}).status_code == 401
    sent = visitor.post(
        "/login", json={"name": {"$ne": None}, "password": {"$ne": None}}, headers={"X-CSRFToken": csrf}
    )
    assert sent.status_code == 401
    assert visitor.get("/link?token[$ne]=x").status_code == 410
    assert visitor.get("/").status_code == 303


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_operators_in_the_body_of_a_request_stay_values(ada: FlaskClient, store: Store, operator: Any) -> None:
    sweep_id = store.sweeps.create("x", "ada", {}, 1, 1, 1, NOW)
    before = store.sweeps.get(sweep_id)
    headers = {"X-CSRFToken": token(ada, "/"), "Accept": "application/json"}
    bodies: dict[str, Any] = {
        "config": {"values": operator},
        "points": {"points": [operator]},
        "retry": {"numbers": operator},
        "priority": {"priority": operator},
    }
    for path, body in bodies.items():
        assert ada.post(f"/sweeps/{sweep_id}/{path}", json=body, headers=headers).status_code in (400, 409, 422), path
    nested = {"values": {"name": operator, "learning_rate": operator, "$set": {"owner": "eve"}, "owner.x": "eve"}}
    assert ada.post(f"/sweeps/{sweep_id}/config", json=nested, headers=headers).status_code in (400, 422)
    assert store.sweeps.get(sweep_id) == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("config", [{"values": {"patience": 3}}]),
        ("config", {"values": ["patience"]}),
        ("config", {"values": {"patience": 3}, "version": {"$gt": 0}}),
        ("config", {"values": {"patience": 3}, "version": True}),
        ("config", {"values": {"patience": 3, "train_log_dir": "/tmp"}}),
        ("config", {"values": {"patience": 3, "config.seed": 1}}),
        ("config", {"values": {"patience": 3, "$set": {"owner": "eve"}}}),
        ("config", {"values": {"patience": {"$gt": 0}}}),
        ("config", {"values": {"model_space": {"$where": {"low": 1, "high": 2}}}}),
        ("config", {"values": {"model_space": {"a.b": {"low": 1, "high": 2}}}}),
        ("points", {"points": 5}),
        ("points", {"points": ["batch_size"]}),
        ("points", {"points": {"$ne": None}}),
        ("points", {"points": [POINT | {"$where": "1"}]}),
        ("points", {"points": [POINT | {"batch_size.x": 1}]}),
        ("points", {"points": [POINT | {"batch_size": {"$gt": 0}}]}),
        ("retry", {"numbers": {}}),
        ("retry", {"numbers": {"$gt": 0}}),
        ("retry", {"numbers": [True]}),
        ("retry", {"numbers": [{"$gt": 0}]}),
        ("priority", {"priority": {"$gt": 0}}),
        ("priority", {"priority": True}),
    ],
    ids=str,
)
def test_what_is_not_of_the_kind_that_is_asked_for_is_refused_by_pages_and_api(
    ada: FlaskClient, store: Store, path: str, body: Any
) -> None:
    config = parse({"seed": 1}).model_dump(mode="json")
    sweep_id = store.sweeps.create("x", "ada", config, 1, 1, 1, NOW)
    store.trials.put(to_document(Trial(sweep_id, 1, 0, POINT, 9, 1, TrialState.FAILED, error="x"), 1))
    before = store.sweeps.get(sweep_id)
    headers = {"X-CSRFToken": token(ada, "/"), "Accept": "application/json"}
    for base, refusals in ((f"/sweeps/{sweep_id}", (400, 422)), (f"/api/v1/sweeps/{sweep_id}", (400, 422))):
        answer = ada.post(f"{base}/{path}", json=body, headers=headers)
        assert answer.status_code in refusals, (base, answer.get_data(as_text=True))
    assert store.sweeps.get(sweep_id) == before
    extra = {"priority": {"priority": 1}, "retry": {"numbers": [1]}, "points": {"points": [POINT]}}
    if path in extra:
        sent = extra[path] | {"$set": {"owner": "eve"}}
        assert ada.post(f"/api/v1/sweeps/{sweep_id}/{path}", json=sent, headers=headers).status_code == 422
        assert store.sweeps.get(sweep_id) == before


@pytest.mark.parametrize("key", ["$where", "$set", "owner.x", "config.seed", "lease.fence", "_id", "owner", "state"])
def test_no_key_of_a_new_sweep_is_one_of_the_database(ada: FlaskClient, store: Store, key: str) -> None:
    headers = {"X-CSRFToken": token(ada, "/")}
    assert ada.post("/api/v1/sweeps", json={key: "x"}, headers=headers).status_code == 422
    form = {"yaml": f'"{key}": x\n', "csrf_token": token(ada, "/")}
    assert ada.post("/sweeps/new", data=form).status_code == 400
    space = {"nn_model": "Custom", "model_class": "a:B", "model_space": {key: {"kind": "float", "low": 1, "high": 2}}}
    if not key.isidentifier():
        answer = ada.post("/api/v1/sweeps", json=space, headers=headers)
        assert answer.status_code == 422
        assert "the axis" in " ".join(problem["message"] for problem in answer.get_json()["problems"]), key
    assert store.sweeps.recent(5) == []


@pytest.mark.parametrize(
    "run_id",
    [
        '{"$ne": null}',
        '{"$gt": ""}',
        '{"$in": ["theirs"]}',
        '{"$where": "1"}',
        '{"$regex": "^th", "$options": ""}',
        '{"$regularExpression": {"pattern": "^th", "options": ""}}',
        '{"$code": "1"}',
        '{"$minKey": 1}',
    ],
)
def test_an_operator_in_place_of_a_runs_id_means_no_run(
    ada: FlaskClient, login: Callable[[str, str], FlaskClient], store: Store, run_id: str
) -> None:
    store.database["runs"].insert_one(
        {"_id": "theirs", "status": "COMPLETED", "start_time": NOW, "config": {"secret": SECRET}}
    )
    headers = {"X-CSRFToken": token(ada, "/")}
    for path in ("/history/run", "/history/run/output.json", "/history/run/files.zip"):
        assert SECRET not in ada.get(path, query_string={"id": run_id}).get_data(as_text=True), path
    assert ada.get(f"/api/v1/runs/{quote(run_id, safe='')}").status_code == 404
    for path in ("delete", "restore"):
        answer = ada.post(f"/history/{path}", data={"id": run_id}, headers=headers)
        assert answer.status_code in (400, 404, 409), path
    assert list(store.database["deleted_runs"].find()) == []
    for operator in ({"$ne": None}, {"$gt": ""}):
        with pytest.raises((NotFound, StoreError)):
            store.run_parts.head(operator)
    assert SECRET in ada.get("/history/run", query_string={"id": "theirs"}).get_data(as_text=True)


@pytest.mark.parametrize("pattern", [".*", "e.e", "^e", "(", "[", "e|x", "eve$", "\\w+", "(a+)+$"])
@pytest.mark.parametrize("field", ["who", "text", "where"])
def test_the_audit_log_is_filtered_by_text_and_not_by_patterns(
    ada: FlaskClient, store: Store, field: str, pattern: str
) -> None:
    entry = {"at": NOW, "what": "eve", "target": "", "detail": SECRET, "refused": False}
    store.audit.add({"_id": "0", "who": "eve", "where": "eve", **entry})
    assert SECRET in ada.get("/audit", query_string={field: "eve"}).get_data(as_text=True)
    answer = ada.get("/audit", query_string={field: pattern})
    assert answer.status_code == 200
    assert SECRET not in answer.get_data(as_text=True)


@pytest.mark.parametrize("version", [".{12}", "........", "[0-9a-f]{12}", "", "^"])
def test_the_version_of_a_file_is_digits_and_no_pattern(store: Store, version: str) -> None:
    store.model_files.add("own.py", b"x", {}, "ada", NOW)
    assert store.model_files.find(f"own.py@{version}") is None


def test_names_in_an_imported_run_are_stored_as_sacred_writes_them() -> None:
    file = io.BytesIO()
    config = {"$where": 1, "a.b": {"$set": {"x.y": 2}}, "c\0d": 3, "\ud800": 4}
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("1/run.json", json.dumps({"$or": [], "_id.x": 1}))
        made.writestr("1/config.json", json.dumps(config))
    with zipfile.ZipFile(file) as archive:
        ((_, run),) = run_folders.runs(archive)
    assert not isinstance(run, DataError)
    assert run.document["config"] == {"@where": 1, "a,b": {"@set": {"x,y": 2}}, "cd": 3, "?": 4}
    assert {"@or", "_id,x"} <= set(run.document)


@pytest.mark.parametrize(
    "path",
    [
        "/history/run?id={%22$ne%22:null}",
        "/history/run?id={%22$where%22:%22sleep(9)%22}",
        "/history?before={%22$gt%22:%22%22}",
        "/sweeps/$where",
        "/sweeps/x/trials/order.json?sort=$where",
        "/sweeps/x/trials/order.json?sort=lease.fence",
        "/sweeps/x/trials/order.json?text=$where:1",
        "/datasets/$ne",
        "/datasets/x?version[$ne]=1",
        "/audit?who=.*&text=(a%2B)%2B$&where=[&before={%22$gt%22:1}",
        "/api/v1/sweeps?state[$ne]=x",
        "/api/v1/sweeps?owner={%22$ne%22:1}",
    ],
)
def test_operators_in_an_address_are_text(ada: FlaskClient, store: Store, path: str) -> None:
    store.sweeps.create(SECRET, "eve", {}, 1, 1, 1, NOW)
    answer = ada.get(path)
    assert answer.status_code in (200, 400, 404, 422)
    assert SECRET not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "evil",
    [
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "http:evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "/%0d%0aLocation:https://evil.example",
        "//[",
        "/x\r\nSet-Cookie: a=b",
        "https://localhost@evil.example",
    ],
)
def test_the_way_back_after_the_login_leads_to_this_server(visitor: FlaskClient, store: Store, evil: str) -> None:
    accounts.create(store, "ada", PASSWORD, "admin", NOW)
    form = {"name": "ada", "password": PASSWORD, "next": evil, "csrf_token": token(visitor, "/login")}
    location = visitor.post("/login", data=form).headers["Location"]
    assert location == "/" or location == "/%0d%0aLocation:https://evil.example"
    assert "\n" not in location
