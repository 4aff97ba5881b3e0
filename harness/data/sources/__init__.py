"""Data sets as their publishers pack them: read, checked, indexed, extracted."""
