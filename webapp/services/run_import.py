"""Taking runs over into our own database: from another one, or from a FileStorageObserver's folder in a ZIP file."""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from engine.data import run_folders
from engine.data.archives import opened_archive
from engine.errors import ConfigError, DataError, NotFound, Problem, StoreError, StoreUnavailable
from engine.settings import Settings
from engine.store import Store
from engine.store.run_copies import Elsewhere, File, Incoming, RunCopies
from engine.store.runs import run_id_text
from webapp.errors import Forbidden
from webapp.services.accounts import Account
from webapp.services.connections import Connection, everything
from webapp.services.histories import OWN, Histories, History
from webapp.services.run_index.fields import cell, id_of, key_of
from webapp.services.run_index.where import Condition, write
from webapp.services.runs import counted

log = logging.getLogger(__name__)
Document = dict[str, Any]

DATABASE, FOLDER = "database", "folder"
NAMED = 20
"""Failures that an import names."""
WORDS = {"RUNNING": "Going on", "COMPLETED": "Completed", "CANCELLED": "Cancelled", "FAILED": "Failed"}


@dataclass(frozen=True, slots=True)
class Import:
    """An import on the page."""

    id: str
    source: str
    state: str
    label: str
    by: str
    at: datetime
    total: int
    taken: int
    known: int
    failures: int
    failed: Sequence[dict[str, str]]
    error: str

    @property
    def open(self) -> bool:
        return self.state == "RUNNING"

    @property
    def share(self) -> int:
        """Percent of the runs that have been looked at."""
        return round(100 * (self.taken + self.known + self.failures) / self.total) if self.total else 0

    @property
    def where(self) -> str:
        """The filter that finds the runs it has copied; if all were here before, those of its source."""
        name, value = ("at", self.at) if self.taken else ("source", self.source)
        return write(Condition(f"info.imported.{name}", "=", (str(cell(value)),)))


@dataclass(frozen=True, slots=True)
class ImportPage:
    """What templates/history/import.html shows."""

    imports: Sequence[Import]
    connections: Sequence[Connection]
    upload_mb: int
    problem: str = ""

    @property
    def open(self) -> bool:
        return any(one.open for one in self.imports)


def page(store: Store, settings: Settings, problem: str = "") -> ImportPage:
    names = ("source", "state", "by", "at", "total", "taken", "known", "failures", "failed", "error")
    imports = [
        Import(id=one["_id"], label=WORDS.get(str(one["state"]), "unknown"), **{name: one[name] for name in names})
        for one in store.imports.all()
    ]
    return ImportPage(imports, everything(store), settings.upload_mb, problem)


def from_database(store: Store, history: History, account: Account, keys: Sequence[str] | None, now: datetime) -> None:
    """Ask for runs of another database: these, by their ids as addresses have them, or all.

    Raises:
        ConfigError: it is our own.
    """
    if history.name == OWN:
        raise ConfigError([Problem("source", "choose another database than NHOP's own")])
    runs = None if keys is None else [id_of(key) for key in keys]
    about = {"kind": DATABASE, "source": history.name, "runs": runs, "total": len(runs or ())}
    store.imports.create({"_id": uuid.uuid4().hex[:12], "by": account.id, "at": now, **about}, now)


def from_folder(
    store: Store, settings: Settings, account: Account, file: BinaryIO | None, filename: str, now: datetime
) -> str:
    """Ask for the runs of a ZIP file, which is kept in the data directory until they are taken over.

    Returns:
        how many of which file, in words.

    Raises:
        ConfigError: the file will not do.
    """
    if file is None or not filename:
        raise ConfigError([Problem("file", "choose a ZIP file of the folder that a FileStorageObserver writes")])
    try:
        total = run_folders.describe(file)
    except DataError as error:
        raise ConfigError([Problem("file", str(error))]) from None
    import_id = uuid.uuid4().hex[:12]
    path = zip_path(settings, import_id)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    about = {"kind": FOLDER, "source": filename[-100:], "runs": None, "total": total}
    file.seek(0)
    try:
        with path.open("wb") as kept:
            shutil.copyfileobj(file, kept, 2**20)
        store.imports.create({"_id": import_id, "by": account.id, "at": now, **about}, now)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return f"{counted(total)} of {about['source']}"


def cancel(store: Store, settings: Settings, account: Account, import_id: str, now: datetime) -> None:
    """End an import; what was taken over stays.

    Raises:
        NotFound: there is none that goes on.
        Forbidden: somebody else has begun it.
    """
    if (owner := store.imports.begun_by(import_id)) and not account.may_stop(owner):
        raise Forbidden("only who began an import, or an administrator, may cancel it")
    if not store.imports.end(import_id, "CANCELLED", now):
        raise NotFound("this import is over, or there is none")
    zip_path(settings, import_id).unlink(missing_ok=True)


def work(store: Store, settings: Settings, histories: Histories, holder: str, now: datetime) -> bool:
    """Do one import that nobody works at, to its end; False where there is none."""
    for job in store.imports.waiting(now):
        path = zip_path(settings, job["_id"])
        if job["kind"] == FOLDER and not path.exists():
            continue  # it was uploaded to another server
        if not store.imports.claim(job["_id"], holder, now):
            continue
        log.info("importing runs of %s", job["source"])
        try:
            if job["kind"] == FOLDER:
                with path.open("rb") as file, opened_archive(file) as archive:
                    found = ((folder, _of_folder(archive, one)) for folder, one in run_folders.runs(archive))
                    _take_all(store, histories, job, holder, found)
            else:
                _take_all(store, histories, job, holder, _of_database(store, histories, job, holder))
        except StoreUnavailable as error:
            if job["kind"] == FOLDER:
                raise
            store.imports.end(job["_id"], "FAILED", datetime.now(UTC), f"{error}; import again to go on")
        except (StoreError, DataError, OSError) as error:
            store.imports.end(job["_id"], "FAILED", datetime.now(UTC), str(error)[:300])
        except Exception:
            log.exception("the import of %s met an unexpected error", job["source"])
            store.imports.end(job["_id"], "FAILED", datetime.now(UTC), "an unexpected error; it is in the server's log")
        path.unlink(missing_ok=True)
        return True
    return False


Found = Iterator[tuple[str, Callable[[], Incoming]]]


def _take_all(store: Store, histories: Histories, job: Document, holder: str, found: Found) -> None:
    """Take over what is *found*: the name of each run, and how it is read."""
    copies, own = RunCopies(store.database), histories.get(OWN)
    counts = {"taken": 0, "known": 0, "failures": 0}
    failed: list[Document] = []
    for name, read in found:
        try:
            run = read()
            if copies.known(run.key):
                counts["known"] += 1
            else:
                own.poke(key_of(copies.take(run, job["source"], job["by"], job["at"])))
                counts["taken"] += 1
        except StoreUnavailable:
            raise
        except (DataError, StoreError) as error:
            counts["failures"] += 1
            if len(failed) < NAMED:
                failed.append({"run": name[:100], "why": str(error)[:200]})
        if not store.imports.advance(job["_id"], holder, datetime.now(UTC), failed=failed, **counts):
            return
    store.imports.end(job["_id"], "COMPLETED", datetime.now(UTC))


def _of_database(store: Store, histories: Histories, job: Document, holder: str) -> Found:
    history = histories.get(job["source"])
    about = store.connections.get(history.name) or {}
    source = f"{about.get('host')} {about.get('database')} {about.get('prefix')}"
    elsewhere = Elsewhere(history.database, history.prefix, source)
    ids = elsewhere.ids() if job["runs"] is None else job["runs"]
    store.imports.advance(job["_id"], holder, datetime.now(UTC), total=len(ids))
    for run_id in ids:
        histories.get(history.name)  # it is in use, and not to be closed
        yield run_id_text(run_id), lambda run_id=run_id: elsewhere.run(run_id)  # type: ignore[misc]


def _of_folder(archive: Any, found: run_folders.StoredRun | DataError) -> Callable[[], Incoming]:
    def read() -> Incoming:
        if isinstance(found, DataError):
            raise found
        return Incoming(
            FOLDER,
            found.run_id,
            found.document,
            found.metrics,
            {ref: _file(archive, *entry) for ref, entry in found.files.items()},
            [_file(archive, *entry) for entry in found.resources],
            found.identity,
        )

    return read


def _file(archive: Any, entry: str, name: str, md5: str) -> File:
    return File({"filename": name, "md5": md5}, lambda: run_folders.pieces(archive, entry))


def zip_path(settings: Settings, import_id: str) -> Path:
    return settings.data_dir / "imports" / f"{import_id}.zip"
