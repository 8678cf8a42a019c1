"""A run: the recipe it follows, the steps it is made of, its report, and the command line.

Its rooms are floors: none imports from one above it, which a contract in pyproject.toml says and `make check`
enforces. Of other packages only the program imports from here (``cli``).
"""
