"""SweepConfig: the one typed model of a sweep, behind the form, config.yaml, the command line and the API.

Every key has its type, default, bounds, title, help text and unit here and nowhere else. Unknown keys are
refused with the nearest known one; all problems are reported at once, each at its key.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from engine.errors import ConfigError, Problem, SpaceError
from engine.lattice import Lattice
from engine.space import (
    LAYERS,
    SEQUENCE,
    Axis,
    Categorical,
    Float,
    Int,
    SearchSpace,
    axis_document,
    axis_of,
    name_problem,
    units_axis,
)  # fmt: skip

OPTIMIZERS = ("Adam", "sgd", "Adagrad")
ACTIVATIONS = ("relu", "tanh")
LAPTOP_STAGES = [[1000, 4], [700, 3], [500, 2]]
LARGE_STAGES = [[1000, 1000], [5000, 750], [10000, 500]]

SERVER_SECTION = "webapp"
"""The one key of config.yaml that is not about the sweep: the server's settings."""

MAX_TRIALS = 1_000_000
MAX_STEPS = 100_000_000
MOST_NUMBERS = 100_000_000
MOST_POWERS = 25
MOST_AXES = 50

MODEL_CLASS = re.compile(
    r"((?P<module>[A-Za-z_]\w*(\.(?!py:)[A-Za-z_]\w*)*)|(?P<file>[a-z_][a-z0-9_]*\.py)(@(?P<version>[0-9a-f]{8,64}))?)"
    r":(?P<name>[A-Za-z_]\w*)",
    re.ASCII,
)
"""A user's own class: in a module that is installed, or in a file that was uploaded."""

EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9-]+")
"""An e-mail address as HTML's input takes one."""

URL = re.compile(r"https?://[!-\[\]-~]+", re.IGNORECASE)
"""Printable ASCII without blanks and backslashes, which not everybody reads in the same way."""

GROUPS: Mapping[str, str] = {
    "sweep": "What this sweep is called and how it is repeated.",
    "model": "The network that every trial trains.",
    "data": "What the networks learn from, and which part of it judges them.",
    "search": "The hyper-parameters to search: each trial draws one value from every axis.",
    "stages": "How many trials, how long each trains, and when to stop.",
    "cluster": "The TensorFlow processes that do the work.",
}
"""The parts of the form, in order, each with the sentence under its heading."""


Choices: TypeAlias = Mapping[str, tuple[str, str]]
"""The values that a key may have, each with its title and when to take it."""


def _key(
    default: Any,
    group: str,
    title: str,
    help: str,
    unit: str = "",
    live: bool = False,
    private: bool = False,
    choices: Choices | None = None,
    **rules: Any,
) -> Any:
    """A key of the configuration.

    Args:
        live: it may be changed while the sweep runs.
        private: for the sweep's owner and administrators alone: `model_dump`, and so every record, leaves it out.
    """
    extra: dict[str, Any] = {"group": group, "unit": unit, "live": live, "choices": choices or {}}
    if private:
        rules["exclude"] = True
    if isinstance(default, list | dict):
        rules["default_factory"] = lambda: copy.deepcopy(default)
    else:
        rules["default"] = default
    return Field(title=title, description=help, json_schema_extra=extra, **rules)


def _problem(message: str) -> PydanticCustomError:
    return PydanticCustomError("nhop", "{message}", {"message": message})


NOT_PLAIN = "holds a character that no text can hold: NUL, or half of a pair"


def is_plain(value: Any) -> bool:
    """Whether all texts in it can be stored, and be names of files."""
    if isinstance(value, Mapping):
        return all(is_plain(key) and is_plain(part) for key, part in value.items())
    if isinstance(value, list | tuple | set):
        return all(map(is_plain, value))
    return not isinstance(value, str) or not re.search("[\0\ud800-\udfff]", value)


def _algorithm(name: Any) -> Any:
    """The name of a search algorithm however its letters are written; random is RS."""
    names = {"random": "RS", "rs": "RS", "tpe": "TPE", "cma-es": "CMA-ES", "cmaes": "CMA-ES", "nsga-ii": "NSGA-II"}
    return names.get(name.strip().lower(), name.strip().lower()) if isinstance(name, str) else name


def _listed(value: Any) -> Any:
    """A list that may be given as one text, separated by commas."""
    return value.split(",") if isinstance(value, str) else value


def _axis(document: Any) -> dict[str, Any]:
    """An axis of a class as plain JSON."""
    if not isinstance(document, Mapping):
        raise _problem("must be a mapping: kind, then low and high, or choices")
    try:
        return axis_document(axis_of(document))
    except SpaceError as error:
        raise _problem(str(error)) from None


class SweepConfig(BaseModel):
    """A sweep: what is searched, on which data, in which stages, on which processes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)

    name: str = _key("", "sweep", "Name", "What the sweep is called in lists. Empty: one is made up.", max_length=100)
    tags: list[str] = _key([], "sweep", "Tags", "Words to find the sweep by, separated by commas.", max_length=20)
    seed: int | None = _key(
        None,
        "sweep",
        "Seed",
        "The same configuration with the same seed proposes the same trials. Empty: drawn at random and recorded.",
        ge=0,
        le=2**31 - 1,
    )

    webhook: str = _key(
        "",
        "sweep",
        "Webhook",
        "An http or https address that is sent a JSON document when the sweep has ended, in whatever way. Only you and "
        "administrators see it.",
        private=True,
        max_length=2000,
    )
    notify: Annotated[list[str], BeforeValidator(_listed)] = _key(
        [],
        "sweep",
        "E-Mail to",
        "Addresses, separated by commas, that are sent a message when the sweep has completed or failed. Only you and "
        "administrators see them.",
        private=True,
        max_length=20,
    )

    trainer: Literal["Optimizer"] = _key("Optimizer", "sweep", "Trainer", "The optimizer class that runs the sweep.")
    hyperparam_opt: Annotated[
        Literal["RS", "sobol", "grid", "TPE", "CMA-ES", "NSGA-II"], BeforeValidator(_algorithm)
    ] = _key(
        "RS",
        "search",
        "Search algorithm",
        "How the points of the trials are drawn from the axes.",
        live=True,
        choices={
            "RS": ("Random", "A safe choice, and best with many workers: no trial waits for another."),
            "sobol": ("Quasi-Random (Sobol)", "Covers the space more evenly than chance, with as little to wait for."),
            "grid": ("Grid", "Every combination of a few values, for one to three axes."),
            "TPE": ("TPE (Bayesian)", "Learns which regions are good, from about 20 trials on."),
            "CMA-ES": ("CMA-ES (Evolution)", "For several numeric axes, and 100 trials or more."),
            "NSGA-II": ("NSGA-II (Genetic)", "For many choices, and 100 trials or more."),
        },
    )
    grid_levels: int = _key(
        3,
        "search",
        "Values of each axis in a grid",
        "So many evenly spaced values of every numeric axis, both bounds among them.",
        "values",
        live=True,
        ge=1,
        le=1000,
    )

    nn_model: Literal["Regressor", "Custom"] = _key(
        "Regressor",
        "model",
        "Model",
        "What kind of network is searched for.",
        choices={
            "Regressor": ("Regressor (Feed-Forward)", "Predicts one number from the other columns of a table."),
            "Custom": (
                "Text Classifier (LSTM), or a Class of Your Own",
                "A stacked LSTM finds the class of a text; a class of your own learns what you have written it for.",
            ),
        },
    )
    model_class: str = _key(
        "",
        "model",
        "Your own class",
        "package.module:Class, or name.py:Class for a file that an administrator has uploaded. Empty: the LSTM.",
        max_length=200,
    )
    model_space: dict[str, Annotated[dict[str, Any], BeforeValidator(_axis)]] = _key(
        {},
        "model",
        "Axes of the class",
        "The hyper-parameters that the class adds to the search, within the bounds it gives. Empty: all of them, as "
        "the class gives them.",
        max_length=MOST_AXES,
        live=True,
    )
    nn_dimensions: list[int] = _key(
        [4, 1],
        "model",
        "Input and output nodes",
        "The first must equal the number of features in the data; the second is 1 for a regressor.",
        "nodes",
    )
    weight_init: Literal["scaled", "normal"] = _key(
        "scaled",
        "model",
        "Initial weights",
        "How the weights of a network are drawn before its first step.",
        choices={
            "scaled": (
                "Scaled",
                "Normal, divided by the square root of a layer's inputs (He for relu, LeCun for tanh): trains far "
                "better.",
            ),
            "normal": ("Normal", "N(0, 1) whatever the width, as the reference program did."),
        },
    )
    file2distribute: str = _key(
        "nn_distributed.py",
        "model",
        "Distributed program",
        "Recorded with the sweep. The engine always runs its own distributed program.",
        max_length=200,
    )
    rnn_max_seq_length: int = _key(
        100,
        "model",
        "Sequence length",
        "Tokens of a text that the LSTM classifier reads at once.",
        "tokens",
        ge=2,
        le=100_000,
    )
    rnn_state_dim: int | list[int] = _key(
        [50, 50, 50], "model", "LSTM state sizes", "One number for one LSTM layer, several for a stack.", "units"
    )

    dataset: str = _key(
        "synthetic",
        "data",
        "Data set",
        "synthetic makes a regression problem; diabetes is scikit-learn's table of 442 patients, 10 features; "
        "installed-sources is program text of several languages, for the classifier; or one that the page Data sets "
        "lists.",
        max_length=200,
    )
    load_data: bool = _key(False, "data", "Load my own data", "Read a file or folder instead of the data set above.")
    load_data_dir: str = _key(
        "data/source_code",
        "data",
        "Data file",
        "Path on the machine of the sweep: of a CSV file with a header line, numbers only, separated by commas; for "
        "the classifier of a folder with a folder of text files for each class, or with data_files/<class>/… and "
        "keywords.json.",
        max_length=1000,
    )
    target_column: str = _key(
        "", "data", "Target column", "The column of the CSV file to predict. Empty: the last one.", max_length=200
    )
    data_instances: int = _key(10_000, "data", "Instances", "Rows of the synthetic data.", "rows", ge=20, le=10_000_000)
    data_features: int = _key(4, "data", "Features", "Columns of the synthetic data.", "columns", ge=1, le=10_000)
    add_noise: bool = _key(False, "data", "Add noise", "Add normal noise of deviation 2 to the power-method target.")
    add_cosine: bool = _key(
        False, "data", "Cosine features", "Power method: features are cos(1 / (|x| + 0.75)) of the powers."
    )
    power_method: bool = _key(
        False, "data", "Power method", "Features are the powers x, x², …, and the target is linear in them."
    )
    validation_fraction: float = _key(
        0.2, "data", "Validation part", "Judges every trial; never trained on.", "of all rows", gt=0, lt=1
    )
    test_fraction: float = _key(
        0.2, "data", "Test part", "Kept aside; neither training nor the search sees it.", "of all rows", gt=0, lt=1
    )
    folds: int = _key(
        0,
        "data",
        "Cross-validation",
        "For small tables: every trial is trained so many times, each time judged on another part of the rows, and its "
        "loss is the mean. 0: one validation part.",
        "folds",
        ge=0,
        le=20,
    )
    objective: Literal["val_loss", "train_loss"] = _key(
        "val_loss",
        "data",
        "Objective",
        "The loss that ranks trials.",
        choices={
            "val_loss": ("Validation Loss", "Measured on the validation part: what the network makes of new rows."),
            "train_loss": ("Training Loss", "Measured on training batches: rewards learning by heart."),
        },
    )

    hidden_layers: list[int] = _key(
        [4, 10], "search", "Hidden layers", "Fewest and most hidden layers; both are drawn.", "layers", live=True
    )
    nodes_per_layer: list[int] | None = _key(
        None,
        "search",
        "Nodes per layer",
        "Fewest and most nodes of each hidden layer. Empty: the same bounds as the hidden layers.",
        "nodes",
        live=True,
    )
    batch_size: list[int] = _key(
        [100, 2000], "search", "Batch size", "Smallest and largest mini-batch.", "rows", live=True
    )
    rnn_layers: list[int] | None = _key(
        None,
        "search",
        "LSTM layers",
        "Fewest and most LSTM layers. Empty: as many as there are LSTM state sizes.",
        "layers",
        live=True,
    )
    rnn_units: list[int] | None = _key(
        None,
        "search",
        "LSTM units",
        "Fewest and most units of each LSTM layer. Empty: the LSTM state sizes.",
        "units",
        live=True,
    )
    rnn_seq_length: list[int] | None = _key(
        None,
        "search",
        "LSTM sequence length",
        "Fewest and most tokens that the LSTM reads at once. Empty: the sequence length.",
        "tokens",
        live=True,
    )
    learning_rate: list[float] = _key(
        [0.001, 0.0001],
        "search",
        "Learning rate",
        "Two bounds, in either order.",
        live=True,
    )
    log_scale: bool = _key(
        False,
        "search",
        "Logarithmic learning rate",
        "Draw it uniformly in its logarithm instead of its value.",
        live=True,
    )
    train_optimizer: list[Literal["Adam", "sgd", "Adagrad"]] = _key(
        [*OPTIMIZERS], "search", "Training optimizers", "Each trial draws one of those chosen.", live=True
    )
    activation: list[Literal["relu", "tanh"]] = _key(
        [*ACTIVATIONS], "search", "Activations", "Each trial draws one of those chosen.", live=True
    )

    opt_stages: list[list[int]] = _key(
        LAPTOP_STAGES,
        "stages",
        "Stages",
        "Steps of each trial and number of trials, stage by stage; each later stage searches a smaller space "
        "around the best point of the stage before. Without stages: one stage of the two values below.",
        live=True,
    )
    train_epoch: int = _key(
        1000,
        "stages",
        "Steps per trial",
        "Training steps of each trial when there are no stages.",
        "steps",
        ge=1,
        le=MAX_STEPS,
        live=True,
    )
    opt_epoch: int = _key(
        3, "stages", "Trials", "Number of trials when there are no stages.", "trials", ge=1, le=MAX_TRIALS, live=True
    )
    narrowing: Literal["best", "quantile", "none"] = _key(
        "best",
        "stages",
        "Narrowing",
        "What a later stage searches.",
        live=True,
        choices={
            "best": ("Around the Best", "Around the best trial of the stage before."),
            "quantile": ("Best Quantile", "The bounds and choices of the best trials of the stage before."),
            "none": ("None", "The whole space again."),
        },
    )
    shrink: float = _key(
        0.5,
        "stages",
        "Shrink",
        "How far the new bounds lie from the best value. 0.5: 50 % below and above it.",
        live=True,
        gt=0,
        le=10,
    )
    quantile: float = _key(
        0.2,
        "stages",
        "Best quantile",
        "The part of the trials that counts as the best, two trials at least.",
        "of the trials",
        live=True,
        gt=0,
        le=1,
    )
    pruner: Literal["none", "median", "asha", "hyperband"] = _key(
        "none",
        "stages",
        "Pruner",
        "Ends trials early that will not win.",
        live=True,
        choices={
            "none": ("None", "All trials train to the end."),
            "median": ("Median", "Ends those worse than half of the others at the same step."),
            "asha": ("ASHA (Successive Halving)", "At ever more steps only the best part goes on: for many steps."),
            "hyperband": ("Hyperband", "ASHA from several first looks: where a good trial may begin slowly."),
        },
    )
    pruner_eta: int = _key(
        3,
        "stages",
        "Reduction factor",
        "One of so many trials goes on after each look.",
        live=True,
        ge=2,
        le=20,
    )
    pruner_min_steps: int = _key(
        0,
        "stages",
        "First look",
        "The fewest steps after which a trial may be pruned. 0: chosen from the stage's steps.",
        "steps",
        live=True,
        ge=0,
        le=MAX_STEPS,
    )
    max_seconds: int = _key(
        0,
        "stages",
        "Time budget",
        "The search ends after so long, and the trials in training with it; the best is still confirmed. 0: no limit.",
        "seconds",
        live=True,
        ge=0,
        le=100_000_000,
    )
    target_loss: float | None = _key(
        None,
        "stages",
        "Target loss",
        "The search ends when the best loss is this low. Empty: no target.",
        live=True,
    )
    patience: int = _key(
        0,
        "stages",
        "Patience",
        "The search ends when so many trials in a row have ended without a better loss. 0: never.",
        "trials",
        live=True,
        ge=0,
        le=MAX_TRIALS,
    )
    max_failures: int = _key(
        25,
        "stages",
        "Failures in a row",
        "The sweep fails when so many trials in a row have failed: something is wrong with all of them. 0: never.",
        "trials",
        live=True,
        ge=0,
        le=MAX_TRIALS,
    )
    train_tolerance: float = _key(
        1e-8,
        "stages",
        "Training tolerance",
        "A trial stops early when its smoothed training loss has changed by at most this much in each of 50 steps in a "
        "row.",
        ge=0,
        live=True,
    )
    opt_tolerance: float = _key(
        1e-5,
        "stages",
        "Search tolerance",
        "A stage ends when a new best is better than the one before by at most this much. 0: never.",
        ge=0,
        live=True,
    )
    max_attempts: int = _key(
        3,
        "stages",
        "Attempts",
        "How often a trial is tried when its process or machine dies.",
        "times",
        ge=1,
        le=20,
        live=True,
    )
    confirm: int = _key(
        3,
        "stages",
        "Confirm the best",
        "After the last stage so many of the best configurations are trained again from other seeds and measured on "
        "the test part, which the search has never seen. 0: none.",
        "configurations",
        ge=0,
        le=100,
        live=True,
    )
    confirm_seeds: int = _key(
        3,
        "stages",
        "Seeds to confirm with",
        "How often each of them is trained again.",
        "times",
        ge=1,
        le=50,
        live=True,
    )
    running_stage: int = _key(0, "stages", "Running stage", "Shown while the sweep runs; not to be set.", ge=0, le=0)

    parallelism: Literal["trials", "async", "sync"] = _key(
        "trials",
        "cluster",
        "Parallelism",
        "How the workers share the work.",
        choices={
            "trials": ("Trials Side by Side", "Every worker trains its own trials: best for small networks."),
            "async": (
                "One Trial, Asynchronous",
                "All workers train one trial together, its variables on the parameter servers, each with mini-batches "
                "of its own.",
            ),
            "sync": ("One Trial, Synchronous", "Each worker takes its share of one mini-batch; their sum is applied."),
        },
    )
    sync_replicas: bool = _key(False, "cluster", "Synchronous replicas", "The same as parallelism: sync.")
    ps_hosts: str = _key(
        "localhost:2223,localhost:2224",
        "cluster",
        "Parameter servers",
        "One host:port for each parameter server, separated by commas. localhost is the machine that runs the sweep.",
    )
    worker_hosts: str = _key(
        "localhost:2225,localhost:2226,localhost:2227,localhost:2228",
        "cluster",
        "Workers",
        "One host:port for each worker, separated by commas. On other machines their daemon starts it.",
    )
    missing_hosts: Literal["fewer", "wait"] = _key(
        "fewer",
        "cluster",
        "When a host does not answer",
        "Parameter servers are always waited for when trials use them (async, sync).",
        choices={
            "fewer": ("Begin with Fewer", "Train with the workers that answer; the others join when they do."),
            "wait": ("Wait", "Begin nothing until all answer."),
        },
    )
    worker_deadline: int = _key(
        60,
        "cluster",
        "Worker deadline",
        "A process that trains and reports nothing for so long is taken for stuck, killed and replaced; its trial is "
        "tried again. It must be longer than one step of the largest network.",
        "seconds",
        ge=1,
        le=86_400,
    )
    checkpoint_seconds: int = _key(
        30,
        "cluster",
        "Checkpoints",
        "So often a trial in training is kept on the disk: when its process or the optimizer dies, the next attempt "
        "goes on from there. 0: never.",
        "seconds",
        ge=0,
        le=86_400,
    )
    num_gpus: int = _key(
        0, "cluster", "GPUs", "Worker i uses GPU i modulo this number; 0 keeps all on the CPU.", "GPUs", ge=0, le=64
    )
    train_log_dir: str = _key(
        "/tmp/nn_dist/train_logs",
        "cluster",
        "Log directory",
        "Each sweep writes the logs of its optimizer and of every process into a folder of its own below.",
        max_length=1000,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if not is_plain(value):
            raise _problem(NOT_PLAIN)
        return value

    @field_validator("batch_size")
    @classmethod
    def _counts(cls, value: list[int]) -> list[int]:
        return _bounds(value, least=1)

    @field_validator("hidden_layers")
    @classmethod
    def _depths(cls, value: list[int]) -> list[int]:
        return _bounds(value, least=1, most=100)

    @field_validator("rnn_layers")
    @classmethod
    def _rnn_depths(cls, value: list[int] | None) -> list[int] | None:
        return None if value is None else _bounds(value, least=1, most=20)

    @field_validator("nodes_per_layer", "rnn_units", "rnn_seq_length")
    @classmethod
    def _nodes(cls, value: list[int] | None) -> list[int] | None:
        return None if value is None else _bounds(value, least=1)

    @field_validator("learning_rate")
    @classmethod
    def _rate(cls, value: list[float]) -> list[float]:
        if len(value) != 2:
            raise _problem(f"give two bounds, got {len(value)} values")
        if min(value) <= 0:
            raise _problem(f"both bounds must be above 0, got {min(value):g}")
        if max(value) > 10:
            raise _problem(f"both bounds must be at most 10, got {max(value):g}")
        return value

    @field_validator("train_optimizer", "activation")
    @classmethod
    def _choices(cls, value: list[str]) -> list[str]:
        if not value:
            raise _problem("choose at least one")
        return list(dict.fromkeys(value))

    @field_validator("tags")
    @classmethod
    def _tags(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(tag.strip()[:50] for tag in value if tag.strip()))

    @field_validator("webhook")
    @classmethod
    def _url(cls, value: str) -> str:
        value = value.strip()
        if value and (problem := url_problem(value)):
            raise _problem(problem)
        return value

    @field_validator("notify")
    @classmethod
    def _addresses(cls, value: list[str]) -> list[str]:
        addresses = list(dict.fromkeys(address.strip() for address in value if address.strip()))
        for address in addresses:
            if len(address) > 254 or not EMAIL.fullmatch(address):
                raise _problem(f"{address[:60]!r} is no e-mail address")
        return addresses

    @field_validator("rnn_state_dim")
    @classmethod
    def _state(cls, value: int | list[int]) -> int | list[int]:
        sizes = value if isinstance(value, list) else [value]
        if not sizes or min(sizes) < 1:
            raise _problem("give at least one size, each at least 1")
        if len(sizes) > 20 or max(sizes) > 4096:
            raise _problem("give at most 20 sizes, each at most 4,096")
        return value

    @field_validator("model_class")
    @classmethod
    def _class(cls, value: str) -> str:
        value = value.strip()
        if value and not MODEL_CLASS.fullmatch(value):
            raise _problem(f"{value[:60]!r} is neither package.module:Class nor name.py:Class")
        return value

    @field_validator("model_space")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if problem := name_problem(name):
                raise _problem(f"the axis {name[:60]!r} {problem}")
        return value

    @field_validator("nn_dimensions")
    @classmethod
    def _dimensions(cls, value: list[int]) -> list[int]:
        if len(value) != 2 or min(value) < 1:
            raise _problem("give two whole numbers of at least 1: input and output nodes")
        if max(value) > 1_000_000:
            raise _problem(f"at most 1,000,000 nodes, got {max(value):,}")
        return value

    @field_validator("opt_stages")
    @classmethod
    def _stages(cls, value: list[list[int]]) -> list[list[int]]:
        for number, stage in enumerate(value, start=1):
            if len(stage) != 2:
                raise _problem(f"stage {number} must be [steps, trials], got {len(stage)} values")
            if min(stage) < 1:
                raise _problem(f"stage {number}: steps and trials must both be at least 1")
            if stage[0] > MAX_STEPS:
                raise _problem(f"stage {number}: at most {MAX_STEPS:,} steps a trial")
        if sum(trials for _, trials in value) > MAX_TRIALS:
            raise _problem(f"at most {MAX_TRIALS:,} trials in all stages together")
        return value

    @field_validator("ps_hosts", "worker_hosts", mode="before")
    @classmethod
    def _hosts(cls, value: Any) -> Any:
        if isinstance(value, list | tuple) and all(isinstance(host, str) for host in value):
            value = ",".join(value)
        if not isinstance(value, str):
            return value
        hosts = split_hosts(value)
        if not hosts:
            raise _problem("name at least one host:port")
        if len(hosts) > 64:
            raise _problem("at most 64 hosts")
        for host in hosts:
            matched = re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?):(\d{1,5})", host)
            if not matched or not 1 <= int(matched[3]) <= 65535:
                raise _problem(f"{host[:60]!r} is not host:port with a port from 1 to 65535")
        if len({(host.rpartition(":")[0].lower(), int(host.rpartition(":")[2])) for host in hosts}) != len(hosts):
            raise _problem("each host:port may be named only once")
        return ",".join(hosts)

    def whole(self) -> dict[str, Any]:
        """Every key, the private ones too, as plain JSON: for the form and the owner's own copy, not for a record."""
        return {**self.model_dump(mode="json"), **{key: getattr(self, key) for key in PRIVATE}}

    @property
    def ps(self) -> list[str]:
        """The host:port of each parameter server."""
        return split_hosts(self.ps_hosts)

    @property
    def workers(self) -> list[str]:
        """The host:port of each worker."""
        return split_hosts(self.worker_hosts)

    @property
    def mode(self) -> str:
        """How the workers are used: trials, async or sync."""
        return "sync" if self.sync_replicas else self.parallelism

    @property
    def stages(self) -> list[tuple[int, int]]:
        """(steps per trial, trials) of each stage; one stage where none are given."""
        return [(steps, trials) for steps, trials in self.opt_stages] or [(self.train_epoch, self.opt_epoch)]

    @property
    def total_trials(self) -> int:
        return sum(trials for _, trials in self.stages)

    @property
    def total_steps(self) -> int:
        return sum(steps * trials for steps, trials in self.stages)

    def space(self) -> SearchSpace:
        """The user's search space: every axis with both bounds included."""
        axes: dict[str, Axis] = {
            "batch_size": Int(*self.batch_size),
            "learning_rate": Float(min(self.learning_rate), max(self.learning_rate), log=self.log_scale),
            "train_optimizer": Categorical(tuple(self.train_optimizer)),
        }
        if self.nn_model == "Regressor":
            axes["activation"] = Categorical(tuple(self.activation))
            axes[LAYERS] = Int(*self.hidden_layers)
            nodes = self.nodes_per_layer or self.hidden_layers
            units = [Int(*nodes)] * self.hidden_layers[1]
        elif self.model_class:
            return SearchSpace(axes | {name: axis_of(document) for name, document in self.model_space.items()})
        else:
            sizes = self.rnn_state_dim if isinstance(self.rnn_state_dim, list) else [self.rnn_state_dim]
            layers = Int(*(self.rnn_layers or [len(sizes)] * 2))
            axes[SEQUENCE] = Int(*(self.rnn_seq_length or [self.rnn_max_seq_length] * 2))
            axes[LAYERS] = layers
            units = [Int(*(self.rnn_units or [sizes[min(layer, len(sizes) - 1)]] * 2)) for layer in range(layers.high)]
        axes |= {units_axis(layer): axis for layer, axis in enumerate(units, start=1)}
        return SearchSpace(axes, {units_axis(layer): (LAYERS, layer) for layer in range(1, len(units) + 1)})

    @property
    def grid_points(self) -> int:
        """How many points the grid of the whole space has."""
        return Lattice(self.space(), self.grid_levels).count or 0

    @property
    def network(self) -> str:
        """What is searched for: regressor, lstm or class, the user's own."""
        return "regressor" if self.nn_model == "Regressor" else "class" if self.model_class else "lstm"

    @property
    def idle(self) -> frozenset[str]:
        """The keys that say nothing beside the values of the others."""
        return frozenset(key for keys, says in SAYS_SOMETHING.items() if not says(self) for key in keys)

    @property
    def tied(self) -> bool:
        """Whether one pair of bounds serves layers and nodes."""
        return self.nn_model == "Regressor" and self.nodes_per_layer is None


PRIVATE = frozenset(key for key, field in SweepConfig.model_fields.items() if field.exclude)
"""The keys that a sweep's owner and administrators alone may see."""

SAYS_SOMETHING: Mapping[tuple[str, ...], Callable[[SweepConfig], bool]] = {
    ("hidden_layers", "nodes_per_layer", "activation", "weight_init"): lambda config: config.network == "regressor",
    ("nn_dimensions",): lambda config: config.network != "lstm",
    ("model_class", "model_space", "rnn_max_seq_length"): lambda config: config.network != "regressor",
    ("rnn_state_dim", "rnn_layers", "rnn_units", "rnn_seq_length"): lambda config: config.network == "lstm",
    ("data_instances", "data_features", "add_noise", "add_cosine", "power_method"): lambda config: (
        config.dataset == "synthetic" and not config.load_data
    ),
    ("load_data_dir", "target_column"): lambda config: config.load_data,
    ("grid_levels",): lambda config: config.hyperparam_opt == "grid",
    ("train_epoch", "opt_epoch"): lambda config: not config.opt_stages,
    ("narrowing",): lambda config: len(config.stages) > 1,
    ("shrink",): lambda config: config.narrowing == "best" and len(config.stages) > 1,
    ("quantile",): lambda config: config.narrowing == "quantile" and len(config.stages) > 1,
    ("pruner_eta",): lambda config: config.pruner in ("asha", "hyperband"),
    ("pruner_min_steps",): lambda config: config.pruner != "none",
    ("confirm_seeds",): lambda config: config.confirm > 0,
}
"""The keys that belong to some values of others, and whether they do."""


def _bounds(value: list[int], least: int, most: int = 1_000_000) -> list[int]:
    if len(value) != 2:
        raise _problem(f"give the lower and the upper bound, got {len(value)} values")
    low, high = value
    if low < least:
        raise _problem(f"the lower bound {low} must be at least {least}")
    if low > high:
        raise _problem(f"the lower bound {low} is above the upper bound {high}; exchange them")
    if high > most:
        raise _problem(f"the upper bound {high} must be at most {most:,}")
    return value


def url_problem(url: str) -> str:
    """What is wrong with an address that a message is to be sent to; empty: nothing. No part of it is repeated."""
    if not URL.fullmatch(url):
        return "must be an address that begins with https:// or http://, without blanks"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is no valid address: look at its host and port"
    if not parts.hostname or port == 0:
        return "is no valid address: look at its host and port"
    if "@" in parts.netloc:
        return "must not hold a name or password before its host; put a token into the path or the query"
    return ""


def split_hosts(text: str) -> list[str]:
    """The hosts of a comma-separated list, blanks ignored."""
    return [host.strip() for host in text.split(",") if host.strip()]


def parse(values: Mapping[str, Any]) -> SweepConfig:
    """The configuration that *values* describe, defaults filled in.

    Raises:
        ConfigError: with every problem at once, each naming its key and the fix.
    """
    config, problems = examine(values)
    if problems:
        raise ConfigError(problems)
    return config


def examine(values: Mapping[str, Any]) -> tuple[SweepConfig, list[Problem]]:
    """The configuration that *values* describe, with defaults in place of what is wrong, and all that is wrong."""
    known = {key: value for key, value in values.items() if key in SweepConfig.model_fields}
    problems = [_unknown(str(key)) for key in values if key not in SweepConfig.model_fields]
    try:
        config = SweepConfig.model_validate(known)
    except ValidationError as error:
        problems += readable(error)
        wrong = {problem.key for problem in problems}
        wrong_keys = {key.partition(".")[0] for key in wrong}
        config = SweepConfig.model_validate({key: value for key, value in known.items() if key not in wrong_keys})
    wrong = {problem.key for problem in problems}
    return config, problems + [problem for problem in _across(config) if problem.key not in wrong]


def _unknown(key: str) -> Problem:
    near = difflib.get_close_matches(key, SweepConfig.model_fields, n=1)
    hint = f"did you mean {near[0]}?" if near else "python -m engine print_config lists all keys"
    return Problem(key[:80], f"there is no such key; {hint}")


WORDS = {
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number, without a fraction",
    "int_parsing_size": "is too large a number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be an object: names with values",
    "missing": "is missing",
    "extra_forbidden": "is not known here",
}


LIMITS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
"""Bounds in words, and what pydantic calls them."""


def readable(error: ValidationError) -> list[Problem]:
    """pydantic's errors in the words of a user, one for each key and place."""
    problems: dict[str, Problem] = {}
    for item in error.errors():
        places = [part for part in item["loc"] if not (isinstance(part, str) and part in ("int", "list[int]"))]
        key = str(places[0])
        if key == "model_space" and len(places) > 1:
            key = f"{key}.{places[1]}"
        given = item.get("input")
        shown = "" if isinstance(given, list | dict) else f", got {str(given)[:60]!r}"
        message = WORDS.get(item["type"])
        if message is not None:
            where = f"value {int(places[1]) + 1} " if len(places) > 1 and isinstance(places[1], int) else ""
            message = f"{where}{message}{shown}"
        elif limit := LIMITS.get(item["type"]):
            message = f"must be {limit[0]} {item['ctx'][limit[1]]:,.12g}{shown}"
        elif item["type"] == "literal_error":
            message = f"must be {item['ctx']['expected']}{shown}"
        elif item["type"] == "nhop":
            message = item["msg"]
        else:
            message = item["msg"].removeprefix("Input ").removeprefix("Value ") + shown
        problems.setdefault(key, Problem(key, message))
    return list(problems.values())


def _across(config: SweepConfig) -> list[Problem]:
    """The problems that only several keys together show."""
    problems = []
    if config.validation_fraction + config.test_fraction > 0.9:
        problems.append(
            Problem(
                "validation_fraction", "together with test_fraction at most 0.9, so that something is left to train on"
            )
        )
    if config.folds == 1:
        problems.append(Problem("folds", "1 is no cross-validation; choose 0, or at least 2"))
    if config.folds > 1 and config.mode != "trials":
        problems.append(Problem("folds", f"cross-validation needs parallelism: trials, and it is {config.mode}"))
    if config.model_class and config.nn_model != "Custom":
        problems.append(Problem("model_class", "goes with nn_model Custom; choose Custom, or leave it empty"))
    if config.model_space and not config.model_class:
        problems.append(Problem("model_space", "holds the axes of a class; name it in model_class"))
    if config.nn_model == "Regressor" and config.nn_dimensions[1] != 1:
        problems.append(Problem("nn_dimensions", f"a regressor has 1 output node, got {config.nn_dimensions[1]}"))
    if (config.nodes_per_layer or config.hidden_layers)[1] > 10_000:
        problems.append(Problem("nodes_per_layer", "at most 10,000 nodes in a layer"))
    for key, value, most in (
        ("rnn_units", (config.rnn_units or [1])[-1], 4096),
        ("rnn_seq_length", (config.rnn_seq_length or [2])[-1], 100_000),
    ):
        if value > most:
            problems.append(Problem(key, f"at most {most:,}, got {value:,}"))
    if (config.rnn_seq_length or [2])[0] < 2:
        problems.append(Problem("rnn_seq_length", "the lower bound must be at least 2 tokens"))
    if config.data_instances * config.data_features > MOST_NUMBERS:
        problems.append(
            Problem("data_instances", f"times data_features must be at most {MOST_NUMBERS:,}; choose fewer of either")
        )
    if config.power_method and config.data_features > MOST_POWERS:
        problems.append(Problem("data_features", f"at most {MOST_POWERS} with power_method: higher powers overflow"))
    if shared := set(config.ps) & set(config.workers):
        problems.append(Problem("worker_hosts", f"{sorted(shared)[0]} is already a parameter server; use another port"))
    if config.load_data and config.dataset != "synthetic":
        problems.append(Problem("load_data", f"choose either load_data or the data set {config.dataset!r}, not both"))
    return problems


def load_yaml(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The sweep's keys and the server's settings of a configuration file.

    Raises:
        ConfigError: the file cannot be read, or is not a YAML mapping.
    """
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([Problem(str(path), f"cannot be read: {error.strerror}")]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        detail = " ".join(str(error).split())
        raise ConfigError([Problem(str(path), f"is not valid YAML: {detail}")]) from None
    if loaded is None:
        loaded = {}
    if not isinstance(loaded, dict):
        raise ConfigError([Problem(str(path), "must hold `key: value` lines")])
    server = loaded.pop(SERVER_SECTION, None) or {}
    if not isinstance(server, dict):
        raise ConfigError([Problem(SERVER_SECTION, "must hold `key: value` lines")])
    return loaded, server
