"""Measurements against peers, side by side in one run; printed as ratios. Not tests."""

GOAL = 0.00704
"""Root mean squared error on the test part that the 2017 program reached with its large schedule, in 22.35 hours."""
