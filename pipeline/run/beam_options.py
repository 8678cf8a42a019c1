"""Beam's own options on our command line: what stands after ``--``, checked before a job starts.

Beam logs options that it doesn't know and goes on without them.
"""

from __future__ import annotations

from argparse import ArgumentError, ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from apache_beam.options.pipeline_options import PipelineOptions

from fairshards.pipeline.run.jobs import RunnerError

NEAR, MISSPELT = 0.75, 0.9
"""Similarity (difflib's ratio) from which a known option is suggested, and from which only a misspelling is likely."""


def beam_options(arguments: Sequence[str], runner: str, takes_set: bool = True) -> tuple[str, ...]:
    """Return the options after ``--`` in a command's further arguments.

    The local runner has no options but those that apache_beam defines. A job server or a service has more,
    which can't be known here: for the other runners only what looks like a misspelling is refused.

    Raises:
        RunnerError: an argument before ``--``, an unknown option or a bad value; the message says what to give.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if end:
        raise RunnerError(_stray(arguments[:end], takes_set))
    options = tuple(arguments[1:])
    parser = _beam_parser()
    try:
        unknown = parser.parse_known_args(options)[1]
    except ArgumentError as error:
        raise RunnerError(f"after --: {error}") from error
    for name in _names(unknown):
        _check(name, set(parser._option_string_actions), runner)
    return options


def _beam_parser() -> ArgumentParser:
    """Return a parser with the options of every class that apache_beam has: all runners' and all services'."""
    found: list[ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=found.append)
    found[0].exit_on_error = False
    return found[0]


def _names(unknown: Iterable[str]) -> Iterator[str]:
    """Yield unknown options without their values, and words that are no option's value."""
    value_may_follow = False
    for word in unknown:
        if not (value_may_follow and not word.startswith("-")):
            yield word.partition("=")[0] if word.startswith("--") else word
        value_may_follow = word.startswith("--") and "=" not in word


def _check(name: str, known: set[str], runner: str) -> None:
    option = f"--{name.lstrip('-').partition('=')[0]}"
    near = get_close_matches(option, known, 1, NEAR)
    if option != name:
        raise RunnerError(f"after --: got {name}; expected options like {near[0] if near else '--name'}=value")
    if runner == "local" or get_close_matches(option, near, 1, MISSPELT):
        hint = f"did you mean {near[0]}?" if near else "the local runner takes none but Beam's own"
        raise RunnerError(f"Beam has no option {name}; {hint}")


def _stray(words: Sequence[str], takes_set: bool) -> str:
    if takes_set and all("=" in word for word in words):
        return f"got {' '.join(words)}; did you mean {' '.join(f'--set {word}' for word in words)}?"
    return f"got {' '.join(words)}, which this command doesn't take; a runner's options go after --"
