"""Text data: tokens, vocabulary, classes and their parts."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engine.data import load
from engine.data.sources import installed_sources
from engine.data.texts import (
    FIRST,
    NONE,
    OTHER,
    TextFile,
    Texts,
    encode,
    numbers_of,
    prepare_texts,
    read_folder,
    read_keywords,
    tokens_of,
)
from engine.errors import DataError


def files(**counts: int) -> list[TextFile]:
    return [
        TextFile(label, f"{label}{i}", f"{label} {label}{i} ;") for label, count in counts.items() for i in range(count)
    ]


def test_a_token_is_a_word_or_another_character_and_blanks_are_none() -> None:
    assert tokens_of("if (x1>=2)\n\treturn 'é';") == ["if", "(", "x1", ">", "=", "2", ")", "return", "'", "é", "'", ";"]


def test_unknown_tokens_have_one_number_and_known_ones_their_own() -> None:
    numbers = numbers_of(["if", ";"])
    assert encode("if other ;", numbers) == [FIRST, OTHER, FIRST + 1]


def test_every_class_is_split_on_its_own_and_none_comes_last() -> None:
    data = prepare_texts(files(**{NONE: 10, "zig": 20, "awk": 5}), [], 0.2, 0.2, 1)
    assert data.classes == ("awk", "zig", NONE)
    counts = {name: np.bincount(data.part(name).labels, minlength=3).tolist() for name in ("train", "val", "test")}
    assert counts == {"train": [3, 12, 6], "val": [1, 4, 2], "test": [1, 4, 2]}
    part = data.train
    assert part.starts.tolist() == [0, *np.cumsum(part.lengths)[:-1].tolist()]
    assert part.lengths.sum() == len(part.tokens)


def test_a_class_too_small_to_be_split_only_trains() -> None:
    data = prepare_texts(files(a=9, b=9, few=2), [], 0.2, 0.2, 1)
    few = data.classes.index("few")
    assert few in data.train.labels
    assert few not in data.val.labels
    assert few not in data.test.labels


def test_the_vocabulary_is_learned_from_the_training_part_alone() -> None:
    data = prepare_texts(files(a=10, b=10), [], 0.2, 0.2, 1)
    assert {"a", "b", ";"} == set(data.vocabulary), "a word of one text is none to learn"
    assert OTHER in data.test.tokens


def test_keywords_that_come_with_the_data_are_the_vocabulary_with_the_delimiters() -> None:
    data = prepare_texts(files(a=10, b=10), ["a", "%path%", "while"], 0.2, 0.2, 1)
    assert data.vocabulary[:2] == ("a", "while")
    assert len(data.vocabulary) == 2 + 25
    assert data.token_count == 29


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    data = prepare_texts(files(a=6, b=6), [], 0.2, 0.2, 1)
    data.save(tmp_path / "data.npz")
    again = load(tmp_path / "data.npz")
    assert isinstance(again, Texts)
    assert (again.classes, again.vocabulary) == (data.classes, data.vocabulary)
    np.testing.assert_array_equal(again.test.tokens, data.test.tokens)


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match=r"at least two classes of 3 text files.*found a \(9\), b \(2\)"):
        prepare_texts(files(a=9, b=2), [], 0.2, 0.2, 1)


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="latin-1")


def test_the_reference_layout_is_read_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, **{f"data_files__{label}__{i}.txt": f"{label} é {i}" for label in ("c", NONE) for i in range(4)})
    (tmp_path / "keywords.json").write_text(json.dumps({"c": {"keywords": ["int"]}, "d": {"keywords": ["int", "if"]}}))
    (tmp_path / "data_files" / "c" / "link.txt").symlink_to("/etc/hostname")
    found, keywords = read_folder(tmp_path)
    assert keywords == ["if", "int"]
    assert {file.label for file in found} == {"c", NONE}
    assert len(found) == 8, "links are passed over"
    assert "é" in found[0].text, "text is latin-1"


def test_a_folder_without_classes_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none"):
        read_folder(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        read_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["{", "[]", '{"c": ["int"]}', '{"c": {}}'])
def test_nonsense_keywords_are_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"keywords.json must be"):
        read_keywords(text)


def test_installed_sources_are_of_several_languages_and_the_same_each_time() -> None:
    found = list(installed_sources(3))
    labels = {file.label for file in found}
    assert {"python", "header", "js", "css", "html", "fortran", NONE} == labels
    assert max(sum(file.label == label for file in found) for label in labels) == 200
    assert [file.name for file in installed_sources(3)] == [file.name for file in found]
    assert [file.name for file in installed_sources(4)] != [file.name for file in found]
    assert len({file.text for file in found}) == len(found)


def test_the_archive_of_folders_is_read_like_a_folder(tmp_path: Path) -> None:
    from engine.data.uploads import read_texts

    path = tmp_path / "texts.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for label in ("a", "b"):
            for i in range(3):
                archive.writestr(f"top/data_files/{label}/{i}.txt", f"{label} {i}")
    assert sorted({label for label, _, _ in read_texts(path)}) == ["a", "b"]
