"""Data sets: those built in, uploading one, choosing its columns, deleting it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, BinaryIO

from engine.data import uploads
from engine.data.check import DATASETS, DIABETES_SHAPE
from engine.errors import ConfigError, DataError, NotFound, Problem, StateError
from engine.settings import Settings
from engine.store import Store
from webapp.errors import Forbidden
from webapp.services.accounts import Account

Document = dict[str, Any]

CUSTOM, REGRESSOR = "Custom", "Regressor"
LONGEST_FILENAME = 200

BUILT_IN: Mapping[str, tuple[str, str, Document]] = {
    "synthetic": (
        "table",
        "A regression problem made anew for each sweep: as many rows and features as the form asks for.",
        {"nn_model": REGRESSOR, "nn_dimensions": [4, 1], "data_features": 4},
    ),
    "diabetes": (
        "table",
        "scikit-learn's 442 patients with 10 measurements each, and the disease's progression after a year.",
        {"nn_model": REGRESSOR, "nn_dimensions": [DIABETES_SHAPE[1], 1]},
    ),
    "installed-sources": (
        "texts",
        "The source code that is installed on the machine that trains, one class for each programming language.",
        {"nn_model": CUSTOM},
    ),
}
"""The kind of each, a sentence about it, and the values of a sweep that fits it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A data set in the list, by its newest version. *count* rows or files; *width* features or classes."""

    name: str
    kind: str
    count: int
    width: int
    size: int
    version: int
    by: str
    uploaded: datetime


@dataclass(frozen=True, slots=True)
class IndexPage:
    """What templates/datasets/index.html shows. *problems* are messages by field, *name* is what was typed."""

    rows: Sequence[Row]
    built_in: Mapping[str, tuple[str, str, Document]]
    upload_mb: int
    name: str
    problems: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a data set; *reference* is what a sweep calls it."""

    number: int
    reference: str
    sha256: str
    size: int
    filename: str
    by: str
    uploaded: datetime


@dataclass(frozen=True, slots=True)
class DatasetPage:
    """What templates/datasets/dataset.html shows: one version, with the columns as chosen or as just typed."""

    name: str
    kind: str
    owner: str
    about: Mapping[str, Any]
    version: Version
    newest: bool
    versions: Sequence[Version]
    users: Sequence[str]
    may_change: bool
    target: str
    features: Sequence[str]
    problems: Mapping[str, str]

    @property
    def most_files(self) -> int:
        """Files of the largest class."""
        return max((item["files"] for item in self.about.get("classes", ())), default=1)

    @property
    def usable(self) -> int:
        """How many columns something can be learned from."""
        return sum(not column["reason"] for column in self.about.get("columns", ()))


def index(store: Store, settings: Settings, name: str = "", problems: Sequence[Problem] = ()) -> IndexPage:
    """All data sets."""
    return IndexPage(
        [_row(found) for found in store.datasets.all()], BUILT_IN, settings.upload_mb, name, _by_field(problems)
    )


def after(store: Store, built_in: bool, name: str, limit: int) -> list[Document]:
    """At most *limit* data sets, those built in first and then by name, from the first after this one on."""
    ours = [own for own in sorted(BUILT_IN) if built_in and own > name][:limit]
    rows: list[Document] = [{"name": own, "kind": BUILT_IN[own][0], "built_in": True} for own in ours]
    uploaded = store.datasets.after("" if built_in else name, limit - len(rows)) if len(rows) < limit else []
    return rows + [{**asdict(_row(found)), "built_in": False} for found in uploaded]


def page(
    store: Store,
    account: Account,
    name: str,
    wanted: str = "",
    typed: tuple[str, Sequence[str]] | None = None,
    problems: Sequence[Problem] = (),
) -> DatasetPage:
    """One data set: its version whose sha256 begins with *wanted*, or the newest.

    Raises:
        NotFound: there is no such data set or version.
    """
    found = store.datasets.get(name)
    versions = [_version(name, number, version) for number, version in enumerate(found["versions"], start=1)]
    shown = next((version for version in reversed(versions) if version.sha256.startswith(wanted)), None)
    if shown is None:
        raise NotFound(f"the data set {name} has no version {wanted[:64]}")
    about = found["versions"][shown.number - 1]["about"]
    target, features = typed or (about.get("target", ""), about.get("features", []))
    return DatasetPage(
        name=name,
        kind=found["kind"],
        owner=found["owner"],
        about=about,
        version=shown,
        newest=shown is versions[-1],
        versions=versions[::-1],
        users=store.datasets.users(name),
        may_change=account.may_stop(found["owner"]),
        target=target,
        features=features,
        problems=_by_field(problems),
    )


def upload(
    store: Store, settings: Settings, account: Account, file: BinaryIO, filename: str, name: str, now: datetime
) -> tuple[str, str]:
    """Check a file and store it as the newest version of *name* (empty: called like the file).

    Returns:
        the name, and a sentence about what was done.

    Raises:
        ConfigError: with every problem, at `file` or `name`.
    """
    filename = filename.replace("\\", "/").rpartition("/")[2].replace("\0", "")[:LONGEST_FILENAME]
    name = name.strip() or uploads.name_from(filename)
    size = file.seek(0, 2)
    if not filename and not size:
        raise ConfigError([Problem("file", "choose a CSV file, or a ZIP file of texts")])
    if size > settings.upload_mb * 2**20:
        raise ConfigError([too_large(settings)])
    problems = []
    try:
        uploads.check_name(name)
    except DataError as error:
        problems.append(Problem("name", str(error)))
    try:
        kind, about = uploads.describe(file)
    except DataError as error:
        raise ConfigError([*problems, Problem("file", str(error))]) from None
    if problems:
        raise ConfigError(problems)
    try:
        number, new = store.datasets.add(name, kind, file, about, filename, account.name, now)
    except StateError as error:
        raise ConfigError([Problem("name", str(error))]) from None
    return name, _done(name, kind, number, new)


def too_large(settings: Settings) -> Problem:
    """What is said of a file that the server does not take."""
    return Problem("file", f"the file is larger than {settings.upload_mb} MB, the most that this server takes")


def choose(store: Store, account: Account, name: str, sha256: str, target: str, features: Sequence[str]) -> None:
    """Set which columns of a version are learned from, and which is predicted.

    Raises:
        NotFound: there is no such version.
        Forbidden: it belongs to somebody else.
        StateError: a sweep that has not ended uses it.
        ConfigError: with every problem, at `target` or `features`.
    """
    found = store.datasets.get(name)
    _must_own(account, found["owner"])
    about = next((version["about"] for version in found["versions"] if version["sha256"] == sha256), None)
    if about is None or found["kind"] != uploads.TABLE:
        raise NotFound(f"the data set {name} has no such table")
    store.datasets.choose(name, sha256, *uploads.choose(about, target, features))


def delete(store: Store, account: Account, name: str) -> None:
    """Delete a data set with all its versions.

    Raises:
        NotFound: there is no such data set.
        Forbidden: it belongs to somebody else.
        StateError: a sweep that has not ended uses it.
    """
    _must_own(account, store.datasets.get(name)["owner"])
    store.datasets.delete(name)


def names(store: Store) -> list[str]:
    """What the form suggests: the built-in data sets and the uploaded ones."""
    return [*DATASETS, *store.datasets.names()]


def values_for(store: Store, reference: str) -> Document:
    """The values of a sweep that fits a data set.

    Raises:
        NotFound: there is no such data set.
    """
    values = {"dataset": reference, "load_data": False}
    if reference in BUILT_IN:
        return {**values, **BUILT_IN[reference][2]}
    about = store.datasets.find(reference)
    if about is None:
        raise NotFound(f"there is no data set {reference[:100]}")
    if about["kind"] == uploads.TEXTS:
        return {**values, "nn_model": CUSTOM}
    return {**values, "nn_model": REGRESSOR, "nn_dimensions": [len(about["features"]), 1]}


def _must_own(account: Account, owner: str) -> None:
    if not account.may_stop(owner):
        raise Forbidden("only the owner of a data set or an administrator may change or delete it")


def _done(name: str, kind: str, number: int, new: bool) -> str:
    if not new:
        return f"This file is already here: it is version {number} of {name}. Nothing was stored."
    stored = f"Version {number} of {name} is stored."
    if kind == uploads.TEXTS:
        return stored
    return f"{stored} Check below which column is predicted, and from which others."


def _row(found: Mapping[str, Any]) -> Row:
    newest = found["versions"][-1]
    about = newest["about"]
    table = found["kind"] == uploads.TABLE
    return Row(
        name=found["_id"],
        kind=found["kind"],
        count=about["rows"] if table else about["files"],
        width=len(about["features"] if table else about["classes"]),
        size=newest["size"],
        version=len(found["versions"]),
        by=newest["by"],
        uploaded=newest["uploaded"],
    )


def _version(name: str, number: int, version: Mapping[str, Any]) -> Version:
    kept = {key: version[key] for key in ("sha256", "size", "filename", "by", "uploaded")}
    return Version(number=number, reference=f"{name}@{version['sha256'][:12]}", **kept)


def _by_field(problems: Sequence[Problem]) -> dict[str, str]:
    """The first problem of each field."""
    return {problem.key: problem.message for problem in reversed(problems)}
