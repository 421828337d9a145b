"""Sending notices: which addresses are refused, that the checked one is used, and what is sent."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.config import parse
from engine.errors import NoticeError, NoticeRefused
from engine.notify import mail, message, sender, webhook
from engine.notify.addresses import is_public
from engine.settings import Settings, load
from tests.receivers import CERTIFICATE, hook, mailbox

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PUBLIC = "93.184.215.14"

SPECIAL = {
    "this network": ("0.0.0.0", "0.255.255.255"),  # noqa: S104 - no socket is bound to it
    "private": ("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"),
    "carrier-grade NAT": ("100.64.0.1", "100.127.255.255"),
    "loopback": ("127.0.0.1", "127.255.255.254", "::1"),
    "link-local": ("169.254.169.254", "fe80::1", "fe80::1%eth0", "febf::1"),
    "protocol assignments": ("192.0.0.8", "192.0.0.170", "2001::1", "2001:1ff:ffff::1"),
    "documentation": ("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"),
    "relays and sinks": ("192.88.99.1", "192.31.196.1", "192.52.193.1", "192.175.48.1", "2620:4f:8000::1"),
    "benchmarks": ("198.18.0.1", "198.19.255.255"),
    "multicast": ("224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"),
    "reserved": ("240.0.0.1", "255.255.255.255", "4000::1", "8000::1"),
    "unspecified": ("::",),
    "unique local": ("fc00::1", "fdff:ffff::1", "fd00:ec2::254"),
    "site-local": ("fec0::1",),
    "discard": ("100::1",),
    "IPv4 within IPv6": (
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::ffff:100.64.0.1", "::127.0.0.1"),
        *("2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::1"),
    ),
    "no address": ("", "localhost", "127.1", "256.0.0.1", "1.2.3.4.5"),
}


@pytest.mark.parametrize("address", [address for of in SPECIAL.values() for address in of])
def test_an_address_that_is_not_public_is_none(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [PUBLIC, "1.1.1.1", "100.63.255.255", "172.32.0.1", "192.169.0.1", "198.20.0.1", "223.255.255.255",
     "2606:4700::1111", "2a00:1450:4001::200e", f"::ffff:{PUBLIC}", "64:ff9b::101:101", "2002:101:101::1"],
)  # fmt: skip
def test_a_public_address_is_one(address: str) -> None:
    assert is_public(address)


class Resolver:
    """Answers with one list of addresses after the other, the last again and again."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = answers
        self.asked = 0

    def __call__(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        addresses = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], [PUBLIC, "127.0.0.1"], ["10.0.0.1", PUBLIC], ["::ffff:127.0.0.1"], ["169.254.169.254"]]
)
def test_nothing_is_sent_where_any_address_of_the_host_is_not_public(addresses: list[str]) -> None:
    with hook() as received, pytest.raises(NoticeRefused, match="webhook_hosts"):
        webhook.post(f"http://receiver.test:{received.port}/", {}, resolve=Resolver(addresses))
    assert received.requests == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0"]
)
def test_every_way_to_write_this_machine_is_refused(host: str) -> None:
    with hook() as received, pytest.raises(NoticeRefused):
        webhook.post(f"http://{host}:{received.port}/", {})
    assert received.requests == []


def test_the_very_address_that_was_checked_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name resolves to another address a moment later: DNS rebinding."""
    resolver = Resolver(["127.0.0.1"], ["127.0.0.2"])
    numeric = socket.getaddrinfo

    def nobody_else_asks(host: str, *arguments: Any, **more: Any) -> Any:
        assert host == "127.0.0.1", "the name was resolved a second time"
        return numeric(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", nobody_else_asks)
    with hook() as checked:
        assert webhook.post(f"http://receiver.test:{checked.port}/a?b=c", {"x": 1}, ["receiver.test"], resolve=resolver)
    assert resolver.asked == 1
    ((path, headers, document),) = checked.requests
    assert (path, document) == ("/a?b=c", {"x": 1})
    assert headers["Host"] == f"receiver.test:{checked.port}"
    assert headers["Content-Type"] == "application/json"


def test_a_host_that_is_allowed_is_allowed_at_its_port_alone_if_one_is_named() -> None:
    with hook() as received, hook() as other:
        allowed = [f"127.0.0.1:{received.port}"]
        assert webhook.post(f"http://127.0.0.1:{received.port}/", {}, allowed) == 200
        with pytest.raises(NoticeRefused):
            webhook.post(f"http://127.0.0.1:{other.port}/", {}, allowed)
    assert other.requests == []


def test_a_redirect_is_not_followed() -> None:
    with hook() as secret, hook([302], location=f"http://127.0.0.1:{secret.port}/") as received:
        with pytest.raises(NoticeRefused, match="302, a redirect, which is not followed"):
            webhook.post(f"http://127.0.0.1:{received.port}/", {}, ["127.0.0.1"])
        assert (len(received.requests), secret.requests) == (1, [])


@pytest.mark.parametrize(
    ("status", "error"), [(404, NoticeRefused), (410, NoticeRefused), (429, NoticeError), (503, NoticeError)]
)
def test_a_refusal_is_final_and_a_failure_is_not(status: int, error: type[NoticeError]) -> None:
    with hook([status]) as received, pytest.raises(NoticeError, match=f"answered with {status}") as caught:
        webhook.post(f"http://127.0.0.1:{received.port}/", {}, ["127.0.0.1"])
    assert caught.type is error


def test_an_answer_that_comes_byte_by_byte_is_cut_off_at_the_deadline() -> None:
    with hook(drip=0.02) as received, pytest.raises(NoticeError, match="no answer within"):
        webhook.post(f"http://127.0.0.1:{received.port}/", {}, ["127.0.0.1"], seconds=0.3)


def test_https_needs_a_certificate_for_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(["127.0.0.1"])
    with hook(tls=True) as received:
        with pytest.raises(NoticeRefused, match="certificate"):
            webhook.post(f"https://receiver.test:{received.port}/", {}, ["receiver.test"], resolve=resolver)
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        assert webhook.post(f"https://receiver.test:{received.port}/", {}, ["receiver.test"], resolve=resolver) == 200
        with pytest.raises(NoticeRefused, match="certificate"):
            webhook.post(f"https://other.test:{received.port}/", {}, ["other.test"], resolve=resolver)
    assert len(received.requests) == 1


def test_nobody_there_and_no_such_name_may_be_tried_again() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(NoticeError) as caught:
            webhook.post(f"http://127.0.0.1:{unused.getsockname()[1]}/", {}, ["127.0.0.1"])
    assert caught.type is NoticeError

    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror

    with pytest.raises(NoticeError, match="not known") as caught:
        webhook.post("http://receiver.test/", {}, resolve=unknown)
    assert caught.type is NoticeError


def test_what_is_said_of_a_failure_holds_no_part_of_the_address() -> None:
    said = []
    for url in ("http://127.0.0.1:1/SECRET?token=SECRET", "https://SECRET.invalid/SECRET", "http://127.0.0.1:1/SECRET"):
        for allowed in ([], ["127.0.0.1"]):
            with pytest.raises(NoticeError) as caught:
                webhook.post(url, {}, allowed)
            said.append(str(caught.value))
    assert not [text for text in said if "secret" in text.lower() or "127.0" in text]


SWEEP: dict[str, Any] = {
    "_id": "5eed",
    "name": "amber-falcon\nSubject: injected",
    "owner": "ada",
    "state": "COMPLETED",
    "error": None,
    "ended_because": "the target loss 0.1 is reached",
    "created": NOW,
    "started": NOW + timedelta(seconds=1),
    "finished": NOW + timedelta(seconds=61),
    "progress": {"done": 9, "failed": 1, "pruned": 2, "total": 9},
    "best": {"number": 4, "loss": 0.0123, "stage": 0, "params": {"layers": 2}},
    "confirmed": [
        {"trial": 4, "loss": 0.0123, "seeds": 3, "failed": 0, "params": {}, "optimism": float("nan"),
         "figures": {"rmse": {"mean": 0.2, "std": float("nan"), "values": [0.2]}, "confusion": {"mean": [[1]]}}}
    ],
}  # fmt: skip


def settings(**values: Any) -> Settings:
    given = {f"NHOP_{name.upper()}": str(value) for name, value in values.items()}
    return load(given, Path("/nonexistent/config.yaml"))


def test_the_document_of_a_webhook_is_plain_json() -> None:
    told = message.document(SWEEP, "5eed-webhook", "http://nhop/sweeps/5eed")
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (told["event"], told["url"], told["id"]) == ("sweep.completed", "http://nhop/sweeps/5eed", "5eed-webhook")
    assert told["sweep"]["best"] == {"number": 4, "loss": 0.0123, "params": {"layers": 2}}
    assert told["sweep"]["confirmed"] == [{"trial": 4, "seeds": 3, "figures": {"rmse": {"mean": 0.2, "std": None}}}]
    assert (told["sweep"]["seconds"], told["sweep"]["trials"]["pruned"]) == (60, 2)


def test_a_sweep_that_failed_without_a_trial_is_told_with_its_error() -> None:
    failed = {
        **SWEEP,
        "state": "FAILED",
        "error": "the data is gone",
        "best": None,
        "confirmed": None,
        "progress": None,
    }
    assert message.sentence(failed).endswith("has failed: the data is gone")
    assert message.document(failed, "x", "y")["sweep"]["best"] is None
    assert "the data is gone" in message.email(failed, "http://nhop")[1]


def test_an_e_mail_goes_to_all_with_one_subject_line() -> None:
    with mailbox() as received:
        given = settings(smtp_host="127.0.0.1", smtp_port=received.port, smtp_security="none", smtp_from="nhop@x.test")
        mail.send(given, ["a@x.test", "b@x.test"], *message.email(SWEEP, "http://nhop/sweeps/5eed"))
    (sent,) = received.messages
    assert received.recipients == [["a@x.test", "b@x.test"]]
    assert (sent["From"], sent["To"]) == ("nhop@x.test", "a@x.test, b@x.test")
    assert sent["Subject"] == "NHOP: amber-falcon Subject: injected has completed: best loss 0.0123"
    text = sent.get_content()
    assert "http://nhop/sweeps/5eed" in text
    assert "9 of 9 trials: 1 failed, 2 pruned." in text


def test_e_mail_is_encrypted_before_a_password_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with mailbox(starttls=True) as received:
        given = settings(
            smtp_host="localhost", smtp_port=received.port, smtp_from="nhop@x.test", smtp_user="u", smtp_password="p"
        )
        with pytest.raises(NoticeRefused, match="certificate"):
            mail.send(given, ["a@x.test"], "s", "t")
        assert received.logins == []
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        mail.send(given, ["a@x.test"], "s", "t")
    assert received.logins == ["u:p"]
    assert len(received.messages) == 1


def test_a_mail_server_without_encryption_gets_nothing_if_it_is_asked_for() -> None:
    with mailbox() as received:
        given = settings(smtp_host="127.0.0.1", smtp_port=received.port, smtp_from="nhop@x.test")
        with pytest.raises(NoticeRefused, match="smtp_security"):
            mail.send(given, ["a@x.test"], "s", "t")
    assert received.messages == []


@pytest.mark.parametrize(("code", "error"), [(450, NoticeError), (550, NoticeRefused)])
def test_a_mail_server_says_whether_to_come_back(code: int, error: type[NoticeError]) -> None:
    with mailbox(refuse=code) as received:
        given = settings(smtp_host="127.0.0.1", smtp_port=received.port, smtp_security="none", smtp_from="nhop@x.test")
        with pytest.raises(NoticeError, match=str(code)) as caught:
            mail.send(given, ["a@x.test"], "s", "t")
    assert caught.type is error


def test_what_cannot_work_is_said_before_the_sweep_begins() -> None:
    config = parse({"webhook": "http://10.0.0.1/x", "notify": "a@x.test"})
    assert [problem.key for problem in sender.problems(settings(), config)] == ["notify", "webhook"]
    fine = settings(smtp_host="mail", smtp_from="nhop@x.test", webhook_hosts="10.0.0.1, other")
    assert sender.problems(fine, config) == []
    assert sender.problems(settings(), parse({"webhook": "https://hooks.example.com/x"})) == []
    for url in ("http://localhost/", "http://[::1]/", "http://2130706433/", "http://a.localhost:1/"):
        assert sender.problems(settings(), parse({"webhook": url})), url
