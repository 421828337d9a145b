"""Runs that Sacred's FileStorageObserver has written, in a ZIP file of its folder, as MongoObserver would keep them.

`<anything>/<run>/run.json` with config.json, info.json, metrics.json, cout.txt and the artifacts beside it;
`<anything>/_sources` and `<anything>/_resources` for what runs share. Nothing is unpacked to disk.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from engine.data.archives import BLOCK, TURN, opened_archive
from engine.errors import DataError

Document = dict[str, Any]

OWN = ("run.json", "config.json", "info.json", "metrics.json", "cout.txt")
MOST_JSON_BYTES = 15 * 2**20
MOST_OUTPUT = 8 * 2**20
MOST_RUNS = 10_000
DEEPEST = 60
LONGEST_ID = 100


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run. *document* and *metrics* are as in MongoDB; files are named by *files*: {name in the document: (entry of
    the archive, file name, md5)}; *resources* likewise. *identity* tells it from other runs, *run_id* is its folder."""

    run_id: int | str
    identity: str
    document: Document
    metrics: Sequence[Document]
    files: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    resources: Sequence[tuple[str, str, str]] = ()


def describe(file: BinaryIO) -> int:
    """How many runs a ZIP file holds.

    Raises:
        DataError: none or too many, or it is broken or made to do harm.
    """
    with opened_archive(file) as archive:
        count = len(_folders(archive))
    if not count:
        raise DataError("the ZIP file holds no run.json; pack the folder that a FileStorageObserver writes")
    if count > MOST_RUNS:
        raise DataError(f"the ZIP file holds {count:,} runs; at most {MOST_RUNS:,} can be taken at once")
    return count


def runs(archive: zipfile.ZipFile) -> Iterator[tuple[str, StoredRun | DataError]]:
    """The folder of each run, and the run, or why it cannot be read."""
    entries = {_path(entry): entry for entry in archive.infolist() if not entry.is_dir()}
    for folder in _folders(archive):
        time.sleep(TURN)
        try:
            yield str(folder), _run(archive, entries, folder)
        except DataError as error:
            yield str(folder), error


def pieces(archive: zipfile.ZipFile, entry: str) -> Iterator[bytes]:
    """The content of an entry."""
    with _undamaged(entry), archive.open(entry) as opened:
        while piece := opened.read(BLOCK):
            time.sleep(TURN)
            yield piece


@contextmanager
def _undamaged(entry: str) -> Iterator[None]:
    """Tell what of a run is damaged: the others of the archive are not."""
    try:
        yield
    except NotImplementedError:
        raise DataError(f"its {PurePosixPath(entry).name} is packed in a way that cannot be read here") from None
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError):
        raise DataError(f"its {PurePosixPath(entry).name} is damaged in the ZIP file") from None


def _folders(archive: zipfile.ZipFile) -> list[PurePosixPath]:
    """The folders of runs, those with numbers in their order."""
    paths = (_path(entry) for entry in archive.infolist() if not entry.is_dir())
    found = [path.parent for path in paths if path.name == "run.json" and "__MACOSX" not in path.parts]
    return sorted(found, key=lambda folder: (len(folder.name) if folder.name.isdigit() else 99, str(folder)))


def _path(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(entry.filename.replace("\\", "/"))


def _run(
    archive: zipfile.ZipFile, entries: Mapping[PurePosixPath, zipfile.ZipInfo], folder: PurePosixPath
) -> StoredRun:
    def loaded(name: str, empty: Any) -> Any:
        entry = entries.get(folder / name)
        return empty if entry is None else _json(archive, entry)

    told = loaded("run.json", {})
    if not isinstance(told, dict):
        raise DataError("its run.json is no object")
    document: Document = {**told, "config": loaded("config.json", {}), "info": loaded("info.json", {})}
    if not isinstance(document["info"], dict):
        document["info"] = {"was": document["info"]}
    document["captured_out"] = _output(archive, entries.get(folder / "cout.txt"))
    document["format"] = "FileStorageObserver"
    for name in ("start_time", "stop_time", "heartbeat"):
        document[name] = _moment(document.get(name))
    files: dict[str, tuple[str, str, str]] = {}

    def put(path: PurePosixPath, name: str) -> str | None:
        """The reference to a file of the archive, under which *files* has it."""
        entry = entries.get(path)
        if entry is None:
            return None
        digest = hashlib.md5(usedforsecurity=False)
        for piece in pieces(archive, entry.filename):
            digest.update(piece)
        found = (entry.filename, name, digest.hexdigest())
        ref = f"{found[2]} {name}"
        files[ref] = found
        return ref

    named = told.get("artifacts")
    names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else _others(entries, folder)
    document["artifacts"] = [{"name": name, "file_id": put(folder / name, name)} for name in names]
    experiment = told.get("experiment")
    if isinstance(experiment, dict) and isinstance(experiment.get("sources"), list):
        document["experiment"] = {**experiment, "sources": [_source(one, folder, put) for one in experiment["sources"]]}
    resources = []
    document["resources"] = []
    for one in told["resources"] if isinstance(told.get("resources"), list) else ():
        if isinstance(one, list) and len(one) > 1 and all(isinstance(part, str) for part in one[:2]):
            ref = put(folder.parent / "_resources" / PurePosixPath(one[1].replace("\\", "/")).name, one[0])
            if ref is not None:
                resources.append(files.pop(ref))
            document["resources"].append([one[0], resources[-1][2] if ref is not None else ""])
    metrics = _metrics(loaded("metrics.json", {}))
    document["info"]["metrics"] = [{"name": metric["name"], "id": metric["_id"]} for metric in metrics]
    run_id: int | str = int(folder.name) if re.fullmatch(r"\d{1,15}", folder.name) else folder.name[:LONGEST_ID]
    host = told.get("host")
    about = [folder.name, told.get("start_time"), host.get("hostname") if isinstance(host, dict) else None]
    called = experiment.get("name") if isinstance(experiment, dict) else None
    identity = json.dumps([*about, called], default=str)
    return StoredRun(run_id, identity, _clean(document), [_clean(one) for one in metrics], files, resources)


def _others(entries: Mapping[PurePosixPath, zipfile.ZipInfo], folder: PurePosixPath) -> list[str]:
    """What lies beside the observer's own files, where run.json does not tell."""
    return sorted(path.name for path in entries if path.parent == folder and path.name not in OWN)


def _source(one: Any, folder: PurePosixPath, put: Any) -> Any:
    if not (isinstance(one, list) and len(one) > 1 and all(isinstance(part, str) for part in one[:2])):
        return one
    kept = PurePosixPath(one[1].replace("\\", "/"))
    return [one[0], put(folder.parent / "_sources" / kept.name, one[0])]


def _json(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Any:
    name = PurePosixPath(entry.filename).name
    if entry.file_size > MOST_JSON_BYTES:
        raise DataError(f"its {name} is larger than {MOST_JSON_BYTES // 2**20} MB")
    with _undamaged(name):
        content = archive.read(entry)
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise DataError(f"its {name} is not JSON") from None


def _output(archive: zipfile.ZipFile, entry: zipfile.ZipInfo | None) -> str:
    """The captured output; of a very long one its end."""
    if entry is None:
        return ""
    with _undamaged(entry.filename), archive.open(entry) as opened:
        left = max(0, entry.file_size - MOST_OUTPUT)
        while left > 0 and (skipped := opened.read(min(BLOCK, left))):
            left -= len(skipped)
        return opened.read(MOST_OUTPUT).decode("utf-8", "replace")


def _metrics(given: Any) -> list[Document]:
    """{_id, name, steps, values, timestamps} of each metric."""
    found = []
    for name, points in given.items() if isinstance(given, dict) else ():
        if isinstance(points, dict):
            lists = {part: points[part] if isinstance(points.get(part), list) else [] for part in ("steps", "values")}
            moments = points.get("timestamps")
            times = [_moment(moment) for moment in moments] if isinstance(moments, list) else []
            found.append({"_id": str(name), "name": str(name), **lists, "timestamps": times})
    return found


def _moment(given: Any) -> Any:
    """A moment as Sacred writes it, in UTC; what is none stays what it is."""
    if isinstance(given, str):
        with suppress(ValueError):
            moment = datetime.fromisoformat(given)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return given


def _clean(value: Any, depth: int = 0) -> Any:
    """What MongoDB can hold: no dots or dollars in names, no numbers beyond 64 bits, nothing too deep."""
    if depth > DEEPEST:
        return str(value)[:200]
    if isinstance(value, dict):
        return {_key(name): _clean(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 10**300 else str(value)[:200]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value


def _key(name: str) -> str:
    """A name as Sacred's MongoObserver writes it."""
    found = name.replace(".", ",").replace("\0", "").encode("utf-8", "replace").decode()
    return f"@{found[1:]}" if found.startswith("$") else found
