"""What the form of a new sweep learns while somebody types: the page's changing parts as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import render_template

from webapp.sweeps.axes import AxisField
from webapp.sweeps.form import Field, FormPage

Document = dict[str, Any]


def answer(page: FormPage) -> Document:
    """{problems: [{target, title, message, line}], fields: {key: {problem, off, note, picture}}, wrong: {group:
    number}, hidden: {group: sentence}, review, sum, preset, link}; *picture* and *review* are HTML."""
    fields: Document = {item.key: _field(item) for item in page.fields.values()}
    for axis in (axis for item in page.fields.values() for axis in item.axes):
        fields[axis.key] = _axis(axis)
    return {
        "problems": [asdict(problem) for problem in page.problems],
        "fields": fields,
        "wrong": {group.key: group.wrong for group in page.groups},
        "hidden": {group.key: group.hidden for group in page.groups},
        "review": render_template("sweeps/_review.html", page=page),
        "sum": render_template("sweeps/_sum.html", page=page),
        "preset": page.preset,
        "link": page.link,
    }


def _field(item: Field) -> Document:
    return {"problem": item.problem, "off": item.off, "note": item.note, "picture": _picture(item)}


def _axis(axis: AxisField) -> Document:
    return {"problem": axis.problem, "off": False, "note": "", "picture": _picture(axis)}


def _picture(item: Field | AxisField) -> str:
    return render_template("sweeps/_picture.html", picture=item.picture) if item.picture else ""
