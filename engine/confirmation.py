"""What the search's best configurations are worth: trained again from other seeds, measured on the test part. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.domain import Trial, TrialState


def confirmation(trial: Trial, trials: Iterable[Trial], squared: bool = True) -> dict[str, Any]:
    """What the *trials* that confirm *trial* have measured:
    {trial, loss, params, seeds, failed, figures: {name: {mean, std, values}}, optimism}.

    *figures* are of the test part, each over all seeds: the mean, the sample's standard deviation, every value; a
    regressor has its root mean squared error, rmse, as well. *optimism* is the mean test loss minus the validation loss
    by which the trial was chosen.

    Args:
        squared: the loss of a model that has an absolute error, mae, is the squared one.
    """
    confirming = [other for other in trials if other.confirms == trial.number]
    measured = [other.test for other in confirming if other.state is TrialState.COMPLETED and other.test]
    figures: dict[str, Any] = {}
    for name in measured[0] if measured else ():
        values = [one[name] for one in measured]
        if all(isinstance(value, float) for value in values):
            figures[name] = spread(values)
        else:
            figures[name] = {"mean": _mean_table(values)}
    if squared and "mae" in figures:
        figures["rmse"] = spread([math.sqrt(one["loss"]) for one in measured])
    return {
        "trial": trial.number,
        "loss": trial.loss,
        "params": trial.params,
        "seeds": len(measured),
        "failed": len(confirming) - len(measured),
        "figures": figures,
        "optimism": figures["loss"]["mean"] - trial.loss if figures and trial.loss is not None else None,
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation (0 of a single value, not a number where a value is none) and the values themselves."""
    if not all(map(math.isfinite, values)):
        return {"mean": sum(values) / len(values), "std": math.nan, "values": list(values)}
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "std": deviation, "values": list(values)}


def headline(confirmed: Mapping[str, Any]) -> str | None:
    """The figure that says most of a confirmed configuration; None: nothing could be measured."""
    return next((name for name in ("rmse", "error", "loss") if name in confirmed["figures"]), None)


def in_words(confirmed: Mapping[str, Any]) -> str:
    """One line: "rmse 0.021 ± 0.003 over 3 seeds"."""
    figures, name = confirmed["figures"], headline(confirmed)
    if name is None:
        return "nothing could be measured: no training completed"
    return f"{name} {figures[name]['mean']:.4g} ± {figures[name]['std']:.2g} over {confirmed['seeds']} seeds"


def _mean_table(tables: Sequence[Sequence[Sequence[float]]]) -> list[list[float]]:
    """The mean of tables of one shape, cell by cell."""
    return [[statistics.fmean(cells) for cells in zip(*rows, strict=True)] for rows in zip(*tables, strict=True)]
