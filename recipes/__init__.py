"""One YAML a run; the header says the command, the time and the expected result."""
