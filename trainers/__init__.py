"""Image trainers over shard indexes: ERM, Resample, USB, ASB, FFR, ASPIRE. Start at ``trainers.run.run_training``.

This file imports nothing, so that ``trainers.settings`` can be read without torch.
"""
