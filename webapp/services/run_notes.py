"""Tags and notes of runs: ours, and those that Sacred and Omniboard keep within a run's document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

from engine.errors import ConfigError, Problem, StateError
from engine.store import Store
from webapp.services.accounts import Account
from webapp.services.histories import History
from webapp.services.plain import dig
from webapp.services.runs import find, text

LONGEST_NOTES = 50_000
LONGEST_TAG = 60
MOST_TAGS = 50

TAGS = {"p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "table", "thead",
        "tbody", "tr", "th", "td", "h1", "h2", "h3", "h4", "h5", "h6"}  # fmt: skip
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
SCHEMES = {"http", "https", "mailto"}

_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


@dataclass(frozen=True, slots=True)
class Notes:
    """Tags and notes of one run. *foreign* ones are part of its document and stay as they are."""

    tags: Sequence[str]
    foreign: Sequence[str]
    notes: str
    shown: Markup
    comments: Sequence[tuple[str, Markup]]
    version: int
    by: str
    at: Any


def of(store: Store, database: str, document: Mapping[str, Any]) -> Notes:
    """The tags and notes of the run with this document, of the database of this name."""
    kept = store.run_notes.get(database, document["_id"])
    comments = (
        ("Comment at its start", dig(document, "meta", "comment") or dig(document, "meta", "options", "--comment")),
        ("Notes of Omniboard", dig(document, "omniboard", "notes")),
    )
    return Notes(
        tags=kept["tags"],
        foreign=foreign_tags(document),
        notes=kept["notes"],
        shown=rendered(kept["notes"]),
        comments=[(title, rendered(text(value, LONGEST_NOTES))) for title, value in comments if value],
        version=kept["version"],
        by=kept.get("by", ""),
        at=kept.get("at"),
    )


def foreign_tags(document: Mapping[str, Any]) -> list[str]:
    """The tags that a run's document holds: Omniboard's, and `tags` of the configuration."""
    found: list[str] = []
    for given in (dig(document, "omniboard", "tags"), dig(document, "config", "tags")):
        items = given if isinstance(given, list) else [given] if isinstance(given, str) else []
        found += [text(item, LONGEST_TAG) for item in items[:MOST_TAGS] if item is not None]
    return list(dict.fromkeys(tag for tag in found if tag.strip()))


def write(
    store: Store, history: History, account: Account, run_id: str, given: Mapping[str, str], now: datetime
) -> None:
    """Replace the tags and notes of a run. *given* has `tags`, separated by commas; `notes`; and the `version` that
    they were read in.

    Raises:
        NotFound: there is no such run.
        ConfigError: they are too long.
        StateError: somebody else has changed them meanwhile.
    """
    document = find(history.parts, run_id)
    tags = tags_of(given.get("tags", ""))
    notes = given.get("notes", "").replace("\r\n", "\n").strip()
    problems = []
    if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
        problems.append(Problem("tags", f"at most {MOST_TAGS} tags of at most {LONGEST_TAG} characters"))
    if len(notes) > LONGEST_NOTES:
        problems.append(Problem("notes", f"at most {LONGEST_NOTES:,} characters, got {len(notes):,}"))
    if problems:
        raise ConfigError(problems)
    version = given.get("version", "")
    seen = int(version) if version.isascii() and version.isdigit() and len(version) < 10 else 0
    if not store.run_notes.put(history.name, document["_id"], tags, notes, seen, account.name, now):
        raise StateError(
            "somebody else has changed the tags or notes of this run meanwhile; go back, copy yours, load the page "
            "anew and add them"
        )


def tags_of(typed: str) -> list[str]:
    """Tags, separated by commas or lines, each once."""
    return list(dict.fromkeys(tag for tag in (" ".join(part.split()) for part in re.split(r"[,\n]", typed)) if tag))


def rendered(notes: str) -> Markup:
    """Markdown as HTML of nothing but text, lists, tables and links."""
    html = nh3.clean(
        _markdown.render(notes),
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )
    return Markup(html)  # noqa: S704 - cleaned here
