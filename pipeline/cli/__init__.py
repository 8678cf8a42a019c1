"""The command line: commands, and the messages of a run that ends badly."""
