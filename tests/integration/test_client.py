"""The Python client on the real server and engine: the notebook of docs/api.md, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.settings import ROOT
from engine.store import Store
from nhop_client import ApiError, Client
from tests.browser.conftest import NAME, Server, server_with_daemon
from webapp.services import tokens
from webapp.services.accounts import Account


def make_token(store: Store) -> str:
    account = store.users.get(NAME)
    assert account is not None
    return tokens.create(store, Account.of(account), "notebook", "write", "30", datetime.now(UTC))


def notebook() -> str:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


def steer(nhop: Client) -> None:
    """Change, pause and stop a sweep that trains."""
    sweep = nhop.create(name="steered", opt_stages=[[100_000, 200]], confirm=0)
    assert nhop.sweep(sweep.id).config["opt_stages"] == [[100_000, 200]]
    assert sweep.change(patience=30) == 2
    assert sweep.refresh().config["patience"] == 30
    with pytest.raises(ApiError) as refused:
        sweep.change({"dataset": "diabetes"})
    assert refused.value.status == 422
    assert "cannot be changed while the sweep runs" in refused.value.problems["dataset"]
    assert sweep.stop().data["stop_requested"]
    assert sweep.wait(120).state == "STOPPED"


def test_the_notebook_of_the_documentation_runs_as_it_stands(tmp_path: Path) -> None:
    with server_with_daemon(tmp_path / "data") as server:
        store = server.store()
        token = make_token(store)
        store.close()
        done = run_notebook(server, token, tmp_path)
        assert done.returncode == 0, done.stderr
        assert "COMPLETED, loss" in done.stdout
        assert "learning_rate" in done.stdout
        assert any(name.endswith("saved_model.pb") for name in zipfile.ZipFile(tmp_path / "best.zip").namelist())

        nhop = Client(server.url, token)
        (sweep,) = nhop.sweeps(state="COMPLETED")
        trials = list(sweep.trials())
        assert [trial.number for trial in trials] == list(range(1, 7))
        losses = [trial.loss for trial in trials if trial.loss is not None]
        assert sweep.best is not None
        assert sweep.best.loss == min(losses)
        assert sweep.best.curve[-1][0] == 200
        table = sweep.to_dataframe()
        assert list(table.index) == list(range(1, 7))
        assert table["val_loss"].min() == min(losses)
        assert nhop.machines()[0]["alive"]
        steer(nhop)


def run_notebook(server: Server, token: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "NHOP_URL": server.url, "NHOP_TOKEN": token, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", notebook()], env=environ, cwd=folder, capture_output=True, text=True, timeout=400
    )
