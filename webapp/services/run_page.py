"""The page of one run of the history: any Sacred run, whatever its document holds."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import PurePath
from typing import Any

from engine.config import SweepConfig
from engine.store import Store
from engine.store.run_parts import RunParts
from webapp.services import run_files, run_metrics, run_notes, run_output
from webapp.services.histories import OWN, History
from webapp.services.plain import dig, plain
from webapp.services.run_files import Listed
from webapp.services.run_metrics import Metric
from webapp.services.run_notes import Notes
from webapp.services.run_output import Output
from webapp.services.run_values import Node, flat, tree, updates
from webapp.services.runs import Document, RunRow, date, find, is_sweep, row, silence, state, text

MOST_NAMES = 1000
EARLIER = 100
"""Run numbers before a run among which an earlier one of its experiment is looked for."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository that the code of a run lay in."""

    url: str
    commit: str
    dirty: bool


@dataclass(frozen=True, slots=True)
class RunPage:
    """What templates/history/run.html shows. *compared* says what the configuration is compared with, *earlier* is the
    id of that run; *command* is the one that the run was started with, *line* a command line that repeats it."""

    row: RunRow
    live: bool
    silent: float
    ended: datetime | None
    seconds: float | None
    command: str
    line: str
    config: Sequence[Node]
    compared: str
    earlier: str
    info: Sequence[Node]
    result: Sequence[Node]
    host: Sequence[Node]
    meta: Sequence[Node]
    experiment: Sequence[Node]
    repositories: Sequence[Repository]
    dependencies: Sequence[str]
    resources: Sequence[tuple[str, str]]
    artifacts: Sequence[Listed]
    sources: Sequence[Listed]
    output: Output
    failure: str
    metrics: Sequence[Metric]
    notes: Notes
    is_sweep: bool

    @property
    def differs(self) -> int:
        """How many values of the configuration differ from what it is compared with."""
        return sum(node.differs for node in self.config)

    @property
    def island(self) -> Document:
        """What the page's script begins with."""
        return {"id": self.row.id, "state": self.row.state, "live": self.live, "output": asdict(self.output)}


def run(store: Store, history: History, run_id: str, now: datetime) -> RunPage:
    """One run in full.

    Raises:
        NotFound: there is no such run.
    """
    parts = history.parts
    document = find(parts, run_id)
    head = row(document, now)
    if history.name != OWN:
        head = replace(head, sweep_id="")  # it is no sweep of ours
    ended = date(document.get("stop_time"))
    config, meta = document.get("config"), document.get("meta")
    compared, earlier, others = _others(parts, document)
    by_hand = dig(meta, "config_updates")
    return RunPage(
        row=head,
        live=head.state in ("running", "queued", "dead"),
        silent=silence(document).total_seconds(),
        ended=ended,
        seconds=_seconds(head, ended),
        command=text(document.get("command")) if document.get("command") else "",
        line=command_line(document),
        config=tree(config, others, frozenset(flat(by_hand))) if isinstance(config, Mapping | list) else _only(config),
        compared=compared,
        earlier=earlier,
        info=_nodes(_without(document.get("info"), "metrics")),
        result=_nodes(document.get("result")) if isinstance(document.get("result"), Mapping | list) else (),
        host=_nodes(_in_words(document.get("host"))),
        meta=_nodes(_in_words(meta)),
        experiment=_nodes(_in_words(_without(document.get("experiment"), "sources", "dependencies", "repositories"))),
        repositories=_repositories(dig(document, "experiment", "repositories")),
        dependencies=_names(dig(document, "experiment", "dependencies")),
        resources=_resources(document.get("resources")),
        artifacts=run_files.listed(document, "artifact"),
        sources=run_files.listed(document, "source"),
        output=run_output.end_of(parts, document["_id"]),
        failure=_failure(document.get("fail_trace")),
        metrics=run_metrics.listed(parts, document["_id"]),
        notes=run_notes.of(store, history.name, document),
        is_sweep=is_sweep(config) and history.name == OWN,
    )


def news(document: Mapping[str, Any], now: datetime) -> Document:
    """What a watched run's page shows at its top: {state, label, active, ended, seconds, result}."""
    head, ended = row(document, now), date(document.get("stop_time"))
    name, label = state(document, now)
    told = {"state": name, "label": label, "active": head.active, "ended": ended, "result": head.result}
    return dict(plain({**told, "seconds": _seconds(head, ended)}))


def command_line(document: Mapping[str, Any]) -> str:
    """A command line that repeats a run, as far as its document tells; "" where it doesn't."""
    config = document.get("config")
    if is_sweep(config):
        defaults = _defaults()
        changed = {key: value for key, value in plain(config).items() if value != defaults.get(key)}
        return " ".join(part for part in ("python -m engine with", updates(changed)) if part).removesuffix(" with")
    main = dig(document, "experiment", "mainfile")
    if not isinstance(main, str) or not main:
        return ""
    command, meta = document.get("command"), document.get("meta")
    by_hand = dig(meta, "config_updates")
    changed = flat(by_hand if isinstance(by_hand, Mapping) else config)
    seed = dig(config, "seed")
    if isinstance(seed, int) and "seed" not in changed:
        changed["seed"] = seed
    named = dig(meta, "named_configs")
    names = [shlex.quote(text(name)) for name in named] if isinstance(named, list) else []
    given = [*names, *([updates(changed)] if changed else [])]
    words = ["python", shlex.quote(PurePath(main).name)]
    if isinstance(command, str) and command:
        words.append(shlex.quote(command))
    return " ".join([*words, *(["with", *given] if given else [])])


def _others(parts: RunParts, document: Mapping[str, Any]) -> tuple[str, str, dict[str, Any] | None]:
    """What the configuration of a run is compared with: what that is, the id of a run if it is one, and its values."""
    if is_sweep(document.get("config")):
        return "the defaults", "", flat(_defaults())
    run_id, name = document["_id"], dig(document, "experiment", "name")
    if not isinstance(run_id, int) or isinstance(run_id, bool) or not name:
        return "", "", None
    for found in parts.before(run_id, EARLIER):
        if dig(found, "experiment", "name") == name:
            return f"run {found['_id']}", str(found["_id"]), flat(found.get("config"))
    return "", "", None


def _defaults() -> Document:
    return SweepConfig().model_dump(mode="json")


def _seconds(head: RunRow, ended: datetime | None) -> float | None:
    last = ended or head.active
    return (last - head.started).total_seconds() if last and head.started else None


def _nodes(value: Any) -> list[Node]:
    return tree(value) if isinstance(value, Mapping | list) else _only(value)


def _in_words(value: Any) -> Any:
    """What Sacred noted of a run's surroundings, without what is empty; a list of words as one line."""
    if isinstance(value, Mapping):
        return {name: told for name, item in value.items() if (told := _in_words(item)) not in (None, "", {}, [])}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value


def _only(value: Any) -> list[Node]:
    return [] if value is None else [Node("", "", text(value, 2000), ())]


def _names(value: Any) -> list[str]:
    return [text(item) for item in (value if isinstance(value, list) else [])[:MOST_NAMES]]


def _repositories(value: Any) -> list[Repository]:
    found = [item for item in (value if isinstance(value, list) else [])[:MOST_NAMES] if isinstance(item, Mapping)]
    told = (
        Repository(text(item.get("url") or "no address"), text(item.get("commit") or ""), bool(item.get("dirty")))
        for item in found
    )
    return list(dict.fromkeys(told))  # Sacred names it once for every source


def _resources(value: Any) -> list[tuple[str, str]]:
    items = (value if isinstance(value, list) else [])[:MOST_NAMES]
    pairs = [item if isinstance(item, list) and item else [item] for item in items]
    return [(text(pair[0]), text(pair[1]) if len(pair) > 1 else "") for pair in pairs]


def _failure(value: Any) -> str:
    """Sacred keeps a traceback as a list of its parts."""
    parts = value if isinstance(value, list) else [] if value is None else [value]
    return "".join(part if isinstance(part, str) else text(part) for part in parts)[-20_000:]


def _without(value: Any, *keys: str) -> Any:
    return {name: item for name, item in value.items() if name not in keys} if isinstance(value, Mapping) else value
