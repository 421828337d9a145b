"""Logging in and out, and the one link that makes the first account."""
