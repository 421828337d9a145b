"""Uploaded files: what is found in them, and what a refusal says."""

from __future__ import annotations

import io
import json
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data import archives, columns, uploads
from engine.data.uploads import check_name, choose, describe, name_from, open_table, read_keywords, read_texts
from engine.errors import ConfigError, DataError
from engine.settings import ROOT


def csv_of(header: str, row: Callable[[int], str], rows: int = 25) -> bytes:
    return "\n".join([header, *(row(i) for i in range(rows)), ""]).encode()


GOOD = csv_of("a,b,y", lambda i: f"{i},{i * 2}.5,{i}e1")


def zip_of(files: Mapping[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def folders(prefix: str = "", labels: tuple[str, ...] = ("py", "sql"), each: int = 10) -> dict[str, str | bytes]:
    return {f"{prefix}{label}/{i}.txt": f"{label} {i}" for label in labels for i in range(each)}


def found(content: bytes) -> dict[str, Any]:
    return describe(io.BytesIO(content))[1]


def refusal(content: bytes) -> str:
    with pytest.raises(DataError) as caught:
        describe(io.BytesIO(content))
    return str(caught.value)


def column(content: bytes, name: str) -> dict[str, Any]:
    (one,) = [column for column in found(content)["columns"] if column["name"] == name]
    return dict(one)


class TestTables:
    def test_a_table_is_described_and_its_last_number_is_the_target(self) -> None:
        kind, about = describe(io.BytesIO(GOOD))
        assert kind == "table"
        assert (about["rows"], about["target"], about["features"]) == (25, "y", ["a", "b"])
        assert about["preview"][1] == ["1", "2.5", "1e1"]
        assert len(about["preview"]) == 10

    def test_a_column_is_described_by_its_range_and_a_histogram_of_twenty_bins(self) -> None:
        one = column(csv_of("a,y", lambda i: f"{i},1", rows=40), "a")
        assert (one["type"], one["missing"], one["distinct"]) == ("number", 0, 40)
        assert (one["min"], one["max"], one["mean"]) == (0, 39, 19.5)
        assert one["counts"] == [2] * 20
        assert one["edges"] == np.linspace(0, 39, 21).tolist()

    def test_a_constant_column_has_a_histogram_too(self) -> None:
        assert sum(column(csv_of("a,y", lambda i: f"{i},1"), "y")["counts"]) == 25

    def test_no_row_is_lost_between_batches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(columns, "BATCH", 21)
        content = csv_of("a,b,y", lambda i: f"{i},{i},{i}", rows=100)
        about = found(content)
        assert about["rows"] == sum(about["columns"][0]["counts"]) == 100
        np.testing.assert_array_equal(open_table(content, about).target[:, 0], range(100))

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    def test_commas_semicolons_and_tabs_are_recognized(self, delimiter: str) -> None:
        content = GOOD.replace(b",", delimiter.encode())
        assert found(content)["features"] == ["a", "b"]
        np.testing.assert_array_equal(
            open_table(content, found(content)).features[:, 1], [i * 2 + 0.5 for i in range(25)]
        )

    def test_commas_inside_of_names_do_not_hide_the_semicolons(self) -> None:
        assert found(csv_of("weight, kg;height, m;y", lambda i: f"{i};1;2"))["features"] == ["weight, kg", "height, m"]

    def test_what_spreadsheets_write_is_read(self) -> None:
        content = b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n") + b"\r\n"
        assert found(content)["features"] == ["a", "b"]

    def test_a_column_without_a_name_is_called_by_its_place(self) -> None:
        assert found(GOOD.replace(b"a,b", b",b"))["features"] == ["column 1", "b"]

    def test_text_and_missing_values_close_a_column_and_say_why(self) -> None:
        about = found(
            csv_of("colour,gap,a,y", lambda i: f"{'red' if i == 3 else i},{'' if i in (2, 4) else i},{i},{i}")
        )
        reasons = {one["name"]: (one["type"], one["reason"]) for one in about["columns"]}
        assert reasons["colour"] == ("text", "it holds text: line 5 has 'red'")
        assert reasons["gap"] == ("number", "2 values are missing, the first in line 4")
        assert (about["features"], about["target"]) == (["a"], "y")

    def test_the_target_is_the_last_number_that_is_complete(self) -> None:
        about = found(csv_of("a,b,y,note", lambda i: f"{i},{i},{'NA' if i == 9 else i},x"))
        assert (about["features"], about["target"]) == (["a"], "b")

    @pytest.mark.parametrize("word", ["", " ", "NA", "n/a", "NaN", "null"])
    def test_what_stands_for_no_value_counts_as_missing(self, word: str) -> None:
        one = column(csv_of("a,b,y", lambda i: f"{word if i == 0 else i},1,2"), "a")
        assert (one["type"], one["missing"], one["min"]) == ("number", 1, 1)
        assert one["reason"] == "one value is missing, the first in line 2"

    @pytest.mark.parametrize("value", ["inf", "-Infinity", "1e39"])
    def test_what_is_not_finite_in_training_closes_a_column(self, value: str) -> None:
        one = column(csv_of("a,b,y", lambda i: f"{value if i == 1 else i},1,2"), "a")
        assert one["reason"] == f"line 3 holds {value}, which no network can take"
        assert one["max"] == 24

    def test_decimals_with_a_comma_are_explained(self) -> None:
        one = column(csv_of("a;b;y", lambda i: f"1,5;{i};2"), "a")
        assert one["reason"] == "it holds text: line 2 has '1,5'; write decimals with a point"

    def test_an_empty_column_is_called_so(self) -> None:
        assert column(csv_of("a,b,y", lambda i: f"{i},,2"), "b")["reason"] == "it is empty"

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "the file is empty"),
            (b"\n\n", "the file is empty"),
            (
                GOOD + "größe".encode("latin-1") + b",1,2\n",
                "line 27 is not UTF-8 text; save the file as CSV in UTF-8",
            ),
            (
                "a,b,y\n1,2,3\n".encode("utf-16"),
                "line 1 is not UTF-8 text; save the file as CSV in UTF-8",
            ),
            (GOOD + b"1,2\n", "line 27 has 2 values where the header has 3"),
            (GOOD.replace(b"\n", b"\n\n", 1) + b"1\n", "line 28 has one value where the header has 3"),
            (
                csv_of("1,2,3", lambda i: f"{i},1,2"),
                "line 1 must name the columns, and it holds numbers only; add a header line",
            ),
            (csv_of("a,b,a", lambda i: "1,2,3"), "two columns are called 'a'; give every column a name of its own"),
            (csv_of("a,b", lambda i: "1,2", rows=19), "the file has 19 rows of data; at least 20 are needed"),
            (
                csv_of("a,b", lambda i: "x,y"),
                "no column holds numbers; at least two are needed: a feature and the target",
            ),
            (
                csv_of("a,b", lambda i: f"{i},red"),
                "only one column has a number in every row, and a feature and the target are needed; "
                "column 'b' cannot be one: it holds text: line 2 has 'red'",
            ),
            (
                csv_of("a", str),
                "only one column has a number in every row, and a feature and the target are needed",
            ),
            (
                csv_of("a,b", lambda i: f"{'' if i == 2 else i},{'' if i == 7 else i}"),
                "no column has a number in every row, and a feature and the target are needed; "
                "column 'a' cannot be one: one value is missing, the first in line 4",
            ),
            (csv_of("a,b", lambda i: '"1,2' if i == 24 else "1,2"), "line 26 is not CSV: unexpected end of data"),
            (csv_of("a,b", lambda i: '"1"2,3'), "line 2 is not CSV: ',' expected after '\"'"),
            (b"a,b\n" + b"1" * 200_000 + b",2\n", "line 2 is not CSV: field larger than field limit (131072)"),
            (b"a,b\n" + b"1," * 2**20, "line 2 is longer than 1 MB; is this a CSV file?"),
            (("x" * 201 + ",y\n1,2\n").encode(), "the name of column 1 is longer than 200 characters"),
            (
                ",".join(f"c{i}" for i in range(2001)).encode(),
                "the file has 2,001 columns; at most 2,000 can be taken",
            ),
        ],
    )
    def test_a_file_that_cannot_be_used_is_refused_with_the_place_and_the_fix(self, content: bytes, words: str) -> None:
        assert refusal(content) == words

    def test_the_fewest_rows_are_enough(self) -> None:
        assert found(csv_of("a,b", lambda i: f"{i},2", rows=20))["rows"] == 20

    def test_the_description_can_be_stored(self) -> None:
        content = csv_of("colour,gap,a,y", lambda i: f"red,{'' if i else 1},{i},inf" if i else "red,1,2,3")
        json.dumps(found(csv_of("a,b,y", lambda i: f"{i},x,{i}")), allow_nan=False)
        assert "only one column" in refusal(content)


class TestChoosing:
    ABOUT = found(csv_of("colour,gap,a,b,y", lambda i: f"red,{'' if i else 1},{i},{i},{i}"))

    def problems(self, target: str, features: list[str]) -> dict[str, str]:
        with pytest.raises(ConfigError) as caught:
            choose(self.ABOUT, target, features)
        return {problem.key: problem.message for problem in caught.value.problems}

    def test_features_come_in_the_order_of_the_columns_and_without_the_target(self) -> None:
        assert choose(self.ABOUT, "a", ["y", "b", "a"]) == ("a", ["b", "y"])

    def test_a_target_that_is_not_a_number_or_has_gaps_is_refused(self) -> None:
        assert self.problems("colour", ["a"]) == {
            "target": "column 'colour' cannot be predicted: it holds text: line 2 has 'red'"
        }
        assert self.problems("gap", ["a"]) == {
            "target": "column 'gap' cannot be predicted: 24 values are missing, the first in line 3"
        }
        assert self.problems("none", ["a"]) == {"target": "choose the column to predict"}

    def test_features_that_cannot_be_learned_from_are_refused(self) -> None:
        assert self.problems("y", ["a", "colour"]) == {
            "features": "column 'colour' cannot be a feature: it holds text: line 2 has 'red'"
        }
        assert self.problems("y", ["nothing"]) == {"features": "there is no column 'nothing'"}

    def test_nothing_beside_the_target_is_refused(self) -> None:
        assert self.problems("y", []) == self.problems("y", ["y"])
        assert self.problems("y", ["y"]) == {"features": "choose at least one column beside the target"}


class TestOpening:
    def test_a_sweep_gets_the_chosen_columns_alone(self, tmp_path: Path) -> None:
        (tmp_path / "it.csv").write_bytes(GOOD)
        table = open_table(tmp_path / "it.csv", {**found(GOOD), "target": "a", "features": ["y"]})
        assert (table.columns, table.target_name) == (("y",), "a")
        assert table.features.dtype == table.target.dtype == np.float32
        np.testing.assert_array_equal(table.features, [[i * 10] for i in range(25)])
        np.testing.assert_array_equal(table.target, [[i] for i in range(25)])

    def test_columns_with_text_do_not_disturb_the_others(self) -> None:
        content = csv_of("colour,a,y", lambda i: f"red,{i},{i}")
        assert open_table(content, found(content)).features.shape == (25, 1)

    def test_another_file_than_the_one_described_is_refused(self, tmp_path: Path) -> None:
        about = found(GOOD)
        for content, words in (
            (GOOD + b"1,2,3\n", "more than the 25 rows"),
            (GOOD[: GOOD.rindex(b"24,")], "has 24 of the 25 rows"),
            (GOOD.replace(b"a,b", b"c,b"), "there is no column 'a'"),
            (GOOD.replace(b"3,6.5", b"red,6.5"), "line 5, column 'a': 'red' is not a number"),
        ):
            with pytest.raises(DataError, match=words):
                open_table(content, about)
        with pytest.raises(DataError, match="cannot be read: No such file"):
            open_table(tmp_path / "gone.csv", about)


class TestTexts:
    @pytest.mark.parametrize("prefix", ["", "texts/", "a/b/", "source_code/data_files/"])
    def test_folders_are_classes_wherever_they_lie(self, prefix: str) -> None:
        kind, about = describe(io.BytesIO(zip_of(folders(prefix))))
        assert kind == "texts"
        assert [(one["name"], one["files"]) for one in about["classes"]] == [("py", 10), ("sql", 10)]
        assert about["classes"][0]["characters"] == 40
        assert (about["files"], about["ignored"], about["has_keywords"]) == (20, 0, False)

    def test_keywords_beside_the_folders_are_found(self, tmp_path: Path) -> None:
        words = {"py": {"keywords": ["def", "class"]}, "sql": {"keywords": []}}
        packed = zip_of({**folders("s/data_files/"), "s/keywords.json": json.dumps(words)})
        assert found(packed)["has_keywords"] is True
        (tmp_path / "it.zip").write_bytes(packed)
        assert read_keywords(tmp_path / "it.zip") == {"py": ["def", "class"], "sql": []}

    def test_files_below_a_class_belong_to_it(self) -> None:
        packed = zip_of({**folders("data_files/"), "data_files/py/deep/er/x.txt": "x"})
        assert [one["files"] for one in found(packed)["classes"]] == [11, 10]

    def test_what_is_not_text_or_not_in_a_folder_is_left_out(self) -> None:
        extra = {
            "README.txt": "x",
            "t/py/inner.zip": zip_of({"a.txt": "x"}),
            "t/py/.hidden": "x",
            "__MACOSX/t/py/._1": "x",
            "t/sql/empty.txt": "",
        }
        about = found(zip_of({**folders("t/"), **extra}))
        assert (about["files"], about["ignored"]) == (20, 5)

    def test_texts_are_read_by_class_and_name_in_latin_1(self, tmp_path: Path) -> None:
        path = tmp_path / "it.zip"
        path.write_bytes(zip_of({**folders(each=9), "py/é.txt": "caf\xe9".encode("latin-1"), "sql/b.bin": b"\0"}))
        texts = list(read_texts(path))
        assert [text[0] for text in texts] == ["py"] * 10 + ["sql"] * 9
        assert texts[0] == ("py", "0.txt", "py 0")
        assert ("py", "é.txt", "café") in texts

    def test_large_classes_and_large_files_are_cut(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archives, "MOST_FILES", 3)
        monkeypatch.setattr(archives, "MOST_CHARACTERS", 2)
        path = tmp_path / "it.zip"
        path.write_bytes(zip_of(folders()))
        texts = list(read_texts(path))
        assert [text[0] for text in texts] == ["py"] * 3 + ["sql"] * 3
        assert {text[2] for text in texts} == {"py", "sq"}

    def test_one_class_is_refused(self) -> None:
        assert refusal(zip_of(folders(labels=("py",), each=30))) == (
            "the ZIP file holds only the class 'py'; it needs 2 folders of texts or more, one a class"
        )
        assert "no folder of texts" in refusal(zip_of({f"{i}.txt": "x" for i in range(30)}))

    def test_too_few_files_are_refused(self) -> None:
        assert refusal(zip_of(folders(each=9))) == "the ZIP file holds 18 texts; at least 20 are needed"

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("/etc/passwd", "the entry '/etc/passwd' has an absolute path"),
            ("C:\\x\\y.txt", "has an absolute path"),
            ("\\x\\y.txt", "has an absolute path"),
            ("py/../../x.txt", "leads out of its folder by '..'"),
            ("py\\..\\x.txt", "leads out of its folder by '..'"),
        ],
    )
    def test_paths_that_lead_out_are_refused(self, name: str, words: str) -> None:
        assert words in refusal(zip_of({**folders(), name: "x"}))

    def test_links_are_refused(self) -> None:
        link = zipfile.ZipInfo("py/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed = io.BytesIO(zip_of(folders()))
        with zipfile.ZipFile(packed, "a") as archive:
            archive.writestr(link, "/etc/passwd")
        assert refusal(packed.getvalue()) == "the entry 'py/link' is a link; pack the file itself"

    def test_encrypted_entries_are_refused(self) -> None:
        packed = bytearray(zip_of(folders()))
        packed[packed.index(b"PK\x01\x02") + 8] |= 1
        assert "the entry 'py/0.txt' is encrypted" in refusal(bytes(packed))

    def test_an_entry_that_grows_a_thousand_times_is_refused_before_it_is_read(self) -> None:
        assert "'py/bomb' grows to more than 100 times" in refusal(zip_of({**folders(), "py/bomb": b"x" * 2_000_000}))

    def test_many_small_entries_that_grow_together_are_refused(self) -> None:
        files = {f"{label}/{i}": b"x" * 900_000 for label in ("a", "b") for i in range(10)}
        assert "the ZIP file grows to more than 100 times its size" in refusal(zip_of(files))

    def test_what_unpacks_to_too_much_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archives, "MOST_BYTES", 100)
        assert "at most 0 GB can be taken" in refusal(zip_of({**folders(), "py/large": b"x" * 200}))

    def test_too_many_entries_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archives, "MOST_ENTRIES", 19)
        assert refusal(zip_of(folders())) == "the ZIP file holds 20 entries; at most 19 can be taken"

    def test_a_huge_list_of_entries_is_refused_before_it_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archives, "MOST_ENTRIES", 1)
        monkeypatch.setattr(zipfile, "ZipFile", None)
        packed = io.BytesIO()
        assert packed.write(_end(directory=2000)) == 22
        assert (
            refusal(b"PK\x03\x04" + packed.getvalue()) == "the ZIP file holds more than 1 entries; choose fewer files"
        )

    def test_the_size_of_a_zip64_list_is_seen_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(zipfile, "ZipFile", None)
        record = b"PK\x06\x06" + bytes(36) + struct.pack("<QQ", 2**40, 0)
        locator = b"PK\x06\x07" + bytes(16)
        assert "more than 100,000 entries" in refusal(b"PK\x03\x04" + record + locator + _end(directory=0))

    @pytest.mark.parametrize(
        "content",
        [
            b"PK\x03\x04",
            b"PK" + b"x" * 100,
            zip_of(folders())[:-30],
            b"PK" + zip_of(folders())[100:],
            b"PK\x05\x06" + bytes(18),
        ],
    )
    def test_a_broken_file_is_refused_in_words(self, content: bytes) -> None:
        assert refusal(content).startswith("the ZIP file ")

    def test_an_entry_that_is_not_what_its_checksum_says_is_refused(self) -> None:
        packed = zip_of(folders(), zipfile.ZIP_STORED)
        assert "is broken: bad CRC-32 for file 'py/3.txt'" in refusal(packed.replace(b"py 3", b"py X"))

    def test_a_way_of_packing_that_is_unknown_is_refused_in_words(self) -> None:
        packed = bytearray(zip_of(folders()))
        for header, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
            packed[packed.index(header) + place] = 97
        assert (
            refusal(bytes(packed)) == "the ZIP file is packed in a way that cannot be read here; pack it with deflate"
        )

    @pytest.mark.parametrize("content", ["{", "[]", '{"py": ["def"]}', '{"py": {"keywords": [1]}}', "{}"])
    def test_keywords_of_another_form_are_refused(self, content: str) -> None:
        assert refusal(zip_of({**folders("t/"), "t/keywords.json": content})).startswith("keywords.json ")


def _end(directory: int) -> bytes:
    """The end of a ZIP file that says how many bytes its list of entries has."""
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, directory, 0, 0)


BESIDE_A_LOOP = """
from gevent import monkey
monkey.patch_all()
import io, gevent
from engine.data.uploads import describe

turns = []

def others():
    while True:
        gevent.sleep(0.001)
        turns.append(1)

gevent.spawn(others)
describe(io.BytesIO(b"a,b,c,d\\n" + b"1,2,3,4\\n" * 200_000))
print(len(turns))
"""


def test_other_requests_get_their_turn_while_a_large_file_is_looked_at() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BESIDE_A_LOOP], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert int(done.stdout) >= 20, "of 32 batches"


@pytest.mark.parametrize("name", ["a", "boston-housing_2", "x" * 60, "7"])
def test_good_names_are_taken(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "A", "a b", "a/b", "x" * 61, "ä", "a@1", "a\n", ".."])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="1 to 60 lower-case letters"):
        check_name(name)


@pytest.mark.parametrize("name", ["synthetic", "diabetes", "installed-sources"])
def test_the_names_of_built_in_data_sets_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="built in"):
        check_name(name)


@pytest.mark.parametrize(
    ("filename", "name"),
    [("Boston Housing (1).csv", "boston-housing-1"), ("a.zip", "a"), ("x.tar.gz", "x-tar-gz"), ("ä.csv", ""), ("", "")],
)
def test_a_file_gives_its_name(filename: str, name: str) -> None:
    assert name_from(filename) == name


def test_the_kind_is_known_by_the_content_and_not_by_the_name() -> None:
    assert uploads.describe(io.BytesIO(zip_of(folders())))[0] == "texts"
    assert uploads.describe(io.BytesIO(GOOD))[0] == "table"
