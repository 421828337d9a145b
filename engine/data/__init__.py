"""Data: what the networks learn from, split into the parts that train, judge and confirm."""

from engine.data.check import accept
from engine.data.parts import Parts, prepare

__all__ = ["Parts", "accept", "prepare"]
