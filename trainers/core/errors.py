"""Errors that say what was got, what was expected and how to fix it."""


class TrainerError(ValueError):
    """A training can't start or go on: its settings, its index or its weights are at fault."""


class ShardError(TrainerError):
    """A shard doesn't hold what its index says: truncated, missing, or an image changed."""


class MixError(TrainerError):
    """A mix can't have the number of samples per group that its method needs."""


def check_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Check that the setting ``name`` has one of the allowed values.

    Raises:
        TrainerError: it hasn't.
    """
    if value not in allowed:
        raise TrainerError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
