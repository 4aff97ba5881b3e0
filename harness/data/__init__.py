"""Clips: which data set, which frames, which crop. Imports nothing: `python -m harness.data --help` is quick."""
