"""The settings of an installation."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from engine import settings as settings_module
from engine.errors import SettingsError
from engine.settings import ROOT, SETTINGS, load, make_data_dir

NO_FILE = Path("/nonexistent/config.yaml")


def file_with(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text)
    return path


def test_without_file_and_environment_the_defaults_hold() -> None:
    settings = load({}, NO_FILE)
    assert (settings.host, settings.port, settings.sweep_slots) == ("127.0.0.1", 5000, 2)
    assert settings.data_dir == ROOT / "data"
    assert settings.embedded


def test_the_file_overrides_the_defaults(tmp_path: Path) -> None:
    settings = load({}, file_with(tmp_path, "webapp:\n  port: 5005\n  data_dir: /srv/nhop\n"))
    assert settings.port == 5005
    assert settings.data_dir == Path("/srv/nhop")


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    settings = load({"NHOP_PORT": "5006"}, file_with(tmp_path, "webapp:\n  port: 5005\n  host: 192.0.2.1\n"))
    assert settings.port == 5006
    assert settings.host == "192.0.2.1"


def test_every_setting_can_come_from_the_environment() -> None:
    given = {
        "host": "::1",
        "port": "1",
        "mongo_uri": "mongodb://h",
        "database": "d",
        "data_dir": "/x",
        "machine": "gpu1, gpu1.local",
        "sweep_slots": "9",
        "upload_mb": "5",
        "audit_days": "30",
        "trusted_hosts": "nhop.example, .lab.example",
        "proxies": "1",
        "tensorboard": "False",
        "data_folders": "/srv/data",
        "login_header": "X-Remote-User",
        "login_header_from": "10.0.0.0/8, ::1",
        "login_role": "editor",
        "oidc_issuer": "https://id.example",
        "oidc_client_id": "nhop",
        "oidc_claim": "roles",
        "oidc_roles": "lab=editor",
        "public_url": "https://nhop.example",
        "webhook_hosts": "hooks.local",
        "smtp_host": "mail",
        "smtp_port": "465",
        "smtp_security": "tls",
        "smtp_user": "u",
        "smtp_from": "nhop@example.org",
    }
    assert set(given) == set(SETTINGS)
    settings = load({SETTINGS[name][0]: value for name, value in given.items()}, NO_FILE)
    assert {name: str(getattr(settings, name)) for name in given} == given


def test_a_configured_database_is_not_the_embedded_one() -> None:
    assert not load({"NHOP_MONGO_URI": "mongodb://db"}, NO_FILE).embedded


def test_a_child_reads_the_same_settings_from_the_environment_it_is_given(tmp_path: Path) -> None:
    settings = load({"NHOP_PORT": "5007", "NHOP_DATA_DIR": str(tmp_path)}, NO_FILE)
    assert load(settings.environment(), NO_FILE) == settings


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"NHOP_PORT": "web"}, "NHOP_PORT: must be a whole number, got 'web'"),
        ({"NHOP_PORT": "0"}, "NHOP_PORT: must be from 1 to 65535, got 0"),
        ({"NHOP_PORT": "70000"}, "NHOP_PORT: must be from 1 to 65535, got 70000"),
        ({"NHOP_SWEEP_SLOTS": "0"}, "NHOP_SWEEP_SLOTS: must be at least 1, got 0"),
        ({"NHOP_SMTP_PORT": "0"}, "NHOP_SMTP_PORT: must be from 1 to 65535, got 0"),
        (
            {"NHOP_SMTP_SECURITY": "ssl"},
            "NHOP_SMTP_SECURITY: must be one of starttls, tls, none, got 'ssl'",
        ),
        ({"NHOP_SMTP_HOST": "mail"}, "webapp.smtp_from: must be an e-mail address, since smtp_host is set"),
        (
            {"NHOP_PUBLIC_URL": "nhop.example"},
            "NHOP_PUBLIC_URL: must be an address that begins with https:// or http://, without blanks",
        ),
        ({"NHOP_TENSORBOARD": "maybe"}, "NHOP_TENSORBOARD: must be true or false, got 'maybe'"),
        ({"NHOP_UPLOAD_MB": "0"}, "NHOP_UPLOAD_MB: must be from 1 to 10000, got 0"),
    ],
)
def test_a_wrong_value_is_refused_naming_the_variable(environ: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ, NO_FILE)
    assert str(caught.value) == words


def test_a_wrong_value_in_the_file_is_refused_naming_its_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"webapp\.port: must be a whole number, got 'web'"):
        load({}, file_with(tmp_path, "webapp:\n  port: web\n"))


def test_an_impossible_number_in_the_file_is_refused_naming_its_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"webapp\.port: must be from 1 to 65535, got 70000"):
        load({}, file_with(tmp_path, "webapp:\n  port: 70000\n"))


def test_the_mail_servers_password_is_taken_from_the_environment_alone(tmp_path: Path) -> None:
    settings = load({"NHOP_SMTP_PASSWORD": "secret"}, NO_FILE)
    assert settings.smtp_password == "secret"
    assert "secret" not in repr(settings)
    assert "secret" not in settings.environment().values()
    with pytest.raises(SettingsError, match=r"webapp\.smtp_password: .* NHOP_SMTP_PASSWORD in the environment"):
        load({}, file_with(tmp_path, "webapp:\n  smtp_password: secret\n"))


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://127.0.0.1:5000"),
        ({"NHOP_HOST": "0.0.0.0", "NHOP_PORT": "80"}, "http://127.0.0.1:80"),  # noqa: S104 - no socket is bound to it
        ({"NHOP_HOST": "::1"}, "http://[::1]:5000"),
        ({"NHOP_PUBLIC_URL": "https://nhop.example/"}, "https://nhop.example"),
    ],
)
def test_the_dashboards_address_is_the_public_one_if_it_is_known(environ: dict[str, str], url: str) -> None:
    assert load(environ, NO_FILE).url == url


def test_an_unknown_setting_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"config\.yaml: webapp\.prt: there is no such setting; known are host, port"
    ):
        load({}, file_with(tmp_path, "webapp:\n  prt: 1\n"))


def test_a_broken_file_is_refused_naming_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"config\.yaml: .*is not valid YAML"):
        load({}, file_with(tmp_path, "webapp: [1"))


def test_the_data_directory_is_made_for_this_user_alone(tmp_path: Path) -> None:
    settings = load({"NHOP_DATA_DIR": str(tmp_path / "a" / "b")}, NO_FILE)
    assert make_data_dir(settings).stat().st_mode & 0o777 == 0o700
    assert list(settings.data_dir.iterdir()) == []


def test_a_data_directory_that_cannot_be_made_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = load({"NHOP_DATA_DIR": str(tmp_path / "file" / "below")}, NO_FILE)
    with pytest.raises(SettingsError, match="choose another one with NHOP_DATA_DIR"):
        make_data_dir(settings)


def test_the_tests_themselves_have_a_data_directory_of_their_own() -> None:
    assert settings_module.load().data_dir == Path(os.environ["NHOP_DATA_DIR"])
    assert not settings_module.load().data_dir.is_relative_to(ROOT)


def test_a_machine_is_called_by_the_first_of_its_names_or_by_its_host_name() -> None:
    assert load({"NHOP_MACHINE": "GPU1, 10.0.0.1"}, NO_FILE).machine_name == "gpu1"
    assert load({}, NO_FILE).machine_name == socket.gethostname().lower()


def test_only_listed_folders_are_read_for_a_sweep_of_the_dashboard(tmp_path: Path) -> None:
    for name in ("files", "files-of-others"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "table.csv").write_text("a,b")
    (tmp_path / "files" / "out").symlink_to("/etc")
    settings = load({"NHOP_DATA_FOLDERS": f"data/files, {tmp_path}/files"}, NO_FILE)
    assert settings.may_read(f"{tmp_path}/files/table.csv")
    assert settings.may_read(f"{tmp_path}/files")
    assert settings.may_read("data/files/x.csv")
    for path in (
        f"{tmp_path}/files-of-others/table.csv",
        f"{tmp_path}/files/../files-of-others/table.csv",
        f"{tmp_path}/files/out/passwd",
        "/etc/passwd",
        "data/files/../secret_key",
        "data",
        "a\0b",
        "",
    ):
        assert not settings.may_read(path), path
    nothing = load({}, file_with(tmp_path, 'webapp:\n  data_folders: " "\n'))
    assert not nothing.may_read("README.md")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"NHOP_LOGIN_HEADER": "X-Remote-User"}, "NHOP_LOGIN_HEADER_FROM|login_header_from"),
        ({"NHOP_LOGIN_HEADER": "X-Remote-User", "NHOP_LOGIN_HEADER_FROM": "proxy"}, "NHOP_LOGIN_HEADER_FROM"),
        ({"NHOP_LOGIN_ROLE": "emperor"}, "must be one of viewer, editor, admin or none"),
        ({"NHOP_OIDC_ISSUER": "https://id.example"}, "oidc_client_id"),
        ({"NHOP_OIDC_ISSUER": "http://id.example", "NHOP_OIDC_CLIENT_ID": "x"}, "must begin with https"),
        ({"NHOP_OIDC_ISSUER": "nonsense", "NHOP_OIDC_CLIENT_ID": "x"}, "NHOP_OIDC_ISSUER"),
        (
            {"NHOP_OIDC_ISSUER": "https://i.example", "NHOP_OIDC_CLIENT_ID": "x", "NHOP_OIDC_ROLES": "a=king"},
            "a role of viewer, editor, admin, got 'a=king'",
        ),
    ],
)
def test_a_login_elsewhere_that_is_set_up_halfway_is_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load(given, NO_FILE)
