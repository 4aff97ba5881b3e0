"""python -m harness.run STUDY: plan, train, measure, track, compare. Imports nothing: --help must answer at once."""
