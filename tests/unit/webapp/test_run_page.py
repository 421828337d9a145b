"""The page of a run, and everything that it asks for, with whatever a document may hold."""

from __future__ import annotations

import io
import re
import shlex
import warnings
import zipfile
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from flask.testing import FlaskClient

from engine.config import parse
from engine.settings import Settings
from engine.store import Store
from engine.store.runs import parse_run_id, run_id_text
from tests import hostile_runs
from tests.hostile_runs import NOW, SCRIPT
from tests.unit.webapp.conftest import token
from webapp.errors import QueryError
from webapp.services import run_files, run_metrics, run_notes, run_output, run_page
from webapp.services.histories import Histories
from webapp.services.run_values import flat, tree, updates

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Sacred's use of pkg_resources
    from sacred.arg_parser import get_config_updates

NAN = float("nan")


def test_forty_hostile_documents_are_opened(ada: FlaskClient, store: Store) -> None:
    for run_id in hostile_runs.insert(store.database):
        text = run_id_text(run_id)
        answer = ada.get("/history/run", query_string={"id": text})
        assert answer.status_code == 200, text
        html = answer.get_data(as_text=True)
        assert SCRIPT not in html
        assert not [link for link in re.findall(r'href="([^"]*)"', html) if link.startswith("javascript")]
        for path in ("output.json?before=100", "output.txt?", "files.zip?kind=artifact", "files.zip?kind=source"):
            found = ada.get(f"/history/run/{path}&{urlencode({'id': text})}")
            assert found.status_code == 200, (text, path)
            assert found.get_data() is not None
        kinds = {"artifact": run_files.listed(store.run_parts.head(run_id), "artifact")}
        kinds["source"] = run_files.listed(store.run_parts.head(run_id), "source")
        for kind, files in kinds.items():
            for file in files:
                for view in ("file", "content"):
                    asked = {"id": text, "kind": kind, "at": file.at, "view": 1}
                    assert ada.get(f"/history/run/{view}", query_string=asked).status_code in (200, 404)


def test_each_id_leads_to_its_own_run(ada: FlaskClient, store: Store) -> None:
    """7 and "7" are two runs, and so are an ObjectId and a string that looks like one."""
    for run_id in hostile_runs.insert(store.database):
        assert store.run_parts.head(parse_run_id(run_id_text(run_id))[0])["_id"] == run_id
    assert "the string 7" in ada.get('/history/run?id="7"').get_data(as_text=True)
    assert "the string 7" not in ada.get("/history/7").get_data(as_text=True)


@pytest.mark.parametrize("asked", ['{"$gt": 0}', '{"$regex": "."}', '{"$ne": null}', "[1]", "null", "x" * 4000, "\x00"])
def test_an_id_is_no_question_to_the_database(ada: FlaskClient, store: Store, asked: str) -> None:
    store.database["runs"].insert_one({"_id": 1})
    assert ada.get("/history/run", query_string={"id": asked}).status_code == 404


def test_hostile_metrics_are_drawn_as_far_as_they_can_be(ada: FlaskClient, store: Store) -> None:
    hostile_runs.insert(store.database)
    names = [metric["name"] for metric in hostile_runs.METRICS if metric["run_id"] == 7]
    for axis in ("step", "time"):
        for name in names:
            asked = {"id": "7", "name": name or "null", "x": axis, "smooth": "0.5"}
            assert ada.get("/history/run/metrics.json", query_string=asked).status_code == 200
    lines = ada.get("/history/run/metrics.json?id=7&name=loss&name=back.and.forth&name=none").get_json()["lines"]
    assert [(line["x"], line["y"]) for line in lines] == [
        ([0, 1, 2], [1.0, None, 3.0]),
        ([1, 3, 3, 5], [2.0, None, None, 1.0]),
        ([], []),
    ]


@pytest.mark.parametrize("query", ["x=colour", "smooth=1", "smooth=-1", "smooth=a", "low=nan", "high=x", "id=9999999"])
def test_questions_that_cannot_be_answered_are_refused(ada: FlaskClient, store: Store, query: str) -> None:
    store.runs.put_metric(1, "loss", [1], [0.5], [NOW])
    store.database["runs"].insert_one({"_id": 1})
    answer = ada.get(f"/history/run/metrics.json?id=1&name=loss&{query}")
    assert answer.status_code in (400, 404)
    assert answer.get_json()["detail"]


class TestThinning:
    def test_few_values_stay(self) -> None:
        assert run_metrics.thinned(np.arange(10.0), 10).tolist() == list(range(10))

    @pytest.mark.parametrize("count", [11, 1000, 1501, 200_000])
    @pytest.mark.parametrize("most", [4, 10, 1500])
    def test_ends_and_extremes_stay(self, count: int, most: int) -> None:
        values = np.random.default_rng(1).normal(size=count)
        values[count // 3], values[count // 2] = 99.0, -99.0
        kept = run_metrics.thinned(values, most)
        assert len(kept) <= most
        assert kept[0] == 0
        assert kept[-1] == count - 1
        assert {99.0, -99.0} <= set(values[kept])
        assert (np.diff(kept) > 0).all()

    def test_a_gap_stays_a_gap(self) -> None:
        values = np.ones(9000)
        values[3000:6000] = NAN
        kept = run_metrics.thinned(values, 300)
        assert np.isnan(values[kept]).any()
        assert np.isfinite(values[kept]).sum() > 50
        assert len(run_metrics.thinned(np.full(5000, NAN), 100)) <= 100

    def test_of_a_range_finer_points_come(self, store: Store) -> None:
        steps = list(range(50_000))
        store.runs.put_metric(1, "loss", steps, [float(step % 977) for step in steps], [NOW] * 50_000)
        store.database["runs"].insert_one({"_id": 1, "start_time": NOW})
        document = store.run_parts.head(1)

        def ask(low: float, high: float) -> dict[str, Any]:
            return run_metrics.chart(store.run_parts, document, "loss", "step", 0, low, high)

        whole, part = ask(float("-inf"), float("inf")), ask(100, 400)
        assert len(whole["x"]) <= run_metrics.MOST_POINTS
        assert (whole["total"], whole["low"], whole["high"]) == (50_000, 0, 49_999)
        assert part["x"] == list(range(99, 402))
        assert (part["low"], part["high"]) == (0, 49_999)


def test_smoothing_is_the_average_that_forgets() -> None:
    values = np.array([4.0, NAN, 2.0, 2.0])
    assert run_metrics.smoothed(values, 0) is values
    assert run_metrics.smoothed(values, 0.5).tolist()[0] == 4.0
    assert np.isnan(run_metrics.smoothed(values, 0.5)[1])
    assert run_metrics.smoothed(values, 0.5)[2] == pytest.approx((0.25 * 4 + 0.5 * 2) / 0.75)
    with pytest.raises(QueryError):
        run_metrics.smoothed(values, 1.0)


def test_only_new_points_of_a_metric_are_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run_metrics.Lines()
    read: list[tuple[int, int]] = []
    part = store.run_parts.metric_part

    def noted(metric_id: Any, start: int, most: int) -> dict[str, Any]:
        read.append((start, most))
        return part(metric_id, start, most)

    monkeypatch.setattr(store.run_parts, "metric_part", noted)
    for count in (3, 3, 5, 2):
        store.runs.put_metric(1, "loss", list(range(count)), [0.5] * count, [NOW] * count)
        (metric,) = store.run_parts.metric_lengths(1)
        assert lines.read(store.run_parts, metric).steps.tolist() == list(range(count))
    assert read == [(0, 3), (2, 3), (0, 2)]
    store.runs.put_metric(1, "loss", [0, 2, 4, 6], [0.5] * 4, [NOW] * 4)  # rewritten, every second point left out
    (metric,) = store.run_parts.metric_lengths(1)
    assert lines.read(store.run_parts, metric).steps.tolist() == [0, 2, 4, 6]


def test_the_mean_of_lines_is_of_those_that_reach_so_far() -> None:
    two = [(np.array([0.0, 2.0]), np.array([0.0, 2.0])), (np.array([0.0, 1.0]), np.array([2.0, 3.0]))]
    found = run_metrics.mean_of(two)
    assert found["x"] == [0, 1, 2]
    assert found["y"] == [1, 2, 2]
    assert found["sd"] == pytest.approx([2**0.5, 2**0.5, 0])
    assert run_metrics.mean_of([]) == {"x": [], "y": [], "sd": []}


class TestOutput:
    def test_the_end_comes_first_and_the_rest_in_parts(self, ada: FlaskClient, store: Store) -> None:
        written = "".join(f"line {number} ü\n" for number in range(20_000))
        store.database["runs"].insert_one({"_id": 1, "captured_out": written})
        part = run_output.end_of(store.run_parts, 1)
        assert (part.end, part.total) == (len(written), len(written))
        assert len(part.text) <= run_output.LONGEST
        assert part.text.startswith("line ")
        pieces = [part.text]
        while part.start:
            answer = ada.get(f"/history/run/output.json?id=1&before={part.start}").get_json()
            assert answer["end"] == part.start
            part = run_output.Output(**answer)
            pieces.insert(0, part.text)
        assert "".join(pieces) == written
        assert ada.get("/history/run/output.txt?id=1").get_data(as_text=True) == written
        page = ada.get("/history/1").get_data(as_text=True)
        assert len(page) < 2 * run_output.LONGEST
        assert "line 19999" in page

    @pytest.mark.parametrize("before", ["", "x", "-1", "1.5", "9" * 40])
    def test_an_offset_must_be_a_number(self, ada: FlaskClient, store: Store, before: str) -> None:
        store.database["runs"].insert_one({"_id": 1, "captured_out": "x"})
        answer = ada.get("/history/run/output.json", query_string={"id": "1", "before": before})
        assert answer.status_code == 400
        assert "before" in answer.get_json()["detail"]


class TestFiles:
    @pytest.fixture
    def content(self, ada: FlaskClient, store: Store) -> Callable[..., Any]:
        hostile_runs.insert(store.database)

        def ask(name: str, **more: Any) -> Any:
            at = list(hostile_runs.FILES).index(name)
            return ada.get("/history/run/content", query_string={"id": "7", "at": at, **more})

        return ask

    @pytest.mark.parametrize("name", hostile_runs.FILES, ids=range(len(hostile_runs.FILES)))
    def test_a_file_is_saved_whatever_it_calls_itself(self, content: Callable[..., Any], name: str) -> None:
        answer = content(name)
        assert answer.get_data() == hostile_runs.FILES[name]
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert not {"Set-Cookie", "X-Harm"} & set(answer.headers.keys())
        assert ".." not in answer.headers["Content-Disposition"]

    def test_only_pictures_and_html_are_shown_and_those_without_an_origin(self, content: Callable[..., Any]) -> None:
        shown = {name: content(name, view=1) for name in hostile_runs.FILES}
        kinds = {name: answer.headers["Content-Type"] for name, answer in shown.items()}
        assert kinds["plot.html"] == "text/html; charset=utf-8"
        assert kinds["drawing.svg"] == "image/svg+xml"
        assert kinds["no picture.png"] == "image/png"
        assert kinds["table.csv"] == kinds["notes.txt"] == "application/octet-stream"
        for answer in shown.values():
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert policy.endswith("sandbox")
        assert content("plot.html", view=1, scripts=1).headers["Content-Security-Policy"].endswith("allow-scripts")

    def test_previews_are_text(self, ada: FlaskClient, store: Store) -> None:
        hostile_runs.insert(store.database)
        for at, name in enumerate(hostile_runs.FILES):
            html = ada.get("/history/run/file", query_string={"id": "7", "at": at}).get_data(as_text=True)
            assert SCRIPT not in html, name
            assert "<b>0.25" not in html

    def test_another_runs_files_are_not_reached(self, ada: FlaskClient, store: Store) -> None:
        hostile_runs.insert(store.database)
        assert ada.get("/history/run/content?id=8&at=0").status_code == 404
        assert ada.get("/history/run/content?id=7&at=99").status_code == 404
        assert ada.get("/history/run/content?id=7&at=-1").status_code == 400
        assert ada.get("/history/run/content?id=7&at=0&kind=secret").status_code == 404

    def test_all_of_them_come_as_zip_with_safe_names(self, ada: FlaskClient, store: Store) -> None:
        hostile_runs.insert(store.database)
        answer = ada.get("/history/run/files.zip?id=7&kind=artifact")
        with zipfile.ZipFile(io.BytesIO(answer.get_data())) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            assert archive.read("plot.html") == hostile_runs.FILES["plot.html"]
        assert len(names) == len(hostile_runs.FILES)
        assert "etc/passwd" in names
        assert all(not name.startswith("/") and ".." not in name and name.isprintable() for name in names)

    def test_a_zip_tells_what_is_lost(self, ada: FlaskClient, store: Store) -> None:
        hostile_runs.insert(store.database)
        store.database["fs.chunks"].delete_many({})
        answer = ada.get("/history/run/files.zip?id=7&kind=artifact")
        with zipfile.ZipFile(io.BytesIO(answer.get_data())) as archive:
            assert "plot.html.missing.txt" in archive.namelist()
        assert ada.get("/history/run/file?id=7&at=0").status_code == 404

    def test_names_in_one_zip_differ(self) -> None:
        taken: set[str] = set()
        assert [run_files.unique_path("a.txt", taken) for _ in range(3)] == ["a.txt", "a (2).txt", "a (3).txt"]

    def test_sources_have_the_colours_of_their_language(self, ada: FlaskClient, store: Store) -> None:
        file_id = store.runs.put_source("/train.py", "x", b"def train():\n    return '<b>'\n")
        store.database["runs"].insert_one({"_id": 1, "experiment": {"sources": [["train.py", file_id]]}})
        html = ada.get("/history/run/file?id=1&kind=source&at=0").get_data(as_text=True)
        assert '<span class="k">def</span>' in html
        assert "<b>" not in html


class TestConfiguration:
    def test_a_sweep_is_compared_with_the_defaults(self, store: Store, settings: Settings) -> None:
        config = parse({"name": "x", "nn_model": "Regressor", "seed": 3}).model_dump(mode="json")
        store.database["runs"].insert_one({"_id": 1, "config": config})
        page = run_page.run(store, Histories(settings, store).get(), "1", NOW)
        assert page.compared == "the defaults"
        assert {node.path for node in page.config if node.was} == {"name", "seed"}
        assert page.line == "python -m engine with name=x seed=3"

    def test_a_run_is_compared_with_the_one_before_of_its_experiment(self, store: Store, settings: Settings) -> None:
        adam = {"name": "adam"}
        runs = [("a", {"lr": 0.1, "opt": adam}), ("b", {"lr": 9}), ("a", {"lr": 0.2, "opt": adam})]
        for run_id, (name, config) in enumerate(runs, 1):
            store.database["runs"].insert_one({"_id": run_id, "experiment": {"name": name}, "config": config})
        page = run_page.run(store, Histories(settings, store).get(), "3", NOW)
        assert (page.compared, page.earlier, page.differs) == ("run 1", "1", 1)
        assert page.config[0].was == "0.1"

    def test_a_repository_that_every_source_names_is_told_once(self, store: Store, settings: Settings) -> None:
        repository = {"url": "git@here", "commit": "abc", "dirty": True}
        experiment = {"name": "a", "repositories": [repository, dict(repository), {**repository, "dirty": False}]}
        store.database["runs"].insert_one({"_id": 1, "experiment": experiment})
        page = run_page.run(store, Histories(settings, store).get(), "1", NOW)
        assert [(one.url, one.dirty) for one in page.repositories] == [("git@here", True), ("git@here", False)]

    def test_surroundings_are_told_in_words_and_without_what_is_empty(self, store: Store, settings: Settings) -> None:
        host = {"hostname": "h", "os": ["Linux", "Linux-6.1"], "ENV": {}, "gpus": {"gpus": []}, "cores": [1, 2]}
        store.database["runs"].insert_one({"_id": 1, "host": host, "meta": {"options": {"--force": False, "-d": None}}})
        page = run_page.run(store, Histories(settings, store).get(), "1", NOW)
        assert [(node.path, node.text) for node in page.host] == [
            ("hostname", "h"), ("os", "Linux, Linux-6.1"), ("cores", "[1, 2]")
        ]  # fmt: skip
        assert [(node.path, node.text) for node in page.meta[0].below] == [("options.--force", "false")]

    def test_the_command_line_repeats_a_plain_run(self, store: Store) -> None:
        by_hand = {"lr": 0.3, "net": {"units": [1, 2]}, "text": "a b", "n": "5"}
        document = {
            "command": "main",
            "config": {"lr": 0.3, "seed": 5, "text": "a b"},
            "experiment": {"mainfile": "my train.py"},
            "meta": {"named_configs": ["adam"], "config_updates": by_hand},
        }
        words = shlex.split(run_page.command_line(document))
        assert words[:5] == ["python", "my train.py", "main", "with", "adam"]
        assert get_config_updates(words[5:])[0] == {**by_hand, "seed": 5}
        assert run_page.command_line({}) == ""

    def test_values_are_written_as_sacred_reads_them(self) -> None:
        values = {"a": 1, "b": "1", "c": "x y", "d": None, "e": True, "f": [1, "x"], "g.h": "", "i": "a=b", "j": "'q'"}
        assert flat(get_config_updates(shlex.split(updates(values)))[0]) == values

    def test_nodes_say_what_was_set_and_what_differs(self) -> None:
        nodes = tree({"a": {"b": 1, "c": [1]}, "d": NAN}, {"a.b": 2, "a.c": [1], "d": NAN}, frozenset({"a"}))
        below = nodes[0].below
        assert [(node.path, node.was, node.by_hand) for node in below] == [("a.b", "2", True), ("a.c", "", True)]
        assert nodes[1].was == ""

    def test_long_numbers_are_rounded_unless_they_would_look_the_same(self) -> None:
        nodes = tree({"a": 0.12345678, "b": 0.1000001, "c": [1 / 3]}, {"a": 0.2, "b": 0.1000002, "c": [1 / 3]})
        assert [(node.text, node.exact, node.was) for node in nodes] == [
            ("0.123457", "0.12345678", "0.2"),
            ("0.1000001", "", "0.1000002"),
            ("[0.333333]", "[0.3333333333333333]", ""),
        ]


class TestNotes:
    def test_an_editor_writes_them_and_they_are_shown(self, ada: FlaskClient, store: Store) -> None:
        store.database["runs"].insert_one({"_id": 1, "omniboard": {"tags": ["theirs"], "notes": "*theirs*"}})
        before = store.database["runs"].find_one({"_id": 1})
        form = {"id": "1", "version": "0", "tags": "good, good ,better", "notes": "# Title\n\n**bold**\n\n- one"}
        answer = ada.post("/history/run/notes", data={**form, "csrf_token": token(ada, "/history/1")})
        assert answer.status_code == 303
        html = ada.get("/history/1").get_data(as_text=True)
        for shown in ("<strong>bold</strong>", "<h1>Title</h1>", "<em>theirs</em>", ">good</li>", ">theirs</li>"):
            assert shown in html
        assert store.database["runs"].find_one({"_id": 1}) == before
        again = ada.post("/history/run/notes", data={**form, "csrf_token": token(ada, "/history/1")})
        assert again.status_code == 409
        assert store.run_notes.get("", 1)["tags"] == ["good", "better"]

    def test_a_viewer_reads_them_only(self, login: Callable[[str, str], FlaskClient], store: Store) -> None:
        store.database["runs"].insert_one({"_id": 1})
        vera = login("vera", "viewer")
        form = {"id": "1", "version": "0", "notes": "x", "csrf_token": token(vera, "/history/1")}
        assert vera.post("/history/run/notes", data=form).status_code == 403
        assert "notes-form" not in vera.get("/history/1").get_data(as_text=True)

    @pytest.mark.parametrize(
        "wrong", [{"tags": "x" * 61}, {"tags": ",".join(map(str, range(51)))}, {"notes": "x" * 50_001}], ids=range(3)
    )
    def test_what_is_too_long_is_refused(self, ada: FlaskClient, store: Store, wrong: dict[str, str]) -> None:
        store.database["runs"].insert_one({"_id": 1})
        form = {"id": "1", "version": "0", **wrong, "csrf_token": token(ada, "/history/1")}
        answer = ada.post("/history/run/notes", data=form)
        assert answer.status_code == 400
        assert "at most" in answer.get_data(as_text=True)

    @pytest.mark.parametrize(
        "harm",
        [
            SCRIPT,
            "[x](javascript:alert(1))",
            "<img src=x onerror=alert(1)>",
            "![x](http://tracker/x.png)",
            '<a href="data:text/html,x" style="position:fixed">x</a>',
            "<iframe src=//x></iframe>",
            "[x](vbscript:x)",
        ],
    )
    def test_notes_hold_no_script_no_style_and_nothing_from_elsewhere(self, harm: str) -> None:
        html = run_notes.rendered(harm)
        assert not re.search(r"<(script|img|iframe)|<[^>]*(style|on\w+|javascript|vbscript|data:)", html)
