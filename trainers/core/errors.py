"""Errors that say what was got, what was expected and how to fix it."""


class TrainerError(ValueError):
    """A training can't start or go on: its settings, its index or its weights are at fault."""


class ShardError(TrainerError):
    """A shard doesn't hold what its index says: truncated, missing, or an image changed."""


class MixError(TrainerError):
    """A mix can't have the number of samples per group that its method needs."""
