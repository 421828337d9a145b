"""Text data: files of several classes, as tokens.

A token is a word of letters and digits, or one other character that is not a blank. Each has a number: 0 is padding, 1
any token the vocabulary lacks. The vocabulary is the keywords and delimiters that come with the data, or what is most
frequent in the training part.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError

TOKEN = re.compile(r"[a-zA-Z0-9]+|[^a-zA-Z0-9 ]")
DELIMITERS = tuple('(){}[]<>+-="*/.,!@%^&|;:?')
PADDING, OTHER = 0, 1
FIRST = 2
"""The number of the vocabulary's first token."""
MOST_FILES = 2000
"""Files of a class that are read for training."""
MOST_CHARACTERS = 50_000
"""Characters of a file that are read for training."""
LEAST_FILES = 3
"""Files of a class: one for each part, at least."""
MOST_WORDS = 1000
"""Tokens of a vocabulary that is learned."""
NONE = "NONE"
"""The class of what is none of the others; it comes last."""

Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TextFile:
    """One file: its class, its name, its text."""

    label: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class TextPart:
    """The files of one part, those of a class together: where each begins in *tokens*, its length, its class."""

    tokens: Ints
    starts: Ints
    lengths: Ints
    labels: Ints

    @property
    def files(self) -> int:
        return len(self.starts)


@dataclass(frozen=True, slots=True)
class Texts:
    """A text data set, ready for training."""

    train: TextPart
    val: TextPart
    test: TextPart
    classes: tuple[str, ...]
    vocabulary: tuple[str, ...]

    @property
    def target_scale(self) -> float:
        """Losses need no scaling."""
        return 1.0

    @property
    def token_count(self) -> int:
        """How many different numbers a token can have."""
        return FIRST + len(self.vocabulary)

    @property
    def folds(self) -> tuple[Texts, ...]:
        """There is no cross-validation of texts."""
        return (self,)

    def about(self) -> dict[str, Any]:
        """What it takes to use a network that was trained on this, as plain JSON."""
        return {"vocabulary": list(self.vocabulary), "classes": list(self.classes)}

    def part(self, name: str) -> TextPart:
        """The part "train", "val" or "test"."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    def save(self, path: Path) -> None:
        """Write all of it to *path*, an .npz file."""
        arrays: dict[str, Any] = {"classes": np.array(self.classes), "vocabulary": np.array(self.vocabulary)}
        for name, part in (("train", self.train), ("val", self.val), ("test", self.test)):
            for field in ("tokens", "starts", "lengths", "labels"):
                arrays[f"{name}_{field}"] = getattr(part, field)
        np.savez(path, **arrays)

    @staticmethod
    def read(stored: Mapping[str, Any]) -> Texts:
        """What `save` wrote, from the opened file."""
        train, val, test = (
            TextPart(*(stored[f"{name}_{field}"] for field in ("tokens", "starts", "lengths", "labels")))
            for name in ("train", "val", "test")
        )
        classes, vocabulary = (tuple(str(one) for one in stored[name]) for name in ("classes", "vocabulary"))
        return Texts(train, val, test, classes, vocabulary)


def tokens_of(text: str) -> list[str]:
    """The tokens of a text, in order; line breaks and tabs are blanks."""
    return TOKEN.findall(" ".join(text[:MOST_CHARACTERS].split()))


def encode(text: str, numbers: Mapping[str, int]) -> list[int]:
    """The numbers of a text's tokens."""
    return [numbers.get(token, OTHER) for token in tokens_of(text)]


def numbers_of(vocabulary: Sequence[str]) -> dict[str, int]:
    """The number of each token."""
    return {token: FIRST + index for index, token in enumerate(vocabulary)}


def prepare_texts(
    files: Iterable[TextFile], keywords: Sequence[str], validation: float, test: float, seed: int
) -> Texts:
    """Split *files* class by class, and number their tokens.

    Args:
        keywords: the vocabulary but for the delimiters; empty: what is most frequent in the training part.
        validation, test: the parts of each class's files that are kept aside.

    Raises:
        DataError: fewer than two classes, or a class with too few files to be split.
    """
    by_class: dict[str, list[TextFile]] = {}
    for file in files:
        found = by_class.setdefault(file.label, [])
        if len(found) < MOST_FILES and TOKEN.search(file.text):
            found.append(file)
    classes = sorted((label for label, found in by_class.items() if found), key=lambda label: (label == NONE, label))
    check_classes({label: len(by_class[label]) for label in classes})
    rng = np.random.default_rng(seed)
    parts: dict[str, list[tuple[int, TextFile]]] = {"train": [], "val": [], "test": []}
    for index, label in enumerate(classes):
        found = sorted(by_class[label], key=lambda file: file.name)
        order = rng.permutation(len(found))
        splits = len(found) >= LEAST_FILES
        tested = max(1, round(len(found) * test)) if splits else 0
        judged = max(1, round(len(found) * validation)) if splits else 0
        for place, position in enumerate(order):
            name = "test" if place < tested else "val" if place < tested + judged else "train"
            parts[name].append((index, found[position]))
    vocabulary = _vocabulary(keywords) if keywords else _learned(file.text for _, file in parts["train"])
    numbers = numbers_of(vocabulary)
    train, val, tested_on = (_part(parts[name], numbers) for name in ("train", "val", "test"))
    return Texts(train, val, tested_on, tuple(classes), vocabulary)


def check_classes(counts: Mapping[str, int]) -> None:
    """
    Raises:
        DataError: fewer than two classes have enough files to be split; one with fewer only trains.
    """
    enough = [label for label, count in counts.items() if count >= LEAST_FILES]
    if len(enough) < 2:
        raise DataError(
            f"a classifier needs at least two classes of {LEAST_FILES} text files each, every class a folder; "
            f"found {', '.join(f'{label} ({count})' for label, count in counts.items()) or 'none'}"
        )


def _part(files: Sequence[tuple[int, TextFile]], numbers: Mapping[str, int]) -> TextPart:
    encoded = [encode(file.text, numbers) for _, file in files]
    lengths = np.array([len(one) for one in encoded], dtype=np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int32)
    return TextPart(
        np.concatenate([np.array(one, dtype=np.int32) for one in encoded]),
        starts,
        lengths,
        np.array([label for label, _ in files], dtype=np.int32),
    )


def _vocabulary(keywords: Sequence[str]) -> tuple[str, ...]:
    """Keywords that can be tokens, and the delimiters."""
    words = sorted({word for word in keywords if TOKEN.fullmatch(word)} - set(DELIMITERS))
    return (*words, *DELIMITERS)


def _learned(texts: Iterable[str]) -> tuple[str, ...]:
    """The tokens of the most texts; equals in the order of the alphabet."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(tokens_of(text)))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(token for token, count in ranked[:MOST_WORDS] if count > 1)


def read_folder(folder: Path) -> tuple[list[TextFile], list[str]]:
    """The files and keywords of a folder: `data_files/<class>/…` with `keywords.json` beside it, or `<class>/…`.

    Links and hidden files are passed over; text is read as latin-1, as the 2017 program did.

    Raises:
        DataError: there is no such folder, or it holds no class.
    """
    files: list[TextFile] = []
    try:
        for label, paths in _class_files(folder).items():
            files += [TextFile(label, str(path.relative_to(folder)), _text_of(path)) for path in paths]
        keywords_path = folder / "keywords.json"
        keywords = read_keywords(keywords_path.read_text(encoding="utf-8")) if keywords_path.is_file() else []
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{folder}: cannot be read: {error}") from None
    return files, keywords


def count_files(folder: Path) -> int:
    """How many text files a folder holds, as `read_folder` would read them.

    Raises:
        DataError: as `read_folder`.
    """
    try:
        return sum(len(paths) for paths in _class_files(folder).values())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None


def _class_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each class, at most MOST_FILES of each."""
    if not folder.is_dir():
        raise DataError(f"{folder}: is not a folder")
    root = folder / "data_files" if (folder / "data_files").is_dir() else folder
    found: dict[str, list[Path]] = {}
    for place in sorted(root.iterdir()):
        if place.is_dir() and not place.is_symlink() and not place.name.startswith("."):
            files = (path for path in sorted(place.rglob("*")) if path.is_file() and not path.is_symlink())
            found[place.name] = list(islice((path for path in files if not path.name.startswith(".")), MOST_FILES))
    check_classes({label: len(paths) for label, paths in found.items()})
    return found


def _text_of(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MOST_CHARACTERS).decode("latin-1")


def read_keywords(text: str) -> list[str]:
    """The words of a keywords.json: {language: {"keywords": [word, …]}}.

    Raises:
        DataError: it is something else.
    """
    try:
        loaded = json.loads(text)
        return sorted({str(word) for language in loaded.values() for word in language["keywords"]})
    except (ValueError, AttributeError, KeyError, TypeError):
        raise DataError('keywords.json must be {"language": {"keywords": ["word", …]}, …}') from None
