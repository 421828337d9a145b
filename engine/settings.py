"""Where this installation keeps its database and files: the `webapp:` part of config.yaml, and NHOP_* over it.

The engine and the web application read the same settings; the web application adds its own (webapp.settings).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.config import EMAIL, SERVER_SECTION, load_yaml, url_problem
from engine.errors import ConfigError, SettingsError

ROOT = Path(__file__).resolve().parent.parent
CONFIG_FILE = ROOT / "config.yaml"
MOST_UPLOAD_MB = 10_000
MOST_AUDIT_DAYS = 36_500
MOST_PROXIES = 10

SETTINGS: Mapping[str, tuple[str, Any, str]] = {
    "host": ("NHOP_HOST", "127.0.0.1", "address the dashboard listens on"),
    "port": ("NHOP_PORT", 5000, "port the dashboard listens on"),
    "mongo_uri": ("NHOP_MONGO_URI", "", "a MongoDB to use; empty starts the embedded one"),
    "database": ("NHOP_DATABASE", "nhop", "name of the database in it"),
    "data_dir": ("NHOP_DATA_DIR", "data", "folder of the embedded database, journals and keys"),
    "machine": (
        "NHOP_MACHINE",
        "",
        "what ps_hosts and worker_hosts call this machine, several names separated by commas; empty: its host name",
    ),
    "sweep_slots": ("NHOP_SWEEP_SLOTS", 2, "sweeps that run at once on this machine"),
    "upload_mb": ("NHOP_UPLOAD_MB", 200, "largest data set that can be uploaded, in megabytes"),
    "audit_days": ("NHOP_AUDIT_DAYS", 365, "days that the audit log keeps what was changed through the dashboard"),
    "public_url": (
        "NHOP_PUBLIC_URL",
        "",
        "where browsers reach the dashboard, for the links in notifications; empty: http at host and port",
    ),
    "trusted_hosts": (
        "NHOP_TRUSTED_HOSTS",
        "",
        "names that browsers may call the dashboard by, separated by commas, .example.org for all below it; localhost, "
        "this machine's name, that of public_url and addresses in digits always may",
    ),
    "proxies": ("NHOP_PROXIES", 0, "reverse proxies in front of the dashboard whose X-Forwarded headers count"),
    "tensorboard": ("NHOP_TENSORBOARD", True, "whether the history opens runs in TensorBoard, a process of its own"),
    "data_folders": (
        "NHOP_DATA_FOLDERS",
        "data/source_code, data/files",
        "folders, separated by commas, below which load_data_dir of sweeps made in the dashboard must be",
    ),
    "login_header": (
        "NHOP_LOGIN_HEADER",
        "",
        "header in which a reverse proxy names whom it has checked, such as X-Remote-User; empty: none is believed",
    ),
    "login_header_from": (
        "NHOP_LOGIN_HEADER_FROM",
        "",
        "addresses or networks of the proxies, separated by commas, whose login_header is believed",
    ),
    "login_role": (
        "NHOP_LOGIN_ROLE",
        "viewer",
        "role of accounts that are made when somebody checked elsewhere comes first: viewer, editor, admin, or none",
    ),
    "oidc_issuer": ("NHOP_OIDC_ISSUER", "", "address of an OpenID provider to log in by; empty: there is none"),
    "oidc_client_id": (
        "NHOP_OIDC_CLIENT_ID",
        "",
        "what it calls this dashboard; the secret is in the environment alone, NHOP_OIDC_CLIENT_SECRET",
    ),
    "oidc_claim": ("NHOP_OIDC_CLAIM", "groups", "the claim that roles are given by"),
    "oidc_roles": (
        "NHOP_OIDC_ROLES",
        "",
        "value=role for values of that claim, separated by commas; the highest counts, at each login; empty: roles are "
        "given in the dashboard",
    ),
    "webhook_hosts": (
        "NHOP_WEBHOOK_HOSTS",
        "",
        "hosts, or host:port, separated by commas, that webhooks may reach although their addresses are private",
    ),
    "smtp_host": ("NHOP_SMTP_HOST", "", "the server that e-mail is sent through; empty: none is sent"),
    "smtp_port": ("NHOP_SMTP_PORT", 587, "its port"),
    "smtp_security": (
        "NHOP_SMTP_SECURITY",
        "starttls",
        "how the way to it is encrypted: starttls, tls (from the start, as on port 465) or none",
    ),
    "smtp_user": (
        "NHOP_SMTP_USER",
        "",
        "the name to log in with, empty: without; its password is in the environment alone, NHOP_SMTP_PASSWORD",
    ),
    "smtp_from": ("NHOP_SMTP_FROM", "", "the address that e-mail comes from"),
}
"""Each setting of config.yaml's `webapp:` section: environment variable, default, what it is."""

SMTP_PASSWORD = "NHOP_SMTP_PASSWORD"  # noqa: S105 - the variable's name
OIDC_SECRET = "NHOP_OIDC_CLIENT_SECRET"  # noqa: S105 - the variable's name
ROLES = ("viewer", "editor", "admin")
SMTP_SECURITY = ("starttls", "tls", "none")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force."""

    host: str
    port: int
    mongo_uri: str
    database: str
    data_dir: Path
    machine: str
    sweep_slots: int
    upload_mb: int
    audit_days: int
    public_url: str
    trusted_hosts: str
    proxies: int
    tensorboard: bool
    data_folders: str
    login_header: str
    login_header_from: str
    login_role: str
    oidc_issuer: str
    oidc_client_id: str
    oidc_claim: str
    oidc_roles: str
    webhook_hosts: str
    smtp_host: str
    smtp_port: int
    smtp_security: str
    smtp_user: str
    smtp_from: str
    smtp_password: str = field(default="", repr=False)
    oidc_client_secret: str = field(default="", repr=False)

    @property
    def embedded(self) -> bool:
        """Whether the embedded database is used."""
        return not self.mongo_uri

    @property
    def machine_name(self) -> str:
        """What the pages call this machine."""
        return machine_names(self.machine)[0]

    @property
    def url(self) -> str:
        """Where a browser finds the dashboard: on this machine, unless `public_url` says more."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104 - compared, not bound
        return self.public_url.rstrip("/") or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def oidc_mapping(self) -> dict[str, str]:
        """Value of the claim → role, of the setting `oidc_roles`."""
        pairs = (pair.rpartition("=") for pair in self.oidc_roles.split(",") if pair.strip())
        return {value.strip(): role.strip() for value, _, role in pairs}

    def may_read(self, path: str) -> bool:
        """Whether a sweep made in the dashboard may read this file or folder as its data, wherever links lead."""
        try:
            wanted = (ROOT / path).resolve()
            folders = [(ROOT / Path(name.strip()).expanduser()).resolve() for name in self.data_folders.split(",")]
        except (OSError, RuntimeError, ValueError):
            return False
        return any(wanted.is_relative_to(folder) for folder in folders if folder != ROOT)

    def environment(self) -> dict[str, str]:
        """The environment that gives a child process these same settings."""
        return {SETTINGS[name][0]: str(getattr(self, name)) for name in SETTINGS}


def machine_names(given: str) -> list[str]:
    """The names in the setting `machine`, or the host's."""
    return [name.strip().lower() for name in given.split(",") if name.strip()] or [socket.gethostname().lower()]


def load(environ: Mapping[str, str] = os.environ, config_file: Path = CONFIG_FILE) -> Settings:
    """Read the settings: environment over config.yaml over defaults.

    Raises:
        SettingsError: naming the setting and the fix.
    """
    section: dict[str, Any] = {}
    if config_file.exists():
        try:
            section = load_yaml(config_file)[1]
        except ConfigError as error:
            raise SettingsError(f"{config_file.name}: {error}") from None
    if "smtp_password" in section:
        raise SettingsError(
            f"{config_file.name}: {SERVER_SECTION}.smtp_password: a password does not belong into a file; set "
            f"{SMTP_PASSWORD} in the environment"
        )
    if unknown := set(section) - set(SETTINGS):
        raise SettingsError(
            f"{config_file.name}: {SERVER_SECTION}.{sorted(unknown)[0]}: there is no such setting; "
            f"known are {', '.join(SETTINGS)}"
        )
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, (variable, default, _) in SETTINGS.items():
        given = environ.get(variable) or section.get(name)
        sources[name] = variable if environ.get(variable) else f"{SERVER_SECTION}.{name}"
        values[name] = default if given is None else _convert(sources[name], given, default)
    for name in ("port", "smtp_port"):
        if not 1 <= values[name] <= 65535:
            raise SettingsError(f"{sources[name]}: must be from 1 to 65535, got {values[name]}")
    if values["sweep_slots"] < 1:
        raise SettingsError(f"{sources['sweep_slots']}: must be at least 1, got {values['sweep_slots']}")
    if not 1 <= values["upload_mb"] <= MOST_UPLOAD_MB:
        raise SettingsError(f"{sources['upload_mb']}: must be from 1 to {MOST_UPLOAD_MB}, got {values['upload_mb']}")
    if not 0 <= values["proxies"] <= MOST_PROXIES:
        raise SettingsError(f"{sources['proxies']}: must be from 0 to {MOST_PROXIES}, got {values['proxies']}")
    if not 1 <= values["audit_days"] <= MOST_AUDIT_DAYS:
        most = MOST_AUDIT_DAYS
        raise SettingsError(f"{sources['audit_days']}: must be from 1 to {most}, got {values['audit_days']}")
    if values["smtp_security"] not in SMTP_SECURITY:
        known = ", ".join(SMTP_SECURITY)
        raise SettingsError(f"{sources['smtp_security']}: must be one of {known}, got {values['smtp_security']!r}")
    if values["smtp_host"] and not EMAIL.fullmatch(values["smtp_from"]):
        raise SettingsError(f"{sources['smtp_from']}: must be an e-mail address, since smtp_host is set")
    if values["public_url"] and (problem := url_problem(values["public_url"])):
        raise SettingsError(f"{sources['public_url']}: {problem}")
    _check_login(values, sources)
    values["smtp_password"] = environ.get(SMTP_PASSWORD, "")
    values["oidc_client_secret"] = environ.get(OIDC_SECRET, "")
    given = values.pop("data_dir")
    try:
        data_dir = Path(given).expanduser()
    except RuntimeError:
        raise SettingsError(f"NHOP_DATA_DIR: {given} names a user that does not exist") from None
    return Settings(data_dir=data_dir if data_dir.is_absolute() else ROOT / data_dir, **values)


def _check_login(values: dict[str, Any], sources: Mapping[str, str]) -> None:
    """
    Raises:
        SettingsError: logins elsewhere are set up halfway or wrongly.
    """
    role = values["login_role"].strip().lower()
    if role not in (*ROLES, "none"):
        raise SettingsError(f"{sources['login_role']}: must be one of {', '.join(ROLES)} or none, got {role!r}")
    values["login_role"] = "" if role == "none" else role
    try:
        parts = (part.strip() for part in values["login_header_from"].split(","))
        networks = [ip_network(part, strict=False) for part in parts if part]
    except ValueError as error:
        raise SettingsError(f"{sources['login_header_from']}: {error}") from None
    if values["login_header"] and not networks:
        raise SettingsError(f"{sources['login_header_from']}: must name the proxies, since login_header is set")
    if not (issuer := values["oidc_issuer"]):
        return
    if problem := url_problem(issuer):
        raise SettingsError(f"{sources['oidc_issuer']}: {problem}")
    if not issuer.startswith("https:") and urlsplit(issuer).hostname not in ("127.0.0.1", "::1", "localhost"):
        raise SettingsError(f"{sources['oidc_issuer']}: must begin with https:")
    if not values["oidc_client_id"]:
        raise SettingsError(f"{sources['oidc_client_id']}: must be set, since oidc_issuer is")
    for pair in values["oidc_roles"].split(","):
        if pair.strip() and ("=" not in pair or pair.rpartition("=")[2].strip() not in ROLES):
            known = ", ".join(ROLES)
            raise SettingsError(f"{sources['oidc_roles']}: must be value=role, a role of {known}, got {pair.strip()!r}")


def _convert(source: str, given: Any, default: Any) -> Any:
    if isinstance(default, bool):
        if str(given).lower() not in ("true", "false"):
            raise SettingsError(f"{source}: must be true or false, got {given!r}")
        return str(given).lower() == "true"
    if isinstance(default, int):
        try:
            return int(given)
        except (TypeError, ValueError):
            raise SettingsError(f"{source}: must be a whole number, got {given!r}") from None
    return str(given)


def make_data_dir(settings: Settings) -> Path:
    """Make the data directory where there is none, for this user alone.

    Raises:
        SettingsError: it cannot be made or written.
    """
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = settings.data_dir / ".write-test"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise SettingsError(
            f"the data directory {settings.data_dir} cannot be written ({error.strerror}); "
            "choose another one with NHOP_DATA_DIR"
        ) from None
    return settings.data_dir
