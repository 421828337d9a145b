"""Scripts in everything that people and programs name: pages show them as text, under the policy that they really have.

The policy would stop most of them by itself; that it had nothing to stop says that the pages escape.
"""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime

from playwright.sync_api import Page, expect

from engine.events import EventType
from engine.store import Store
from tests.browser.conftest import PASSWORD, Server, show
from tests.browser.writer import Writer
from webapp.services import accounts

SCRIPT = "</script><script>window.struck = 1</script>"
IMAGE = "<img src=x onerror='window.struck = 1'>"
EVIL = f"\"'>{SCRIPT}{IMAGE}<svg onload=window.struck=1>"


def unharmed(page: Page) -> None:
    assert page.evaluate("window.struck") is None
    assert page.locator("img[src='x'], svg[onload]").count() == 0


def test_no_text_of_a_sweep_runs_in_its_pages(ada: Page, server: Server, store: Store) -> None:
    writer = Writer(store, opt_stages=[[100, 2]], tags=[IMAGE[:40]], train_log_dir=f"/tmp/{IMAGE}", owner=EVIL[:50])
    store.database["sweeps"].update_one(
        {"_id": writer.id}, {"$set": {"name": EVIL, "config.name": EVIL, "error": EVIL, "config.model_class": EVIL}}
    )
    writer.claim(IMAGE)
    writer.begin_stage(0)
    good = writer.begin_trial()
    writer.progress(good, 0.5)
    writer.end_trial(good, loss=0.25)
    failed = writer.begin_trial(1)
    writer.end_trial(failed, error=f'Traceback\n  File "{EVIL}"\nValueError: {EVIL}')
    store.database["trials"].update_many({"sweep_id": writer.id}, {"$set": {"params.activation": EVIL, "worker": EVIL}})
    writer.log("error", EVIL)
    writer.tell(EventType.SWEEP, writer.public())
    ada.goto(f"{server.url}/")
    expect(ada.get_by_text("window.struck").first).to_be_visible()
    unharmed(ada)
    ada.goto(f"{server.url}/sweeps/{writer.id}")
    expect(ada.get_by_role("heading", level=1)).to_contain_text("window.struck")
    for part in ("Trials", "Cluster", "Log", "Configuration", "Overview"):
        show(ada, part)
        unharmed(ada)
    show(ada, "Log")
    writer.log("error", EVIL)
    expect(ada.locator("[data-lines]")).to_contain_text("window.struck")
    unharmed(ada)
    writer.finish()
    for path in (
        f"/sweeps/{writer.id}/trials/{failed}",
        f"/sweeps/{writer.id}/report",
        f"/sweeps/new?from={writer.id}",
    ):
        ada.goto(f"{server.url}{path}")
        unharmed(ada)


def test_no_text_of_a_run_of_another_program_runs(ada: Page, server: Server, store: Store) -> None:
    store.database["runs"].insert_one(
        {
            "_id": EVIL,
            "status": EVIL,
            "start_time": datetime.now(UTC),
            "config": {EVIL.replace(".", "").replace("$", ""): EVIL, "seed": 1},
            "result": EVIL,
            "captured_out": EVIL,
            "fail_trace": [EVIL],
            "host": {"hostname": EVIL, "os": [EVIL]},
            "experiment": {"name": EVIL, "sources": [[EVIL, "x"]], "dependencies": [EVIL]},
            "meta": {"comment": EVIL, "command": EVIL},
            "info": {"notes": EVIL},
            "artifacts": [{"name": EVIL, "file_id": "x"}],
            "resources": [[EVIL, "x"]],
        }
    )
    ada.goto(f"{server.url}/history")
    expect(ada.get_by_text("window.struck").first).to_be_visible()
    unharmed(ada)
    ada.goto(f"{server.url}/history")
    ada.evaluate("id => { location.assign('/history/run?id=' + encodeURIComponent(id)) }", EVIL)
    expect(ada.get_by_text("window.struck").first).to_be_visible()
    unharmed(ada)


def test_no_name_of_a_file_a_column_or_an_account_runs(ada: Page, server: Server, store: Store) -> None:
    header = f'"{EVIL.replace(chr(34), chr(39))}",b\n'.encode()
    ada.goto(f"{server.url}/datasets")
    ada.get_by_label("File").set_input_files(
        {"name": f"{IMAGE.replace('/', '')}.csv", "mimeType": "text/csv", "buffer": header + b"1,2\n3,5\n" * 20}
    )
    ada.locator("#name").fill("evil")
    ada.get_by_role("button", name="Upload").click()
    unharmed(ada)
    texts = io.BytesIO()
    with zipfile.ZipFile(texts, "w") as archive:
        for number in range(12):
            archive.writestr(f"{IMAGE.replace('/', '')}/{number}.txt", EVIL)
            archive.writestr(f"b/{number}.txt", "x y z")
    ada.goto(f"{server.url}/datasets")
    ada.get_by_label("File").set_input_files(
        {"name": "t.zip", "mimeType": "application/zip", "buffer": texts.getvalue()}
    )
    ada.get_by_role("button", name="Upload").click()
    ada.wait_for_load_state()
    unharmed(ada)
    now = datetime.now(UTC)
    store.users.create(IMAGE, accounts.hashed(PASSWORD, "x"), "viewer", now)
    store.audit.add(
        {
            "_id": "9",
            "at": now,
            "who": EVIL,
            "what": EVIL,
            "where": EVIL,
            "target": EVIL,
            "detail": EVIL,
            "refused": True,
        }
    )
    for path in ("/accounts", "/audit", f"/audit?who={IMAGE}&text={IMAGE}", f"/login?next={IMAGE}"):
        ada.goto(f"{server.url}{path}")
        unharmed(ada)
    store.database["users"].delete_one({"name": IMAGE})
