"""Thousands of requests that nobody thought of, made from the OpenAPI document and for the forms: whatever is sent is
answered, by whomever, and never with an error of the server's.

The application is the real one on the real embedded database; requests reach it without a socket in between.
"""

from __future__ import annotations

import io
import re
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import checks
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from engine import settings as settings_module
from engine.config import SweepConfig, parse
from engine.domain import SweepState, Trial, TrialState
from engine.store import Store, connect
from engine.store.trials import to_document
from tests.unit.webapp.conftest import PASSWORD, token
from webapp.api.operations import OPERATIONS, PREFIX
from webapp.auth import bearer
from webapp.factory import create_app
from webapp.services import accounts, tokens
from webapp.services.steering import LIVE
from webapp.sweeps.typed import typed_from

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
LEAST = 10_000
CASES, FORMS, TEXTS, FILES, WISHES = 120, 60, 60, 100, 120
"""Examples of each kind; each of them is several requests."""


def some(examples: int) -> Callable[[Any], Any]:
    """The same *examples* in every run, however slow the machine is; one that fails is told as it was found."""
    return settings(
        max_examples=examples,
        phases=[Phase.explicit, Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@dataclass
class World:
    """An application with sweeps that run, wait and have ended; an administrator and a viewer, as browsers and as
    programs; and how many requests it was sent."""

    app: Flask
    store: Store
    ada: FlaskClient
    vera: FlaskClient
    csrf: str = ""
    programs: dict[str, str] = field(default_factory=dict)
    sweeps: list[str] = field(default_factory=list)
    requests: int = 0

    def send(self, method: str, path: str, **rest: Any) -> TestResponse:
        """A request of the administrator's browser, which must be answered."""
        answer = self.ada.open(path, method=method, headers={"X-CSRFToken": self.csrf}, **rest)
        assert answer.status_code < 500, (method, path, rest, answer.get_data(as_text=True)[:2000])
        return answer

    def refused(self, path: str, make: Callable[[], Mapping[str, Any]]) -> None:
        """A POST of what *make* makes that neither a viewer nor a stranger may send."""
        assert self.vera.post(path, headers={"X-CSRFToken": self.csrf}, **make()).status_code in (400, 403), path
        assert self.app.test_client().post(path, **make()).status_code in (400, 403), path


@pytest.fixture(scope="module")
def world(database_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("requests")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NHOP_NO_DAEMON", "1")
        store = connect(database_uri, database=f"test_{uuid.uuid4().hex[:12]}")
        store.make_indexes()
        known = {"NHOP_DATABASE": store.database.name, "NHOP_DATA_DIR": str(folder)}
        app = create_app(settings_module.load(known, folder / "none"), store, relay=False)
        patch.setattr(bearer.throttle, "tries", lambda *_: True)  # or most requests would be too many
        made = World(app, store, app.test_client(), app.test_client())
        inner = app.wsgi_app

        def counted(environ: Any, start: Any) -> Any:
            made.requests += 1
            return inner(environ, start)

        app.wsgi_app = counted  # type: ignore[method-assign]
        for name, role, browser in (("ada", "admin", made.ada), ("vera", "viewer", made.vera)):
            account = accounts.create(store, name, PASSWORD, role, NOW)
            form = {"name": name, "password": PASSWORD, "csrf_token": token(browser, "/login")}
            assert browser.post("/login", data=form).status_code == 303
            scope = "write" if account.may_edit else "read"
            made.programs[name] = tokens.create(store, account, "a program", scope, "", datetime.now(UTC))
        made.csrf = token(made.ada, "/sweeps/new")
        _fill(made)
        yield made
        store.close()


def _fill(world: World) -> None:
    store, now = world.store, datetime.now(UTC)
    config = parse({"seed": 1}).model_dump(mode="json")
    for _ in range(3):
        world.sweeps.append(store.sweeps.create("a", "ada", config, 1, 9, 7100, now))
        if len(world.sweeps) < 3:
            store.sweeps.claim("here", timedelta(days=1), now)
    running, ended, _ = world.sweeps
    store.sweeps.finish(ended, 1, SweepState.COMPLETED, {"finished": now})
    store.sweeps.update(running, 1, {"processes": {"worker_0": {"role": "worker", "index": 0}}})
    states = (TrialState.COMPLETED, TrialState.FAILED, TrialState.RUNNING, TrialState.COMPLETED)
    for number, (state, loss) in enumerate(zip(states, (1.0, None, 2.0, float("nan")), strict=True), start=1):
        params = {"batch_size": 100 * number, "learning_rate": 0.01, "activation": "relu", "layers": 4}
        trial = Trial(running, number, 0, params, 20, 1, state, loss=loss, val_loss=loss, curve=[[1.0, 2.0, loss]])
        store.trials.put(to_document(trial, 1))


PARTS: Mapping[str, st.SearchStrategy[Any]] = {
    "number": st.integers(0, 5),
    "name": st.sampled_from(["worker_0", "table", "synthetic"]),
}
"""Parts of addresses that may lead somewhere."""


@pytest.mark.parametrize("name", [one.name for one in OPERATIONS])
def test_an_operation_answers_whatever_is_sent(world: World, name: str) -> None:
    admin, reader = ({"Authorization": f"Bearer {world.programs[who]}"} for who in ("ada", "vera"))
    schema = schemathesis.openapi.from_wsgi(f"{PREFIX}/openapi.json", world.app, headers=admin)
    operation = schema.find_operation_by_id(name)
    modes = schemathesis.GenerationMode
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in (modes.POSITIVE, modes.NEGATIVE)])
    parts = st.fixed_dictionaries({}, optional={**PARTS, "sweep_id": st.sampled_from(world.sweeps)})
    others = {401: {}, **({403: reader} if operation.method != "get" or name == "list_models" else {})}

    @some(CASES)
    @given(case=cases, known=parts)
    def answers(case: schemathesis.Case, known: dict[str, Any]) -> None:
        case.path_parameters.update({part: known.get(part, given) for part, given in case.path_parameters.items()})
        case.validate_response(case.call(headers=admin), checks=CHECKS)
        sent = case.as_transport_kwargs()
        for status, headers in others.items():
            answer = world.app.test_client().open(**{**sent, "headers": {**sent["headers"], **headers}})
            assert answer.status_code in (status, 404, 405), (sent, answer.get_data(as_text=True))

    answers()


ODD = [
    "",
    "0",
    "-1",
    "1",
    "2",
    "1e400",
    "NaN",
    "inf",
    "9" * 400,
    "٣",
    "0x10",
    "1_000",
    "null",
    "[]",
    "{}",
    "on",
    "\x00",
]
ODD += ["\ud800", "<script>", "a\r\nb", "$gt", "a.b", "../../etc/passwd", "localhost:2222", "TPE", "asha", "sync"]
WORD = st.one_of(st.sampled_from(ODD), st.text(max_size=20), st.integers().map(str), st.floats().map(str))
DEFAULTS = typed_from(SweepConfig().whole())
SLOW = {"load_data", "load_data_dir", "model_class"}
"""Fields that read the machine's folders or start a process."""
FIELDS = sorted({key for key in DEFAULTS if key.partition("-")[0] not in SLOW})


def storable(text: str) -> str:
    """What a browser can send: half of a pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


@some(FORMS)
@given(
    typed=st.dictionaries(st.one_of(st.sampled_from(FIELDS), st.text(max_size=12)), WORD, max_size=6),
    preset=st.sampled_from(["", "quick", "nothing"]),
)
def check_forms(world: World, typed: dict[str, str], preset: str) -> None:
    sent = MultiDict(DEFAULTS)
    for key, text in typed.items():
        sent[storable(key)] = storable(text)
    for path in ("/sweeps/new/check", "/sweeps/new/yaml", "/sweeps/new", "/sweeps/new/axes"):
        assert world.send("POST", path, data=sent).status_code in (200, 303, 400, 413)
    assert world.send("POST", "/sweeps/new/form", data={**sent.to_dict(), "preset": preset}).status_code == 200
    for path in ("/sweeps/new/check", "/sweeps/new", "/sweeps/new/form"):
        world.refused(path, lambda: {"data": sent})


def test_the_form_of_a_sweep_answers_whatever_is_typed(world: World) -> None:
    check_forms(world)


YAML = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(sorted(SweepConfig.model_fields)), WORD).map(": ".join),
        st.sampled_from(["a: &a [*a]", "<<: {a: b}", "? [a]", "!!python/object/apply:os.system [ls]", "a: !!set {b}"]),
        st.text(max_size=30),
    ),
    max_size=6,
).map("\n".join)


@some(TEXTS)
@given(text=YAML.filter(lambda text: not any(key in text for key in SLOW)))
def check_texts(world: World, text: str) -> None:
    text = storable(text)
    for path in ("/sweeps/new/check", "/sweeps/new/yaml", "/sweeps/new/form", "/sweeps/new"):
        assert world.send("POST", path, data={"yaml": text}).status_code in (200, 303, 400)
    assert world.send("GET", "/sweeps/new", query_string={"config": text}).status_code in (200, 400)


def test_the_yaml_of_a_sweep_answers_whatever_is_typed(world: World) -> None:
    check_texts(world)


CELL = st.one_of(
    st.integers(-9, 9).map(str), st.floats().map(str), st.sampled_from(['"', ",", ";", "\t", "a,b", "NaN"])
)


def csv_of(rows: list[list[str]]) -> bytes:
    return "\n".join(",".join(row) for row in [["a", "b", "y"], *rows]).encode()


def zip_of(files: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in {name.partition("\0")[0] or "x": content for name, content in files.items()}.items():
            archive.writestr(name, content)
    return written.getvalue()


NAME = st.one_of(
    st.sampled_from(["a/x.txt", "b/y.txt", "../x", "/etc/passwd", "a\\..\\x", "a/", "x"]), st.text(max_size=9)
)
CONTENT = st.one_of(
    st.binary(max_size=300),
    st.lists(st.lists(CELL, min_size=2, max_size=4), min_size=18, max_size=30).map(csv_of),
    st.dictionaries(NAME.map(storable), st.binary(max_size=40), max_size=8).map(zip_of),
    st.tuples(st.dictionaries(NAME.map(storable), st.binary(max_size=40)).map(zip_of), st.integers(0, 99)).map(
        lambda cut: cut[0][: len(cut[0]) * cut[1] // 100]
    ),
)


@some(FILES)
@given(content=CONTENT, name=WORD, filename=WORD)
def check_uploads(world: World, content: bytes, name: str, filename: str) -> None:
    name, filename = storable(name), re.sub(r"[\r\n]", "", storable(filename))

    def form() -> dict[str, Any]:
        return {"name": name, "file": (io.BytesIO(content), filename)}

    assert world.send("POST", "/datasets", data=form()).status_code in (303, 400)
    world.refused("/datasets", lambda: {"data": form()})
    if name and "/" not in name:
        address = f"/datasets/{quote(name, safe='')}"
        assert world.send("GET", address, query_string={"version": filename}).status_code in (200, 308, 404)
    sent = {"version": "x", "target": name, "features": [filename, "a"]}
    assert world.send("POST", "/datasets/table", data=sent).status_code in (303, 400, 404)


def test_the_upload_form_answers_whatever_is_sent(world: World) -> None:
    check_uploads(world)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.sampled_from(ODD)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
AXES = sorted(parse({}).space().axes)
POINTS = st.lists(st.dictionaries(st.one_of(st.sampled_from(AXES), st.text(max_size=6)), JSON, max_size=8), max_size=3)
ASKED = ("sort", "down", "state", "stage", "kind", "low", "high", "text", "numbers", "axis", "x", "y", "before")


@some(WISHES)
@given(
    values=st.dictionaries(st.one_of(st.sampled_from(LIVE), st.text(max_size=6)), JSON, max_size=3),
    version=JSON,
    points=st.one_of(POINTS, JSON),
    numbers=st.one_of(st.lists(st.integers(-1, 2**70), max_size=4), JSON),
    query=st.fixed_dictionaries({}, optional=dict.fromkeys(ASKED, WORD)),
    kind=st.sampled_from(["importance", "parallel", "slice", "contour", "history", "edf", "timeline", "x"]),
    place=st.integers(0, 3),
)
def check_wishes(world: World, place: int, kind: str, query: dict[str, str], **sent: Any) -> None:
    sweep = f"/sweeps/{[*world.sweeps, 'none'][place]}"
    bodies = {
        "config": {"values": sent["values"], "version": sent["version"] if place else None},
        "points": {"points": sent["points"]},
        "retry": {"numbers": sent["numbers"]},
        "priority": {"priority": sent["version"]},
    }
    for path, body in bodies.items():
        assert world.send("POST", f"{sweep}/{path}", json=body).status_code in (200, 204, 400, 404, 409)
        assert world.send("POST", f"{PREFIX}{sweep}/{path}", json=body).status_code in (200, 202, 400, 404, 409, 422)
    asked = {key: storable(text) for key, text in query.items()}
    for path in (f"{sweep}/trials/order.json", f"{sweep}/trials", f"{sweep}/analysis/{kind}.json", "/history"):
        assert world.send("GET", path, query_string=asked).status_code in (200, 400, 404)
    world.refused(f"{sweep}/config", lambda: {"json": bodies["config"]})
    world.refused(f"{sweep}/points", lambda: {"json": bodies["points"]})


def test_steering_answers_whatever_is_wished(world: World) -> None:
    check_wishes(world)


def test_ten_thousand_requests_were_sent(request: pytest.FixtureRequest, world: World) -> None:
    of_here = [item for item in request.session.items if item.path == request.path]
    assert len(of_here) < len(OPERATIONS) + 5 or world.requests >= LEAST, f"{world.requests:,} requests"
