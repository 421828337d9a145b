"""Tokens: what they open, for how long, and what of them is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.errors import ConfigError, NotFound
from engine.store import Store
from webapp.services import accounts, tokens
from webapp.services.accounts import Account

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def ada(store: Store) -> Account:
    return accounts.create(store, "Ada", "correct horse", "editor", NOW)


def make(store: Store, account: Account, scope: str = "write", days: str = "") -> str:
    return tokens.create(store, account, "a notebook", scope, days, NOW)


def test_a_token_opens_its_account_and_is_not_stored(store: Store, ada: Account) -> None:
    token = make(store, ada)
    assert tokens.TOKEN.fullmatch(token)
    assert tokens.account_of(store, token, NOW) == ada
    assert token not in str(list(store.database["tokens"].find({})))
    assert tokens.account_of(store, token[:-1], NOW) is None
    assert tokens.account_of(store, "", NOW) is None


def test_a_token_of_the_scope_read_changes_nothing(store: Store, ada: Account) -> None:
    account = tokens.account_of(store, make(store, ada, "read"), NOW)
    assert account is not None
    assert account.name == "Ada"
    assert not account.may_edit
    assert not account.may_stop("ada")


def test_a_token_does_no_more_than_its_account_may_by_now(store: Store, ada: Account) -> None:
    token = make(store, ada)
    store.database["users"].update_one({"_id": "ada"}, {"$set": {"role": "viewer"}})
    account = tokens.account_of(store, token, NOW)
    assert account is not None
    assert not account.may_edit
    store.database["users"].delete_one({"_id": "ada"})
    assert tokens.account_of(store, token, NOW) is None


def test_a_deactivated_account_has_no_tokens_that_open_anything(store: Store, ada: Account) -> None:
    token = make(store, ada)
    store.users.change("ada", active=False)
    assert tokens.account_of(store, token, NOW) is None
    store.users.change("ada", active=True)
    assert tokens.account_of(store, token, NOW) is not None


def test_a_viewer_gets_no_token_that_writes(store: Store) -> None:
    vera = accounts.create(store, "vera", "correct horse", "viewer", NOW)
    with pytest.raises(ConfigError, match="scope: this account may only look"):
        make(store, vera)
    assert list(tokens.page(store, vera, NOW).scopes) == ["read"]


def test_a_token_expires_when_it_should(store: Store, ada: Account) -> None:
    token = make(store, ada, days="30")
    month = timedelta(days=30)
    assert tokens.account_of(store, token, NOW + month - timedelta(seconds=1)) == ada
    assert tokens.account_of(store, token, NOW + month) is None
    assert tokens.page(store, ada, NOW + month).tokens[0].expired


def test_the_last_use_is_kept_to_the_minute(store: Store, ada: Account) -> None:
    token = make(store, ada)
    assert tokens.page(store, ada, NOW).tokens[0].used is None
    for seconds, used in ((0, 0), (30, 0), (61, 61)):
        tokens.account_of(store, token, NOW + timedelta(seconds=seconds))
        assert tokens.page(store, ada, NOW).tokens[0].used == NOW + timedelta(seconds=used)


def test_only_its_account_revokes_a_token_and_it_ends_at_once(store: Store, ada: Account) -> None:
    token = make(store, ada)
    bob = accounts.create(store, "bob", "correct horse", "admin", NOW)
    token_id = tokens.page(store, ada, NOW).tokens[0].id
    with pytest.raises(NotFound):
        tokens.revoke(store, bob, token_id)
    assert tokens.account_of(store, token, NOW) == ada
    tokens.revoke(store, ada, token_id)
    assert tokens.account_of(store, token, NOW) is None


def test_everything_wrong_with_a_new_token_is_said_at_once(store: Store, ada: Account) -> None:
    with pytest.raises(ConfigError) as refused:
        tokens.create(store, ada, "", "all", "7", NOW)
    assert [problem.key for problem in refused.value.problems] == ["name", "scope", "days"]
    assert store.tokens.of_account("ada") == []


def test_an_account_has_a_bounded_number_of_tokens(store: Store, ada: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST", 1)
    make(store, ada)
    with pytest.raises(ConfigError, match="revoke one first"):
        make(store, ada)
