"""What users are told when something they gave us cannot work."""

import difflib
from collections.abc import Iterable, Sequence

EXIT_FAILED, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 1, 2, 130


def printable(text: str) -> str:
    """A text that does nothing to a terminal: what it would obey is written out."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in text
    )


class BadInput(ValueError):
    """Something a user gave (an env, a setting, a file) cannot be used; raised before training starts.

    The message names the place, what was expected, what came, and the fix.
    """

    def __init__(self, where: str, expected: str, got: str, fix: str = "") -> None:
        self.where, self.expected, self.got, self.fix = where, expected, got, fix
        text = f"{where}: expected {expected}, got {got}." + (f" {fix}" if fix else "")
        super().__init__(printable(text))

    def __reduce__(self) -> tuple[type, tuple[str, str, str, str]]:
        # So that it crosses a process boundary: the default would pass the one-line message alone.
        return type(self), (self.where, self.expected, self.got, self.fix)


class RunFault(BadInput, RuntimeError):
    """A run cannot go on; what was learned before is kept.

    Attributes:
        discarded_steps: env steps of the unfinished episode that are lost with it.
    """

    discarded_steps = 0


class EnvFault(RunFault):
    """An env broke its contract while it was running."""


class SpoiledEpisode(EnvFault):
    """An episode is lost, and another attempt may go well: the env raised, or returned what is not finite.

    Attributes:
        attempt: how often this episode had been spoiled before.
    """

    attempt = 0


class TrainingFault(RunFault):
    """What is learned is no longer finite."""


class WorkerFault(RunFault):
    """Playing an episode has ended or hung one process after the other."""


class SaveFault(RunFault):
    """The run's folder cannot be written to: the disk is full, or not ours to write."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with the nearest known names, or with all of them when they are few."""
    names = sorted(known)
    near = nearest(name, names)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Known: {', '.join(names)}." if len(names) <= 20 else ""


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """The known names that a misspelt one may have been meant to be; none where none is near."""
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    return near or difflib.get_close_matches(name, known, n=3, cutoff=0.6)
