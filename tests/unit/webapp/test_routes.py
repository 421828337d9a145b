"""What the documentation says of the routes is all there is."""

from __future__ import annotations

import re

from flask import Flask

from engine.settings import ROOT
from webapp.services.rights import EVENTS


def test_every_route_is_documented_and_every_documented_route_exists(app: Flask) -> None:
    text = (ROOT / "docs" / "routes.md").read_text()
    documented = {
        (route, method)
        for route, methods in re.findall(r"^\| `(/[^`]*)` \| ([A-Z, ]+) \|", text, re.MULTILINE)
        for method in methods.split(", ")
    }
    existing = {
        (rule.rule, method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert documented == existing


def test_every_event_of_the_sockets_is_documented_and_every_documented_one_exists() -> None:
    text = (ROOT / "docs" / "routes.md").read_text().partition("## Sockets")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)` \| (?:browser|server) ", text, re.MULTILINE))
    told = {event for path in (ROOT / "webapp" / "realtime").glob("*.py")
            for event in re.findall(r'\.emit\(\s*"(\w+)"', path.read_text())}  # fmt: skip
    assert told
    assert documented == told | set(EVENTS) - {"connect", "disconnect"}
