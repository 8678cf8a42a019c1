"""Training methods and losses, each declared in one place: which samples, what it asks for, its row in tables.

Start at ``base.TrainingMethod``; ``registry`` finds one by the name that a recipe says. Nothing here imports torch
before it trains, so that a recipe is checked at once.
"""
