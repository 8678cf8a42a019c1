"""The command line, the recipe, and the driver that runs the stages in order."""
