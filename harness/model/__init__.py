"""The networks: a 2D backbone over frames, with an operator in every chosen block."""
