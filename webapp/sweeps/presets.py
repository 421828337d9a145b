"""What a new sweep can start from: ways to search, which leave model and data as they are, and a whole example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.config import LAPTOP_STAGES, LARGE_STAGES, SweepConfig


@dataclass(frozen=True, slots=True)
class Preset:
    """A card: its title, a sentence, and the values that it fills in."""

    title: str
    sentence: str
    values: Mapping[str, Any] = field(default_factory=dict)


PRESETS: Mapping[str, Preset] = {
    "laptop": Preset("Laptop", "The default: nine trials in three stages.", {"opt_stages": LAPTOP_STAGES}),
    "quick": Preset("Quick look", "Six short trials: does it run at all?", {"opt_stages": [[200, 4], [200, 2]]}),
    "smart": Preset(
        "Smart search",
        "60 trials: TPE learns from those that have ended, ASHA ends early those that will not win.",
        {"opt_stages": [[1000, 60]], "hyperparam_opt": "TPE", "pruner": "asha"},
    ),
    "large": Preset("Large", "The full schedule: 2,250 trials in three stages.", {"opt_stages": LARGE_STAGES}),
    "lstm": Preset(
        "Source code",
        "An LSTM learns to tell programming languages apart; changes model and data too.",
        {
            "nn_model": "Custom",
            "model_class": "",
            "dataset": "installed-sources",
            "load_data": False,
            "rnn_state_dim": 50,
            "rnn_layers": [1, 2],
            "rnn_units": [30, 60],
            "rnn_seq_length": [40, 100],
            "batch_size": [32, 100],
            "learning_rate": [0.002, 0.01],
            "log_scale": True,
            "train_optimizer": ["Adam"],
            "opt_stages": [[150, 8], [600, 2]],
            "confirm": 1,
            "confirm_seeds": 2,
        },
    ),
}

STRATEGY = ("opt_stages", "hyperparam_opt", "pruner")
"""The keys that every preset sets: where it names no value, to the default."""


def values_of(name: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What a preset fills in; nothing where there is no such preset."""
    if name not in PRESETS:
        return {}
    base = SweepConfig(**defaults).model_dump(mode="json")
    return {key: base[key] for key in STRATEGY} | dict(PRESETS[name].values)


def chosen(config: SweepConfig, defaults: Mapping[str, Any]) -> str:
    """The preset whose values these are; empty: none."""
    given = config.model_dump(mode="json")
    same = (name for name in PRESETS if values_of(name, defaults).items() <= given.items())
    return next(same, "")
