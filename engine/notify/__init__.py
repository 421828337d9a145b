"""Telling others that a sweep has ended: a webhook, e-mail. By the engine, so that it happens with no browser open."""
