"""The home page; a new sweep."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from engine.errors import ConfigError, Problem
from engine.models.inspection import Axes
from webapp.extensions import settings, store
from webapp.services import classes, datasets, sweeps
from webapp.services.accounts import must_edit
from webapp.services.home import HomePage, overview
from webapp.sweeps import axes, form

blueprint = Blueprint("sweeps", __name__)


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """What runs, what ran, and where."""
    return render_template("sweeps/home.html", page=HomePage(overview(store(), datetime.now(UTC)), g.viewer))


@blueprint.post("/sweeps/example")
def example() -> ResponseReturnValue:
    """Queue the example, and watch it."""
    sweep_id = sweeps.start_example(store(), settings(), g.viewer, datetime.now(UTC))
    return redirect(url_for("monitor.live", sweep_id=sweep_id), 303)


@blueprint.get("/sweeps/new")
def new() -> ResponseReturnValue:
    """The form, with the defaults, the configuration of the sweep `?from=`, a preset's stages, a data set, a class."""
    must_edit(g.viewer)
    source = request.args.get("from", "")
    values = sweeps.config_of(store(), g.viewer, source) if source else sweeps.defaults()
    if preset := form.PRESETS.get(request.args.get("preset", "")):
        values = {**values, **preset[2]}
    if dataset := request.args.get("dataset", ""):
        values |= datasets.values_for(store(), dataset)
    if model := request.args.get("model", ""):
        values |= {"nn_model": "Custom", "model_class": model}
    page = _page(form.typed_from(values), copied_from=source)
    return render_template("sweeps/new.html", page=page)


@blueprint.post("/sweeps/new")
def create() -> ResponseReturnValue:
    """Queue the sweep, or show the form again with everything that is to be fixed."""
    try:
        sweep_id = sweeps.create(store(), settings(), g.viewer, form.read(request.form), datetime.now(UTC))
    except ConfigError as error:
        own = classes.known(request.form.get("model_class", "").strip())
        page = _page(request.form, error.problems, own=own)
        return render_template("sweeps/new.html", page=page), 400
    return redirect(url_for("monitor.live", sweep_id=sweep_id), 303)


@blueprint.post("/sweeps/new/axes")
def read_axes() -> ResponseReturnValue:
    """The form as it was sent, with the axes of the class that is named in it, or with what is wrong with it."""
    must_edit(g.viewer)
    typed: MultiDict[str, str] = request.form
    own: Axes = {}
    problems = form.goes_with_class(typed)
    try:
        own = classes.axes(store(), settings(), typed.get("model_class", ""))
        typed = axes.with_own(typed, own)
    except ConfigError as error:
        problems += error.problems
    page = _page(typed, problems, own=own)
    return render_template("sweeps/new.html", page=page), 400 if problems else 200


def _page(
    typed: MultiDict[str, str], problems: Iterable[Problem] = (), copied_from: str = "", own: Axes | None = None
) -> form.FormPage:
    """The form, with the data sets and classes that there are."""
    return form.page(typed, problems, copied_from, datasets.names(store()), own, classes.names(store()))
