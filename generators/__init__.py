"""Models that make data, and the statistics followed while they sample. No Beam, no catalog."""
