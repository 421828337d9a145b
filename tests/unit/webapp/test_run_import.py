"""Importing runs from another database and from a FileStorageObserver's folder."""

from __future__ import annotations

import io
import json
import re
import uuid
import warnings
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient
from gridfs import GridFS

from engine.settings import Settings
from engine.store import Store, connect
from engine.store.run_copies import RunCopies
from tests.unit.webapp.conftest import token
from webapp.extensions import HISTORIES
from webapp.services import run_import

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Sacred's use of pkg_resources
    from sacred import Experiment
    from sacred.observers import FileStorageObserver

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def other(database_uri: str, ada: FlaskClient) -> Iterator[Store]:
    """Another database, which is the connection `lab`."""
    opened = connect(database_uri, database=f"other_{uuid.uuid4().hex[:12]}")
    fill(opened)
    form = {"name": "lab", "uri": database_uri, "database": opened.database.name, "prefix": "", "read_only": "1"}
    answer = ada.post("/history/databases", data={**form, "csrf_token": token(ada, "/history/databases")})
    assert answer.status_code == 303
    yield opened
    opened.close()


def fill(other: Store) -> None:
    files = GridFS(other.database)
    shared = files.put(b"import this", filename="train.py", md5="m1")
    for run_id in (1, 2, "old", ObjectId()):
        metric = ObjectId()
        artifact = files.put(f"of {run_id}".encode() * 50_000, filename="a.txt", md5=str(run_id))
        other.database["runs"].insert_one(
            {
                "_id": run_id,
                "status": "COMPLETED",
                "start_time": NOW,
                "experiment": {"name": "theirs", "sources": [["train.py", shared]]},
                "config": {"lr": 0.5, "which": str(run_id)},
                "info": {"metrics": [{"name": "loss", "id": str(metric)}]},
                "artifacts": [{"name": "a.txt", "file_id": artifact}, {"name": "lost", "file_id": ObjectId()}],
                "captured_out": "hello",
            }
        )
        other.database["metrics"].insert_one(
            {
                "_id": metric,
                "run_id": run_id,
                "name": "loss",
                "steps": [0, 1],
                "values": [1.0, 0.5],
                "timestamps": [NOW],
            }
        )


@pytest.fixture
def work(store: Store, settings: Settings, app: Flask) -> Callable[..., bool]:
    def once(holder: str = "me", at: datetime | None = None) -> bool:
        return run_import.work(store, settings, app.extensions[HISTORIES], holder, at or datetime.now(UTC))

    return once


def ask(client: FlaskClient, path: str = "/history/import?database=lab", **fields: Any) -> Any:
    return client.post(path, data={**fields, "csrf_token": token(client, "/history/import")})


def test_runs_of_another_database_with_all_that_belongs_to_them(
    ada: FlaskClient, store: Store, other: Store, work: Callable[..., bool]
) -> None:
    store.database["runs"].insert_one({"_id": 2, "config": {"which": "ours"}})
    assert ask(ada, every="1").status_code == 303
    assert "Going on" in ada.get("/history/import").get_data(as_text=True)
    assert work()
    found = {run["config"]["which"]: run for run in store.database["runs"].find({})}
    assert {name: found[name]["_id"] for name in ("1", "ours")} == {"1": 1, "ours": 2}
    assert sorted(run["_id"] for run in found.values()) == [1, 2, 3, 4, 5]
    assert found["2"]["info"]["imported"]["source"] == "lab"
    assert found["2"]["info"]["imported"]["run"] == "2"
    for name in ("1", "2", "old"):
        run_id = found[name]["_id"]
        metric = store.database["metrics"].find_one({"run_id": run_id})
        assert metric is not None
        assert metric["values"] == [1.0, 0.5]
        assert found[name]["info"]["metrics"] == [{"name": "loss", "id": str(metric["_id"])}]
        stored = ada.get(f"/history/run/content?id={run_id}&kind=artifact&at=0").get_data()
        assert stored == f"of {name}".encode() * 50_000
        assert ada.get(f"/history/run/content?id={run_id}&kind=artifact&at=1").status_code == 404
        assert ada.get(f"/history/run/content?id={run_id}&kind=source&at=0").get_data() == b"import this"
    assert store.database["fs.files"].count_documents({"filename": "train.py"}) == 1
    assert "4 of 4 copied" in ada.get("/history/import").get_data(as_text=True)
    assert other.database["runs"].count_documents({}) == 4


@pytest.mark.usefixtures("other")
def test_an_import_leads_to_its_runs(ada: FlaskClient, store: Store, work: Callable[..., bool]) -> None:
    def shown(at: int = 0) -> list[str]:
        page = ada.get("/history/import").get_data(as_text=True)
        link = re.findall(r'href="([^"]+)">Show them<', page)[at]
        listed = ada.get(link.replace("&amp;", "&")).get_data(as_text=True)
        return sorted(re.findall(r'class="row-link"\s+href="/history/(\d+)"', listed))

    store.database["runs"].insert_one({"_id": 9})
    for minute, chosen in enumerate((["1"], ["2"], ["1", "2"])):
        assert ask(ada, id=chosen).status_code == 303
        assert ada.get("/history/import").get_data(as_text=True).count(">Show them<") == minute
        store.database["imports"].update_one({"state": "RUNNING"}, {"$set": {"at": NOW + timedelta(minutes=minute)}})
        assert work()
    assert shown(2) == ["1"]
    assert shown(1) == ["2"]
    assert shown(0) == ["1", "2"], "all were here before"
    send(ada, zipped({"7/run.json": b'{"status": "COMPLETED"}'}), "a, b and c.zip")
    assert store.audit.page(1)[0]["detail"] == "1 run of a, b and c.zip"
    assert work()
    store.database["imports"].update_one(
        {"kind": "folder"}, {"$set": {"at": NOW + timedelta(days=1), "taken": 0, "known": 1}}
    )
    assert shown() == ["7"]


def test_importing_twice_makes_no_doubles(
    ada: FlaskClient, store: Store, other: Store, work: Callable[..., bool]
) -> None:
    other.database["runs"].update_one({"_id": 2}, {"$set": {"status": "RUNNING"}})
    for _ in range(2):
        assert ask(ada, every="1").status_code == 303
        assert work()
        assert not work()
    assert store.database["runs"].count_documents({}) == 4
    assert store.database["metrics"].count_documents({}) == 4
    assert store.database["fs.files"].count_documents({}) == 5
    newest = store.imports.all()[0]
    assert (newest["taken"], newest["known"], newest["total"]) == (1, 3, 4)
    other.database["runs"].update_one({"_id": 2}, {"$set": {"status": "COMPLETED", "result": 7}})
    assert ask(ada, id=["2"]).status_code == 303
    assert work()
    assert [run["_id"] for run in store.database["runs"].find({"result": 7})] == [2]


@pytest.mark.usefixtures("other")
def test_chosen_runs_and_those_of_a_filter(ada: FlaskClient, store: Store, work: Callable[..., bool]) -> None:
    assert ask(ada, id=["old"]).status_code == 303
    assert ask(ada, all="1", query="where=config.which+%3D+2&database=lab").status_code == 303
    assert work()
    assert work()
    assert sorted(run["config"]["which"] for run in store.database["runs"].find({})) == ["2", "old"]
    assert ask(ada).status_code == 400
    assert ask(ada, "/history/import", every="1").status_code == 400
    assert ask(ada, "/history/import?database=none", every="1").status_code == 404


@pytest.mark.usefixtures("other")
def test_an_import_that_was_broken_off_begins_again(
    ada: FlaskClient, store: Store, work: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(ada, every="1").status_code == 303
    put = RunCopies._put
    calls = []

    def dies(self: RunCopies, *given: Any) -> Any:
        run_id = put(self, *given)
        calls.append(run_id)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run_id

    monkeypatch.setattr(RunCopies, "_put", dies)
    with pytest.raises(KeyboardInterrupt):
        work()
    monkeypatch.setattr(RunCopies, "_put", put)
    assert not work("another")
    assert work("another", datetime.now(UTC) + timedelta(minutes=3))
    assert store.database["runs"].count_documents({"info.imported.done": True}) == 4
    assert store.database["runs"].count_documents({}) == 4
    assert store.database["metrics"].count_documents({}) == 4


@pytest.mark.usefixtures("other")
def test_an_import_is_cancelled_by_nobody_else(
    ada: FlaskClient, login: Callable[[str, str], FlaskClient], store: Store
) -> None:
    ask(ada, every="1")
    (job,) = store.imports.all()
    eve = login("eve", "editor")
    path = f"/history/import/{job['_id']}/cancel"
    assert path not in eve.get("/history/import").get_data(as_text=True)
    assert path in ada.get("/history/import").get_data(as_text=True)
    assert eve.post(path, data={"csrf_token": token(eve, "/")}).status_code == 403
    assert store.imports.all()[0]["state"] != "CANCELLED"


@pytest.mark.usefixtures("other")
def test_an_import_is_cancelled(
    ada: FlaskClient, store: Store, work: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(ada, every="1").status_code == 303
    (job,) = store.imports.all()
    csrf = token(ada, "/history/import")
    take = RunCopies.take

    def cancelled_meanwhile(self: RunCopies, *given: Any) -> Any:
        ada.post(f"/history/import/{job['_id']}/cancel", data={"csrf_token": csrf})
        return take(self, *given)

    monkeypatch.setattr(RunCopies, "take", cancelled_meanwhile)
    assert work()
    assert store.database["runs"].count_documents({}) == 1
    assert store.imports.all()[0]["state"] == "CANCELLED"
    assert ask(ada, f"/history/import/{job['_id']}/cancel").status_code == 404


def folder_of_runs(tmp_path: Path) -> bytes:
    """What a FileStorageObserver writes of two runs, as a ZIP file."""
    base = tmp_path / "my_runs"
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    experiment = Experiment("stored", save_git_info=False)
    experiment.add_config(lr=0.25, **{"net": {"units": [1, 2]}})
    experiment.observers.append(FileStorageObserver(base))
    experiment.add_source_file(__file__)

    @experiment.main
    def main(_run: Any) -> float:
        print("learning")
        for step in range(3):
            _run.log_scalar("loss", 1 / (step + 1), step)
        _run.info["note"] = "x"
        experiment.add_artifact(tmp_path / "data.csv", "table.csv")
        experiment.open_resource(tmp_path / "data.csv").close()
        return 0.5

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            experiment.run(options={"--capture": "sys", "--loglevel": "ERROR"})
    return zipped({str(path.relative_to(tmp_path)): path.read_bytes() for path in base.rglob("*") if path.is_file()})


def zipped(entries: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return sink.getvalue()


def send(client: FlaskClient, content: bytes, name: str = "runs.zip") -> Any:
    return ask(client, "/history/import/folder", file=(io.BytesIO(content), name))


def test_a_folder_of_a_file_storage_observer(
    ada: FlaskClient, store: Store, work: Callable[..., bool], tmp_path: Path
) -> None:
    content = folder_of_runs(tmp_path)
    for _ in range(2):
        assert send(ada, content).status_code == 303
        assert work()
    assert list((tmp_path / "imports").iterdir()) == []
    runs = list(store.database["runs"].find({}).sort("_id", 1))
    assert [run["_id"] for run in runs] == [1, 2]
    run = runs[0]
    assert run["status"] == "COMPLETED"
    assert run["config"]["lr"] == 0.25
    assert run["result"] == 0.5
    assert run["experiment"]["name"] == "stored"
    assert "learning" in run["captured_out"]
    assert run["info"]["note"] == "x"
    assert isinstance(run["start_time"], datetime)
    assert store.runs.metric(1, "loss") == {"steps": [0, 1, 2], "values": [1.0, 0.5, 1 / 3]}
    assert ada.get("/history/run/content?id=1&kind=artifact&at=0").get_data() == b"a,b\n1,2\n"
    names = [name for name, _ in run["experiment"]["sources"]]
    at = next(place for place, name in enumerate(names) if name.endswith("test_run_import.py"))
    assert ada.get(f"/history/run/content?id=1&kind=source&at={at}").get_data() == Path(__file__).read_bytes()
    assert store.database["fs.files"].find_one({"md5": run["resources"][0][1]}) is not None
    assert ada.get("/history/1").status_code == 200


def test_damaged_folders_are_taken_as_far_as_they_go(ada: FlaskClient, store: Store, work: Callable[..., bool]) -> None:
    deep = "[" * 5000 + "]" * 5000
    content = zipped(
        {
            "1/run.json": b"{",
            "2/run.json": b"[]",
            "3/run.json": deep.encode(),
            "4/run.json": json.dumps({"start_time": "yesterday", "experiment": 3, "resources": 5}).encode(),
            "4/config.json": b'{"$a.b": 1, "big": 99999999999999999999999, "nan": NaN}',
            "4/metrics.json": b'{"loss": {"steps": 3}, "other": 7}',
            "4/cout.txt": b"\xff\xfe",
            "x/run.json": json.dumps({"artifacts": ["../../etc/passwd", "gone"]}).encode(),
        }
    )
    assert send(ada, content).status_code == 303
    assert work()
    (job,) = store.imports.all()
    assert (job["taken"], job["failures"]) == (2, 3)
    assert {one["run"]: one["why"] for one in job["failed"]}["2"] == "its run.json is no object"
    run = store.database["runs"].find_one({"_id": 4})
    assert run is not None
    assert run["config"]["@a,b"] == 1
    assert run["start_time"] == "yesterday"
    for run_id in (4, 5):
        assert ada.get(f"/history/{run_id}").status_code == 200
    stored = store.database["runs"].find_one({"_id": 5})
    assert stored is not None
    assert [one["file_id"] for one in stored["artifacts"]] == [None, None]


def test_a_damaged_entry_costs_its_run_alone(ada: FlaskClient, store: Store, work: Callable[..., bool]) -> None:
    sink, spoilt = io.BytesIO(), b"spoilt " * 9
    with zipfile.ZipFile(sink, "w") as archive:
        for name in ("1/run.json", "2/run.json", "3/run.json"):
            archive.writestr(name, json.dumps({"status": "COMPLETED", "artifacts": ["a.txt"]}))
        archive.writestr("1/cout.txt", spoilt)
        archive.writestr("2/a.txt", b"broken " * 9)
    content = sink.getvalue().replace(spoilt, spoilt[::-1]).replace(b"broken " * 9, b"Broken " * 9)
    assert send(ada, content).status_code == 303
    assert work()
    (job,) = store.imports.all()
    assert (job["state"], job["taken"], job["failures"]) == ("COMPLETED", 1, 2)
    assert [one["why"] for one in job["failed"]] == [
        "its cout.txt is damaged in the ZIP file", "its a.txt is damaged in the ZIP file",
    ]  # fmt: skip


def test_a_full_disk_is_told_and_nothing_is_kept(
    ada: FlaskClient, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full.zip"
    full.symlink_to("/dev/full")
    monkeypatch.setattr(run_import, "zip_path", lambda *_: full)
    answer = send(ada, zipped({"1/run.json": b"{}"}))
    assert answer.status_code == 507
    assert "disk is full" in answer.get_data(as_text=True)
    assert not full.is_symlink()
    assert store.imports.all() == []


def test_hostile_archives_are_refused(ada: FlaskClient, store: Store, settings: Settings) -> None:
    bomb = zipped({"1/run.json": b"{}", "1/cout.txt": b" " * (30 * 2**20)})
    for content, words in (
        (b"no zip", "broken"),
        (b"", "choose a zip file"),
        (zipped({"a.txt": b"x"}), "no run.json"),
        (zipped({"1/run.json": b"{}", "../run.json": b"{}"}), "leads out"),
        (zipped({"/1/run.json": b"{}"}), "absolute"),
        (bomb, "grows to more than"),
    ):
        answer = send(ada, content, "" if not content else "runs.zip")
        assert answer.status_code == 400, words
        problem = re.search(r'id="file-problem" role="alert">([^<]+)<', answer.get_data(as_text=True))
        assert problem
        assert words in problem[1].lower()
    assert store.imports.all() == []
    assert not (settings.data_dir / "imports").exists()
