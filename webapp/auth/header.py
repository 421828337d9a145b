"""Whom a trusted reverse proxy has checked, and names in a header."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

from flask import request

from webapp.extensions import settings, store
from webapp.services import outside
from webapp.services.accounts import Account


def account() -> tuple[Account | None, str]:
    """The account that the header of a trusted proxy names, and what of it was changed; None where there is none.

    Raises:
        AccountError: it names nobody who can be let in.
    """
    header = settings().login_header
    name = request.headers.get(header, "").strip() if header else ""
    if not name or not _is_one_of(_sender(), settings().login_header_from):
        return None, ""
    return outside.enter(store(), settings(), f"header|{name.casefold()}", name, None, datetime.now(UTC))


def _sender() -> str:
    """The address that the request really came from, whatever its headers say."""
    before = request.environ.get("werkzeug.proxy_fix.orig") or {}
    return str(before.get("REMOTE_ADDR") or request.environ.get("REMOTE_ADDR") or "")


def _is_one_of(address: str, networks: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(network.strip(), strict=False) for network in networks.split(",") if network.strip())
