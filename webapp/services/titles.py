"""What the form calls the keys of a configuration, for messages that name them."""

from __future__ import annotations

import re

from engine.config import SweepConfig

KEYS = re.compile(r"\b(" + "|".join(key for key in SweepConfig.model_fields if "_" in key) + r")\b")
"""The keys that cannot be taken for words."""


def in_titles(message: str) -> str:
    """A message with the fields called what the form calls them: “Features” for data_features."""
    return KEYS.sub(lambda found: f"“{SweepConfig.model_fields[found[0]].title}”", message)
