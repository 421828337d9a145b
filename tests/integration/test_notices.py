"""Notices of real sweeps by real daemons, to real receivers: with no browser, and no dashboard running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.notify import sender
from engine.settings import ROOT
from engine.store import connect, embedded
from tests.installation import Installation, installation
from tests.receivers import hook, mailbox
from tests.waiting import wait_until

SECRET = "T0-secret-path"
EMAIL = "friend@example.org"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path) as made:
        yield made


def settled(place: Installation, sweep_id: str, seconds: float = 30) -> dict[str, str]:
    """The outcome of each notice of a sweep, once all have one."""

    def outcomes() -> dict[str, str]:
        notices = place.store.notices.of_sweep(sweep_id)
        return {} if any(notice["open"] for notice in notices) else {n["kind"]: n["outcome"] for n in notices}

    return wait_until(outcomes, seconds, "the end of all notices")


def log_of(place: Installation, sweep_id: str) -> list[str]:
    """The lines of a sweep's log."""
    events = place.store.events.after(sweep_id, 0, 100_000)
    return [line["text"] for event in events if event.type == "log" for line in event.data["lines"]]


def test_a_sweep_that_completes_is_told_by_webhook_and_e_mail_and_keeps_the_secret(place: Installation) -> None:
    with hook() as received, mailbox() as mail:
        place.start_daemon(
            NHOP_WEBHOOK_HOSTS="127.0.0.1", NHOP_SMTP_HOST="127.0.0.1", NHOP_SMTP_PORT=str(mail.port),
            NHOP_SMTP_SECURITY="none", NHOP_SMTP_FROM="nhop@example.org", NHOP_PUBLIC_URL="https://nhop.example",
            NHOP_SMTP_USER="nhop", NHOP_SMTP_PASSWORD="mail word",
        )  # fmt: skip
        url = f"http://127.0.0.1:{received.port}/{SECRET}?token={SECRET}"
        sweep_id = place.create("amber", webhook=url, notify=[EMAIL], opt_stages=[[50, 2]], confirm=1)
        sweep = place.wait_ended(sweep_id)
        assert settled(place, sweep_id) == {
            "webhook": "delivered, answered with 200",
            "email": "sent to 1 recipient",
        }
    ((path, _, told),) = received.requests
    assert path == f"/{SECRET}?token={SECRET}"
    assert told["event"] == "sweep.completed"
    assert told["url"] == f"https://nhop.example/sweeps/{sweep_id}"
    assert told["sweep"]["best"]["loss"] == sweep["best"]["loss"]
    assert told["sweep"]["confirmed"][0]["figures"]["rmse"]["mean"] > 0
    assert mail.recipients == [[EMAIL]]
    assert mail.logins == ["nhop:mail word"]
    assert "amber has completed" in mail.messages[0]["Subject"]
    assert "webhook: delivered, answered with 200" in log_of(place, sweep_id)

    everything = [place.sweep(sweep_id), place.run(sweep_id), *place.trials(sweep_id), log_of(place, sweep_id)]
    files = [
        path.read_text(errors="replace") for path in (*place.log_dir.rglob("*.log"), *place.data_dir.glob("*.log"))
    ]
    assert files
    for text in (*(json.dumps(one, default=str) for one in everything), *files):
        assert SECRET not in text
        assert EMAIL not in text
        assert "mail word" not in text


def test_a_webhook_is_tried_again_until_it_is_taken(place: Installation) -> None:
    with hook([503, 200]) as received:
        place.start_daemon(NHOP_WEBHOOK_HOSTS=f"127.0.0.1:{received.port}")
        sweep_id = place.create(webhook=f"http://127.0.0.1:{received.port}/", opt_stages=[[20, 1]])
        place.wait_ended(sweep_id)
        assert settled(place, sweep_id) == {"webhook": "delivered, answered with 200"}
    assert len(received.requests) == 2
    assert received.requests[0][2]["id"] == received.requests[1][2]["id"]
    assert "webhook: answered with 503; tried 1 of 5 times, again in 5 s" in log_of(place, sweep_id)


def test_a_private_address_and_a_missing_mail_server_are_refused_and_the_sweep_is_none_the_worse(
    place: Installation,
) -> None:
    with hook() as received:
        place.start_daemon()
        sweep_id = place.create(
            webhook=f"http://localhost:{received.port}/{SECRET}", notify=[EMAIL], opt_stages=[[20, 1]]
        )
        sweep = place.wait_ended(sweep_id)
        outcomes = settled(place, sweep_id)
    assert (sweep["state"], sweep["error"], received.requests) == ("COMPLETED", None, [])
    assert "webhook_hosts" in outcomes["webhook"]
    assert "smtp_host" in outcomes["email"]
    assert any(line.startswith("webhook given up: its host has an address") for line in log_of(place, sweep_id))


def test_a_sweep_whose_optimizer_cannot_even_begin_is_told_as_failed(place: Installation) -> None:
    with hook() as received:
        place.start_daemon(NHOP_WEBHOOK_HOSTS="127.0.0.1")
        sweep_id = place.create(webhook=f"http://127.0.0.1:{received.port}/", train_log_dir="/proc/none")
        assert place.wait_ended(sweep_id)["state"] == "FAILED"
        settled(place, sweep_id)
    ((_, _, told),) = received.requests
    assert told["event"] == "sweep.failed"
    assert "train_log_dir" in told["sweep"]["error"]


def test_what_a_sender_left_undone_when_it_died_is_sent_by_the_next(place: Installation) -> None:
    with hook() as received:
        sweep_id = place.create(webhook=f"http://127.0.0.1:{received.port}/")
        now = place.sweep(sweep_id)["created"]
        place.store.sweeps.stop(sweep_id, now)
        assert place.store.notices.take(now, sender.LEASE) is not None, "taken, and never sent"
        place.store.database["notices"].update_one({}, {"$set": {"due": now}})
        place.start_daemon(NHOP_WEBHOOK_HOSTS="127.0.0.1")
        settled(place, sweep_id)
    ((_, _, told),) = received.requests
    assert told["event"] == "sweep.stopped"


def test_the_command_line_sends_its_own(place: Installation) -> None:
    with hook() as received:
        url = f"http://127.0.0.1:{received.port}/"
        done = subprocess.run(
            [sys.executable, "-m", "engine", "with", f"webhook={url}", "opt_stages=[[20,1]]", "data_instances=200",
             "batch_size=[10,20]", "confirm=0", f"train_log_dir={place.log_dir}"],
            cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "NHOP_DATA_DIR": str(place.data_dir), "NHOP_WEBHOOK_HOSTS": "127.0.0.1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    ((_, _, told),) = received.requests
    assert told["event"] == "sweep.completed"
    database, _ = embedded.start(place.data_dir)  # the command, its last user, has stopped it
    with closing(connect(database.uri)) as store:
        assert "webhook" not in store.sweeps.get(told["sweep"]["id"])["config"]
