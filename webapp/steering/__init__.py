"""Steering sweeps that wait or run."""
