"""Which network a job asks for."""

from __future__ import annotations

from engine.models.lstm import Stack
from engine.training.job import Job
from engine.training.network import Network
from engine.training.regression import Regression
from engine.training.sequence import LstmClassifier


def network_of(job: Job) -> Network:
    """The network of a job's model at its point of the search space."""
    if job.model == "Regressor":
        return Regression(job.architecture, job.weight_init)
    return LstmClassifier(Stack.of(job.params, job.inputs, job.outputs))
