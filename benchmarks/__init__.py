"""Experiments: many runs at once, statistics, plots, videos, the demo."""
