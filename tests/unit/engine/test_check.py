"""Whether a configuration and its data fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config import parse
from engine.data import accept, prepare
from engine.data.check import Find, look_up
from engine.errors import ConfigError, DataError


def problems_of(values: dict[str, Any], find: Find | None = None) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        accept(values, find)
    return {problem.key: problem.message for problem in caught.value.problems}


def table(folder: Path, features: int, rows: int = 50) -> str:
    path = folder / "table.csv"
    header = ",".join(f"c{i}" for i in range(features + 1))
    path.write_text(header + "\n" + (",".join(["1"] * (features + 1)) + "\n") * rows)
    return str(path)


def test_the_defaults_fit() -> None:
    accept({})


def test_diabetes_with_its_ten_features_fits() -> None:
    accept({"dataset": "diabetes", "nn_dimensions": [10, 1]})


def test_a_network_that_does_not_fit_the_data_is_refused_with_the_fix() -> None:
    message = problems_of({"nn_dimensions": [5, 1]})["nn_dimensions"]
    assert message == ("the first number is 5 but the data has 4 features; set it to [4, 1], or data_features to 5")


def test_the_fix_for_real_data_is_the_network(tmp_path: Path) -> None:
    assert problems_of({"dataset": "diabetes"})["nn_dimensions"] == (
        "the first number is 4 but the data has 10 features; set it to [10, 1]"
    )
    values = {"load_data": True, "load_data_dir": table(tmp_path, 7)}
    assert problems_of(values)["nn_dimensions"].endswith("set it to [7, 1]")
    accept({**values, "nn_dimensions": [7, 1]})


def test_a_file_that_cannot_be_read_is_refused_at_its_key(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.csv")
    assert problems_of({"load_data": True, "load_data_dir": gone})["load_data_dir"].startswith(
        f"{gone}: cannot be read"
    )


def test_the_references_default_folder_is_refused_in_words_not_by_a_crash() -> None:
    assert "load_data_dir" in problems_of({"load_data": True})


def test_an_unknown_data_set_is_refused_with_those_there_are() -> None:
    assert problems_of({"dataset": "boston"}) == {
        "dataset": "there is no data set 'boston'; known are synthetic, diabetes, installed-sources"
    }


UPLOADED: dict[str, dict[str, Any]] = {
    "boston": {"kind": "table", "rows": 506, "features": ["crim", "rm"], "target": "medv"},
    "code": {"kind": "texts", "files": 30, "classes": []},
}


def find(reference: str) -> dict[str, Any] | None:
    about = UPLOADED.get(reference)
    return about and {**about, "name": reference, "sha256": "0123456789abcdef" * 4}


def test_an_uploaded_table_is_accepted_and_named_with_its_version() -> None:
    config = accept({"dataset": "boston", "nn_dimensions": [2, 1]}, find)
    assert config.dataset == "boston@0123456789ab"


def test_a_network_that_does_not_fit_an_uploaded_table_is_refused_with_the_fix() -> None:
    assert problems_of({"dataset": "boston"}, find) == {
        "nn_dimensions": "the first number is 4 but the data has 2 features; set it to [2, 1]"
    }


def test_a_part_of_an_uploaded_table_that_would_be_empty_is_refused() -> None:
    values = {"dataset": "boston", "nn_dimensions": [2, 1], "test_fraction": 0.001}
    assert problems_of(values, find) == {"test_fraction": "leaves fewer than 2 of 506 rows; choose a larger part"}


def test_a_data_set_that_is_not_uploaded_is_refused_with_the_page_that_lists_them() -> None:
    assert problems_of({"dataset": "gone"}, find) == {
        "dataset": "there is no data set 'gone'; known are synthetic, diabetes, installed-sources, and those that the "
        "page Data sets lists"
    }


@pytest.mark.parametrize("name", ["code", "installed-sources"])
def test_texts_for_a_regressor_are_refused_with_the_fix(name: str) -> None:
    assert problems_of({"dataset": name}, find) == {
        "nn_model": f"a Regressor learns from numbers, and the data set {name!r} holds texts; choose the text "
        "classifier (Custom), or a data set that is a table"
    }


@pytest.mark.parametrize(("name", "kind"), [("code", "texts"), ("boston", "table"), ("diabetes", "table")])
def test_the_kind_of_a_data_set_is_known(name: str, kind: str) -> None:
    assert look_up(parse({"dataset": name}), find).kind == kind


def test_an_uploaded_table_is_fetched_and_split(tmp_path: Path) -> None:
    path = tmp_path / "boston.csv"
    path.write_text("crim,note,rm,medv\n" + "".join(f"{i},x,{-i},{i * 2}\n" for i in range(100)))
    about = {**UPLOADED["boston"], "rows": 100, "delimiter": ","}
    asked = []

    def fetch(name: str) -> tuple[Path, dict[str, Any]]:
        asked.append(name)
        return path, about

    parts = prepare(parse({"dataset": "boston@01234567", "nn_dimensions": [2, 1]}), fetch)
    assert asked == ["boston@01234567"]
    assert [len(part) for part in (parts.x_train, parts.x_val, parts.x_test)] == [60, 20, 20]
    assert parts.x_train.shape[1] == 2
    assert parts.target_scale > 1, "the target of a real table is standardised"


def test_without_a_way_to_fetch_an_uploaded_table_the_refusal_names_it() -> None:
    with pytest.raises(DataError, match="'boston' is not built in"):
        prepare(parse({"dataset": "boston"}))


@pytest.mark.parametrize("key", ["validation_fraction", "test_fraction"])
def test_a_part_of_fewer_than_two_rows_is_refused(key: str) -> None:
    assert list(problems_of({key: 0.00001})) == [key]


def test_problems_of_the_configuration_and_of_the_data_are_reported_together() -> None:
    found = problems_of({"batch_size": [9, 3], "nn_dimensions": [5, 1], "test_fraction": 0.00001})
    assert set(found) == {"batch_size", "nn_dimensions", "test_fraction"}


def test_with_the_data_keys_wrong_nothing_is_compared_with_the_data() -> None:
    assert list(problems_of({"data_features": 0, "nn_dimensions": [9, 1]})) == ["data_features"]


def test_a_target_that_is_no_column_is_the_targets_problem_and_a_broken_file_the_files(tmp_path: Path) -> None:
    values = {"load_data": True, "load_data_dir": table(tmp_path, 4), "target_column": "price"}
    assert "there is no column 'price'" in problems_of(values)["target_column"]
    (tmp_path / "table.csv").write_text("a,b\n1,x\n")
    assert set(problems_of({**values, "target_column": "a"})) == {"load_data_dir"}


def test_a_folder_of_texts_is_looked_at_before_a_sweep_begins(tmp_path: Path) -> None:
    values = {"nn_model": "Custom", "load_data": True, "load_data_dir": str(tmp_path)}
    assert "found none" in problems_of(values)["load_data_dir"]
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(12):
            (tmp_path / label / f"{number}.txt").write_text("x")
    assert accept(values).load_data_dir == str(tmp_path)
