"""Everything that only a GPU can show, in one command: checked, timed and written down, step by step."""
