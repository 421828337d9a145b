"""From a sweep to a model that predicts: confirmed on the test part, kept, exported, used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.config import parse
from engine.data import prepare
from engine.settings import ROOT
from tests.installation import Installation, installation

CONFIRMED = {"confirm": 2, "confirm_seeds": 2}
TEXT = "def main(argument):\n    import os\n    return [os.path.join(x) for x in argument]\n"
LSTM = {
    "nn_model": "Custom", "dataset": "installed-sources", "rnn_state_dim": [12, 8], "rnn_seq_length": [15, 30],
    "batch_size": [16, 32], "learning_rate": [0.01, 0.02], "train_optimizer": ["Adam"], "opt_stages": [[40, 3]],
    **CONFIRMED,
}  # fmt: skip


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, str]]:
    with installation(tmp_path_factory.mktemp("regression")) as place:
        place.start_daemon()
        sweep_id = place.create(
            dataset="diabetes", nn_dimensions=[10, 1], opt_stages=[[150, 4]], learning_rate=[0.005, 0.01],
            train_optimizer=["Adam"], **CONFIRMED,
        )  # fmt: skip
        assert place.wait_ended(sweep_id, 90)["state"] == "COMPLETED"
        yield place, sweep_id


@pytest.fixture(scope="module")
def classification(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, str]]:
    with installation(tmp_path_factory.mktemp("classification")) as place:
        place.start_daemon()
        sweep_id = place.create(**LSTM)
        sweep = place.wait_ended(sweep_id, 120)
        assert (sweep["state"], sweep["error"]) == ("COMPLETED", None)
        yield place, sweep_id


def test_the_best_configurations_are_trained_again_and_measured_on_the_test_part(
    regression: tuple[Installation, str],
) -> None:
    place, sweep_id = regression
    sweep, trials = place.sweep(sweep_id), place.trials(sweep_id)
    search, confirming = trials[:4], trials[4:]
    best = sorted(search, key=lambda trial: trial["loss"])[:2]
    assert [trial["confirms"] for trial in confirming] == [best[0]["number"]] * 2 + [best[1]["number"]] * 2
    assert [trial["params"] for trial in confirming[::2]] == [trial["params"] for trial in best]
    assert len({trial["seed"] for trial in trials}) == 8, "every training has a seed of its own"
    assert sweep["best"]["number"] == best[0]["number"]
    assert sweep["progress"]["done"] == 4
    assert (sweep["progress"]["confirmed"], sweep["progress"]["to_confirm"]) == (4, 4)
    first = sweep["confirmed"][0]
    assert (first["trial"], first["seeds"], first["failed"]) == (best[0]["number"], 2, 0)
    assert first["figures"]["rmse"]["values"] == [trial["test"]["loss"] ** 0.5 for trial in confirming[:2]]
    data = prepare(parse(sweep["config"]))
    predicted = request(place, sweep_id, confirming[0]["number"], {"rows": raw(data).tolist()})["predictions"]
    truth = data.y_test[:, 0] * data.target_scale + data.target_mean
    assert np.mean((np.array(predicted) - truth) ** 2) == pytest.approx(confirming[0]["test"]["loss"], rel=1e-3)
    assert np.mean(np.abs(np.array(predicted) - truth)) == pytest.approx(confirming[0]["test"]["mae"], rel=1e-3)
    expected = 1 - confirming[0]["test"]["loss"] / np.var(truth)
    assert confirming[0]["test"]["r2"] == pytest.approx(expected, abs=1e-3)


def raw(data: Any) -> Any:
    """The features of the test part as the user had them."""
    return data.x_test * data.feature_scale + data.feature_mean


def test_an_exported_regressor_predicts_what_the_page_does(
    regression: tuple[Installation, str], tmp_path: Path
) -> None:
    place, sweep_id = regression
    number = place.sweep(sweep_id)["best"]["number"]
    rows = raw(prepare(parse(place.sweep(sweep_id)["config"])))[:20]
    ours = request(place, sweep_id, number, {"rows": rows.tolist()})["predictions"]
    folder = exported(place, sweep_id, number, tmp_path)
    code = f"print(model.predict(tf.constant({rows.tolist()}, tf.float32))['progression'].numpy().tolist())"
    np.testing.assert_allclose(told(folder, code), ours, rtol=1e-5)
    facts = json.loads((folder / "trial.json").read_text())
    assert facts["trial"]["number"] == number
    assert facts["data"]["columns"][0] == "age"


def test_an_exported_classifier_predicts_what_the_page_does(
    classification: tuple[Installation, str], tmp_path: Path
) -> None:
    place, sweep_id = classification
    number = place.sweep(sweep_id)["best"]["number"]
    texts = [TEXT, "x", "héllo wörld ;" * 300, "#include <stdio.h>\nint main() { return 0; }"]
    ours = request(place, sweep_id, number, {"texts": texts})["predictions"]
    assert [sum(one.values()) for one in ours] == pytest.approx([1.0] * 4)
    folder = exported(place, sweep_id, number, tmp_path)
    code = f"print(model.predict(tf.constant({texts}))['probabilities'].numpy().tolist())"
    np.testing.assert_allclose(told(folder, code), [list(one.values()) for one in ours], atol=1e-5)


def test_a_classifier_is_confirmed_with_error_rate_and_confusion(classification: tuple[Installation, str]) -> None:
    place, sweep_id = classification
    sweep = place.sweep(sweep_id)
    figures = sweep["confirmed"][0]["figures"]
    assert 0 <= figures["error"]["mean"] <= 1
    confusion = np.array(figures["confusion"]["mean"])
    assert confusion.shape == (7, 7)
    assert confusion.sum() == pytest.approx(1.0, abs=1e-4)
    assert 1 - np.trace(confusion) == pytest.approx(figures["error"]["mean"], abs=1e-4)
    trials = place.trials(sweep_id)
    assert all(0 <= trial["figures"]["error"] <= 1 for trial in trials)
    assert all(15 <= trial["params"]["sequence_length"] <= 30 for trial in trials)


def test_a_sweep_reports_how_its_best_trials_predict(regression: tuple[Installation, str]) -> None:
    place, sweep_id = regression
    sweep, trials = place.sweep(sweep_id), {trial["number"]: trial for trial in place.trials(sweep_id)}
    report = place.store.reports.get(sweep_id)
    assert report is not None
    assert (report["columns"], report["target"], len(report["stages"])) == (["age"], "progression", 1)
    (stage,), final = report["stages"], report["final"]
    assert stage["trial"] == sweep["stages"][0]["best"] == final["trial"]
    best = trials[stage["trial"]]
    assert stage["val"]["rmse"] ** 2 == pytest.approx(best["val_loss"], rel=1e-3)
    assert stage["val"]["mae"] == pytest.approx(best["figures"]["mae"], rel=1e-3)
    assert stage["val"]["r2"] == pytest.approx(best["figures"]["r2"], abs=1e-3)
    assert "test" not in stage
    data = prepare(parse(sweep["config"]))
    predicted = request(place, sweep_id, best["number"], {"rows": raw(data).tolist()})["predictions"]
    truth = data.y_test[:, 0] * data.target_scale + data.target_mean
    expected = np.stack([raw(data)[:, 0], truth, predicted], axis=1)
    np.testing.assert_allclose(final["test"]["points"], expected, rtol=1e-3, atol=1e-3)
    assert final["test"]["rmse"] == pytest.approx(np.sqrt(np.mean((np.array(predicted) - truth) ** 2)), rel=1e-3)


def test_a_classifiers_report_has_its_confusions(classification: tuple[Installation, str]) -> None:
    place, sweep_id = classification
    sweep, trials = place.sweep(sweep_id), {trial["number"]: trial for trial in place.trials(sweep_id)}
    report = place.store.reports.get(sweep_id)
    assert report is not None
    (stage,), final = report["stages"], report["final"]
    assert len(report["classes"]) == len(stage["val"]["of_class"]) == 7
    assert 1 - stage["val"]["accuracy"] == pytest.approx(trials[stage["trial"]]["figures"]["error"], abs=0.02)
    confirmed = sweep["confirmed"][0]
    assert confirmed["trial"] == final["trial"]
    np.testing.assert_allclose(final["test"]["confusion"], confirmed["figures"]["confusion"]["mean"], atol=1e-5)
    assert final["test"]["seeds"] == 2


@pytest.mark.parametrize("parallelism", ["async", "sync"])
def test_the_classifier_trains_on_the_whole_cluster_too(
    classification: tuple[Installation, str], parallelism: str
) -> None:
    place, _ = classification
    sweep_id = place.create(**{**LSTM, "opt_stages": [[20, 1]], "confirm": 0}, parallelism=parallelism)
    sweep = place.wait_ended(sweep_id, 120)
    assert (sweep["state"], sweep["error"]) == ("COMPLETED", None)
    (trial,) = place.trials(sweep_id)
    assert trial["step"] == 20
    assert trial["loss"] < 2.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rows": [[1, 2]]}, "row 1 has 2 values; the model takes 10 features"),
        ({"rows": []}, "give at least one entry in 'rows'"),
        ({"texts": ["a"]}, "give at least one entry in 'rows'"),
        ({"rows": [["a"] * 10]}, "every row must be a list of numbers"),
        ({"rows": [[1e39] * 10]}, "every value must be a finite number"),
        ([], "give at least one entry"),
    ],
)
def test_what_cannot_be_predicted_is_refused_in_words(
    regression: tuple[Installation, str], given: Any, message: str
) -> None:
    place, sweep_id = regression
    assert message in request(place, sweep_id, 1, given)["error"]


def test_a_trial_without_a_model_is_refused_in_words(regression: tuple[Installation, str]) -> None:
    place, sweep_id = regression
    assert request(place, sweep_id, 99, {"rows": [[0] * 10]}) == {"error": "the model of trial 99 is not kept"}


def environment(place: Installation) -> dict[str, str]:
    return {**os.environ, "NHOP_DATA_DIR": str(place.data_dir)}


def request(place: Installation, sweep_id: str, number: int, given: Any) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "engine.predict", sweep_id, str(number)], input=json.dumps(given), text=True,
        capture_output=True, cwd=ROOT, env=environment(place), check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def exported(place: Installation, sweep_id: str, number: int, folder: Path) -> Path:
    """The exported model, unpacked."""
    path = folder / "model.zip"
    subprocess.run(
        [sys.executable, "-m", "engine.export", sweep_id, str(number), str(path)], cwd=ROOT, check=True,
        env=environment(place), capture_output=True,
    )  # fmt: skip
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder


def told(folder: Path, code: str) -> Any:
    """What the exported example says, and then *code*, which finds the model loaded."""
    program = f"{(folder / 'predict.py').read_text()}\n{code}\n"
    (folder / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=folder, capture_output=True, text=True, check=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])
