"""What the audit log is told: after each request that changed something, was refused it, or failed to log in.

What is said stands in the table of rights; a view adds details with `g.detail`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response, g, request
from werkzeug.datastructures import Headers

from engine.store.audit import FAILED
from webapp.extensions import settings, store
from webapp.services import audit, rights

LOGIN, ELSEWHERE = "auth.enter", "outside.come"


def record(response: Response) -> Response:
    """Write the entry of this request, if it deserves one."""
    rule = rights.ROUTES.get((request.endpoint or "", request.method))
    if rule is None or not rule.change:
        return response
    viewer = g.get("viewer") or g.get("left")
    failed = (request.endpoint == LOGIN and response.status_code in (401, 429)) or (
        request.endpoint == ELSEWHERE and response.status_code == 403
    )
    refused = response.status_code == 403 and viewer is not None
    if response.status_code >= 400 and not (failed or refused):
        return response
    who = (g.get("named") or request.form.get("name", "")).strip() if failed else viewer.name if viewer else ""
    audit.record(
        store(),
        settings(),
        who,
        FAILED if failed else rule.change,
        request.remote_addr or "",
        datetime.now(UTC),
        target=_target(response.headers),
        detail="; ".join(part for part in (g.get("detail", ""), "by a token" if g.get("token") else "") if part),
        refused=refused,
    )
    return response


def _target(headers: Headers) -> str:
    """The address of what was changed; where something was made, its own."""
    location = headers.get("Location", "")
    made = request.endpoint in ("sweeps.create", "sweeps.example", "api.create_sweep")
    return location if made and location.startswith("/") else request.path
