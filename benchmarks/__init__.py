"""Measurements: each module or room is a study whose numbers stand in docs beside its command. Not in the wheel."""
