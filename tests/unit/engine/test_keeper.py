"""A daemon that keeps servers for other machines' sweeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.cluster import keeper as keeper_module
from engine.cluster.keeper import Keeper, environment
from engine.cluster.process import environment_without_secrets

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JOBS = {"ps": ["a:1"], "worker": ["a:2", "b:3"]}


class Requests:
    """Stands for the store: what is wanted, and what was reported."""

    def __init__(self, *documents: dict[str, Any]) -> None:
        self.documents = list(documents)
        self.reports: list[tuple[str, dict[str, Any]]] = []

    def wanted(self, hosts: Any) -> list[dict[str, Any]]:
        return self.documents

    def report(self, key: str, generation: int, fields: dict[str, Any]) -> None:
        self.reports.append((key, fields))


def request(sweep: str = "s", fence: int = 1, generation: int = 1) -> dict[str, Any]:
    return {"_id": f"{sweep}/worker_1", "fence": fence, "generation": generation, "role": "worker", "index": 1,
            "jobs": JOBS, "workers_beside": 2, "num_gpus": 0, "until": NOW + timedelta(seconds=20)}  # fmt: skip


def test_a_server_is_told_its_task_and_its_share_of_the_machine() -> None:
    told = environment({**request(), "num_gpus": 3}, cores=8)
    assert told["NHOP_THREADS"] == "4"
    assert told["CUDA_VISIBLE_DEVICES"] == "1"
    assert '"task": {"type": "worker", "index": 1}' in told["TF_CONFIG"]


def test_no_setting_of_the_program_reaches_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """It obeys whoever reaches it, and can be told to read its own environment."""
    monkeypatch.setenv("NHOP_MONGO_URI", "mongodb://user:secret@db")
    monkeypatch.setenv("NHOP_ADMIN_PASSWORD", "secret")
    monkeypatch.setenv("KEPT", "yes")
    assert "secret" not in str(environment_without_secrets())
    assert environment_without_secrets()["KEPT"] == "yes"


def test_a_server_is_kept_replaced_for_a_new_request_and_ended_with_the_last(tmp_path: Path) -> None:
    keeper, requests = Keeper("b", {"b"}, tmp_path), Requests(request())
    keeper.look_after(requests, NOW)  # type: ignore[arg-type]
    first = requests.reports[-1][1]
    assert (first["machine"], first["detail"]) == ("b", "started by the daemon on b")
    keeper.look_after(requests, NOW)  # type: ignore[arg-type]
    assert len(requests.reports) == 1
    requests.documents = [request(fence=2)]
    keeper.look_after(requests, NOW)  # type: ignore[arg-type]
    assert requests.reports[-1][1]["pid"] not in (None, first["pid"])
    requests.documents = []
    keeper.look_after(requests, NOW)  # type: ignore[arg-type]
    assert keeper.keeps == 0


def test_a_server_outlives_a_jump_of_the_clock_and_ends_when_nobody_renews_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, requests = Keeper("b", {"b"}, tmp_path), Requests(request())
    try:
        keeper.look_after(requests, NOW)  # type: ignore[arg-type]
        for second in range(60):
            monkeypatch.setattr(keeper_module.time, "monotonic", lambda second=second: 1000.0 + second)
            requests.documents = [{**request(), "until": NOW + timedelta(seconds=20 + min(second, 30))}]
            keeper.look_after(requests, NOW + timedelta(hours=1))  # type: ignore[arg-type]
            assert keeper.keeps == (1 if second < 50 else 0), f"after {second} s"
    finally:
        keeper.end()


def test_a_request_of_a_machine_whose_clock_is_late_is_met_once_it_is_seen_to_be_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, later = Keeper("b", {"b"}, tmp_path), NOW + timedelta(hours=1)
    requests = Requests(request(), {**request("dead"), "jobs": {**JOBS, "worker": ["a:2", "b:4"]}})
    try:
        for second in range(3):
            monkeypatch.setattr(keeper_module.time, "monotonic", lambda second=second: 1000.0 + second)
            keeper.look_after(requests, later)  # type: ignore[arg-type]
            assert keeper.keeps == 0
        requests.documents[0] = {**request(), "until": NOW + timedelta(seconds=25)}
        keeper.look_after(requests, later)  # type: ignore[arg-type]
        assert [key for key, _ in requests.reports] == ["s/worker_1"]
    finally:
        keeper.end()


def test_two_sweeps_cannot_have_one_port(tmp_path: Path) -> None:
    keeper, requests = Keeper("b", {"b"}, tmp_path), Requests(request("s"), request("t"))
    try:
        keeper.look_after(requests, NOW)  # type: ignore[arg-type]
        assert requests.reports[-1] == (
            "t/worker_1", {"pid": None, "machine": "b", "detail": "b:3 is in use by sweep s"}
        )  # fmt: skip
    finally:
        keeper.end()


def test_a_server_that_cannot_be_started_is_reported_and_the_daemon_goes_on(tmp_path: Path) -> None:
    (tmp_path / "servers").write_text("in the way")
    keeper, requests = Keeper("b", {"b"}, tmp_path), Requests(request())
    keeper.look_after(requests, NOW)  # type: ignore[arg-type]
    assert requests.reports[-1][1]["detail"] == "the daemon on b cannot start it: File exists"
    keeper.end()
