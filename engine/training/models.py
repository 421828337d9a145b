"""Which network a job asks for."""

from __future__ import annotations

from engine.training.job import Job
from engine.training.network import Network
from engine.training.regression import Regression


def network_of(job: Job) -> Network:
    return Regression(job.architecture, job.weight_init)
