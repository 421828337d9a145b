"""Ways out of the folders that are served or read, past a canary that must not sing: on the real server."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from engine.settings import Settings
from engine.store import Store
from tests.browser.conftest import Server
from tests.unit.webapp.test_sweeps import typed

CANARY = "canary-6c1e"

UP = ("..", "%2e%2e", "%252e%252e", "..%2f", "..%252f", "..\\", "..%5c", "%2e%2e%5c", "....//", "..;", "%c0%ae%c0%ae")


@pytest.mark.parametrize("base", ["/static/", "/bootstrap/static/", "/static/css/", "/docs/"])
def test_no_file_outside_of_the_served_folders_is_read(server: Server, base: str) -> None:
    (server.data_dir.parent / "canary.txt").write_text(CANARY)
    (server.data_dir / "canary.txt").write_text(CANARY)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for target in (str(server.data_dir / "canary.txt").lstrip("/"), "config.yaml", "wsgi.py", "etc/passwd"):
        for up in UP:
            for depth in (1, 4, 12):
                connection.request("GET", base + "/".join([up] * depth) + "/" + target)
                answer = connection.getresponse()
                text = answer.read().decode(errors="replace")
                assert answer.status in (303, 400, 404), (up, target)
                assert CANARY not in text
                assert "root:" not in text
                assert "from gevent" not in text
                assert "sweep_slots" not in text
    for target in (
        "/static/%00",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/css%00.css",
        "/static-x/y",
    ):
        connection.request("GET", target)
        answer = connection.getresponse()
        assert "root:" not in answer.read().decode(errors="replace")
        assert answer.status in (303, 400, 404)
    connection.close()


def test_no_log_outside_of_a_sweeps_folder_is_shown(ada: FlaskClient, store: Store, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    (tmp_path / "canary.log").write_text(CANARY)
    sweep_id = store.sweeps.create("x", "ada", {"train_log_dir": str(tmp_path)}, 1, 1, 1, datetime.now(UTC))
    for name in (
        "canary",
        "../canary",
        "..%2fcanary",
        "%2e%2e%2fcanary",
        "..\\canary",
        f"{tmp_path}/canary",
        "*",
        "%00",
    ):
        answer = ada.get(f"/sweeps/{sweep_id}/processes/{name}/log.json")
        assert answer.status_code == 404, name
        assert CANARY not in answer.get_data(as_text=True)


def test_data_is_read_from_the_listed_folders_alone(
    ada: FlaskClient, store: Store, settings: Settings, tmp_path: Path
) -> None:
    outside = tmp_path / "canary.csv"
    outside.write_text(f"{CANARY},b\n" + "1,2\n" * 40)
    for path in (
        str(outside),
        f"data/files/../../{outside}",
        "data/files-of-others/x.csv",
        "data/secret_key",
        "data/files/../x",
    ):
        answer = ada.post("/sweeps/new", data=typed(ada, load_data="true", load_data_dir=path, nn_dimensions__0="1"))
        html = answer.get_data(as_text=True)
        assert answer.status_code == 400, path
        assert "an administrator can allow others" in html
        assert CANARY not in html.replace("canary-6c1e.csv", "")
    assert store.sweeps.recent(5) == []
