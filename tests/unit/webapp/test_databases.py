"""Several databases: adding connections, switching between them, and what becomes of one that is silent."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from engine.cluster.ports import free_ports
from engine.errors import NotFound, Problem, StoreError
from engine.notify.addresses import is_metadata
from engine.store import Store, connect
from tests.unit.webapp.conftest import token
from tests.waiting import wait_until
from webapp.extensions import HISTORIES
from webapp.realtime.keeping import HistoryKeeper
from webapp.realtime.runs import RunWatcher
from webapp.services import connections, sealing

NOW = datetime.now(UTC)
SECRET = "hunter2secret"


@pytest.fixture
def other(database_uri: str) -> Iterator[Store]:
    """Another database of the same server, as another Sacred experiment fills it."""
    opened = connect(database_uri, database=f"other_{uuid.uuid4().hex[:12]}")
    yield opened
    opened.close()


def put_runs(database: Any, count: int, prefix: str = "", name: str = "elsewhere") -> None:
    database[f"{prefix}runs"].insert_many(
        [
            {
                "_id": n,
                "status": "COMPLETED",
                "start_time": NOW - timedelta(minutes=n),
                "experiment": {"name": name},
                "config": {"lr": n / 10},
            }
            for n in range(1, count + 1)
        ]
    )


def add(ada: FlaskClient, **fields: Any) -> Any:
    given = {"name": "lab", "database": "", "prefix": "", "read_only": "1", **fields}
    return ada.post("/history/databases", data={**given, "csrf_token": token(ada, "/history/databases")})


def test_a_connection_is_tested_kept_and_shown_without_its_address(
    ada: FlaskClient, store: Store, other: Store, database_uri: str, tmp_path: Path
) -> None:
    put_runs(other.database, 3)
    uri = database_uri.replace("?", f"?appName={SECRET}&")
    answer = add(ada, uri=uri, database=other.database.name)
    assert answer.status_code == 303
    html = ada.get("/history/databases").get_data(as_text=True)
    assert "3 runs found" in html
    assert "127.0.0.1:" in html
    assert SECRET not in html
    kept = store.database["connections"].find_one({"_id": "lab"})
    assert kept is not None
    assert SECRET not in repr(kept)
    assert SECRET in sealing.unseal(tmp_path, kept["sealed"])
    assert (tmp_path / sealing.FILE).stat().st_mode & 0o077 == 0


def test_users_switch_between_databases(
    ada: FlaskClient, login: Callable[[str, str], FlaskClient], store: Store, other: Store, database_uri: str
) -> None:
    put_runs(store.database, 2, name="here")
    put_runs(other.database, 3, prefix="exp_")
    assert add(ada, uri=database_uri, database=other.database.name, prefix="exp_").status_code == 303
    viewer = login("vic", "viewer")
    own = viewer.get("/history").get_data(as_text=True)
    assert 'href="/history?database=lab"' in own
    assert "elsewhere" not in own
    html = viewer.get("/history?database=lab&where=config.lr+%3C+0.25&columns=experiment,config.lr").get_data(
        as_text=True
    )
    assert re.findall(r'class="row-link"\s+href="([^"]+)"', html) == [
        "/history/1?database=lab",
        "/history/2?database=lab",
    ]
    assert 'name="database" value="lab"' in html
    assert "database=lab" in html.split('rel="next"')[0]
    names = viewer.get("/history/fields.json?begin=config.l&database=lab").get_json()
    assert [found["name"] for found in names] == ["config.lr"]
    form = {"name": "theirs", "query": "where=state+%3D+completed&database=lab"}
    saved = viewer.post("/history/views", data={**form, "csrf_token": token(viewer, "/history")})
    assert "elsewhere" in viewer.get(saved.headers["Location"]).get_data(as_text=True)


def test_the_page_of_a_run_is_of_its_database(ada: FlaskClient, store: Store, other: Store, database_uri: str) -> None:
    put_runs(store.database, 1, name="here")
    put_runs(other.database, 1)
    file_id = other.runs.put_source("train.py", "x", b"lr = 1")
    change = {"captured_out": "theirs", "experiment.sources": [["train.py", file_id]], "info.sweep_id": "abc"}
    other.database["runs"].update_one({"_id": 1}, {"$set": change})
    other.runs.put_metric(1, "loss", [0, 1], [1.0, 0.5], [NOW, NOW])
    assert add(ada, uri=database_uri, database=other.database.name).status_code == 303
    html = ada.get("/history/1?database=lab").get_data(as_text=True)
    assert "elsewhere" in html
    assert 'href="/history?database=lab"' in html
    assert "/sweeps/abc" not in html
    assert "theirs" in ada.get("/history/run/output.txt?id=1&database=lab").get_data(as_text=True)
    assert ada.get("/history/run/output.txt?id=1").get_data() == b""
    source = re.search(r'href="(/history/run/content[^"]+)"', html)
    assert source
    assert ada.get(source[1].replace("&amp;", "&")).get_data() == b"lr = 1"
    lines = ada.get("/history/run/metrics.json?id=1&name=loss&database=lab").get_json()["lines"]
    assert lines[0]["y"] == [1.0, 0.5]
    form = {"id": "1", "tags": "theirs", "notes": "", "version": "0", "csrf_token": token(ada, "/history/1")}
    saved = ada.post("/history/run/notes?database=lab", data=form)
    assert "database=lab" in saved.headers["Location"]
    assert store.run_notes.get("lab", 1)["tags"] == ["theirs"]
    assert store.run_notes.get("", 1)["tags"] == []
    assert "1 runs" not in ada.get("/history?where=tag+%3D+theirs").get_data(as_text=True)
    assert "elsewhere" in ada.get("/history?where=tag+%3D+theirs&database=lab").get_data(as_text=True)
    assert ada.get("/history/1?database=nowhere").status_code == 404


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"uri": "postgres://x"}, "uri", "mongodb://"),
        ({"uri": f"mongodb://me:{SECRET}@169.254.169.254/"}, "uri", "no connection may lead to"),
        ({"uri": f"mongodb://me:{SECRET}@[fe80::1]/"}, "uri", "no connection may lead to"),
        ({"uri": f"mongodb://me:{SECRET}@no-such-host.invalid/"}, "uri", "is not known"),
        ({"uri": "mongodb://%2Ftmp%2Fx.sock/"}, "uri", "not a file"),
        ({"uri": "mongodb://u@127.0.0.1/?authMechanism=MONGODB-AWS"}, "uri", "a name and password"),
        ({"uri": "mongodb://127.0.0.1/", "database": "a b"}, "database", "name the database"),
        ({"uri": "mongodb://127.0.0.1/", "name": "a/b"}, "name", "1 to 40 letters"),
        ({"uri": "mongodb://127.0.0.1/", "prefix": "$x"}, "prefix", "letters, digits"),
    ],
)
def test_what_cannot_be_used_is_said_at_its_field(
    ada: FlaskClient, store: Store, fields: dict[str, Any], field: str, words: str
) -> None:
    answer = add(ada, **{"database": "sacred", **fields})
    html = answer.get_data(as_text=True)
    assert answer.status_code == 400
    problem = re.search(rf'id="{field}-problem" role="alert">([^<]+)<', html)
    assert problem
    assert words in problem[1].lower()
    assert SECRET not in html
    assert store.connections.all() == []


def test_what_was_found_instead_of_runs(ada: FlaskClient, other: Store, database_uri: str) -> None:
    other.database["other"].insert_one({})
    nothing = add(ada, uri=database_uri, database=other.database.name).get_data(as_text=True)
    assert "no collection runs, nor any with a prefix" in nothing
    put_runs(other.database, 1, prefix="exp_")
    prefixes = add(ada, uri=database_uri, database=other.database.name).get_data(as_text=True)
    assert "no collection runs; prefixes found: exp." in prefixes
    put_runs(other.database, 1)
    wrong = add(ada, uri=database_uri, database=other.database.name, prefix="wrong").get_data(as_text=True)
    assert "wrong_runs; there are runs without a prefix: leave it empty; prefixes found: exp." in wrong
    silent = add(ada, uri=f"mongodb://127.0.0.1:{free_ports(1)[0]}/", database="sacred").get_data(as_text=True)
    assert "cannot be reached" in silent
    assert add(ada, uri=database_uri, database=other.database.name).status_code == 303
    assert "<td>–</td>" in ada.get("/history/databases").get_data(as_text=True)


def test_only_an_administrator_manages_them(login: Callable[[str, str], FlaskClient]) -> None:
    editor = login("ed", "editor")
    assert editor.get("/history/databases").status_code == 403
    form = {"csrf_token": token(editor, "/history")}
    assert editor.post("/history/databases", data=form).status_code == 403
    assert editor.post("/history/databases/lab/remove", data=form).status_code == 403


def test_a_silent_one_harms_no_other_page(ada: FlaskClient, store: Store, app: Flask, tmp_path: Path) -> None:
    put_runs(store.database, 1, name="here")
    store.connections.create(
        {
            "_id": "gone",
            "host": "127.0.0.1",
            "database": "x",
            "prefix": "",
            "read_only": True,
            "sealed": sealing.seal(tmp_path, f"mongodb://127.0.0.1:{free_ports(1)[0]}/"),
            "by": "ada",
            "at": NOW,
        }
    )
    answer = ada.get("/history?database=gone")
    assert answer.status_code == 200
    assert "does not answer" in answer.get_data(as_text=True)
    assert "here" in ada.get("/history").get_data(as_text=True)
    (tmp_path / sealing.FILE).unlink()
    store.database["connections"].update_one({}, {"$set": {"sealed": sealing.seal(tmp_path / "..", "x")}})
    assert ada.get("/history?database=gone").status_code == 502
    ada.post("/history/databases/gone/remove", data={"csrf_token": token(ada, "/history/databases")})
    assert ada.get("/history?database=gone").status_code == 404


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    here, there = tmp_path / "a", tmp_path / "b"
    here.mkdir()
    there.mkdir()
    sealed = sealing.seal(here, "mongodb://u:p@h/")
    with pytest.raises(StoreError, match="another key"):
        sealing.unseal(there, sealed)


def test_addresses_that_no_connection_may_lead_to() -> None:
    refused = ("169.254.169.254", "fe80::1%eth0", "fd00:ec2::254", "::ffff:169.254.1.1", "::", "224.0.0.1", "x")
    allowed = ("127.0.0.1", "10.1.2.3", "8.8.8.8", "fd00::5")
    assert [address for address in (*refused, *allowed) if is_metadata(address)] == list(refused)


class Told:
    """What browsers are sent."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Any]] = []

    def emit(self, event: str, *data: Any, **to: Any) -> None:
        self.messages.append((event, data[0]))

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.05))


def test_a_resolver_that_is_silent_holds_up_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    over, asked = threading.Event(), []

    def silent(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        over.wait(30)
        return []

    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(connections.socket, "getaddrinfo", silent)
    problems: list[Problem] = []
    try:
        for _ in range(3):
            assert connections._hosts("mongodb://mongo.example:27017/x", problems) == ([], "")
        assert asked == ["mongo.example"], "all wait for the same answer"
    finally:
        over.set()
    assert all("not been found within 0.1 s" in problem.message for problem in problems)

    def answered() -> bool:
        return connections._hosts("mongodb://mongo.example:27017/x", []) == (["mongo.example:27017"], "x")

    wait_until(answered, 5, "the answer, though it came late")


def test_another_database_is_followed_while_somebody_looks(
    ada: FlaskClient, app: Flask, store: Store, other: Store, database_uri: str
) -> None:
    put_runs(other.database, 1)
    assert add(ada, uri=database_uri, database=other.database.name).status_code == 303
    histories, told = app.extensions[HISTORIES], Told()
    watcher = RunWatcher(app, histories, told)
    watcher._running = True
    asked = {"query": "database=lab&columns=name", "newest": 0, "version": -1, "shown": []}
    assert watcher.join(asked, "sid", lambda _: None) == {"ok": True}
    wait_until(lambda: any("/history/1?database=lab" in str(data) for _, data in told.messages), 30, "the run")
    other.database["runs"].insert_one({"_id": 2, "start_time": NOW, "config": {"name": "fresh"}})
    wait_until(lambda: any("fresh" in str(data) for _, data in told.messages), 30, "the new run")
    assert histories.get("lab").followed
    watcher.leave("sid")
    wait_until(lambda: not histories.get("lab").followed, 30, "the end of following")
    with pytest.raises(NotFound):
        watcher.join({**asked, "query": "database=none"}, "sid", lambda _: None)


def test_connections_that_nobody_uses_are_closed(
    ada: FlaskClient, app: Flask, other: Store, database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_runs(other.database, 1)
    assert add(ada, uri=database_uri, database=other.database.name).status_code == 303
    histories = app.extensions[HISTORIES]
    first = histories.get("lab")
    histories.close_unused()
    assert histories.get("lab") is first
    monkeypatch.setattr("webapp.services.histories.UNUSED_SECONDS", -1.0)
    histories.close_unused()
    with pytest.raises(StoreError):
        first.reader.count()
    assert histories.get("lab").reader.count() == 1


def test_what_is_due_is_done_and_no_error_ends_it(app: Flask, store: Store) -> None:
    put_runs(store.database, 2)
    histories = app.extensions[HISTORIES]
    gone = {"run": 1, "batch": "b", "name": "", "experiment": "", "owner": "", "by": "ada", "at": NOW, "due": NOW}
    store.deleted_runs.put([{"database": "", **gone}, {"database": "removed", **gone}])
    HistoryKeeper(store, histories, time.sleep).turn(datetime.now(UTC))
    assert [run["_id"] for run in store.database["runs"].find({})] == [2]
    wait_until(lambda: store.database["deleted_runs"].count_documents({}) == 0, 10, "the tombstones' end")
    store.close()
    HistoryKeeper(store, histories, time.sleep).turn(datetime.now(UTC))
