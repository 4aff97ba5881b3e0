"""A trained network in use: which class a video shows. Imports nothing: --help must answer at once."""
