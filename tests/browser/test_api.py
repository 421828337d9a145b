"""A token from the page to a program, and the page of the API."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from nhop_client import ApiError, Client
from tests.browser.conftest import Server

CLIPBOARD = "navigator.clipboard.readText()"


def test_a_token_is_copied_from_the_page_used_and_revoked(ada: Page, server: Server) -> None:
    ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ada.get_by_role("link", name="ada").click()
    ada.get_by_role("link", name="Tokens").click()
    ada.get_by_role("button", name="Make the token").click()
    expect(ada.get_by_role("alert")).to_contain_text("Give it a name")
    ada.get_by_label("Name").fill("my notebook")
    ada.get_by_label("Scope").select_option("write")
    ada.get_by_role("button", name="Make the token").click()
    ada.get_by_role("button", name="Copy").click()
    expect(ada.get_by_role("button", name="Copied")).to_be_visible()
    token = ada.evaluate(CLIPBOARD)

    nhop = Client(server.url, token)
    sweep = nhop.create(name="from a notebook")
    assert [one.id for one in nhop.sweeps()] == [sweep.id]

    ada.goto(f"{server.url}/account/tokens")
    row = ada.get_by_role("listitem").filter(has_text="my notebook")
    expect(row).to_contain_text("last used")
    row.get_by_role("button", name="Revoke my notebook").click()
    expect(ada.get_by_text("Revoked: the token opens nothing any more.")).to_be_visible()
    with pytest.raises(ApiError) as refused:
        nhop.machines()
    assert refused.value.status == 401


def test_the_page_of_the_api_leads_to_operations_and_copies_their_examples(ada: Page, server: Server) -> None:
    ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ada.goto(f"{server.url}/docs/api")
    ada.get_by_role("navigation", name="Operations").get_by_role("link", name="Create a sweep").click()
    operation = ada.get_by_role("region", name="Create a sweep.")
    expect(operation).to_be_in_viewport()
    operation.get_by_role("button", name="Copy the example of create_sweep").click()
    expect(operation.get_by_text("Copied")).to_be_visible()
    assert ada.evaluate(CLIPBOARD).startswith(f"curl -X POST {server.url}/api/v1/sweeps ")
    operation.get_by_role("link", name="NewSweep").click()
    schema = ada.get_by_role("region", name="NewSweep")
    expect(schema).to_be_in_viewport()
    schema.locator("summary").click()
    expect(schema.get_by_role("row", name="hyperparam_opt")).to_be_visible()
    for width in (1440, 390):
        ada.set_viewport_size({"width": width, "height": 900})
        assert ada.evaluate("document.documentElement.scrollWidth") <= width
