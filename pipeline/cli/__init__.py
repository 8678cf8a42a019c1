"""The command line: commands, and the messages of a run that ends badly.

``app.main`` is the program; nothing else here is for others.
"""
