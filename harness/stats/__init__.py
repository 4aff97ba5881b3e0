"""Estimates, differences and verdicts. What each number means: docs/statistics.md."""
