"""The home page: what runs, what waits and why, what ended; the example; and who sees whom a sweep notifies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from engine.config import parse
from engine.domain import SweepState
from engine.settings import Settings
from engine.store import Store
from tests.unit.webapp.conftest import token
from webapp.services import accounts, home, sweeps
from webapp.services.accounts import Account
from webapp.sweeps import form

NOW = datetime.now(UTC).replace(microsecond=0)
LEASE = timedelta(seconds=20)
SECRET = "https://hooks.example.com/T0/secret-path"


def queued(store: Store, name: str, at: int = 0, owner: str = "ada") -> str:
    return store.sweeps.create(
        name, owner, parse({"name": name}).model_dump(mode="json"), 1, 9, 100, NOW + timedelta(seconds=at)
    )


def claimed(store: Store, name: str, **fields: Any) -> str:
    sweep_id = queued(store, name)
    sweep = store.sweeps.claim("turing", LEASE, NOW)
    assert sweep is not None
    store.sweeps.update(sweep_id, sweep["lease"]["fence"], fields)
    return sweep_id


def typed(client: FlaskClient, **changes: str) -> dict[str, Any]:
    """The form of a new sweep as a browser would send it, with *changes*."""
    untouched = {name: form.typed_from({}).getlist(name) for name in form.typed_from({})}
    return {**untouched, "csrf_token": token(client, "/sweeps/new"), **changes}


def island(client: FlaskClient) -> dict[str, Any]:
    """What the page's script starts from."""
    found = re.search(r'id="overview">(.*?)</script>', client.get("/").get_data(as_text=True), re.S)
    assert found
    return dict(json.loads(found[1]))


def test_the_queue_is_in_its_order_and_says_why_each_waits(store: Store) -> None:
    for place, name in enumerate(("first", "second", "urgent")):
        queued(store, name, place)
    assert {row["why"] for row in home.overview(store, NOW)["queue"]} == {
        "no machine is there to take it; its daemon starts within seconds"
    }
    urgent = store.sweeps.queue(3)[2]["_id"]
    store.sweeps.prioritise(urgent, 5)
    store.machines.beat("turing", 1, 2, ["other"], NOW)
    rows = home.overview(store, NOW)["queue"]
    assert [(row["name"], row["priority"], row["why"]) for row in rows] == [
        ("urgent", 5, "turing takes it within seconds"),
        ("first", 0, "1 of 2 slots are busy on turing"),
        ("second", 0, "1 of 2 slots are busy on turing"),
    ]


def test_a_card_has_its_progress_its_best_so_far_and_what_was_lost(store: Store) -> None:
    run_id = store.runs.create({"status": "RUNNING"})
    progress = {
        "done": 8,
        "failed": 1,
        "pruned": 2,
        "total": 9,
        "steps_done": 25,
        "steps_total": 100,
        "seconds_left": 7.5,
    }
    claimed(store, "runs", run_id=run_id, progress=progress, best={"number": 3, "loss": 0.25, "params": {}})
    store.runs.put_metric(run_id, "loss", [2, 1, 4, 3], [2.0, 2.5, 0.5, 0.25], [NOW] * 4)
    (card,) = home.overview(store, NOW)["running"]
    assert card["trials"] == {"done": 8, "failed": 1, "pruned": 2, "total": 9}
    assert (card["share"], card["seconds_left"], card["best"], card["machine"]) == (0.25, 7.5, 0.25, "turing")
    assert card["trend"] == [[2, 2.0], [4, 0.5], [4, 0.25], [8, 0.25]], "in the order in which they ended"
    assert card["silent"] is False
    assert home.overview(store, NOW + timedelta(minutes=1))["running"][0]["silent"] is True


def test_the_line_of_the_best_loss_stays_short_however_many_steps_it_has(store: Store) -> None:
    run_id = store.runs.create({"status": "RUNNING"})
    claimed(store, "runs", run_id=run_id, progress={"done": 5000}, best={"number": 1, "loss": 0.1, "params": {}})
    store.runs.put_metric(run_id, "loss", list(range(1, 5001)), [1 / n for n in range(1, 5001)], [NOW] * 5000)
    (card,) = home.overview(store, NOW)["running"]
    assert len(card["trend"]) <= home.POINTS + 1
    assert card["trend"][-1] == [5000, 0.1]


def test_results_are_told_with_what_they_are_worth_and_how_they_ended(store: Store) -> None:
    figures = {"rmse": {"mean": 0.2, "std": float("nan"), "values": [0.2]}, "loss": {"mean": 0.04, "std": 0.0}}
    confirmed = [
        {"trial": 2, "seeds": 0, "failed": 3, "figures": {}},
        {"trial": 4, "seeds": 3, "failed": 0, "figures": figures},
    ]
    sweep_id = claimed(store, "ended", best={"number": 4, "loss": 0.03, "params": {}}, confirmed=confirmed)
    end = NOW + timedelta(seconds=90)
    store.sweeps.finish(sweep_id, 1, SweepState.COMPLETED, {"finished": end, "ended_because": "shrink, max_seconds"})
    (row,) = home.overview(store, NOW)["recent"]
    assert row["confirmed"] == {"name": "rmse", "seeds": 3, "mean": 0.2, "std": None}
    assert (row["best"], row["seconds"], row["how"], row["state"]) == (0.03, 90, "shrink, “Time budget”", "COMPLETED")


def test_a_machine_that_is_silent_says_since_when_and_one_that_answers_how_busy_it_is(store: Store) -> None:
    store.machines.beat("gone", 1, 2, [], NOW - timedelta(minutes=1))
    store.machines.beat("here", 1, 2, ["a"], NOW, (1.26, 4))
    gone, here = home.overview(store, NOW)["machines"]
    assert (gone["alive"], gone["seen"], gone["load"]) == (False, (NOW - timedelta(minutes=1)).isoformat(), None)
    assert here == {"name": "here", "alive": True, "slots": 2, "sweeps": 1, "load": [1.3, 4], "seen": None}


def test_the_overview_holds_no_configuration(store: Store) -> None:
    claimed(store, "runs")
    queued(store, "waits")
    assert "hyperparam_opt" not in json.dumps(home.overview(store, NOW))


def test_one_button_starts_the_example_and_leads_to_its_page(ada: FlaskClient, store: Store) -> None:
    assert "Start the example" in ada.get("/").get_data(as_text=True)
    answer = ada.post("/sweeps/example", data={"csrf_token": token(ada, "/")})
    assert answer.status_code == 303
    sweep = store.sweeps.get(answer.headers["Location"].rsplit("/", 1)[1])
    assert (sweep["name"], sweep["state"], sweep["owner"]) == ("Example", "QUEUED", "ada")
    assert sweep["config"]["hyperparam_opt"] == "TPE"
    assert island(ada)["overview"]["queue"][0]["name"] == "Example"


def test_a_viewer_sees_no_button_and_may_not_press_it(login: Callable[[str, str], FlaskClient], store: Store) -> None:
    eve = login("eve", "viewer")
    page = eve.get("/").get_data(as_text=True)
    assert "Start the example" not in page
    assert "No sweep has run yet" in page
    assert "one of my sweeps" not in page
    assert eve.post("/sweeps/example", data={"csrf_token": token(eve, "/")}).status_code == 403
    assert eve.post("/sweeps/example").status_code == 403
    assert store.sweeps.recent(5) == []


def test_the_page_knows_whose_sweeps_may_be_steered(login: Callable[[str, str], FlaskClient], ada: FlaskClient) -> None:
    assert island(ada)["steers"] == "*"
    assert island(login("Ed", "editor"))["steers"] == "Ed"
    assert island(login("eve", "viewer"))["steers"] == ""


@pytest.fixture
def accounts_of(store: Store) -> dict[str, Account]:
    roles = {"ann": "admin", "ed": "editor", "other": "editor", "eve": "viewer"}
    return {name: accounts.create(store, name, "correct horse", role, NOW) for name, role in roles.items()}


def test_whom_a_sweep_notifies_is_known_to_its_owner_and_administrators_alone(
    store: Store, settings: Settings, accounts_of: dict[str, Account], login: Callable[[str, str], FlaskClient]
) -> None:
    sweep_id = sweeps.create(store, settings, accounts_of["ed"], {"name": "told", "webhook": SECRET}, NOW)
    (notice,) = store.notices.of_sweep(sweep_id)
    assert (notice["to"], notice["open"]) == (SECRET, True)
    assert "secret-path" not in json.dumps(store.sweeps.get(sweep_id), default=str)
    for name, knows in (("ed", True), ("ann", True), ("other", False), ("eve", False)):
        assert (sweeps.config_of(store, accounts_of[name], sweep_id).get("webhook") == SECRET) is knows, name
    grace = login("grace", "editor")
    for path in ("/", f"/sweeps/{sweep_id}", f"/sweeps/{sweep_id}/report", f"/sweeps/new?from={sweep_id}"):
        answer = grace.get(path)
        assert answer.status_code == 200, path
        assert "secret-path" not in answer.get_data(as_text=True), path
    assert "secret-path" in login("root", "admin").get(f"/sweeps/new?from={sweep_id}").get_data(as_text=True)


def test_a_webhook_that_cannot_work_is_refused_at_its_field(ada: FlaskClient, store: Store) -> None:
    for webhook, words in (("http://169.254.169.254/latest", "not public"), ("gopher://x", "begins with https")):
        answer = ada.post("/sweeps/new", data=typed(ada, webhook=webhook))
        page = answer.get_data(as_text=True)
        assert answer.status_code == 400
        found = re.search(r'id="webhook-problem"[^>]*>([^<]*)<', page)
        assert found
        assert words in found[1]
    assert store.sweeps.recent(5) == []
    assert store.database["notices"].count_documents({}) == 0


def test_e_mail_without_a_mail_server_is_refused_at_its_field(ada: FlaskClient) -> None:
    answer = ada.post("/sweeps/new", data=typed(ada, notify="a@x.test, b@x.test"))
    found = re.search(r'id="notify-problem"[^>]*>([^<]*)<', answer.get_data(as_text=True))
    assert found
    assert "smtp_host" in found[1]
