"""Where to go after a login."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request, url_for

SAFE_NEXT = "next"
"""Where a session keeps it while the login is elsewhere."""


def safe_next() -> str:
    """Where to go after the login: a path of this server, whatever was asked for."""
    wanted = request.values.get("next", "")
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return url_for("sweeps.home")
    if not wanted.startswith("/") or wanted.startswith(("//", "/\\")) or parts.scheme or parts.netloc:
        return url_for("sweeps.home")
    return wanted if wanted.isprintable() and "\\" not in wanted else url_for("sweeps.home")
