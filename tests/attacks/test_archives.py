"""ZIP files with ways out, links and bombs, sent as data sets: nothing is stored, nothing is written elsewhere."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from engine.store import Store
from tests.unit.webapp.conftest import token

TEXT = b"def f(x): return x\n" * 5


def archive(entries: dict[str, bytes], links: dict[str, str] | None = None, method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in entries.items():
            made.writestr(name, content)
        for name, target in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            made.writestr(info, target)
    return file.getvalue()


def good() -> dict[str, bytes]:
    return {f"{label}/{number}.txt": TEXT for label in ("a", "b") for number in range(12)}


ATTACKS = {
    "link out": archive(good(), {"a/link.txt": "/etc/passwd"}),
    "link to a folder": archive(good(), {"c": "/etc"}),
    "bomb": archive({**good(), "a/big.txt": b"\0" * (200 * 2**20)}, method=zipfile.ZIP_DEFLATED),
    "bomb in bomb": archive({"a/x.zip": archive({"y": b"\0" * 10**7}, method=zipfile.ZIP_DEFLATED)}),
    "no end": archive(good())[:-10],
    "nothing": archive({}),
}


def upload(browser: FlaskClient, content: bytes, filename: str) -> int:
    form = {"csrf_token": token(browser, "/"), "name": "", "file": (io.BytesIO(content), filename)}
    return browser.post("/datasets", data=form, content_type="multipart/form-data").status_code


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_archive_is_refused_with_nothing_stored(ada: FlaskClient, store: Store, name: str) -> None:
    assert upload(ada, ATTACKS[name], "evil.zip") == 400
    assert store.datasets.names() == []


def test_names_that_lead_out_write_nothing_anywhere(ada: FlaskClient, tmp_path: Path) -> None:
    canary = Path("/tmp/nhop-canary-archive.txt")
    canary.unlink(missing_ok=True)
    names = (
        "/tmp/nhop-canary-archive.txt",
        "../" * 20 + "tmp/nhop-canary-archive.txt",
        "a/../../../x.txt",
        "..\\..\\x.txt",
    )
    assert upload(ada, archive({**good(), **dict.fromkeys(names, TEXT)}), "evil.zip") in (303, 400)
    assert not canary.exists()


@pytest.mark.parametrize(
    "filename", ["../../evil.csv", "..\\evil.csv", "/etc/cron.d/evil.csv", "evil.csv\0.zip", "x" * 5000]
)
def test_a_files_own_name_leads_nowhere(ada: FlaskClient, store: Store, filename: str) -> None:
    content = b"a,b\n" + b"1,2\n2,3\n" * 20
    assert upload(ada, content, filename) in (303, 400)
    for name in store.datasets.names():
        assert "/" not in name
        assert "\\" not in name
