"""The rules of the house."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.config import SERVER_SECTION, SweepConfig
from engine.settings import ROOT, SETTINGS

MODULES = sorted(path for package in ("engine", "webapp") for path in (ROOT / package).rglob("*.py"))
MAY_IMPORT_TENSORFLOW = {
    "engine/cluster/roles.py",
    "engine/training/network.py",
    "engine/training/update.py",
    "engine/training/regression.py",
    "engine/training/local.py",
    "engine/training/sequence.py",
    "engine/training/custom.py",
    "engine/training/windows.py",
    "engine/training/serving.py",
    "engine/training/trainer.py",
    "engine/export.py",
    "engine/training/distributed.py",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_in_its_first_line_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{name_of(path)} has no docstring"
    assert docstring.splitlines()[0].strip()


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_only_the_training_processes_import_tensorflow() -> None:
    importing = {name_of(path) for path in MODULES if imported(path) & {"tensorflow", "keras"}}
    assert importing <= MAY_IMPORT_TENSORFLOW
    assert importing, "the check found no import at all"


def test_the_engine_never_imports_the_web_application() -> None:
    engine = [path for path in MODULES if path.is_relative_to(ROOT / "engine")]
    assert engine
    for path in engine:
        assert not imported(path) & {"webapp", "flask", "flask_socketio", "wsgi"}, name_of(path)


def test_the_client_needs_nothing_but_python() -> None:
    assert imported(ROOT / "nhop_client.py") - {"pandas"} <= sys.stdlib_module_names


def loaded_with(module: str) -> set[str]:
    """What a fresh Python has loaded after importing *module*."""
    code = f"import {module}, sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module", ["engine.optimizer", "engine.session", "engine.daemon", "engine.child", "engine.cluster.zygote",
               "webapp.factory"]
)  # fmt: skip
def test_importing_it_does_not_load_tensorflow(module: str) -> None:
    loaded = loaded_with(module)
    assert module in loaded
    assert not loaded & {"tensorflow", "keras", "tensorboard"}


def test_an_optimizer_has_loaded_next_to_nothing_when_it_starts_its_zygote() -> None:
    assert not loaded_with("engine.child") & {"numpy", "pydantic", "pymongo", "sacred"}


@pytest.mark.parametrize(
    "module", ["engine.space", "engine.domain", "engine.samplers", "engine.stages", "engine.analysis.charts"]
)
def test_the_search_is_pure_of_databases_and_networks(module: str) -> None:
    assert not loaded_with(module) & {"pymongo", "tensorflow", "sacred", "flask"}


def commented_keys(text: str) -> tuple[set[str], set[str]]:
    """The keys of config.yaml that have a comment on their line or the line above: (sweep, server)."""
    sweep, server, section, above = set(), set(), False, False
    for line in text.splitlines():
        stripped = line.strip()
        key = stripped.lstrip("# ").partition(":")[0] if ":" in stripped else ""
        if stripped == f"{SERVER_SECTION}:" or stripped.startswith(f"{SERVER_SECTION}: "):
            section = True
        elif not stripped.startswith("#") and key and (above or "#" in stripped):
            (server if section and line.startswith(" ") else sweep).add(key)
        above = stripped.startswith("#")
    return sweep, server


def test_every_key_stands_in_config_yaml_with_a_comment() -> None:
    sweep, server = commented_keys((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert set(SweepConfig.model_fields) - sweep == set()
    assert set(SETTINGS) - server == set()


def test_config_yaml_is_accepted_and_holds_the_defaults() -> None:
    from engine.config import load_yaml, parse

    values, server = load_yaml(ROOT / "config.yaml")
    assert parse(values) == SweepConfig()
    assert set(server) <= set(SETTINGS)
    assert {name: server[name] for name in server} == {name: SETTINGS[name][1] for name in server}


def test_every_key_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for key in [*SweepConfig.model_fields, *SETTINGS, *(variable for variable, _, _ in SETTINGS.values())]:
        assert f"`{key}`" in text, f"docs/configuration.md does not explain {key}"


def anchors(path: Path) -> set[str]:
    """What the headings of a page are called in links to them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
             if not re.match(r"https?:|mailto:", link)]  # fmt: skip
    assert links
    for page, link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"
