"""FFR against its peers on the pocket world."""
