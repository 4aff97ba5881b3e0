"""The only door to MLflow: where trials are recorded, and where reports read them."""
