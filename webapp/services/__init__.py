"""Use cases, free of Flask: each takes the store and the time."""
