"""A trained network as a file that other programs run. Imports nothing: --help must answer at once."""
