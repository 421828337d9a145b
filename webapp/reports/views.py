"""The report of a sweep, as a page and as a file."""

from __future__ import annotations

from flask import Blueprint, make_response, render_template
from flask.typing import ResponseReturnValue

from webapp.extensions import store
from webapp.services import report

blueprint = Blueprint("reports", __name__)


@blueprint.get("/sweeps/<sweep_id>/report")
def page(sweep_id: str) -> ResponseReturnValue:
    """What came of a sweep, to be read and printed."""
    return render_template("reports/report.html", page=report.page(store(), sweep_id))


@blueprint.get("/sweeps/<sweep_id>/report.html")
def file(sweep_id: str) -> ResponseReturnValue:
    """The same as one file that needs nothing else; its one style is all that its policy allows."""
    shown, css = report.page(store(), sweep_id), report.style()
    policy = report.policy(css)
    response = make_response(render_template("reports/file.html", page=shown, css=css, policy=policy))
    response.headers["Content-Security-Policy"] = policy
    response.headers.set("Content-Disposition", "attachment", filename=shown.file_name)
    return response
