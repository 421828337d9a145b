"""Which names the dashboard is reached by, and which pages may send it something.

A name that somebody else owns can be made to lead to this machine (DNS rebinding), and then a stranger's page is of the
same origin as the dashboard. So only names that belong to it are answered: `localhost`, the machine's own, that of
`public_url`, those of `trusted_hosts`, and any address in digits, which no page of a stranger can have.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from engine.settings import Settings

SAFE = frozenset({"GET", "HEAD"})
"""The methods that change nothing."""

Start = Callable[..., Any]
App = Callable[[dict[str, Any], Start], Iterable[bytes]]


class TrustedHosts:
    """A WSGI application that answers only requests to names of this installation."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._app = app
        listed = [name.strip().lower() for name in settings.trusted_hosts.split(",") if name.strip()]
        public = urlsplit(settings.public_url).hostname or ""
        own = socket.gethostname().lower()
        self._names = {"localhost", own, settings.host.lower(), public.lower(), *listed} - {""}
        self._domains = tuple(name for name in listed if name.startswith("."))

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        if self.trusts(environ.get("HTTP_HOST", "")):
            return self._app(environ, start_response)
        text = b"This name does not belong to NHOP. If it does, add it to trusted_hosts in config.yaml.\n"
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]
        start_response("400 Bad Request", [*headers, ("Content-Length", str(len(text)))])
        return [text]

    def trusts(self, host: str) -> bool:
        """Whether a Host header names this installation."""
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        rest = f":{port}" if port is not None else ""
        if host.lower() not in (f"{name}{rest}", f"[{name}]{rest}"):
            return False  # a user, a path, a space: nothing that a browser sends
        name = name.removesuffix(".")
        return name in self._names or name.endswith(self._domains) or _is_address(name)


def same_origin(origin: str | None, environ: Mapping[str, Any]) -> bool:
    """Whether the page that sends a request is one of this server's: its Origin header, and where there is none what
    the browser says of the page; neither comes from a program that is no browser. Host and port are compared, not the
    scheme, which a proxy may end.
    """
    if origin is None:
        return environ.get("HTTP_SEC_FETCH_SITE", "none") in ("same-origin", "none")
    try:
        return bool(urlsplit(origin).netloc) and urlsplit(origin).netloc.lower() == environ["HTTP_HOST"].lower()
    except (ValueError, KeyError):
        return False


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
