"""From a trial's settings to its result."""
