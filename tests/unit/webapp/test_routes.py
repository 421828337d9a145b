"""What the documentation says of the routes is all there is."""

from __future__ import annotations

import re

from flask import Flask

from engine.settings import ROOT


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
