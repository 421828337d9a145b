"""Work on many runs: tags, notes, the archive, deleting with an undo, removing for good, and the list as a file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from gridfs import GridFS

from engine.store import Store
from tests.unit.webapp.conftest import token
from tests.waiting import wait_until
from webapp.extensions import HISTORIES
from webapp.services import run_work

NOW = datetime.now(UTC)


def put(store: Store, run_id: Any, **fields: Any) -> None:
    store.database["runs"].insert_one(
        {"_id": run_id, "status": "COMPLETED", "start_time": NOW, "experiment": {"name": "e"}, **fields}
    )


def work(client: FlaskClient, what: str, **fields: Any) -> Any:
    return client.post(f"/history/{what}", data={**fields, "csrf_token": token(client, "/history")})


def listed(client: FlaskClient, where: str = "", **more: str) -> list[Any]:
    found = client.get("/history/export.json", query_string={"where": where, "sort": "id", "columns": "id", **more})
    return [run["id"] for run in found.get_json()]


@pytest.fixture
def three(store: Store) -> None:
    for run_id in (1, 2, "three"):
        put(store, run_id, config={"lr": 0.1})


@pytest.mark.usefixtures("three")
def test_tags_and_notes_of_many(ada: FlaskClient, store: Store) -> None:
    assert store.run_notes.put("", 1, ["old", "keep"], "First.", 0, "ada", NOW)
    answer = work(ada, "mark", id=["1", "three"], tags="good, new", without="old", note="Seen.")
    assert answer.status_code == 303
    assert store.run_notes.get("", 1)["tags"] == ["keep", "good", "new"]
    assert store.run_notes.get("", 1)["notes"] == "First.\n\nSeen."
    assert store.run_notes.get("", "three")["notes"] == "Seen."
    assert store.run_notes.get("", 2)["tags"] == []
    assert listed(ada, "tag = good") == [1, "three"]
    assert work(ada, "mark", id=["1"]).status_code == 400
    assert work(ada, "mark", tags="x").status_code == 400


@pytest.mark.usefixtures("three")
def test_all_that_the_filter_finds(ada: FlaskClient, store: Store) -> None:
    for run_id in range(10, 80):
        put(store, run_id, config={"lr": 0.5})
    assert work(ada, "mark", all="1", query="where=config.lr+%3D+0.5&size=25", tags="half").status_code == 303
    assert listed(ada, "tag = half") == list(range(10, 80))
    assert work(ada, "mark", all="1", query="where=config.lr+%3D+7", tags="x").status_code == 400
    assert work(ada, "mark", all="1", query="where=(", tags="x").status_code == 400


@pytest.mark.usefixtures("three")
def test_archived_runs_are_shown_when_asked_for(ada: FlaskClient) -> None:
    assert work(ada, "archive", id=["2"]).status_code == 303
    assert listed(ada) == [1, "three"]
    assert listed(ada, "archived exists") == [2]
    assert listed(ada, "archived exists or archived missing") == [1, 2, "three"]
    assert work(ada, "archive", id=["2"], back="1").status_code == 303
    assert listed(ada) == [1, 2, "three"]


@pytest.mark.usefixtures("three")
def test_the_archive_has_an_undo(ada: FlaskClient) -> None:
    def notice() -> str:
        html = ada.get("/history").get_data(as_text=True)
        found = re.search(r'class="notice undo".+?</form>', html, re.DOTALL)
        batches.append(html.partition('name="batch" value="')[2].partition('"')[0])
        return " ".join(re.sub(r"<[^>]+>", " ", found[0].partition(">")[2]).split()) if found else ""

    batches: list[str] = []
    work(ada, "archive", id=["2"])
    assert notice() == "1 run archived; lists leave it out. Undo"
    assert not notice()
    work(ada, "archive", id=["1", "2", "three"], query="sort=id")
    assert notice() == "3 runs archived; lists leave them out. Undo"
    answer = work(ada, "archive", batch=batches[-1], query="sort=id")
    assert answer.headers["Location"] == "/history?sort=id"
    assert "2 runs back from the archive" in ada.get("/history").get_data(as_text=True)
    assert listed(ada) == [1, "three"], "what was archived before stays so"
    assert work(ada, "archive", batch=batches[-1]).status_code == 409
    assert work(ada, "archive", batch=batches[0]).status_code == 303
    assert listed(ada) == [1, 2, "three"]


@pytest.mark.usefixtures("three")
def test_the_audit_log_names_runs_databases_views_and_tokens(ada: FlaskClient, store: Store, database_uri: str) -> None:
    name = f"{store.database.name}_other"
    store.database.client[name]["runs"].insert_one({"_id": 5, "status": "COMPLETED", "start_time": NOW})
    work(ada, "databases", name="the  lab", uri=database_uri, database=name, prefix="", read_only="1")
    work(ada, "mark?database=the+lab", id=["5"], tags="seen")
    work(ada, "import?database=the+lab", id=["5"])
    work(ada, "import?database=the+lab", every="1")
    work(ada, "databases/the lab/remove")
    work(ada, "archive", id=["1", "2"])
    work(ada, "archive", id=["2"], back="1")
    work(ada, "delete", id=["1", "three"])
    html = ada.get("/history").get_data(as_text=True)
    work(ada, "restore", batch=html.partition('name="batch" value="')[2].partition('"')[0])
    work(ada, "views", name="my  view", query="")
    view = ada.get("/history").get_data(as_text=True).partition("/history/views/")[2].partition("/")[0]
    work(ada, f"views/{view}/delete")
    page = ada.post(
        "/account/tokens",
        data={"name": "notebook", "scope": "read", "days": "", "csrf_token": token(ada, "/account/tokens")},
    ).get_data(as_text=True)
    revoked = re.search(r"/account/tokens/(\w+)/revoke", page)
    assert revoked
    ada.post(revoked[0], data={"csrf_token": token(ada, "/account/tokens")})
    assert [(entry["what"], entry["detail"]) for entry in reversed(store.audit.page(100))][1:] == [
        ("added a database", "the lab: 1 run found"),
        ("tagged or noted runs", "1 run of the lab: 5"),
        ("imported runs of another database", "1 run of the lab: 5"),
        ("imported runs of another database", "all runs of the lab"),
        ("removed a database", "the lab"),
        ("changed the archive", "archived 2 runs: 1, 2"),
        ("changed the archive", "took out 1 run: 2"),
        ("deleted runs", "2 runs: 1, three"),
        ("had deleted runs back", "2 runs"),
        ("saved a view of the history", "my view"),
        ("deleted a view of the history", "my view"),
        ("made a token", "notebook, read only"),
        ("revoked a token", "notebook"),
    ]


@pytest.mark.usefixtures("three")
def test_deleted_runs_vanish_and_come_back(ada: FlaskClient, store: Store) -> None:
    answer = work(ada, "delete", id=["1", "three"], query="sort=id")
    assert answer.headers["Location"] == "/history?sort=id"
    assert listed(ada) == [2]
    assert listed(ada, "archived exists or archived missing") == [2]
    html = ada.get("/history").get_data(as_text=True)
    assert "2 runs deleted" in html
    batch = html.partition('name="batch" value="')[2].partition('"')[0]
    assert "2 runs deleted" not in ada.get("/history").get_data(as_text=True)
    assert "three" in ada.get("/history/deleted").get_data(as_text=True)
    assert "Have it back" in ada.get("/history/three").get_data(as_text=True)
    assert "Have it back" not in ada.get("/history/2").get_data(as_text=True)
    assert work(ada, "restore", id=["three"]).status_code == 303
    assert listed(ada) == [2, "three"]
    assert work(ada, "restore", batch=batch).status_code == 303
    assert listed(ada) == [1, 2, "three"]
    assert work(ada, "restore", batch=batch).status_code == 409
    assert store.database["deleted_runs"].count_documents({}) == 0


def test_what_runs_is_not_deleted(ada: FlaskClient, store: Store) -> None:
    put(store, 1, status="RUNNING", heartbeat=datetime.now(UTC))
    put(store, 2, status="RUNNING", heartbeat=NOW - timedelta(days=1))
    store.database["sweeps"].insert_one({"_id": "s", "state": "RUNNING", "owner": "ada", "created": NOW})
    put(store, 3, info={"sweep_id": "s"})
    assert work(ada, "delete", id=["1", "3"]).status_code == 409
    assert work(ada, "delete", id=["1", "2", "3"]).status_code == 303
    assert listed(ada) == [1, 3]
    store.database["sweeps"].update_one({"_id": "s"}, {"$set": {"state": "COMPLETED"}})
    assert work(ada, "delete", id=["3"]).status_code == 303
    assert listed(ada) == [1]


def test_runs_belong_to_who_started_their_sweep(
    ada: FlaskClient, login: Callable[[str, str], FlaskClient], store: Store
) -> None:
    store.database["sweeps"].insert_one({"_id": "s", "state": "COMPLETED", "owner": "ed", "created": NOW})
    put(store, 1, info={"sweep_id": "s"})
    put(store, 2)
    viewer, editor, other = login("vic", "viewer"), login("ed", "editor"), login("eve", "editor")
    form = {"id": ["1"], "csrf_token": token(viewer, "/history")}
    assert viewer.post("/history/delete", data=form).status_code == 403
    assert viewer.post("/history/mark", data={**form, "tags": "x"}).status_code == 403
    assert work(other, "delete", id=["1", "2"]).status_code == 403
    assert work(editor, "delete", id=["1", "2"]).status_code == 303
    assert listed(ada) == [2]
    assert work(other, "restore", id=["1"]).status_code == 403
    assert work(editor, "restore", id=["1"]).status_code == 303
    assert listed(ada) == [1, 2]


def test_after_seven_days_what_only_they_own_is_removed(ada: FlaskClient, store: Store, app: Flask) -> None:
    files = GridFS(store.database)
    own, shared, resource, by_name = (files.put(b"x" * 300_000, filename=name, md5=name) for name in "abcd")
    put(store, 1, artifacts=[{"name": "a", "file_id": own}], resources=[["c", "c"], ["d", "d"]])
    store.database["runs"].update_one(
        {"_id": 1}, {"$set": {"experiment.sources": [["b.py", shared], ["c.py", by_name]]}}
    )
    put(store, 2, resources=[["d", "d"]])
    store.database["exp_runs"].insert_one({"_id": 1, "experiment": {"sources": [["b.py", shared]]}})
    for run_id in (1, 2):
        store.runs.put_metric(run_id, "loss", [0], [1.0], [NOW])
    histories = app.extensions[HISTORIES]
    assert work(ada, "delete", id=["1"]).status_code == 303
    assert run_work.remove_due(store, histories, NOW + timedelta(days=6, hours=23)) == 0
    assert run_work.remove_due(store, histories, datetime.now(UTC) + run_work.KEPT) == 1
    assert [run["_id"] for run in store.database["runs"].find()] == [2]
    assert [metric["run_id"] for metric in store.database["metrics"].find()] == [2]
    assert {file["_id"] for file in store.database["fs.files"].find()} == {shared, by_name}
    assert {chunk["files_id"] for chunk in store.database["fs.chunks"].find()} == {shared, by_name}
    assert own not in {shared, resource}
    assert run_work.remove_due(store, histories, datetime.now(UTC) + run_work.KEPT) == 0
    assert work(ada, "restore", id=["1"]).status_code == 409


def test_a_new_run_that_has_the_number_of_a_deleted_one_is_there_and_stays(
    ada: FlaskClient, store: Store, app: Flask
) -> None:
    """Numbers are given again: another tool may have removed the deleted run, or this one, before it died."""
    put(store, 1)
    put(store, 2)
    assert work(ada, "delete", id=["2"]).status_code == 303
    assert listed(ada) == [1]
    store.database["runs"].delete_one({"_id": 2})
    put(store, 2, start_time=NOW + timedelta(minutes=1))
    wait_until(lambda: listed(ada) == [1, 2], 10, "the new run")
    assert "it is removed on" not in ada.get("/history/2").get_data(as_text=True)
    assert work(ada, "delete", id=["2"]).status_code == 303
    assert listed(ada) == [1]
    assert work(ada, "restore", id=["2"]).status_code == 303
    store.deleted_runs.put([{"database": "", "run": 2, "started": 0.5, "due": NOW, "batch": "x", "at": NOW}])
    assert run_work.remove_due(store, app.extensions[HISTORIES], datetime.now(UTC) + run_work.KEPT) == 0
    assert [run["_id"] for run in store.database["runs"].find()] == [1, 2]
    assert store.database["deleted_runs"].count_documents({}) == 0


def test_a_read_only_database_is_only_marked(ada: FlaskClient, store: Store, database_uri: str) -> None:
    name = f"{store.database.name}_other"
    other = store.database.client[name]
    other["runs"].insert_one({"_id": 5, "status": "COMPLETED", "start_time": NOW})
    form = {"name": "lab", "uri": database_uri, "database": name, "prefix": "", "read_only": "1"}
    ada.post("/history/databases", data={**form, "csrf_token": token(ada, "/history/databases")})
    assert "data-delete" not in ada.get("/history?database=lab").get_data(as_text=True)
    assert work(ada, "delete?database=lab", id=["5"]).status_code == 403
    assert work(ada, "mark?database=lab", id=["5"], tags="seen").status_code == 303
    assert work(ada, "archive?database=lab", id=["5"]).status_code == 303
    assert listed(ada, database="lab") == []
    assert listed(ada, "archived exists and tag = seen", database="lab") == [5]
    assert other.list_collection_names() == ["runs"]


def test_nothing_is_removed_from_another_database_of_the_same_name(
    ada: FlaskClient, store: Store, database_uri: str, app: Flask
) -> None:
    name = f"{store.database.name}_other"
    other = store.database.client[name]
    other["runs"].insert_one({"_id": 5, "status": "COMPLETED", "start_time": NOW})
    form = {"name": "lab", "uri": database_uri, "database": name, "prefix": ""}
    for _ in range(2):
        ada.post("/history/databases", data={**form, "csrf_token": token(ada, "/history/databases")})
        assert listed(ada, database="lab") == [5]
        assert work(ada, "delete?database=lab", id=["5"]).status_code == 303
        assert listed(ada, database="lab") == []
        ada.post("/history/databases/lab/remove", data={"csrf_token": token(ada, "/history/databases")})
        assert run_work.remove_due(store, app.extensions[HISTORIES], datetime.now(UTC) + run_work.KEPT) == 0
    assert other["runs"].count_documents({}) == 1


def test_what_was_deleted_while_a_connection_was_removed_is_not_deleted_of_the_next_of_its_name(
    ada: FlaskClient, store: Store, database_uri: str
) -> None:
    name = f"{store.database.name}_other"
    store.database.client[name]["runs"].insert_one({"_id": 5, "status": "COMPLETED", "start_time": NOW})
    store.deleted_runs.put([{"database": "lab", "run": 5, "batch": "x", "due": NOW, "at": NOW}])
    assert ada.post(
        "/history/databases/lab/remove", data={"csrf_token": token(ada, "/history/databases")}
    ).status_code in (303, 404)
    assert store.database["deleted_runs"].count_documents({}) == 0
    store.deleted_runs.put([{"database": "lab", "run": 5, "batch": "x", "due": NOW, "at": NOW}])
    form = {"name": "lab", "uri": database_uri, "database": name, "prefix": ""}
    ada.post("/history/databases", data={**form, "csrf_token": token(ada, "/history/databases")})
    assert listed(ada, database="lab") == [5]


def test_the_list_as_a_file(ada: FlaskClient, store: Store) -> None:
    put(store, 1, config={"f": "=cmd()", "n": -0.123456789, "big": 10**17}, result=float("inf"))
    put(store, 2, config={"f": 'a,"b"\nc'}, omniboard={"tags": ["x", "y"]})
    columns = "config.f,config.n,config.big,result,tag,started,state"
    given = {"columns": columns, "sort": "id"}
    answer = ada.get("/history/export.csv", query_string=given)
    assert answer.headers["Content-Disposition"] == "attachment; filename=runs.csv"
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True), newline="")))
    assert list(rows[0]) == ["id", *columns.split(",")]
    assert rows[0]["config.f"] == "'=cmd()"
    assert rows[0]["config.n"] == "-0.123456789"
    assert rows[0]["config.big"] == str(10**17)
    assert rows[1]["config.f"] == 'a,"b"\nc'
    assert rows[1]["tag"] == "x, y"
    assert datetime.fromisoformat(rows[0]["started"]).tzinfo is not None
    found = ada.get("/history/export.json", query_string=given).get_json()
    assert [run["id"] for run in found] == [1, 2]
    assert found[0]["config.f"] == "=cmd()"
    assert found[0]["result"] == "inf"
    assert found[1]["tag"] == ["x", "y"]
    assert found[1]["state"] == "completed"
    assert "config.n" not in found[1]
    for wrong in ("(", "started > yesterday", 'name ~ "("'):
        assert ada.get("/history/export.csv", query_string={"where": wrong}).status_code == 400, wrong
