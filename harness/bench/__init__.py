"""The operator bench: how close every operator and path comes to the time of a plain copy.

`python -m harness.bench` imports neither Ray nor MLflow; `harness.bench.allocator` and `harness.bench.loading` are
commands of their own. What is measured, and how to read it: docs/performance.md.
"""
