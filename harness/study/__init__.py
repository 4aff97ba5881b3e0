"""A study: YAML in, checked settings and an explicit list of trials out."""
