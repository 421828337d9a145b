"""Installed sources: a data set for the classifier without any download, from the packages that are installed here.

What it holds depends on them; the same packages and seed give the same files.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.data.texts import MOST_CHARACTERS, NONE, TextFile

ENDINGS = {
    "css": (".css", ".scss"),
    "fortran": (".f", ".f90"),
    "header": (".h", ".hpp", ".cuh"),
    "html": (".html", ".htm", ".mako"),
    "js": (".js", ".mjs"),
    "python": (".py",),
    NONE: (".txt", ".md", ".rst", ".license"),
}
"""Each class, and the files that are its."""
FILES = 200
"""Files of a class, at most."""
LEAST_BYTES, MOST_BYTES = 200, 400_000
OF_FOLDER = 12
"""Files of one class in one folder, at most, so that no package is a class of its own."""


def installed_sources(seed: int) -> Iterator[TextFile]:
    """Source files of several languages, and plain text as NONE; at most FILES of each, drawn by *seed*."""
    found: dict[str, list[tuple[str, Path]]] = {label: [] for label in ENDINGS}
    by_ending = {ending: label for label, endings in ENDINGS.items() for ending in endings}
    paths = sysconfig.get_paths()
    seen: set[str] = set()
    for base in (Path(paths["purelib"]), Path(paths["stdlib"])):
        for folder, folders, names in os.walk(base):
            folders[:] = sorted(name for name in folders if name not in ("__pycache__", "site-packages"))
            counts = dict.fromkeys(ENDINGS, 0)
            for name in sorted(names):
                label = by_ending.get(Path(name).suffix.lower())
                if label is None or counts[label] >= OF_FOLDER:
                    continue
                path = Path(folder) / name
                if path.is_file() and not path.is_symlink() and LEAST_BYTES <= path.stat().st_size <= MOST_BYTES:
                    counts[label] += 1
                    found[label].append((str(path.relative_to(base)), path))
    rng = np.random.default_rng(seed)
    for label, paths_of in found.items():
        taken = 0
        for place in rng.permutation(len(paths_of)):
            name, path = paths_of[place]
            text = path.read_bytes()[:MOST_CHARACTERS].decode("latin-1")
            if text in seen:
                continue
            seen.add(text)
            yield TextFile(label, name, text)
            taken += 1
            if taken == FILES:
                break
