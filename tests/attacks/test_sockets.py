"""Sockets opened by strangers, from other pages, and by those who send too much: on the real server."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime

import pytest
import simple_websocket

from engine.store import Store
from tests.browser.conftest import Server
from webapp.realtime.door import MOST_MESSAGES
from webapp.realtime.sockets import MOST_ROOMS
from webapp.services import accounts, sessions

LONGEST = 10.0


@pytest.fixture
def store(server: Server) -> Iterator[Store]:
    with closing(server.store()) as opened:
        yield opened


@pytest.fixture
def cookie(server: Server, store: Store) -> str:
    """The cookie of a browser that is logged in, made as the server makes it."""
    from engine import settings as settings_module
    from webapp.factory import create_app

    given = {"NHOP_DATA_DIR": str(server.data_dir)}
    app = create_app(settings_module.load(given, server.data_dir / "none"), store, relay=False)
    ada = accounts.find(store, "ada")
    assert ada is not None
    secret = sessions.begin(store, ada, "127.0.0.1", "test", datetime.now(UTC))
    serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    return f"nhop={serializer.dumps({'_user_id': secret, '_fresh': True})}"


def opened(server: Server, **headers: str) -> tuple[simple_websocket.Client, str]:
    """A websocket that has asked to connect, and what it was answered."""
    address = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    client = simple_websocket.Client(address, headers=headers, max_message_size=2**22)
    client.send("40")
    assert str(client.receive(timeout=LONGEST)).startswith("0{")
    return client, str(client.receive(timeout=LONGEST))


def closed(client: simple_websocket.Client) -> bool:
    """Whether the server ends the connection."""
    try:
        while client.receive(timeout=LONGEST) is not None:
            pass
    except simple_websocket.ConnectionClosed:
        return True
    return False


def test_a_stranger_is_refused_and_learns_nothing(server: Server, store: Store) -> None:
    sweep_id = store.sweeps.create("secret", "ada", {}, 1, 1, 1, datetime.now(UTC))
    for headers in ({}, {"Cookie": "nhop=guess"}, {"Cookie": "nhop=.eJw.x.y"}):
        client, answer = opened(server, **headers)
        assert answer == '44{"message":"login"}'
        for number, (event, data) in enumerate(
            (("join", {"sweep": sweep_id, "after": 0}), ("join_home", {}), ("join_notices", {}))
        ):
            client.send(f"42{number}" + json.dumps([event, data]))
        with suppress(simple_websocket.ConnectionClosed):
            assert client.receive(timeout=0.5) is None
        with suppress(simple_websocket.ConnectionClosed):
            client.close()


def handshake(server: Server, **headers: str) -> int:
    """The status that the request for a websocket gets: 101 where it is opened."""
    wanted = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        **headers,
    }
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=LONGEST)) as connection:
        connection.request("GET", "/socket.io/?EIO=4&transport=websocket", headers=wanted)
        return connection.getresponse().status


def test_a_page_of_another_origin_opens_no_socket_though_the_cookie_is_sent(server: Server, cookie: str) -> None:
    for origin in ("https://evil.example", f"http://127.0.0.1.evil.example:{server.port}", "http://127.0.0.1", "null"):
        assert handshake(server, Cookie=cookie, Origin=origin) == 400, origin
    for host in ("evil.example", f"evil.example:{server.port}"):
        assert handshake(server, Cookie=cookie, Host=host, Origin=f"http://{host}") == 400, host
    assert handshake(server, Cookie=cookie, Origin=server.url) == 101


def test_a_socket_closes_when_its_session_is_ended(server: Server, store: Store, cookie: str) -> None:
    client, answer = opened(server, Cookie=cookie)
    assert answer.startswith("40{")
    store.sessions.end_all("ada")
    assert client.receive(timeout=LONGEST) == "41"
    client.close()


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("join", {"sweep": {"$ne": None}, "after": 0}),
        ("join", {"sweep": {"$regex": "."}, "after": 0}),
        ("join", {"sweep": "home", "after": 0}),
        ("join", {"sweep": "x" * 65, "after": 0}),
        ("join", {"sweep": "SWEEP", "after": {"$gt": -1}}),
        ("join", {"sweep": "SWEEP", "after": "0"}),
        ("join", {"sweep": "SWEEP", "after": True}),
        ("join", {"sweep": "SWEEP", "after": -1}),
        ("join_run", {"run": {"$ne": None}, "output": 0}),
        ("join_run", {"run": '{"$ne": null}', "output": 0}),
        ("join_run", {"run": "theirs", "output": {"$gt": 0}}),
        ("join_run", {"run": "theirs", "output": 0, "database": {"$ne": None}}),
        ("join_history", {"query": {"$ne": None}, "newest": 0, "version": -1, "shown": []}),
        ("join_history", {"query": ["x"], "newest": 0, "version": -1, "shown": []}),
    ],
    ids=str,
)
def test_operators_in_a_message_reach_nothing(
    server: Server, store: Store, cookie: str, event: str, message: dict[str, object]
) -> None:
    """The answer is an error in words, at once, and not a failure of the server, which answers nothing."""
    sweep_id = store.sweeps.create("secret", "ada", {}, 1, 1, 1, datetime.now(UTC))
    store.database["runs"].replace_one({"_id": "theirs"}, {"status": "COMPLETED", "captured_out": "secret"}, True)
    client, answer = opened(server, Cookie=cookie)
    assert answer.startswith("40{")
    client.send("421" + json.dumps([event, message]).replace("SWEEP", sweep_id))
    answer = str(client.receive(timeout=LONGEST))
    assert answer.startswith('431[{"error"'), answer
    client.close()


def test_one_socket_does_not_watch_without_end(server: Server, cookie: str) -> None:
    client, answer = opened(server, Cookie=cookie)
    assert answer.startswith("40{")
    answers = []
    for number in range(MOST_ROOMS + 10):
        asked = {"query": f"text=x{number}", "newest": 0, "version": -1, "shown": []}
        client.send(f"42{number}" + json.dumps(["join_history", asked]))
        while not (answer := str(client.receive(timeout=LONGEST))).startswith(f"43{number}["):
            pass
        answers.append("watches too much" in answer)
    assert answers.index(True) <= MOST_ROOMS
    assert all(answers[-10:])
    client.close()


def test_who_floods_is_put_out(server: Server, cookie: str) -> None:
    client, answer = opened(server, Cookie=cookie)
    assert answer.startswith("40{")
    for number in range(MOST_MESSAGES + 1):
        client.send(f"42{number}" + json.dumps(["join", None]))
    answers = []
    while (answer := str(client.receive(timeout=LONGEST))).startswith("43"):
        answers.append(answer)
    assert answer == "41"
    assert len(answers) <= MOST_MESSAGES + 1
    client.close()


def test_a_giant_message_ends_the_connection_and_not_the_server(server: Server, cookie: str) -> None:
    client, answer = opened(server, Cookie=cookie)
    assert answer.startswith("40{")
    client.send('420["join",{"sweep":"' + "x" * 2**20 + '"}]')
    assert closed(client)
    assert server.answers()
