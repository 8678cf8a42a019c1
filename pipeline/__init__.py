"""A run: the recipe it follows, the steps it is made of, its report, and the command line."""
