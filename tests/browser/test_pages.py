"""The pages in a real browser, served by the real server."""

from __future__ import annotations

import re
import signal
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from engine.domain import SweepState, Trial, TrialState, Wishes
from engine.events import EventType
from engine.store import Store
from engine.store.trials import to_document
from tests.browser.conftest import Server, show
from tests.browser.writer import Writer


def test_a_visitor_logs_in_and_is_invited_to_start(ada: Page) -> None:
    expect(ada.get_by_role("heading", name="See a sweep in one minute")).to_be_visible()
    expect(ada.locator("[data-connection]")).to_have_text("live")
    ada.get_by_role("link", name="New sweep").first.click()
    expect(ada.get_by_role("heading", name="New sweep")).to_be_visible()


def test_a_wrong_password_is_told(page: Page, server: Server, faults: list[str]) -> None:
    page.goto(f"{server.url}/history")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("is wrong")
    expect(page.get_by_label("Name")).to_have_value("ada")


def test_the_form_shows_errors_at_their_fields_and_keeps_the_rest(ada: Page, server: Server, store: Store) -> None:
    ada.goto(f"{server.url}/sweeps/new")
    ada.get_by_label("Name", exact=True).fill("kept")
    ada.locator("#batch_size-1").fill("many")
    ada.get_by_role("button", name="Start the sweep").click()
    summary = ada.get_by_role("alert")
    expect(summary).to_contain_text("One thing to fix")
    expect(summary).to_be_focused()
    expect(ada.locator("#batch_size-problem")).to_contain_text("must be a whole number, got 'many'")
    expect(ada.locator("#batch_size-1")).to_have_value("many")
    expect(ada.get_by_label("Name", exact=True)).to_have_value("kept")
    summary.get_by_role("link", name="Batch size").click()
    expect(ada.locator("#batch_size-0")).to_be_focused()
    ada.locator("#batch_size-1").fill("500")
    ada.get_by_role("button", name="Start the sweep").click()
    expect(ada.get_by_role("heading", name=re.compile("kept"))).to_be_visible()
    (sweep,) = store.sweeps.recent(5)
    assert sweep["name"] == "kept"
    assert store.sweeps.get(sweep["_id"])["config"]["batch_size"] == [100, 500]


def test_stages_are_added_removed_and_summed(ada: Page, server: Server, store: Store) -> None:
    ada.goto(f"{server.url}/sweeps/new")
    total = ada.locator("[data-stages] [data-note]")
    expect(total).to_have_text("9 trials, 7,100 steps")
    ada.get_by_role("button", name="Quick look").click()
    expect(total).to_have_text("6 trials, 1,200 steps")
    ada.get_by_role("button", name="Add a stage").click()
    ada.get_by_label("Stage 3: steps of each trial").fill("50")
    ada.get_by_label("Stage 3: number of trials").fill("10")
    expect(total).to_have_text("16 trials, 1,700 steps")
    ada.get_by_role("button", name="Remove stage 1").click()
    expect(total).to_have_text("12 trials, 900 steps")
    ada.get_by_role("button", name="Start the sweep").click()
    ada.wait_for_url(re.compile(r"/sweeps/[0-9a-f]{12}$"))
    (sweep,) = store.sweeps.recent(5)
    assert store.sweeps.get(sweep["_id"])["config"]["opt_stages"] == [[200, 2], [50, 10]]


def test_the_live_page_follows_the_sweep_to_its_end(ada: Page, server: Server, store: Store) -> None:
    writer = Writer(store, opt_stages=[[100, 2], [50, 1]])
    ada.goto(f"{server.url}/sweeps/{writer.id}")
    state = ada.locator("[data-state]")
    expect(state).to_have_text("Queued")
    expect(ada.locator("[data-connection]")).to_have_text("live")
    writer.claim()
    expect(state).to_have_text("Running")
    show(ada, "Cluster")
    expect(ada.locator("[data-processes] tr")).to_have_count(7)
    show(ada, "Overview")
    writer.begin_stage(0)
    expect(ada.locator("[data-stage]")).to_have_text("1 of 2")
    number = writer.begin_trial()
    writer.progress(number, 0.5)
    expect(ada.locator("[data-chart=curves] canvas").first).to_be_visible()
    show(ada, "Trials")
    row = ada.locator("[data-trial-rows] tr").first
    expect(row).to_contain_text("50 / 100")
    show(ada, "Cluster")
    expect(ada.locator("[data-processes]")).to_contain_text("trial 1")
    writer.tell(EventType.RESOURCES, {"processes": {"worker_0": [87, 321], "ps_0": [2, 300]}})
    worker = ada.locator("[data-processes] tr").filter(has_text="Worker 0")
    expect(worker).to_contain_text("87 %")
    expect(worker).to_contain_text("321 MB")
    show(ada, "Overview")
    writer.end_trial(number, loss=0.25)
    expect(ada.locator("[data-best-loss]")).to_have_text("0.25")
    expect(ada.locator("[data-trials-done]")).to_have_text("1 of 3")
    expect(ada.locator("[data-chart=history] canvas").first).to_be_visible()
    expect(ada.get_by_role("heading", name="Best so far")).to_be_visible()
    expect(ada).to_have_title(re.compile(r"^1/3 · amber-falcon"))
    failed = writer.begin_trial(1)
    writer.end_trial(failed, error="Traceback\nNumericalError: the loss became NaN")
    expect(ada.locator("[data-trials-kinds]")).to_have_text("1 completed · 1 failed")
    show(ada, "Trials")
    expect(row).to_contain_text("NumericalError: the loss became NaN")
    writer.log("error", "something <b>odd</b>")
    show(ada, "Log")
    expect(ada.locator("[data-lines]")).to_contain_text("something <b>odd</b>")
    writer.finish()
    expect(state).to_have_text("Completed")
    expect(ada.get_by_role("button", name="Stop", exact=True)).to_be_hidden()
    expect(ada.locator("[data-connection]")).to_have_text("ended")
    # Loaded anew, every part shows the same.
    parts = ["Trials", "Cluster", "Log", "Configuration", "Overview"]
    before = [shown(ada, part) for part in parts]
    ada.reload()
    expect(ada.locator("[data-connection]")).to_have_text("ended")
    expect(ada.get_by_role("heading", name="Best", exact=True)).to_be_visible()
    assert [shown(ada, part) for part in parts] == before


def shown(page: Page, part: str) -> str:
    show(page, part)
    return " ".join(page.get_by_role("tabpanel", name=part).inner_text().split())


def test_the_part_that_is_shown_stands_in_the_address_and_the_keyboard_changes_it(
    ada: Page, server: Server, store: Store
) -> None:
    writer = Writer(store)
    ada.goto(f"{server.url}/sweeps/{writer.id}#cluster")
    expect(ada.get_by_role("tab", name="Cluster")).to_have_attribute("aria-selected", "true")
    ada.get_by_role("tab", name="Cluster").press("ArrowRight")
    expect(ada.get_by_role("tabpanel", name="Log")).to_be_visible()
    assert ada.evaluate("location.hash") == "#log"
    ada.evaluate("location.hash = '#trials'")
    expect(ada.get_by_role("tabpanel", name="Trials")).to_be_visible()


def test_thousands_of_trials_are_sorted_filtered_and_scrolled_with_few_rows_in_the_page(
    ada: Page, server: Server, store: Store
) -> None:
    writer = Writer(store, opt_stages=[[100, 2000]])
    writer.claim()
    params = writer.config.space().draw(writer.rng)
    documents = []
    for number in range(1, 2001):
        trial = Trial(writer.id, number, 0, params, 100, number, TrialState.COMPLETED, loss=1 / number)
        trial.val_loss, trial.started, trial.finished = trial.loss, writer.now, writer.now
        documents.append(to_document(trial, writer.fence))
    for start in range(0, 2000, 200):
        store.database["trials"].insert_many(documents[start : start + 200])
    ada.goto(f"{server.url}/sweeps/{writer.id}#trials")
    rows = ada.locator("[data-trial-rows] tr")
    expect(rows.first.locator("td").first).to_contain_text("2000")
    assert rows.count() < 100
    ada.locator("[data-window]").evaluate("(frame) => { frame.scrollTop = frame.scrollHeight; }")
    last = ada.locator("[data-trial-rows] tr[data-number='1']")
    expect(last).to_contain_text("100")  # its steps: the row was fetched
    assert rows.count() < 100
    ada.get_by_role("button", name="Validation loss").click()
    expect(rows.first).to_contain_text("2000")
    expect(ada.locator("th[data-sort=val_loss]")).to_have_attribute("aria-sort", "ascending")
    ada.get_by_role("button", name="Validation loss").click()
    expect(rows.first.locator("td").first).to_have_text("1")
    ada.get_by_label("to", exact=True).fill("0.001")
    expect(ada.locator("[data-trials-shown]")).to_have_text("1,001 of 2,000")
    ada.get_by_label("to", exact=True).fill("little")
    expect(ada.locator("[data-filters-problem]")).to_contain_text("must be a number, got 'little'")
    ada.get_by_role("button", name="Clear").click()
    expect(ada.locator("[data-trials-shown]")).to_have_text("2,000")
    expect(ada.locator("[data-filters-problem]")).to_be_hidden()


def test_a_page_that_is_open_for_long_holds_no_more_than_it_shows(ada: Page, server: Server, store: Store) -> None:
    writer = Writer(store, opt_stages=[[100, 5000]])
    writer.claim()
    writer.begin_stage(0)
    writer.end_trial(writer.begin_trial())
    ada.goto(f"{server.url}/sweeps/{writer.id}#trials")
    expect(ada.locator("[data-trial-rows] tr")).to_have_count(1)
    held = ada.evaluate("""async () => {
        const { state, take } = await import("/static/js/live/state.js");
        const best = state.sweep.best.number;
        const trial = { ...state.trials.get(best), curve: [[0, 1, 1], [100, 0.5, 0.5]] };
        for (let number = 2; number <= 3000; number += 1) take("trial", { ...trial, number });
        const full = [...state.trials.values()].filter((one) => !one.brief);
        return [state.trials.size, full.length, state.curves.size, full.some((one) => one.number === best)];
    }""")
    assert held == [3000, 1001, 51, True], "the newest thousand, the newest fifty curves, and the best trial's"
    expect(ada.locator("[data-trials-shown]")).to_have_text("3,000")


def test_the_table_of_an_ended_sweep_has_no_column_of_actions(ada: Page, server: Server, store: Store) -> None:
    writer = Writer(store)
    writer.claim()
    writer.begin_stage(0)
    writer.end_trial(writer.begin_trial())
    ada.goto(f"{server.url}/sweeps/{writer.id}#trials")
    heads, spans = ada.locator("[data-trials] thead th"), ada.locator("[data-trials] .spacer td")
    expect(heads).to_have_count(10)
    writer.finish(SweepState.STOPPED)
    expect(heads).to_have_count(9)
    assert spans.evaluate_all("cells => cells.map((cell) => cell.colSpan)") == [9, 9]


def test_a_dialog_of_somebody_who_is_logged_out_leads_to_the_login(ada: Page, server: Server, store: Store) -> None:
    writer = Writer(store)
    writer.claim()
    ada.goto(f"{server.url}/sweeps/{writer.id}")
    expect(ada.locator("[data-connection]")).to_have_text("live")
    ada.context.clear_cookies()
    ada.get_by_role("button", name="Try a point…").click()
    expect(ada).to_have_url(re.compile("/login"))


def test_a_trial_has_a_page_that_follows_it(ada: Page, server: Server, store: Store) -> None:
    writer = Writer(store, opt_stages=[[100, 3]])
    writer.claim()
    writer.begin_stage(0)
    first = writer.begin_trial()
    writer.end_trial(first, loss=0.5)
    number = writer.begin_trial(1)
    ada.goto(f"{server.url}/sweeps/{writer.id}#trials")
    ada.locator("[data-trial-rows]").get_by_role("link", name=f"trial {number}").click()
    expect(ada.get_by_role("heading", name=f"Trial {number}")).to_contain_text("Running")
    writer.progress(number, 0.5)
    expect(ada.locator("[data-steps]")).to_have_text("50 of 100")
    expect(ada.locator("[data-chart=curve] canvas").first).to_be_visible()
    writer.log("warning", f"trial {number} failed: the loss became NaN", "trial 1 is another")
    expect(ada.locator("[data-lines]")).to_have_text(re.compile(rf"trial {number} failed: the loss became NaN$"))
    writer.end_trial(number, error="Traceback\nNumericalError: the loss became NaN")
    expect(ada.locator("[data-error-text]")).to_contain_text("NumericalError")
    expect(ada.get_by_role("button", name=f"Retry trial {number}")).to_be_visible()
    expect(ada.get_by_role("link", name="Trial after ›")).to_be_hidden()
    writer.begin_trial()
    ada.get_by_role("link", name="Trial after ›").click()
    expect(ada.get_by_role("heading", name="Trial 3")).to_be_visible()
    ada.get_by_role("link", name="‹ Trial before").click()
    ada.get_by_role("link", name="‹ Trial before").click()
    expect(ada.get_by_role("link", name="Download model")).to_be_visible()


def test_the_log_is_filtered_by_level_and_text(ada: Page, server: Server, store: Store) -> None:
    writer = Writer(store)
    writer.claim()
    writer.log("WARNING", "ps_1 ended with signal SIGKILL")
    writer.log("INFO", "stage 1 of 3")
    ada.goto(f"{server.url}/sweeps/{writer.id}#log")
    lines = ada.locator("[data-lines] .log-line")
    expect(lines).to_have_count(3)
    ada.get_by_label("Level").select_option("Warnings and errors")
    expect(lines).to_have_count(1)
    writer.log("ERROR", "gone")
    expect(lines).to_have_count(2)
    ada.get_by_role("searchbox", name="Find").locator("visible=true").fill("SIGKILL")
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text("ps_1")


def test_a_waiting_sweep_says_why_and_its_priority_moves_it(ada: Page, server: Server, store: Store) -> None:
    store.machines.beat("turing", 1, 1, ["another"], datetime.now(UTC) + timedelta(hours=1))
    Writer(store)
    writer = Writer(store)
    ada.goto(f"{server.url}/sweeps/{writer.id}")
    waiting = ada.locator("[data-waiting]")
    expect(waiting).to_contain_text("place 2 in the queue")
    ada.get_by_label("Priority in the queue").fill("5")
    ada.get_by_role("button", name="Set").click()
    expect(waiting).to_contain_text("place 1 in the queue")
    assert store.sweeps.get(writer.id)["priority"] == 5


def test_stopping_asks_first_and_answers_at_once(ada: Page, server: Server, store: Store) -> None:
    writer = Writer(store)
    writer.claim()
    ada.goto(f"{server.url}/sweeps/{writer.id}")
    ada.get_by_role("button", name="Stop", exact=True).click()
    ada.get_by_role("button", name="Keep it running").click()
    assert store.sweeps.get(writer.id)["stop_requested"] is False
    ada.get_by_role("button", name="Stop", exact=True).click()
    ada.get_by_role("button", name="Stop the sweep").click()
    expect(ada.locator("[data-state]")).to_have_text("Stopping")
    expect(ada.get_by_role("button", name="Stopping…")).to_be_disabled()
    assert store.sweeps.get(writer.id)["stop_requested"] is True
    writer.finish(SweepState.STOPPED)
    expect(ada.locator("[data-state]")).to_have_text("Stopped")


def test_a_failed_sweep_says_why(ada: Page, server: Server, store: Store) -> None:
    writer = Writer(store)
    writer.claim()
    ada.goto(f"{server.url}/sweeps/{writer.id}")
    writer.finish(SweepState.FAILED, error="ps_1 died three times, and max_attempts is 3")
    expect(ada.locator("[data-failure]")).to_contain_text("ps_1 died three times, and “Attempts” is 3")


def test_the_history_shows_runs_and_one_of_them(ada: Page, server: Server, store: Store) -> None:
    now = datetime.now(UTC)
    run_id = store.runs.create(
        {"status": "RUNNING", "start_time": now, "config": {"name": "old-run", "lr": 0.1}, "captured_out": "hello out"}
    )
    store.runs.put_metric(run_id, "loss", [1, 2, 3], [0.5, 0.25, 0.125], [now] * 3)
    ada.goto(f"{server.url}/history")
    ada.get_by_role("link", name="old-run").click()
    expect(ada.get_by_role("heading", name="old-run")).to_be_visible()
    expect(ada.get_by_text("hello out")).to_be_visible()
    expect(ada.locator("[data-metrics] canvas")).to_be_visible()


@pytest.mark.parametrize("width", [320, 390, 1440])
def test_no_page_is_wider_than_the_screen(ada: Page, server: Server, store: Store, width: int) -> None:
    writer = Writer(store, name="a-name-" * 12)
    writer.claim()
    writer.begin_stage(0)
    writer.end_trial(writer.begin_trial())
    ada.set_viewport_size({"width": width, "height": 900})
    parts = [f"/sweeps/{writer.id}#{part}" for part in ("trials", "analysis", "cluster", "log", "configuration")]
    live = [f"/sweeps/{writer.id}", f"/sweeps/{writer.id}/trials/1"]
    for path in ("/", "/sweeps/new", *live, *parts, "/history", "/nothing"):
        ada.goto(f"{server.url}{path}")
        ada.wait_for_load_state("networkidle")
        assert ada.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path


def test_the_theme_is_kept(ada: Page) -> None:
    root = ada.locator("html")
    before = root.get_attribute("data-bs-theme")
    ada.get_by_role("button", name="Switch between light and dark").click()
    expect(root).not_to_have_attribute("data-bs-theme", before or "")
    ada.reload()
    expect(root).not_to_have_attribute("data-bs-theme", before or "")


def test_a_page_survives_a_restart_of_the_web_server(ada: Page, server: Server, store: Store) -> None:
    writer = Writer(store, opt_stages=[[100, 20]])
    writer.claim()
    writer.begin_stage(0)
    ada.goto(f"{server.url}/sweeps/{writer.id}#trials")
    expect(ada.locator("[data-connection]")).to_have_text("live")
    server.stop(signal.SIGKILL)
    expect(ada.locator("[data-connection]")).to_have_text("reconnecting…")
    ada.evaluate("window.here = true")
    for _ in range(3):
        writer.end_trial(writer.begin_trial())
    server.start()
    expect(ada.locator("[data-connection]")).to_have_text("live")
    expect(ada.locator("[data-trial-rows] tr")).to_have_count(3)
    show(ada, "Overview")
    writer.end_trial(writer.begin_trial())
    expect(ada.locator("[data-trials-done]")).to_have_text("4 of 20")
    assert ada.evaluate("window.here") is True, "the page was loaded anew instead of reconnected"


def test_pausing_resuming_and_ending_a_trial_answer_at_once(ada: Page, server: Server, store: Store) -> None:
    writer = Writer(store)
    writer.claim()
    writer.begin_stage(0)
    number = writer.begin_trial()
    ada.goto(f"{server.url}/sweeps/{writer.id}")
    ada.get_by_role("button", name="Pause").click()
    expect(ada.locator("[data-state]")).to_have_text("Pausing")
    expect(ada.get_by_role("button", name="Resume")).to_be_visible()
    assert store.sweeps.wishes(writer.id) == Wishes(pause=True)
    writer.set(state="PAUSED")
    expect(ada.locator("[data-state]")).to_have_text("Paused")
    expect(ada.locator("[data-waiting]")).to_contain_text("wait where they are")
    ada.get_by_role("button", name="Resume").click()
    expect(ada.locator("[data-state]")).to_have_text("Resuming")
    assert store.sweeps.wishes(writer.id) == Wishes()
    writer.set(state="RUNNING")
    expect(ada.locator("[data-state]")).to_have_text("Running")
    show(ada, "Trials")
    ada.get_by_role("button", name=f"End trial {number}").click()
    expect(ada.get_by_role("button", name=f"End trial {number}")).to_be_disabled()
    expect(ada.locator("[data-taken]")).to_contain_text(f"End trial {number} – waiting for the engine…")
    assert store.sweeps.wishes(writer.id).cancel == {number}
    store.sweeps.finish(writer.id, writer.fence, SweepState.FAILED, {"error": "gone"})
    ada.get_by_role("button", name="Pause").click()
    expect(ada.locator("[data-refused]")).to_have_text("The sweep does not run: it is FAILED.")


def test_a_host_that_does_not_answer_is_named_with_what_the_sweep_does_about_it(
    ada: Page, server: Server, store: Store
) -> None:
    writer = Writer(store, worker_hosts="localhost:2225,gpu1:2226")
    writer.claim()
    ada.goto(f"{server.url}/sweeps/{writer.id}")
    missing = {"role": "worker", "index": 1, "address": "gpu1:2226", "pid": None, "state": "missing",
               "detail": "does not answer; no daemon on gpu1 has taken it on", "restarts": 0}  # fmt: skip
    writer.tell(EventType.PROCESS, missing)
    notice = ada.locator("[data-missing]")
    expect(notice).to_contain_text("Worker 1 at gpu1:2226 does not answer. The sweep goes on with the other workers")
    show(ada, "Cluster")
    expect(ada.locator("[data-processes]")).to_contain_text("no daemon on gpu1 has taken it on")
    writer.tell(EventType.PROCESS, {**missing, "state": "ready", "detail": "kept by the daemon on gpu1"})
    expect(notice).to_be_hidden()
