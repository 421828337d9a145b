"""Tables: what can be read, and what a refusal says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from engine.data.tables import csv_shape, diabetes, read_csv
from engine.errors import DataError


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(count: int) -> str:
    return "".join(f"{i},{i * 2}.5,{i}e1\n" for i in range(count))


def refusal(path: Path, target: str = "") -> str:
    with pytest.raises(DataError) as caught:
        read_csv(path, target)
    text = str(caught.value)
    assert text.startswith(f"{path}: "), "the refusal does not name the file"
    return text.removeprefix(f"{path}: ")


def test_a_good_table_is_read_with_the_last_column_as_target(tmp_path: Path) -> None:
    table = read_csv(written(tmp_path, "a,b,y\n" + rows(25)))
    assert table.columns == ("a", "b")
    assert table.target_name == "y"
    assert table.features.dtype == table.target.dtype == np.float32
    np.testing.assert_array_equal(table.features, [[i, i * 2 + 0.5] for i in range(25)])
    np.testing.assert_array_equal(table.target, [[i * 10] for i in range(25)])


def test_the_target_column_can_be_any(tmp_path: Path) -> None:
    table = read_csv(written(tmp_path, "a,b,y\n" + rows(25)), "a")
    assert table.columns == ("b", "y")
    np.testing.assert_array_equal(table.target[:, 0], range(25))
    np.testing.assert_array_equal(table.features[:, 1], [i * 10 for i in range(25)])


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    content = "\ufeffa, b ,y\r\n" + rows(25).replace("\n", "\r\n") + "\r\n"
    assert read_csv(written(tmp_path, content)).columns == ("a", "b")


def test_quoted_numbers_are_read(tmp_path: Path) -> None:
    assert read_csv(written(tmp_path, 'a,y\n"1","2"\n' * 1 + '"1", 2\n' * 24)).target.shape == (25, 1)


def test_an_unknown_target_column_is_refused_with_those_there_are(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, "a,b,y\n" + rows(25)), "z") == "there is no column 'z'; the columns are a, b, y"


def test_a_ragged_line_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,y\n" + rows(25) + "1,2\n")
    assert refusal(path) == "line 27 has 2 values where the header has 3"


def test_a_ragged_line_after_an_empty_one_is_named_by_its_own_number(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,y\n\n" + rows(25) + "1,2\n")
    assert refusal(path) == "line 28 has 2 values where the header has 3"


def test_a_value_that_is_no_number_is_named_by_line_and_column(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,y\n" + rows(25) + "1,red,3\n")
    assert refusal(path) == "line 27, column 'b': 'red' is not a number"


def test_an_empty_value_is_named_by_line_and_column(tmp_path: Path) -> None:
    assert (
        refusal(written(tmp_path, "a,b,y\n1,,3\n" + rows(25))) == "line 2, column 'b': an empty value is not a number"
    )


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity", "1e999"])
def test_a_value_that_is_not_finite_is_named_by_line_and_column(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, f"a,b,y\n1,2,{value}\n" + rows(25))
    assert refusal(path) == f"line 2, column 'y': {value} is not a finite number"


def test_a_value_too_large_for_training_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,y\n1,2,1e300\n" + rows(25))
    assert "line 2, column 'y': 1e300" in refusal(path)


def test_a_table_without_a_header_is_refused(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, rows(25))) == "the first line must name the columns"


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "same name" in refusal(written(tmp_path, "a,a,y\n" + rows(25)))


def test_one_column_is_refused(tmp_path: Path) -> None:
    assert "at least two columns" in refusal(written(tmp_path, "a\n" + "1\n" * 25))


def test_semicolons_are_refused_in_words(tmp_path: Path) -> None:
    assert "separated by commas" in refusal(written(tmp_path, "a;b\n" + "1;2\n" * 25))


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,y\n" + rows(19))
    assert refusal(path) == "has 19 rows of data; at least 20 are needed"


def test_the_fewest_rows_are_enough(tmp_path: Path) -> None:
    assert len(read_csv(written(tmp_path, "a,b,y\n" + rows(20))).target) == 20


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, "")) == "is empty"


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "größe,b,y\n".encode("latin-1") + rows(25).encode())
    assert refusal(path) == "is not UTF-8 text; save it as CSV in UTF-8"


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    refusal(written(tmp_path, b"PK\x03\x04\x00\x00" * 100))


def test_a_huge_cell_is_refused(tmp_path: Path) -> None:
    assert "not a CSV file" in refusal(written(tmp_path, "a,y\n" + "1" * 200_000 + ",2\n"))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "is a folder; name a CSV file"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert re.match("cannot be read: No such file", refusal(tmp_path / "gone.csv"))


def test_diabetes_is_scikit_learns() -> None:
    table = diabetes()
    assert table.features.shape == (442, 10)
    assert table.target.mean() == pytest.approx(152.13, abs=0.01)
    assert "bmi" in table.columns


def test_what_is_not_a_file_is_refused_at_once() -> None:
    with pytest.raises(DataError, match="is not a file"):
        read_csv(Path("/dev/zero"))
    with pytest.raises(DataError, match="is empty"):
        read_csv(Path("/proc/self/environ"), "x")


def test_the_shape_of_a_large_file_is_found_without_reading_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_text("a,b,y\n" + "0.123456789,2.5,3\n" * 100_000)
    assert csv_shape(path) == (100_000, 2)
    assert csv_shape(path, "a") == (100_000, 2)
    small = tmp_path / "small.csv"
    small.write_text("a,b,y\n" + "1,2,3\n" * 30)
    assert csv_shape(small) == (30, 2)
