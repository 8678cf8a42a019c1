"""Trainers: image classifiers over shard indexes, personalised generators, and Bt-GAN for tables; and their evaluation.

Start at ``classifiers``, ``personal`` or ``tables``; they share ``core`` and are measured by ``evaluation``. This
file and the rooms' settings import no torch, so that a recipe is checked at once.
"""
