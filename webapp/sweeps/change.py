"""Changing the search of a sweep that waits or runs: the part of the form that may change, in a dialog of its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, g, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from engine.config import SweepConfig, examine, parse
from engine.errors import ConfigError, Problem
from webapp.extensions import settings, store
from webapp.services import classes, steering
from webapp.sweeps import axes, form, typed
from webapp.sweeps.axes import Typed
from webapp.sweeps.form import Field, ToFix

blueprint = Blueprint("change", __name__)

PLAIN_STAGE = frozenset({"train_epoch", "opt_epoch"})
"""Keys that say nothing where there are stages."""


@dataclass(frozen=True, slots=True)
class ChangePage:
    """What templates/monitor/_change.html shows: the fields that may change, by group, for this *version*."""

    sweep_id: str
    version: int
    groups: Sequence[tuple[str, Sequence[Field]]]
    problems: Sequence[ToFix]


@blueprint.get("/sweeps/<sweep_id>/change")
def shown(sweep_id: str) -> ResponseReturnValue:
    """The fields, with the values that the sweep has."""
    sweep = steering.must_steer(store(), g.viewer, sweep_id)
    config = parse(sweep["config"])
    return _shown(sweep_id, int(sweep.get("version", 1)), config, _filled(sweep["config"], config))


@blueprint.post("/sweeps/<sweep_id>/change")
def change(sweep_id: str) -> ResponseReturnValue:
    """Make what was typed a new version: {version}; or the fields again, every problem at its own."""
    sweep = steering.must_steer(store(), g.viewer, sweep_id)
    config = parse(sweep["config"])
    before, now = typed.read(_filled(sweep["config"], config)), typed.read(request.form)
    changed = {key: now[key] for key in _keys(config) if key in now and now[key] != before.get(key)}
    changed |= {key: None for key in _keys(config) if key in before and key not in now}
    version = request.form.get("version", 0, type=int)
    try:
        made = steering.change(store(), settings(), g.viewer, sweep_id, changed, datetime.now(UTC), version)
    except ConfigError as error:
        return _shown(sweep_id, version, config, request.form, error.problems), 400
    return jsonify(version=made)


def _filled(values: Mapping[str, Any], config: SweepConfig) -> Typed:
    """What the fields begin with; every choice of a class's axes can be chosen again."""
    filled, own = typed.typed_from(values), classes.known(config.model_class)
    return axes.with_own(filled, own) if own else filled


def _keys(config: SweepConfig) -> list[str]:
    """The keys that may change, without those of other networks."""
    others = config.idle & (form.OF_SOME_NETWORKS | PLAIN_STAGE)
    return [key for key in steering.LIVE if key not in others]


def _shown(sweep_id: str, version: int, config: SweepConfig, filled: Typed, problems: Sequence[Problem] = ()) -> str:
    keys = set(_keys(config))
    values = {key: value for key, value in typed.read(filled).items() if key in keys}
    now, _ = examine({**config.model_dump(mode="json"), **values})
    page = form.page(filled, problems, now, own=classes.known(config.model_class))
    groups = [
        (group.title, [item for item in (*group.fields, *group.more) if item.key in keys]) for group in page.groups
    ]
    return render_template(
        "monitor/_change.html",
        page=ChangePage(sweep_id, version, [group for group in groups if group[1]], page.problems),
    )
