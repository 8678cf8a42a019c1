"""The recipes that ship: one YAML a run, whose header says the command, the time and the expected result.

Others name one without its ending (`fairshards run pocket-waterbirds`); `fairshards recipes` lists them.
"""
