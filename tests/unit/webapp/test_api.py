"""The API: what it takes and answers, to whom, and that its document tells of all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from engine.config import parse
from engine.domain import Trial, TrialState
from engine.store import Store
from engine.store.trials import to_document
from tests.unit.webapp.conftest import PASSWORD, token
from tests.unit.webapp.test_health import silent
from webapp.api.openapi import document, path_of
from webapp.api.operations import OPERATIONS, PREFIX
from webapp.auth import bearer
from webapp.services import accounts, tokens

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Program:
    """A program that shows a token."""

    def __init__(self, app: Flask, shown: str) -> None:
        self._client = app.test_client()
        self.shown = shown

    def ask(self, method: str, path: str, body: Any = None, **rest: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.shown}", **rest.pop("headers", {})}
        given = {"json": body} if body is not None else {}
        return self._client.open(PREFIX + path, method=method, headers=headers, **given, **rest)

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.get_json()


@pytest.fixture
def program(app: Flask, store: Store) -> Callable[..., Program]:
    """Make an account with a token: program(name, role, scope)."""
    bearer.throttle.__init__()  # type: ignore[misc]

    def enter(name: str = "ada", role: str = "admin", scope: str = "write") -> Program:
        account = accounts.create(store, name, PASSWORD, role, NOW)
        return Program(app, tokens.create(store, account, "a program", scope, "", datetime.now(UTC)))

    return enter


@pytest.fixture
def ada(program: Callable[..., Program]) -> Program:
    return program()


@pytest.fixture
def sweep_id(store: Store) -> str:
    """Ada's sweep, which runs, with three trials."""
    config = parse({"seed": 1})
    sweep_id = store.sweeps.create("a", "ada", config.model_dump(mode="json"), 1, 9, 7100, datetime.now(UTC))
    store.sweeps.claim("here", timedelta(minutes=5), datetime.now(UTC))
    states = (TrialState.COMPLETED, TrialState.FAILED, TrialState.COMPLETED)
    for number, (state, loss) in enumerate(zip(states, (2.0, float("nan"), 1.0), strict=True), start=1):
        curve: list[list[float | None]] = [[10.0, 3.0, None], [20.0, float("inf"), loss]]
        trial = Trial(sweep_id, number, 0, {"batch_size": number}, 20, 1, state, loss=loss, val_loss=loss, curve=curve)
        store.trials.put(to_document(trial, 1))
    return sweep_id


def problems(answer: TestResponse, status: int = 422) -> dict[str, str]:
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.content_type == "application/problem+json"
    return {problem["key"]: problem["message"] for problem in answer.get_json().get("problems", [])}


def test_the_document_tells_of_every_route_and_of_no_other(app: Flask) -> None:
    told = {
        (re.sub(r"{(\w+)}", r"<\1>", PREFIX + path), method.upper())
        for path, methods in document()["paths"].items()
        for method in methods
    }
    routes = {
        (re.sub(r"<[^<>]*?(\w+)>", r"<\1>", rule.rule), method)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(PREFIX) and rule.endpoint != "api.openapi"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert told == routes
    assert len(told) == len(OPERATIONS) > 20


def test_the_document_is_whole(ada: Program) -> None:
    told = ada.get("/openapi.json")
    assert told == json.loads(json.dumps(document()))
    assert told["openapi"] == "3.1.0"
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(told)))
    assert names == set(told["components"]["schemas"])
    assert {one.name for one in OPERATIONS} == {
        operation["operationId"] for methods in told["paths"].values() for operation in methods.values()
    }
    keys = told["components"]["schemas"]["NewSweep"]["properties"]
    assert "Empty: one is made up." in keys["name"]["description"]
    assert not {"group", "choices", "live", "unit"} & set(keys["name"])
    assert "For the owner" in told["paths"][path_of(OPERATIONS[3])]["post"]["description"]


def test_without_a_token_or_with_a_wrong_one_nothing_is_told(app: Flask, ada: Program) -> None:
    client = app.test_client()
    for path in ("/sweeps", "/openapi.json", "/nothing"):
        answer = client.get(PREFIX + path)
        assert answer.status_code == 401, path
        assert answer.content_type == "application/problem+json"
        assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")
    ada.shown = ada.shown[:-1] + ("a" if ada.shown[-1] != "a" else "b")
    assert ada.ask("GET", "/sweeps").status_code == 401
    assert client.get(f"{PREFIX}/sweeps", headers={"Authorization": "Basic YTpi"}).status_code == 401


def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(app: Flask, ada: Program) -> None:
    wrong = {"Authorization": "Bearer nhop_wrong"}
    statuses = [app.test_client().get(f"{PREFIX}/sweeps", headers=wrong).status_code for _ in range(10)]
    assert statuses == [401] * 8 + [429] * 2
    ada.get("/sweeps")


def test_a_token_opens_no_page(app: Flask, ada: Program) -> None:
    shown = {"Authorization": f"Bearer {ada.shown}"}
    assert app.test_client().get("/", headers=shown).status_code == 303
    assert app.test_client().get("/account/tokens", headers=shown).status_code == 303


def test_a_scope_is_kept(program: Callable[..., Program], sweep_id: str, store: Store) -> None:
    reader = program("ada", "admin", "read")
    assert reader.get(f"/sweeps/{sweep_id}")["name"] == "a"
    for method, path in (("POST", "/sweeps"), ("POST", f"/sweeps/{sweep_id}/stop"), ("PUT", "/datasets/x")):
        answer = reader.ask(method, path, {})
        assert answer.status_code == 403, path
        assert answer.get_json()["detail"].endswith("A token may do no more than its scope.")
    assert reader.ask("GET", "/models").status_code == 403
    assert not store.sweeps.get(sweep_id)["stop_requested"]


def test_nobody_steers_somebody_elses_sweep(program: Callable[..., Program], sweep_id: str, store: Store) -> None:
    eve = program("eve", "editor")
    bodies: dict[str, Any] = {
        "config": {"values": {"patience": 3}},
        "points": {"points": [{}]},
        "priority": {"priority": 1},
    }
    for one in OPERATIONS:
        if one.steers:
            path = one.path.replace("<sweep_id>", sweep_id).replace("<name>", "worker_0")
            path = re.sub(r"<int.*?>", "1", path)
            answer = eve.ask("POST", path, bodies.get(path.rpartition("/")[2], {}))
            assert answer.status_code == 403, path
    assert store.sweeps.get(sweep_id)["version"] == 1


def test_a_session_needs_the_token_of_a_form_and_a_program_does_not(
    login: Callable[[str, str], FlaskClient], sweep_id: str, store: Store
) -> None:
    browser = login("ada", "admin")
    path = f"{PREFIX}/sweeps/{sweep_id}/pause"
    assert browser.post(path).status_code == 400
    assert not store.sweeps.get(sweep_id)["pause_requested"]
    answer = browser.post(path, headers={"X-CSRFToken": token(browser, "/sweeps/new")})
    assert answer.status_code == 202
    assert answer.get_json()["pause_requested"] is True
    assert browser.get(f"{PREFIX}/sweeps").status_code == 200


def test_a_sweep_is_created_with_the_defaults_of_the_form(ada: Program, store: Store) -> None:
    answer = ada.ask("POST", "/sweeps", {"name": "mine", "opt_stages": [[10, 2]]})
    assert answer.status_code == 201
    sweep = answer.get_json()
    assert answer.headers["Location"] == f"{PREFIX}/sweeps/{sweep['id']}"
    assert (sweep["name"], sweep["owner"], sweep["state"], sweep["progress"]["total"]) == ("mine", "ada", "QUEUED", 2)
    assert sweep["created"].endswith("Z")
    assert store.sweeps.get(sweep["id"])["config"]["opt_stages"] == [[10, 2]]
    assert ada.get(f"/sweeps/{sweep['id']}") == sweep


def test_everything_wrong_with_a_new_sweep_is_said_at_its_key(ada: Program, store: Store) -> None:
    found = problems(ada.ask("POST", "/sweeps", {"batch_size": [300, 200], "hiden_layers": [1, 2], "dataset": "none"}))
    assert "exchange them" in found["batch_size"]
    assert "did you mean hidden_layers" in found["hiden_layers"]
    assert store.sweeps.recent(1) == []


def test_a_silent_database_is_told_in_json(ada: Program, app: Flask) -> None:
    store = silent(app)
    answer = ada.ask("POST", "/sweeps", {})
    problems(answer, 503)
    assert answer.headers["Retry-After"] == "5"
    store.close()


def test_fifty_simultaneous_creations_under_a_key_make_one_sweep(ada: Program, store: Store) -> None:
    def create(_: int) -> TestResponse:
        return ada.ask("POST", "/sweeps", {"name": "once"}, headers={"Idempotency-Key": "k-1"})

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(create, range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.get_data() for answer in answers}) == 1
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert [answer.headers["Idempotency-Replayed"] for answer in answers].count("false") == 1
    assert len(store.sweeps.recent(100)) == 1
    other = ada.ask("POST", "/sweeps", {"name": "other"}, headers={"Idempotency-Key": "k-1"})
    assert "something else" in problems(other)["Idempotency-Key"]
    assert len(store.sweeps.recent(100)) == 1


def test_a_key_is_kept_for_points_too(ada: Program, store: Store, sweep_id: str) -> None:
    point = {"batch_size": 200, "learning_rate": 0.0005, "train_optimizer": "Adam", "activation": "relu", "layers": 4}
    point |= {f"units_{layer}": 5 for layer in range(1, 5)}
    headers = {"Idempotency-Key": "k"}
    for _ in range(2):
        answer = ada.ask("POST", f"/sweeps/{sweep_id}/points", {"points": [point]}, headers=headers)
        assert answer.get_json() == {"version": 2}
    assert store.sweeps.get(sweep_id)["version"] == 2


def test_a_list_of_sweeps_is_read_in_pages(ada: Program, store: Store) -> None:
    config = parse({}).model_dump(mode="json")
    made = [store.sweeps.create(f"s{n}", "ada", config, 1, 1, 1, NOW + timedelta(seconds=n // 3)) for n in range(9)]
    seen, path = [], "/sweeps?limit=2"
    while path:
        page = ada.get(path)
        assert len(page["items"]) <= 2
        seen += [sweep["id"] for sweep in page["items"]]
        path = page["next"] and f"/sweeps?limit=2&cursor={page['next']}"
    assert sorted(seen) == sorted(made)
    assert len(ada.get("/sweeps?owner=bob")["items"]) == 0
    assert len(ada.get("/sweeps?state=QUEUED")["items"]) == 9
    assert "config" not in ada.get("/sweeps")["items"][0]


@pytest.mark.parametrize(
    ("query", "key"),
    [("cursor=x", "cursor"), ("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"),
     ("state=GONE", "state"), ("nothing=1", "nothing")],
)  # fmt: skip
def test_a_query_that_cannot_be_answered_says_why(ada: Program, query: str, key: str) -> None:
    assert key in problems(ada.ask("GET", f"/sweeps?{query}"))


def test_the_cursor_of_another_list_is_none_of_this_one(ada: Program, sweep_id: str) -> None:
    following = ada.get(f"/sweeps/{sweep_id}/trials?limit=1")["next"]
    assert "no such cursor" in problems(ada.ask("GET", f"/sweeps?cursor={following}"))["cursor"]


def test_trials_come_by_number_or_as_asked_for(ada: Program, sweep_id: str) -> None:
    path = f"/sweeps/{sweep_id}/trials"
    page = ada.get(f"{path}?limit=2")
    assert [trial["number"] for trial in page["items"]] == [1, 2]
    assert page["items"][1]["loss"] is None
    assert [t["number"] for t in ada.get(f"{path}?limit=2&cursor={page['next']}")["items"]] == [3]
    best = ada.get(f"{path}?sort=val_loss&state=COMPLETED&limit=1")
    assert [trial["number"] for trial in best["items"]] == [3]
    following = ada.get(f"{path}?sort=val_loss&state=COMPLETED&limit=1&cursor={best['next']}")
    assert [trial["number"] for trial in following["items"]] == [1]
    assert following["next"] is None
    assert [trial["number"] for trial in ada.get(f"{path}?text=batch_size>2")["items"]] == [3]
    assert ada.ask("GET", f"{path}?sort=nothing").status_code == 400


def test_a_trial_comes_with_its_curve_and_nulls_for_what_is_not_finite(ada: Program, sweep_id: str) -> None:
    trial = ada.get(f"/sweeps/{sweep_id}/trials/2")
    assert trial["loss"] is None
    assert trial["curve"] == [[10.0, 3.0, None], [20.0, None, None]]
    assert trial["params"] == {"batch_size": 2}


def test_commands_reach_the_sweep(ada: Program, store: Store, sweep_id: str) -> None:
    assert ada.ask("POST", f"/sweeps/{sweep_id}/pause").get_json()["pause_requested"] is True
    assert ada.ask("POST", f"/sweeps/{sweep_id}/resume").get_json()["pause_requested"] is False
    assert ada.ask("POST", f"/sweeps/{sweep_id}/finish").get_json()["finish_requested"] is True
    assert ada.ask("POST", f"/sweeps/{sweep_id}/config", {"values": {"patience": 7}}).get_json() == {"version": 2}
    assert ada.ask("POST", f"/sweeps/{sweep_id}/retry", {}).get_json() == {"version": 3}
    assert ada.ask("POST", f"/sweeps/{sweep_id}/trials/1/end").status_code == 202
    assert ada.ask("POST", f"/sweeps/{sweep_id}/stop").get_json()["stop_requested"] is True
    stored = store.sweeps.get(sweep_id)
    assert (stored["cancel_requested"], stored["config"]["patience"]) == ([1], 7)
    assert ada.ask("POST", f"/sweeps/{sweep_id}/priority", {"priority": 2}).status_code == 409
    waiting = ada.ask("POST", "/sweeps", {}).get_json()["id"]
    assert ada.ask("POST", f"/sweeps/{waiting}/priority", {"priority": 2}).get_json()["priority"] == 2
    assert ada.ask("POST", f"/sweeps/{waiting}/pause").status_code == 409


def test_what_cannot_be_read_is_refused_in_json(ada: Program, sweep_id: str) -> None:
    path = f"/sweeps/{sweep_id}/priority"
    kind = {"content_type": "application/json"}
    for sent, status in (
        (b"{", 400), (b"[1]", 400), (b'{"priority": NaN}', 400), (b"\xff", 400), (b"[" * 100_000, 400),
        (b'{"priority": "1"}', 422), (b'{"priority": 1e400}', 422), (b'{"priority": true}', 422), (b"{}", 422),
        (b'{"priority": 1, "other": 1}', 422), (b'{"priority": ' + b"9" * 5000 + b"}", 400), (b"x" * 3_000_000, 413),
    ):  # fmt: skip
        problems(ada.ask("POST", path, data=sent, **kind), status)
    problems(ada.ask("POST", path, data=b"priority=1", content_type="application/x-www-form-urlencoded"), 415)
    for method, where, status in (("GET", "/nothing", 404), ("GET", "/sweeps/none", 404), ("DELETE", "/sweeps", 405)):
        problems(ada.ask(method, where), status)
    assert set(ada.ask("DELETE", "/sweeps").headers["Allow"].split(", ")) >= {"GET", "POST"}


def test_a_data_set_is_uploaded_listed_and_told(ada: Program, app: Flask) -> None:
    csv = b"a,b,y\n" + b"".join(b"%d,%d,%d\n" % (n, n * n, 2 * n) for n in range(50))
    answer = ada.ask("PUT", "/datasets/squares?filename=s.csv", data=csv, content_type="text/csv")
    assert answer.status_code == 200, answer.get_json()
    told = answer.get_json()
    assert (told["kind"], told["target"], told["features"]) == ("table", "y", ["a", "b"])
    assert told["version"]["reference"].startswith("squares@")
    again = ada.ask("PUT", "/datasets/squares", data=BytesIO(csv), content_type="text/csv").get_json()
    assert len(again["versions"]) == 1
    assert ada.get(f"/datasets/squares?version={told['version']['sha256'][:8]}") == told
    listed = {row["name"]: row for row in ada.get("/datasets")["items"]}
    assert listed["squares"]["count"] == 50
    assert listed["synthetic"] == {
        **dict.fromkeys(listed["synthetic"]),
        "name": "synthetic",
        "kind": "table",
        "built_in": True,
    }
    assert "file" in problems(ada.ask("PUT", "/datasets/bad", data=b"\x00\x01", content_type="text/csv"))
    assert "name" in problems(ada.ask("PUT", "/datasets/%20%20a!", data=csv, content_type="text/csv"))
    assert ada.ask("POST", "/sweeps", {"dataset": "squares", "nn_dimensions": [2, 1]}).status_code == 201


def test_an_upload_may_be_larger_than_other_requests_but_not_too_large(ada: Program, settings: Any) -> None:
    row = b"1.25,2.5,3.75\n"
    csv = b"a,b,y\n" + row * (3_000_000 // len(row))
    assert ada.ask("PUT", "/datasets/large", data=csv, content_type="text/csv").status_code in (200, 422)
    too_large = b"0" * (settings.upload_mb * 2**20 + 1)
    problems(ada.ask("PUT", "/datasets/large", data=too_large, content_type="text/csv"), 413)


def test_runs_of_any_experiment_are_listed_and_told_with_their_metrics(ada: Program, store: Store) -> None:
    made = []
    for number in range(5):
        run = {"experiment": {"name": "other"}, "status": "COMPLETED", "start_time": NOW + timedelta(minutes=number)}
        run |= {
            "config": {"lr": float("nan"), "n": number},
            "info": {"metrics": [1], "a": 1},
            "host": {"ENV": {"KEY": "s"}},
        }
        made.append(str(store.runs.create(run)))
    store.runs.put_metric(int(made[0]), "loss", [1, 2, 3], [2.0, float("nan"), 1.0], [NOW] * 3)
    seen, path = [], "/runs?limit=2"
    while path:
        page = ada.get(path)
        seen += [run["id"] for run in page["items"]]
        path = page["next"] and f"/runs?limit=2&cursor={page['next']}"
    assert seen == made[::-1]
    assert [run["id"] for run in ada.get("/runs?where=config.n>2&sort=started")["items"]] == made[3:]
    long = "".join(chr(0x4E00 + 7919 * place % 20_000) for place in range(400))
    named = {"experiment": {"name": "x"}, "config": {"name": long}, "status": "COMPLETED", "start_time": NOW}
    store.runs.create(named)
    store.runs.create(named)
    following = ada.get("/runs?sort=-config.name&limit=1")["next"]
    assert ada.get(f"/runs?sort=-config.name&limit=1&cursor={following}")["items"][0]["experiment"] == "x"
    run = ada.get(f"/runs/{made[0]}")
    assert (run["config"], run["info"], run["started"]) == ({"lr": None, "n": 0}, {"a": 1}, "2026-01-01T12:00:00Z")
    assert "ENV" not in str(run)
    (metric,) = ada.get(f"/runs/{made[0]}/metrics")["items"]
    assert metric == {"name": "loss", "total": 3, "steps": [1.0, 2.0, 3.0], "values": [2.0, None, 1.0]}
    problems(ada.ask("GET", "/runs?where=((("), 400)
    problems(ada.ask("GET", "/runs/nobody"), 404)
    problems(ada.ask("GET", "/runs/nobody/metrics"), 404)


def test_models_and_machines_are_listed(ada: Program, store: Store) -> None:
    store.machines.beat("here", 1, 2, ["x"], datetime.now(UTC), [0.5, 2])
    assert ada.get("/machines")["items"] == [
        {"name": "here", "alive": True, "slots": 2, "sweeps": 1, "load": [0.5, 2.0], "seen": None}
    ]
    store.model_files.add("own.py", b"x", {"Own": {"axes": {}}}, "ada", NOW)
    (listed,) = ada.get("/models")["items"]
    assert (listed["name"], listed["classes"], listed["uploaded"]) == (
        "own.py",
        {"Own": {"axes": {}}},
        "2026-01-01T12:00:00Z",
    )


@pytest.mark.parametrize("what", ["datasets", "models", "machines"])
def test_what_is_listed_by_name_comes_in_pages_that_neither_repeat_nor_miss(
    ada: Program, store: Store, what: str
) -> None:
    def make(name: str) -> None:
        about = {"rows": 1, "features": ["a"], "columns": [], "preview": []}
        store.datasets.add(name, "table", BytesIO(name.encode()), about, "x.csv", "ada", NOW)
        for content in (b"1", b"2"):
            store.model_files.add(name, name.encode() + content, {}, "ada", NOW)
        store.machines.beat(name, 1, 2, [], NOW)

    for name in ("e", "c", "g", "a", "i"):
        make(name)
    built_in = [row["name"] for row in ada.get(f"/{what}")["items"] if row.get("built_in")]
    seen, path = [], f"/{what}?limit=2"
    while path:
        page = ada.get(path)
        seen += [row["name"] for row in page["items"]]
        assert len(page["items"]) == 2 or page["next"] is None
        path = page["next"] and f"/{what}?limit=2&cursor={page['next']}"
        if "c" in seen:
            make("b")
            make("d")
    assert [name for name in seen if name != "d"] == [*built_in, "a", "c", "e", "g", "i"]
    assert built_in == sorted(built_in)
    assert bool(built_in) == (what == "datasets")
    problems(ada.ask("GET", f"/{what}?limit=0"))
    problems(ada.ask("GET", f"/{what}?cursor=made-up"))
    other = ada.get("/models?limit=1" if what == "machines" else "/machines?limit=1")["next"]
    problems(ada.ask("GET", f"/{what}?cursor={other}"))


def test_a_model_that_is_not_kept_is_not_downloaded(ada: Program, sweep_id: str) -> None:
    problems(ada.ask("GET", f"/sweeps/{sweep_id}/trials/1/model"), 404)


def test_the_page_shows_every_operation_and_its_example(login: Callable[[str, str], FlaskClient]) -> None:
    browser = login("vera", "viewer")
    html = browser.get("/docs/api").get_data(as_text=True)
    for one in OPERATIONS:
        assert f'id="{one.name}"' in html
        assert f'data-copy="{one.name}-curl"' in html
    assert "curl -X POST http://localhost/api/v1/sweeps " in html
    client = browser.get("/docs/nhop_client.py")
    assert client.get_data(as_text=True).startswith('"""NHOP from notebooks')
    client.close()


def test_a_token_is_made_shown_once_and_revoked_on_its_page(
    login: Callable[[str, str], FlaskClient], app: Flask, store: Store
) -> None:
    browser = login("ada", "admin")
    form = {"csrf_token": token(browser, "/account/tokens"), "name": "<b>mine", "scope": "write", "days": "30"}
    answer = browser.post("/account/tokens", data={**form, "scope": "x"})
    assert answer.status_code == 400
    assert "Choose read or write." in answer.get_data(as_text=True)
    answer = browser.post("/account/tokens", data=form)
    assert answer.status_code == 201
    found = re.search(r"nhop_[\w-]{43}", answer.get_data(as_text=True))
    assert found
    assert "&lt;b&gt;mine" in answer.get_data(as_text=True)
    assert found[0] not in browser.get("/account/tokens").get_data(as_text=True)
    program = Program(app, found[0])
    program.get("/sweeps")
    (stored,) = store.tokens.of_account("ada")
    assert browser.post(f"/account/tokens/{stored['_id']}/revoke", data=form).status_code == 303
    assert program.ask("GET", "/sweeps").status_code == 401
