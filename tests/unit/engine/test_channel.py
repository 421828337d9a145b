"""Channels: messages whole and in order, or the news that the other end is gone."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cluster.channel import Channel


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    yield channel, theirs
    channel.close()
    theirs.close()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_messages_split_over_reads_arrive_whole_and_in_order(cuts: list[int]) -> None:
    ours, theirs = socket.socketpair()
    messages = [{"n": n, "text": "é\n\u2028" * n} for n in range(5)]
    sender = socket.socketpair()
    for message in messages:
        Channel(sender[0]).send(message)
    data = sender[1].recv(1 << 16)
    received = []
    channel = Channel(ours)
    while data:
        size = cuts[len(data) % len(cuts)]
        theirs.sendall(data[:size])
        data = data[size:]
        received += channel.receive() or []
    assert received == messages
    for sock in (ours, theirs, *sender):
        sock.close()


def test_a_message_larger_than_any_buffer_arrives_whole(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    message = {"text": "x" * 3_000_000}
    sender = threading.Thread(target=Channel(other).send, args=(message,))
    sender.start()
    received: list[dict[str, object]] = []
    while not received:
        received += channel.receive() or []
    sender.join()
    assert received == [message]


def test_the_closing_of_the_other_end_is_told(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.close()
    assert channel.receive() is None
    assert channel.receive_with_fd() == (None, [])
    assert channel.send({"a": 1}) is False


def test_what_was_sent_before_the_closing_still_arrives(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    Channel(other).send({"a": 1})
    other.close()
    assert channel.receive() == [{"a": 1}]
    assert channel.receive() is None


def test_half_a_message_at_the_closing_is_no_message(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.sendall(b'{"a": 1}\n{"b"')
    other.close()
    assert channel.receive() == [{"a": 1}]
    assert channel.receive() is None


def test_waiting_says_whether_there_is_something(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    assert channel.waiting() is False
    Channel(other).send({"a": 1})
    assert channel.waiting(5.0) is True


def test_an_open_file_goes_along(ends: tuple[Channel, socket.socket], tmp_path: Path) -> None:
    channel, other = ends
    with (tmp_path / "file").open("w") as file:
        Channel(other).send({"take": "this"}, (file.fileno(),))
    messages, fds = channel.receive_with_fd()
    assert messages == [{"take": "this"}]
    os.write(fds[0], b"written elsewhere")
    os.close(fds[0])
    assert (tmp_path / "file").read_text() == "written elsewhere"


def test_an_end_that_nobody_reads_takes_no_more_before_sending_to_it_would_wait(
    ends: tuple[Channel, socket.socket],
) -> None:
    channel, theirs = ends
    sent = 0
    while channel.takes():
        assert channel.send({"n": sent})
        sent += 1
    theirs.setblocking(False)
    received = b""
    while received.count(b"\n") < sent:
        received += theirs.recv(1 << 16)
    assert channel.takes()
