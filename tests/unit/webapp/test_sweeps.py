"""Creating, watching and stopping sweeps."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict

from engine.config import GROUPS, LARGE_STAGES, SweepConfig, parse
from engine.domain import Trial, TrialState, Wishes
from engine.errors import ConfigError
from engine.events import EventType
from engine.store import Store
from engine.store.trials import to_document
from tests.unit.webapp.conftest import token
from webapp.services import accounts, monitor, sweeps
from webapp.sweeps import form
from webapp.sweeps.presets import PRESETS
from webapp.sweeps.typed import read, typed_from

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def typed(client: FlaskClient, **changes: Any) -> MultiDict[str, str]:
    """The form as a browser would send it untouched, with *changes*."""
    values = typed_from({})
    values["csrf_token"] = token(client, "/sweeps/new")
    for key, value in changes.items():
        values.setlist(key.replace("__", "."), value if isinstance(value, list) else [value])
    return values


def test_the_untouched_form_is_the_default_configuration() -> None:
    assert parse(read(typed_from({}))) == parse({"learning_rate": [0.0001, 0.001]})


def test_the_form_has_every_key_once_in_its_group() -> None:
    page = form.page(typed_from({}))
    keys = [item.key for group in page.groups for item in (*group.fields, *group.more)]
    assert sorted(keys) == sorted(SweepConfig.model_fields)
    assert [group.key for group in page.groups] == list(GROUPS)


def test_every_default_survives_the_form_and_back() -> None:
    given = parse({"nodes_per_layer": [3, 8], "opt_stages": LARGE_STAGES, "tags": ["a", "b"], "log_scale": True})
    values = given.model_dump(mode="json")
    assert parse(read(typed_from(values))).model_dump() == {
        **given.model_dump(),
        "learning_rate": [0.0001, 0.001],
    }


def test_the_form_queues_a_sweep_with_a_name_and_a_seed(ada: FlaskClient, store: Store) -> None:
    answer = ada.post("/sweeps/new", data=typed(ada))
    assert answer.status_code == 303
    sweep = store.sweeps.get(answer.headers["Location"].rsplit("/", 1)[1])
    assert sweep["state"] == "QUEUED"
    assert sweep["owner"] == "ada"
    assert re.fullmatch(r"[a-z]+-[a-z]+-[0-9a-f]{4}", sweep["name"])
    assert sweep["config"]["name"] == sweep["name"]
    assert sweep["config"]["seed"] == sweep["seed"] is not None
    assert sweep["progress"]["total"] == 9
    assert sweep["progress"]["steps_total"] == 7100
    (event,) = store.events.after(sweep["_id"], 0)
    assert (event.seq, event.type, event.data["state"]) == (1, EventType.SWEEP, "QUEUED")


def test_a_form_that_is_sent_again_makes_no_second_sweep_but_another_form_does(ada: FlaskClient, store: Store) -> None:
    """The browser may not have got the answer."""
    form = {**typed(ada), "made": "7"}
    first = ada.post("/sweeps/new", data=form).headers["Location"]
    assert ada.post("/sweeps/new", data=form).headers["Location"] == first
    assert len({event.seq for event in store.events.after(first.rsplit("/", 1)[1], 0)}) == 2, "it is told again"
    other = ada.post("/sweeps/new", data={**form, "name": "another"}).headers["Location"]
    fresh = ada.post("/sweeps/new", data={**form, "made": "8"}).headers["Location"]
    assert len({first, other, fresh}) == 3
    assert re.search(r'name="made" value="[0-9a-f]{12}"', ada.get("/sweeps/new").get_data(as_text=True))


def test_a_given_name_and_seed_are_kept(ada: FlaskClient, store: Store) -> None:
    answer = ada.post("/sweeps/new", data=typed(ada, name="mine", seed="0", tags="a, b,"))
    sweep = store.sweeps.get(answer.headers["Location"].rsplit("/", 1)[1])
    assert (sweep["name"], sweep["seed"], sweep["config"]["tags"]) == ("mine", 0, ["a", "b"])


def test_errors_show_at_their_fields_and_keep_what_was_typed(ada: FlaskClient, store: Store) -> None:
    changes = {"batch_size__0": "0", "learning_rate__1": "fast<b>", "opt_stages__1__1": "", "activation": []}
    answer = ada.post("/sweeps/new", data=typed(ada, name="kept", **changes))
    html = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert "4 things to fix" in html
    for key, target, message in (
        ("batch_size", "batch_size-0", "the lower bound 0 must be at least 1"),
        ("learning_rate", "learning_rate-0", "must be a number, got &#39;fast&lt;b&gt;&#39;"),
        ("opt_stages", "opt_stages-0-0", "must be a whole number"),
        ("activation", "activation-0", "choose at least one"),
    ):
        assert f'href="#{target}"' in html
        assert f'id="{target}"' in html
        problem = re.search(rf'id="{key}-problem">([^<]*)<', html)
        assert problem
        assert message in problem[1]
    assert re.search(r'name="learning_rate\.1"\s+value="fast&lt;b&gt;"', html)
    assert re.search(r'name="name"\s+value="kept"', html)
    assert 'aria-invalid="true"' in html
    assert store.sweeps.recent(1) == []


def test_dimensions_that_do_not_match_the_data_are_refused(ada: FlaskClient) -> None:
    answer = ada.post("/sweeps/new", data=typed(ada, data_features="7"))
    assert answer.status_code == 400
    assert "nn_dimensions-problem" in answer.get_data(as_text=True)


def test_a_problem_behind_more_opens_it(ada: FlaskClient) -> None:
    html = ada.post("/sweeps/new", data=typed(ada, max_attempts="99")).get_data(as_text=True)
    assert html.count('<details class="more" open>') == 1


def test_hostile_forms_are_answered_with_400(ada: FlaskClient) -> None:
    for changes in (
        {"opt_stages__9999__0": "1"},
        {"seed": "9" * 5000},
        {"batch_size__0": "1e400"},
        {"name": "x" * 5000},
        {"ps_hosts": "a:1," * 500},
        {"dataset": "../../etc/passwd"},
        {"rnn_state_dim": "," * 50},
        {"nn_model": "Evil"},
        {"load_data": "true", "load_data_dir": "/etc/shadow"},
        {"load_data": "true", "load_data_dir": "a\0b"},
        {"name": "\0"},
    ):
        answer = ada.post("/sweeps/new", data=typed(ada, **changes))
        assert answer.status_code in (303, 400), changes


def test_a_request_that_is_too_large_is_told_so(ada: FlaskClient) -> None:
    answer = ada.post("/sweeps/new", data={"csrf_token": token(ada, "/"), "name": "x" * 3 * 2**20})
    assert answer.status_code == 413


def test_stopping_a_queued_sweep_ends_it_at_once(ada: FlaskClient, store: Store) -> None:
    path = ada.post("/sweeps/new", data=typed(ada)).headers["Location"]
    assert ada.post(f"{path}/stop", data={"csrf_token": token(ada, path)}).status_code == 303
    sweep_id = path.rsplit("/", 1)[1]
    assert store.sweeps.get(sweep_id)["state"] == "STOPPED"
    assert store.events.after(sweep_id, 1)[-1].data["state"] == "STOPPED"


def test_only_the_owner_or_an_administrator_may_stop(
    login: Callable[[str, str], FlaskClient], ada: FlaskClient, store: Store
) -> None:
    ed, eve = login("Ed", "editor"), login("eve", "editor")
    path = ed.post("/sweeps/new", data=typed(ed)).headers["Location"]
    sweep_id = path.rsplit("/", 1)[1]
    assert eve.post(f"{path}/stop", data={"csrf_token": token(eve, path)}).status_code == 403
    assert "data-stop-dialog" not in eve.get(path).get_data(as_text=True)
    assert store.sweeps.get(sweep_id)["state"] == "QUEUED"
    assert ed.post(f"{path}/stop", data={"csrf_token": token(ed, path)}).status_code == 303
    other = ed.post("/sweeps/new", data=typed(ed)).headers["Location"]
    assert ada.post(f"{other}/stop", data={"csrf_token": token(ada, other)}).status_code == 303


@pytest.mark.parametrize("action", ["pause", "resume", "trials/1/end"])
def test_only_the_owner_or_an_administrator_may_steer_and_only_what_runs(
    login: Callable[[str, str], FlaskClient], ada: FlaskClient, store: Store, action: str
) -> None:
    ed, eve = login("Ed", "editor"), login("eve", "editor")
    path = ed.post("/sweeps/new", data=typed(ed)).headers["Location"]
    sweep_id = path.rpartition("/")[2]
    assert eve.post(f"{path}/{action}", data={"csrf_token": token(eve, path)}).status_code == 403
    expected = 404 if action.startswith("trials") else 409
    assert ed.post(f"{path}/{action}", data={"csrf_token": token(ed, path)}).status_code == expected, "it is queued"
    claimed = store.sweeps.claim("here", timedelta(minutes=1), datetime.now(UTC))
    assert claimed is not None
    store.trials.put(to_document(Trial(sweep_id, 1, 0, {}, 10, 1, TrialState.RUNNING), 1))
    for client in (ed, ada):
        assert client.post(f"{path}/{action}", data={"csrf_token": token(client, path)}).status_code == 204
    wished = {"pause": Wishes(pause=True), "resume": Wishes(), "trials/1/end": Wishes(cancel=frozenset({1}))}
    assert store.sweeps.wishes(sweep_id) == wished[action]


def test_stopping_what_has_ended_or_never_was(ada: FlaskClient, store: Store) -> None:
    path = ada.post("/sweeps/new", data=typed(ada)).headers["Location"]
    store.database["sweeps"].update_one({}, {"$set": {"state": "COMPLETED"}})
    assert ada.post(f"{path}/stop", data={"csrf_token": token(ada, path)}).status_code == 409
    assert ada.post("/sweeps/none/stop", data={"csrf_token": token(ada, "/")}).status_code == 404


def test_the_live_page_carries_its_snapshot(ada: FlaskClient) -> None:
    path = ada.post("/sweeps/new", data=typed(ada, name="</script><b>")).headers["Location"]
    html = ada.get(path).get_data(as_text=True)
    found = re.search(r'id="snapshot">(.*?)</script>', html, re.S)
    assert found
    snapshot = json.loads(found[1])
    assert snapshot["seq"] == 1
    assert snapshot["sweep"]["name"] == "</script><b>"
    assert [stage["steps"] for stage in snapshot["stages"]] == [1000, 700, 500]
    assert ada.get("/sweeps/none").status_code == 404


def test_the_snapshot_merges_the_newest_progress_into_running_curves(
    store: Store, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = accounts.Account("ada", "ada", "admin", 0)
    sweep_id = sweeps.create(store, settings, account, {}, NOW)
    trial = {"_id": f"{sweep_id}-1", "sweep_id": sweep_id, "number": 1, "stage": 0, "params": {}, "steps": 100}
    trial |= {"state": "RUNNING", "fence": 1, "started": NOW, "loss": float("nan"), "curve": [[1, 0.9, 0.95]]}
    store.trials.put(trial)
    points = [[1, 0.9, 0.95], [2, float("nan"), None]]
    store.events.append(sweep_id, [(EventType.PROGRESS, {"trials": {"1": {"step": 2, "points": points}}}, NOW)])
    store.events.append(sweep_id, [(EventType.LOG, {"lines": [{"at": "x", "level": "info", "text": "hello"}]}, NOW)])
    snapshot = monitor.snapshot(store, sweep_id, datetime.now(UTC))
    assert snapshot["curves"] == {"1": [[1, 0.9, 0.95], [2, None, None]]}
    assert snapshot["trials"][0]["loss"] is None
    assert snapshot["log"][0]["text"] == "hello"
    assert snapshot["seq"] == 3
    json.dumps(snapshot, allow_nan=False)
    with monkeypatch.context() as patched:  # a line that was written while the snapshot was made comes as an event
        patched.setattr(store.events, "last", lambda _: 2)
        assert monitor.snapshot(store, sweep_id, datetime.now(UTC))["log"] == []


def test_running_again_starts_from_the_earlier_configuration(ada: FlaskClient) -> None:
    path = ada.post("/sweeps/new", data=typed(ada, batch_size__1="777", name="first")).headers["Location"]
    html = ada.get(f"/sweeps/new?from={path.rsplit('/', 1)[1]}").get_data(as_text=True)
    assert 'value="777"' in html
    assert 'value="first"' not in html
    assert ada.get("/sweeps/new?from=none").status_code == 404


def test_the_page_carries_the_rows_of_the_newest_trials_and_knows_of_the_others(
    ada: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "ROWS", 3)
    path = ada.post("/sweeps/new", data=typed(ada)).headers["Location"]
    sweep_id = path.rsplit("/", 1)[1]
    for number in range(1, 9):
        document = {"_id": f"{sweep_id}-{number}", "sweep_id": sweep_id, "number": number, "stage": 0, "fence": 1}
        store.trials.put({**document, "state": "COMPLETED", "loss": number / 8})
    snapshot = monitor.snapshot(store, sweep_id, datetime.now(UTC))
    assert [trial["number"] for trial in snapshot["trials"]] == [6, 7, 8]
    assert snapshot["older"] == [[number, 0, "COMPLETED", number / 8] for number in range(1, 6)]


def test_thousands_may_be_parted_by_commas() -> None:
    typed = typed_from({})
    typed["data_instances"], typed["batch_size.1"], typed["opt_stages.0.0"] = "12,000", "2,000", "1,000"
    config = parse(read(typed))
    assert (config.data_instances, config.batch_size[1], config.opt_stages[0][0]) == (12_000, 2000, 1000)
    typed["data_instances"] = "1,00"
    with pytest.raises(ConfigError, match="data_instances"):
        parse(read(typed))


def test_more_is_open_where_something_in_it_is_not_as_it_was() -> None:
    def opened(**values: Any) -> set[str]:
        return {group.key for group in form.page(typed_from(values)).groups if group.open}

    assert opened() == set()
    assert opened(max_attempts=5) == {"stages"}
    assert opened(add_noise=True) == {"data"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_configuration_that_can_be_started(name: str, ada: FlaskClient, store: Store) -> None:
    assert ada.get(f"/sweeps/new?preset={name}").status_code == 200
    values = typed_from({**sweeps.defaults(), **PRESETS[name].values})
    values["csrf_token"] = token(ada, "/sweeps/new")
    answer = ada.post("/sweeps/new", data=values)
    assert answer.status_code == 303
    config = store.sweeps.get(answer.headers["Location"].rpartition("/")[2])["config"]
    assert config["opt_stages"] == PRESETS[name].values["opt_stages"]


def test_a_message_calls_the_fields_what_the_form_calls_them(ada: FlaskClient) -> None:
    answer = ada.post("/sweeps/new", data=typed(ada, nn_dimensions__0="7"))
    text = html.unescape(answer.get_data(as_text=True))
    assert "or “Features” to 7" in text
    assert "data_features to 7" not in text
