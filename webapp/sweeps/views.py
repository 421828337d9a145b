"""The home page; a new sweep, as a form and as YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, g, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from engine.config import SweepConfig
from engine.errors import ConfigError, Problem
from engine.models.inspection import Axes
from webapp.extensions import settings, store
from webapp.filters import run_url
from webapp.services import classes, creations, datasets, sweeps
from webapp.services.forecast import forecast
from webapp.services.home import HomePage, overview
from webapp.services.plain import plain
from webapp.sweeps import axes, document, form, live, presets, typed
from webapp.sweeps.axes import Typed

blueprint = Blueprint("sweeps", __name__)

LONGEST_LINK = 3900
"""Characters of an address: gunicorn takes 4,094 with the request's other words."""


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
    """The form: the defaults, and over them what the address asks for."""
    if text := request.args.get("config", ""):
        return _filled_from(text)
    values, source = _start(request.args)
    values |= presets.values_of(request.args.get("preset", ""), sweeps.defaults())
    if dataset := request.args.get("dataset", ""):
        values |= datasets.values_for(store(), dataset)
    if model := request.args.get("model", ""):
        values |= {"nn_model": "Custom", "model_class": model}
    return _filled(values, source=source)


@blueprint.post("/sweeps/new")
def create() -> ResponseReturnValue:
    """Queue the sweep, or show the form again with everything that is to be fixed."""
    try:
        values = _values(request.form)
        sweep_id = sweeps.create(store(), settings(), g.viewer, values, datetime.now(UTC), _made())
    except ConfigError as error:
        own = classes.known(request.form.get("model_class", "").strip())
        return _answer(_page(request.form, error.problems, own), 400)
    return redirect(url_for("monitor.live", sweep_id=sweep_id), 303)


@blueprint.post("/sweeps/new/form")
def fill() -> ResponseReturnValue:
    """The form: filled in from the YAML that was sent, or as it was sent, with the preset that was chosen over it."""
    if document.TEXT in request.form:
        return _filled_from(request.form[document.TEXT])
    chosen = presets.values_of(request.form.get("preset", ""), sweeps.defaults())
    return _answer(_page(typed.with_values(request.form, chosen)))


@blueprint.post("/sweeps/new/yaml")
def as_text() -> ResponseReturnValue:
    """The form as YAML; YAML that was sent as it is."""
    text = request.form.get(document.TEXT)
    return _answer(_text_page(document.write(document.values_of(request.form)) if text is None else text))


@blueprint.post("/sweeps/new/axes")
def read_axes() -> ResponseReturnValue:
    """The form as it was sent, with the axes of the class that is named in it, or with what is wrong with it."""
    shown: Typed = request.form
    own: Axes = {}
    problems = form.goes_with_class(shown)
    try:
        own = classes.axes(store(), settings(), shown.get("model_class", ""))
        shown = axes.with_own(shown, own)
    except ConfigError as error:
        problems += error.problems
    return _answer(_page(shown, problems or None, own), 400 if problems else 200)


@blueprint.post("/sweeps/new/check")
def check() -> ResponseReturnValue:
    """What is wrong with what is typed so far, and what it would run, as JSON."""
    return jsonify(live.answer(_page(request.form)))


def _start(query: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """What the form begins with, and where that is from."""
    if sweep_id := query.get("from", ""):
        return sweeps.config_of(store(), g.viewer, sweep_id), url_for("monitor.live", sweep_id=sweep_id)
    if run_id := query.get("run", ""):
        return sweeps.config_of_run(store(), run_id), run_url(run_id)
    return sweeps.defaults(), ""


def _made() -> str | None:
    """The id of the sweep that this form makes, the same one if it is sent again because no answer came; None: new."""
    if not request.form.get("made"):
        return None
    sent = sorted((name, value) for name, value in request.form.items(multi=True) if name != "csrf_token")
    return creations.id_of(g.viewer, sent)


def _values(sent: Typed) -> dict[str, Any]:
    """The values that were sent, as YAML or in the fields of the form. Raises ConfigError."""
    return document.read(sent[document.TEXT]) if document.TEXT in sent else typed.read(sent)


def _filled(values: Mapping[str, Any], **rest: Any) -> ResponseReturnValue:
    """The form with these values; where it cannot hold one of them, all as YAML."""
    try:
        return _answer(_page(document.typed_of(values), **rest))
    except ConfigError as error:
        return _answer(_text_page(document.write(plain(values)), error.problems, **rest), 400)


def _filled_from(text: str) -> ResponseReturnValue:
    """The form with the values of a YAML text; where it cannot be, the text, with what is wrong."""
    try:
        shown = document.typed_of(document.read(text))
    except ConfigError as error:
        return _answer(_text_page(text, error.problems), 400)
    return _answer(_page(shown))


def _page(
    sent: Typed, problems: Sequence[Problem] | None = None, own: Axes | None = None, **rest: Any
) -> form.FormPage:
    """The form or text that was sent, with its *problems*; where they are None, with what `sweeps.examined` finds."""
    if document.TEXT in sent:
        return _text_page(sent[document.TEXT], problems, **rest)
    config, found = sweeps.examined(store(), typed.read(sent))
    own = own or classes.known(config.model_class)
    names = {"datasets": datasets.names(store()), "classes": classes.names(store())}
    link = _link(document.values_of(sent))
    return form.page(
        sent, found if problems is None else problems, config, own=own, link=link, **names, **_outlook(config), **rest
    )


def _text_page(text: str, problems: Sequence[Problem] | None = None, **rest: Any) -> form.FormPage:
    """The YAML text with its *problems*, as `_page`."""
    try:
        values = document.read(text)
    except ConfigError as error:
        return form.text_page(text, error.problems, SweepConfig(), **rest)
    config, found = sweeps.examined(store(), values)
    rest |= {"link": _link(values), **_outlook(config)}
    return form.text_page(text, found if problems is None else problems, config, **rest)


def _outlook(config: SweepConfig) -> dict[str, Any]:
    return {
        "forecast": forecast(store(), settings().machine_name, config),
        "preset": presets.chosen(config, sweeps.defaults()),
    }


def _link(values: Mapping[str, Any]) -> str:
    """The address of the form with these values; empty where it would be too long."""
    address = url_for("sweeps.new", config=document.line(values))
    return address if len(address) <= LONGEST_LINK else ""


def _answer(page: form.FormPage, status: int = 200) -> ResponseReturnValue:
    return render_template("sweeps/new.html", page=page), status
