"""Trainers: image classifiers over shard indexes, personalised generators, and Bt-GAN for tables.

This file imports nothing, so that settings can be read without torch.
"""
