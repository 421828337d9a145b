"""Samplers: how the points of the search space are drawn. One interface of two methods, `Sampler`."""

from engine.samplers.base import Sampler
from engine.samplers.random import RandomSampler

__all__ = ["RandomSampler", "Sampler"]
