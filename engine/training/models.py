"""Which network a job asks for."""

from __future__ import annotations

from engine.data.texts import Texts
from engine.models.custom import Shape, load_class
from engine.models.lstm import Stack
from engine.training.custom import CustomNetwork
from engine.training.job import Job
from engine.training.network import Data, Network
from engine.training.regression import Regression
from engine.training.sequence import LstmClassifier


def network_of(job: Job, data: Data) -> Network:
    """The network of a job's model at its point of the search space; *data* is what it is to learn from."""
    if job.model_class:
        texts, shape = isinstance(data, Texts), Shape(job.inputs, job.outputs)
        return CustomNetwork(job.model_class, load_class(job.model_class), job.params, shape, texts, job.length)
    if job.model == "Regressor":
        return Regression(job.architecture, job.weight_init)
    return LstmClassifier(Stack.of(job.params, job.inputs, job.outputs))
