"""Data: what the networks learn from, split into the parts that train, judge and confirm."""

from engine.data.check import accept
from engine.data.parts import Parts, load, prepare
from engine.data.texts import Texts

__all__ = ["Parts", "Texts", "accept", "load", "prepare"]
