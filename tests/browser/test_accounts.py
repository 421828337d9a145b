"""Accounts in real browsers: an invitation is accepted, and who is sent away is out at once."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from engine.store import Store
from tests.browser.conftest import PASSWORD, Server
from tests.provider import CLIENT, SECRET, provider
from webapp.services import accounts


def test_an_invited_person_is_in_and_when_deactivated_out_with_the_open_page(
    ada: Page, browser: Browser, server: Server, store: Store
) -> None:
    store.database["users"].delete_many({"_id": {"$ne": "ada"}})
    ada.get_by_role("link", name="Accounts").click()
    ada.get_by_label("Role", exact=True).select_option("viewer")
    ada.get_by_label("For whom").fill("Vera")
    ada.get_by_role("button", name="Make the link").click()
    link = ada.get_by_role("textbox", name="The invitation").input_value()
    with browser.new_context() as context:
        vera = context.new_page()
        vera.goto(link)
        expect(vera.get_by_text("ada invites you as viewer")).to_be_visible()
        vera.get_by_label("Name").fill("vera")
        vera.get_by_label("Password").fill("correct horse")
        vera.get_by_role("button", name="Make the account").click()
        expect(vera.locator("[data-connection]")).to_have_text("live")
        ada.get_by_role("link", name="Accounts").click()
        ada.get_by_role("button", name="Deactivate vera").click()
        expect(ada.get_by_role("status").filter(has_text="vera is deactivated")).to_be_visible()
        vera.wait_for_url(re.compile(r"/login\?next="))


def test_ending_a_session_elsewhere_closes_its_page(browser: Browser, server: Server, store: Store) -> None:
    if store.users.get("otto") is None:
        accounts.create(store, "otto", PASSWORD, "editor", datetime.now(UTC))
    pages = []
    contexts = [browser.new_context(), browser.new_context()]
    for context in contexts:
        page = context.new_page()
        page.goto(f"{server.url}/login")
        page.get_by_label("Name").fill("otto")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("[data-connection]")).to_have_text("live")
        pages.append(page)
    here, elsewhere = pages
    here.goto(f"{server.url}/account")
    expect(here.get_by_text("this browser", exact=True)).to_have_count(1)
    here.get_by_role("button", name=re.compile("^End the session of")).click()
    elsewhere.wait_for_url(re.compile(r"/login\?next="))
    here.goto(f"{server.url}/")
    expect(here.locator("[data-connection]")).to_have_text("live")
    for context in contexts:
        context.close()


def test_who_came_by_the_provider_leaves_by_it(browser: Browser, tmp_path: Path) -> None:
    with provider() as known:
        known.ends = f"{known.url}/logout"
        about = {"NHOP_OIDC_ISSUER": known.url, "NHOP_OIDC_CLIENT_ID": CLIENT, "NHOP_OIDC_CLIENT_SECRET": SECRET}
        own = Server(tmp_path / "data", **about)
        own.start()
        try:
            with browser.new_context() as context:
                page = context.new_page()
                refused: list[str] = []
                page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
                page.goto(f"{own.url}/login")
                known.claims = {"sub": "42", "preferred_username": "Vera"}
                page.get_by_role("link", name="Log in with single sign-on").click()
                expect(page.locator("[data-connection]")).to_have_text("live")
                page.get_by_role("button", name="Log out").click()
                page.wait_for_url(f"{own.url}/login")
                expect(page.get_by_role("heading", name="Log in")).to_be_visible()
                back = {"client_id": CLIENT, "post_logout_redirect_uri": f"{own.url}/login"}
                assert known.left == [{**back, "sub": "42"}]
                assert refused == [], "the policy of the pages stands in the way of nothing"
        finally:
            own.stop()
