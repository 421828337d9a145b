"""Whether a configuration and its data fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.data import accept
from engine.errors import ConfigError


def problems_of(values: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        accept(values)
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
        "dataset": "there is no data set 'boston'; known are synthetic, diabetes"
    }


@pytest.mark.parametrize("key", ["validation_fraction", "test_fraction"])
def test_a_part_of_fewer_than_two_rows_is_refused(key: str) -> None:
    assert list(problems_of({key: 0.00001})) == [key]


def test_problems_of_the_configuration_and_of_the_data_are_reported_together() -> None:
    found = problems_of({"batch_size": [9, 3], "nn_dimensions": [5, 1], "test_fraction": 0.00001})
    assert set(found) == {"batch_size", "nn_dimensions", "test_fraction"}


def test_with_the_data_keys_wrong_nothing_is_compared_with_the_data() -> None:
    assert list(problems_of({"data_features": 0, "nn_dimensions": [9, 1]})) == ["data_features"]
