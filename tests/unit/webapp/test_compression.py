"""What is sent compressed, and what never is."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import brotli
import pytest
from flask.testing import FlaskClient

from engine.store import Store
from tests.unit.webapp.test_analysis import searched

LIBRARY = "/static/vendor/echarts-6.1.0/echarts.js"


@pytest.fixture
def ada(login: Callable[[str, str], FlaskClient]) -> FlaskClient:
    return login("ada", "editor")


@pytest.mark.parametrize(("encoding", "unpack"), [("br", brotli.decompress), ("gzip", gzip.decompress)])
def test_files_are_compressed_for_those_who_can_read_it(
    visitor: FlaskClient, encoding: str, unpack: Callable[[bytes], bytes]
) -> None:
    plain = visitor.get(LIBRARY, buffered=True)
    sent = visitor.get(LIBRARY, headers={"Accept-Encoding": encoding}, buffered=True)
    assert "Content-Encoding" not in plain.headers
    assert sent.headers["Content-Encoding"] == encoding
    assert "Accept-Encoding" in sent.headers["Vary"]
    assert unpack(sent.data) == plain.data
    assert 2 * len(sent.data) < len(plain.data)
    kept = {"Accept-Encoding": encoding, "If-None-Match": sent.headers["ETag"]}
    assert visitor.get(LIBRARY, headers=kept, buffered=True).status_code == 304


def test_what_charts_are_sent_is_compressed_and_kept_nowhere(ada: FlaskClient, store: Store) -> None:
    sent = ada.get(f"/sweeps/{searched(store)}/analysis/parallel.json", headers={"Accept-Encoding": "br"})
    assert sent.headers["Content-Encoding"] == "br"
    assert sent.headers["Cache-Control"] == "no-store"


def test_a_page_that_repeats_its_address_beside_a_token_is_not(ada: FlaskClient) -> None:
    """Its length would tell the token to whoever can choose the address and count bytes."""
    sent = ada.get("/sweeps/new?config={name: guessed-by-somebody}", headers={"Accept-Encoding": "br"})
    assert b"guessed-by-somebody" in sent.data
    assert b"csrf_token" in sent.data
    assert "Content-Encoding" not in sent.headers
