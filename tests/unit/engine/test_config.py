"""The configuration: what is accepted, with which defaults, and what a refusal says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from engine.config import GROUPS, LAPTOP_STAGES, NOT_PLAIN, SweepConfig, load_yaml, parse
from engine.errors import ConfigError
from engine.space import LAYERS, Float, Int

REFERENCE_DEFAULTS: dict[str, Any] = {
    "trainer": "Optimizer",
    "file2distribute": "nn_distributed.py",
    "nn_model": "Regressor",
    "hyperparam_opt": "RS",
    "nn_dimensions": [4, 1],
    "batch_size": [100, 2000],
    "learning_rate": [0.001, 0.0001],
    "hidden_layers": [4, 10],
    "train_optimizer": ["Adam", "sgd", "Adagrad"],
    "activation": ["relu", "tanh"],
    "opt_epoch": 3,
    "train_epoch": 1000,
    "train_tolerance": 1e-8,
    "opt_tolerance": 1e-5,
    "rnn_max_seq_length": 100,
    "rnn_state_dim": [50, 50, 50],
    "data_instances": 10_000,
    "data_features": 4,
    "add_noise": False,
    "add_cosine": False,
    "power_method": False,
    "load_data": False,
    "load_data_dir": "data/source_code",
    "train_log_dir": "/tmp/nn_dist/train_logs",
    "sync_replicas": False,
    "num_gpus": 0,
    "opt_stages": [[1000, 4], [700, 3], [500, 2]],
    "running_stage": 0,
    "ps_hosts": "localhost:2223,localhost:2224",
    "worker_hosts": "localhost:2225,localhost:2226,localhost:2227,localhost:2228",
}


def problems_of(values: dict[str, Any]) -> dict[str, str]:
    """The problems of a configuration that must be refused, by key."""
    with pytest.raises(ConfigError) as caught:
        parse(values)
    problems = {problem.key: problem.message for problem in caught.value.problems}
    assert len(problems) == len(caught.value.problems), "two problems at one key"
    return problems


@pytest.mark.parametrize("key", REFERENCE_DEFAULTS)
def test_every_reference_key_has_the_reference_default(key: str) -> None:
    assert getattr(parse({}), key) == REFERENCE_DEFAULTS[key]


@pytest.mark.parametrize("key", REFERENCE_DEFAULTS)
def test_every_reference_key_is_accepted_with_its_default(key: str) -> None:
    assert getattr(parse({key: REFERENCE_DEFAULTS[key]}), key) == REFERENCE_DEFAULTS[key]


def test_the_reference_seed_is_accepted() -> None:
    assert parse({"seed": 123456789}).seed == 123456789
    assert parse({}).seed is None


def test_every_key_has_a_title_a_help_text_and_a_known_group() -> None:
    for key, field in SweepConfig.model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict)
        assert field.title, key
        assert field.description, key
        assert extra["group"] in GROUPS, key


def test_every_choice_that_is_described_is_one_that_is_accepted_and_the_reverse() -> None:
    described = 0
    for key, field in SweepConfig.model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict)
        if choices := extra["choices"]:
            described += 1
            annotation = field.annotation
            assert isinstance(choices, dict)
            assert list(choices) == list(get_args(annotation)), key
            assert all(title and sentence for title, sentence in choices.values()), key
    assert described >= 8


@pytest.mark.parametrize(
    ("values", "idle", "busy"),
    [
        (
            {},
            {"rnn_layers", "model_class", "grid_levels", "quantile", "pruner_eta", "load_data_dir"},
            {"hidden_layers"},
        ),
        ({"nn_model": "Custom"}, {"hidden_layers", "activation", "nn_dimensions"}, {"rnn_layers", "model_class"}),
        ({"nn_model": "Custom", "model_class": "a:B"}, {"rnn_layers", "hidden_layers"}, {"nn_dimensions"}),
        ({"hyperparam_opt": "grid"}, set(), {"grid_levels"}),
        ({"pruner": "median"}, {"pruner_eta"}, {"pruner_min_steps"}),
        ({"pruner": "asha"}, set(), {"pruner_eta", "pruner_min_steps"}),
        ({"narrowing": "quantile"}, {"shrink"}, {"quantile", "narrowing"}),
        ({"opt_stages": [[5, 5]]}, {"narrowing", "shrink", "train_epoch"}, {"opt_stages"}),
        ({"opt_stages": [], "confirm": 0}, {"narrowing", "confirm_seeds"}, {"train_epoch", "opt_epoch"}),
        ({"load_data": True}, {"data_instances", "power_method"}, {"load_data_dir", "target_column"}),
        ({"dataset": "diabetes"}, {"data_features"}, set()),
    ],
)
def test_keys_that_say_nothing_are_known(values: dict[str, Any], idle: set[str], busy: set[str]) -> None:
    config = SweepConfig(**values)
    assert idle <= config.idle
    assert not busy & config.idle
    assert config.idle <= set(SweepConfig.model_fields)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", -1, "must be at least 0, got '-1'"),
        ("nn_dimensions", [10**12, 1], "at most 1,000,000 nodes, got 1,000,000,000,000"),
        ("seed", 2**31, "must be at most 2,147,483,647, got '2147483648'"),
        ("test_fraction", 1, "must be below 1, got '1'"),
        ("shrink", 0, "must be above 0, got '0'"),
        ("train_log_dir", "/tmp/a\0b", NOT_PLAIN),
        ("tags", ["\ud800"], NOT_PLAIN),
    ],
)
def test_a_bound_is_told_in_plain_words(key: str, value: Any, message: str) -> None:
    assert problems_of({key: value}) == {key: message}


def test_defaults_are_not_shared_between_configurations() -> None:
    parse({}).batch_size.append(7)
    assert parse({}).batch_size == [100, 2000]


def test_the_default_stages_survive_a_change_of_one_configuration() -> None:
    parse({}).opt_stages[0][0] = 5
    assert parse({}).opt_stages == REFERENCE_DEFAULTS["opt_stages"]
    assert REFERENCE_DEFAULTS["opt_stages"] == LAPTOP_STAGES


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("batchsize", "batch_size"), ("learning_rte", "learning_rate"), ("opt_stage", "opt_stages")],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(key: str, nearest: str) -> None:
    assert problems_of({key: 1}) == {key: f"there is no such key; did you mean {nearest}?"}


def test_an_unknown_key_like_no_other_is_refused_with_the_way_to_the_list() -> None:
    assert "print_config" in problems_of({"zzzz": 1})["zzzz"]


def test_a_key_that_is_not_text_is_refused() -> None:
    assert "no such key" in problems_of({5: 1})["5"]  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("opt_epoch", "many", "must be a whole number, got 'many'"),
        ("opt_epoch", 1.5, "must be a whole number, without a fraction, got '1.5'"),
        ("opt_epoch", None, "must be a whole number"),
        ("train_tolerance", "small", "must be a number, got 'small'"),
        ("add_noise", "perhaps", "must be true or false, got 'perhaps'"),
        ("name", 5, "must be text, got '5'"),
        ("batch_size", 100, "must be a list, got '100'"),
        ("batch_size", [100, "many"], "value 2 must be a whole number, got 'many'"),
        ("learning_rate", "fast", "must be a list, got 'fast'"),
        ("learning_rate", ["slow", 0.1], "value 1 must be a number, got 'slow'"),
        ("activation", ["relu", "sigmoid"], "must be 'relu' or 'tanh', got 'sigmoid'"),
        ("train_optimizer", ["adam"], "must be 'Adam', 'sgd' or 'Adagrad', got 'adam'"),
        ("nn_model", "Forest", "must be 'Regressor' or 'Custom', got 'Forest'"),
        ("opt_stages", [[100, 2], 5], "value 2 must be a list, got '5'"),
        ("rnn_state_dim", "wide", "must be a whole number"),
        ("ps_hosts", 2223, "must be text, got '2223'"),
    ],
)
def test_a_wrong_type_is_refused_in_words_at_its_key(key: str, value: Any, words: str) -> None:
    problems = problems_of({key: value})
    assert list(problems) == [key]
    assert words in problems[key]


@pytest.mark.parametrize("value", ["7", " 7 ", 7.0])
def test_a_number_as_a_form_sends_it_is_accepted(value: Any) -> None:
    assert parse({"opt_epoch": value}).opt_epoch == 7


@pytest.mark.parametrize("key", ["batch_size", "hidden_layers", "nodes_per_layer"])
@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ([9, 3], "the lower bound 9 is above the upper bound 3; exchange them"),
        ([0, 3], "the lower bound 0 must be at least 1"),
        ([-4, 3], "the lower bound -4 must be at least 1"),
        ([], "give the lower and the upper bound, got 0 values"),
        ([4], "got 1 values"),
        ([1, 2, 3], "got 3 values"),
        ([1, 10**7], "must be at most 1"),
        ([1, 10**400], "must be at most 1"),
    ],
)
def test_bounds_that_span_nothing_are_refused(key: str, bounds: list[int], words: str) -> None:
    problems = problems_of({key: bounds})
    assert list(problems) == [key]
    assert words in problems[key]


@pytest.mark.parametrize("key", ["batch_size", "hidden_layers", "nodes_per_layer"])
def test_bounds_of_one_value_are_accepted(key: str) -> None:
    assert getattr(parse({key: [7, 7]}), key) == [7, 7]


def test_learning_rate_bounds_are_accepted_in_either_order() -> None:
    expected = Float(0.0001, 0.001)
    assert parse({"learning_rate": [0.001, 0.0001]}).space().axes["learning_rate"] == expected
    assert parse({"learning_rate": [0.0001, 0.001]}).space().axes["learning_rate"] == expected


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ([0.1], "give two bounds, got 1 values"),
        ([0.0, 0.1], "both bounds must be above 0, got 0"),
        ([0.1, -1], "both bounds must be above 0, got -1"),
        ([0.1, 11], "both bounds must be at most 10, got 11"),
    ],
)
def test_learning_rate_bounds_out_of_range_are_refused(bounds: list[float], words: str) -> None:
    assert words in problems_of({"learning_rate": bounds})["learning_rate"]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), "nan", "inf", "1e999"])
@pytest.mark.parametrize("key", ["train_tolerance", "opt_tolerance", "validation_fraction", "opt_epoch", "train_epoch"])
def test_a_number_that_is_not_finite_is_refused(key: str, number: Any) -> None:
    assert list(problems_of({key: number})) == [key]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), "nan"])
@pytest.mark.parametrize("key", ["learning_rate", "batch_size", "hidden_layers"])
def test_a_bound_that_is_not_finite_is_refused(key: str, number: Any) -> None:
    assert list(problems_of({key: [1, number]})) == [key]


@pytest.mark.parametrize(
    "key",
    ["seed", "opt_epoch", "train_epoch", "data_instances", "data_features", "max_attempts", "num_gpus",
     "rnn_max_seq_length", "running_stage"],
)  # fmt: skip
@pytest.mark.parametrize("number", [10**12, 10**400, "9" * 5000])
def test_a_huge_whole_number_is_refused(key: str, number: Any) -> None:
    assert list(problems_of({key: number})) == [key]


@pytest.mark.parametrize(
    "key",
    ["opt_epoch", "train_epoch", "max_attempts", "data_instances", "data_features", "rnn_max_seq_length"],
)
def test_nothing_at_all_is_refused_where_at_least_one_is_needed(key: str) -> None:
    assert list(problems_of({key: 0})) == [key]


@pytest.mark.parametrize("key", ["validation_fraction", "test_fraction"])
@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5])
def test_a_part_is_more_than_nothing_and_less_than_all(key: str, value: float) -> None:
    assert list(problems_of({key: value})) == [key]


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([[100]], "stage 1 must be [steps, trials], got 1 values"),
        ([[100, 2], [0, 2]], "stage 2: steps and trials must both be at least 1"),
        ([[100, 2], [100, 0]], "stage 2: steps and trials must both be at least 1"),
        ([[10**9, 2]], "stage 1: at most 100,000,000 steps a trial"),
        ([[1, 600_000], [1, 600_000]], "at most 1,000,000 trials in all stages together"),
    ],
)
def test_a_stage_that_cannot_run_is_refused(stages: list[list[int]], words: str) -> None:
    assert words in problems_of({"opt_stages": stages})["opt_stages"]


def test_without_stages_there_is_one_of_train_epoch_and_opt_epoch() -> None:
    config = parse({"opt_stages": [], "train_epoch": 250, "opt_epoch": 7})
    assert config.stages == [(250, 7)]
    assert (config.total_trials, config.total_steps) == (7, 1750)


def test_the_totals_count_all_stages() -> None:
    config = parse({})
    assert (config.total_trials, config.total_steps) == (9, 1000 * 4 + 700 * 3 + 500 * 2)


def test_all_problems_are_reported_at_once_each_at_its_key() -> None:
    values = {
        "batchsize": 1,
        "opt_epoch": "x",
        "batch_size": [9, 3],
        "learning_rate": [0, 1],
        "ps_hosts": "nowhere",
        "nn_model": "Forest",
        "validation_fraction": 2,
    }
    assert set(problems_of(values)) == set(values)


def test_the_text_of_a_refusal_names_every_key() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"batch_size": [0, 3], "opt_epoch": 0})
    lines = str(caught.value).splitlines()
    assert "batch_size: the lower bound 0 must be at least 1" in lines
    assert any(line.startswith("opt_epoch: ") for line in lines)


@pytest.mark.parametrize(
    "hosts",
    ["localhost", "localhost:", ":2223", "localhost:0", "localhost:70000", "localhost:22x", "http://a:1", "a b:1",
     "-a:1", "a:1;b:2", "$(id):1", "a:1,a:1", " , ", "", "a\n:1", "é:1"],
)  # fmt: skip
def test_a_host_that_is_none_is_refused(hosts: str) -> None:
    assert list(problems_of({"ps_hosts": hosts})) == ["ps_hosts"]


@pytest.mark.parametrize(
    "hosts", ["localhost:1, 127.0.0.1:65535", ["localhost:1", "127.0.0.1:65535"], "localhost:1,,127.0.0.1:65535,"]
)
def test_hosts_are_accepted_as_text_or_list(hosts: Any) -> None:
    config = parse({"ps_hosts": hosts})
    assert config.ps == ["localhost:1", "127.0.0.1:65535"]


def test_more_hosts_than_anyone_has_are_refused() -> None:
    assert "at most 64" in problems_of({"worker_hosts": ",".join(f"h:{port}" for port in range(1, 66))})["worker_hosts"]


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"validation_fraction": 0.5, "test_fraction": 0.45}, "validation_fraction"),
        ({"nn_model": "Custom", "rnn_units": [4, 5000]}, "rnn_units"),
        ({"nn_model": "Custom", "rnn_layers": [1, 21]}, "rnn_layers"),
        ({"nn_model": "Custom", "rnn_seq_length": [1, 50]}, "rnn_seq_length"),
        ({"nn_dimensions": [4, 2]}, "nn_dimensions"),
        ({"hidden_layers": [1, 101]}, "hidden_layers"),
        ({"nodes_per_layer": [1, 10_001]}, "nodes_per_layer"),
        ({"ps_hosts": "localhost:1", "worker_hosts": "localhost:2,localhost:1"}, "worker_hosts"),
        ({"load_data": True, "dataset": "diabetes"}, "load_data"),
    ],
)
def test_a_problem_that_only_several_keys_show_is_refused(values: dict[str, Any], key: str) -> None:
    assert list(problems_of(values)) == [key]


def test_several_cross_key_problems_are_reported_together() -> None:
    assert set(problems_of({"nn_dimensions": [4, 2], "hidden_layers": [1, 101], "unknown_thing": 1})) == {
        "nn_dimensions",
        "hidden_layers",
        "unknown_thing",
    }


def test_sync_replicas_means_synchronous_training_as_in_the_reference() -> None:
    assert parse({"sync_replicas": True}).mode == "sync"
    assert parse({"parallelism": "async"}).mode == "async"


def test_a_configuration_survives_the_way_through_the_database() -> None:
    config = parse({"seed": 5, "tags": ["a", "b"], "nodes_per_layer": [3, 9], "log_scale": True})
    assert parse(config.model_dump(mode="json")) == config


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse({}).opt_epoch = 5  # type: ignore[misc]


def test_the_space_has_units_for_every_layer_there_may_be() -> None:
    space = parse({"hidden_layers": [2, 3], "nodes_per_layer": [5, 50]}).space()
    assert space.axes[LAYERS] == Int(2, 3)
    assert [name for name in space.axes if name.startswith("units_")] == ["units_1", "units_2", "units_3"]
    assert space.axes["units_3"] == Int(5, 50)
    assert space.conditions["units_3"] == (LAYERS, 3)


def test_without_bounds_of_their_own_the_nodes_share_those_of_the_layers() -> None:
    assert parse({}).space().axes["units_1"] == Int(4, 10)


def test_yaml_is_split_into_the_sweep_and_the_server(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("opt_epoch: 5\nwebapp:\n  port: 5001\n")
    assert load_yaml(file) == ({"opt_epoch": 5}, {"port": 5001})


def test_an_empty_yaml_file_is_all_defaults(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("# nothing\n")
    assert load_yaml(file) == ({}, {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: [1", "is not valid YAML"),
        (b"- a\n- b\n", "must hold `key: value` lines"),
        (b"webapp: 5\n", "webapp: must hold `key: value` lines"),
        (b"\xff\xfe\x00a", "is not valid YAML"),
        (b"a: !!python/object/apply:os.system [id]\n", "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=words.replace("`", ".")):
        load_yaml(file)


def test_a_missing_configuration_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read: No such file"):
        load_yaml(tmp_path / "gone.yaml")


def test_the_lstm_searches_layers_units_and_length_where_bounds_are_given_and_fixes_them_elsewhere() -> None:
    fixed = parse({"nn_model": "Custom", "rnn_state_dim": [50, 40], "rnn_max_seq_length": 80}).space()
    assert {name: fixed.axes[name] for name in ("sequence_length", "layers", "units_1", "units_2")} == {
        "sequence_length": Int(80, 80), "layers": Int(2, 2), "units_1": Int(50, 50), "units_2": Int(40, 40)
    }  # fmt: skip
    assert "activation" not in fixed.axes
    bounds = {"rnn_layers": [1, 3], "rnn_units": [8, 64], "rnn_seq_length": [20, 100]}
    searched = parse({"nn_model": "Custom", **bounds}).space()
    assert searched.axes["sequence_length"] == Int(20, 100)
    assert [searched.axes[f"units_{layer}"] for layer in (1, 2, 3)] == [Int(8, 64)] * 3
    rng = np.random.default_rng(1)
    points = [searched.draw(rng) for _ in range(50)]
    assert {point["layers"] for point in points} == {1, 2, 3}
    assert all(("units_3" in point) == (point["layers"] == 3) for point in points)


def test_whom_a_sweep_notifies_is_in_no_record_of_it() -> None:
    config = parse({"webhook": " https://hooks.example.com/T0/secret ", "notify": "a@x.test, b@x.test, a@x.test,"})
    assert (config.webhook, config.notify) == ("https://hooks.example.com/T0/secret", ["a@x.test", "b@x.test"])
    assert not {"webhook", "notify"} & set(config.model_dump(mode="json"))
    assert "secret" not in config.model_dump_json()
    assert parse(config.whole()) == config


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://hooks.example.com/", "begins with https:// or http://"),
        ("hooks.example.com", "begins with https:// or http://"),
        ("file:///etc/passwd", "begins with https:// or http://"),
        ("http://a b/", "without blanks"),
        ("http://a\\@b/", "without blanks"),
        ("http://a\r\nX: y/", "without blanks"),
        ("http://bücher.example/", "without blanks"),
        ("http:///path", "host and port"),
        ("http://host:0/", "host and port"),
        ("http://host:99999/", "host and port"),
        ("http://[::1/", "host and port"),
        ("https://user:word@host/", "must not hold a name or password"),
    ],
)
def test_an_address_that_no_webhook_can_have_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse({"webhook": url})
    assert [problem.key for problem in caught.value.problems] == ["webhook"]


@pytest.mark.parametrize(
    "address", ["x", "@x.test", "a@", "a b@x.test", "a@x.test\nBcc: b@x.test", "a@x..test", "<a@x.t>"]
)
def test_what_is_no_e_mail_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is no e-mail address"):
        parse({"notify": [address]})


def test_at_most_twenty_are_notified() -> None:
    with pytest.raises(ConfigError, match="notify"):
        parse({"notify": [f"a{number}@x.test" for number in range(21)]})
