"""Relabelling strategies: which achieved goal a transition is shown as if it had been desired.

A strategy is a function `(at, rng) -> rows`: given where n transitions lie and a generator, it returns (n,)
rows of the storage whose achieved goals become the desired ones. The achieved goal *after* transition t lies
in row `at.first_row + at.t + 1`; the last of the episode in row `at.first_row + at.length`.

Write your own in a module and name it `my_module:my_strategy`:

    def halfway(at, rng):
        return at.first_row + (at.t + 1 + at.length) // 2
"""

import importlib
from collections.abc import Callable

import numpy as np

from regoal.buffers.numbering import Ints
from regoal.buffers.storage import Transitions
from regoal.errors import BadInput, did_you_mean

Strategy = Callable[[Transitions, np.random.Generator], Ints]


def future(at: Transitions, rng: np.random.Generator) -> Ints:
    """Uniform over what the same episode achieved after t, t+1..T (Andrychowicz 2017, section 4.5)."""
    return at.first_row + uniform(rng, at.t + 1, at.length)


def final(at: Transitions, rng: np.random.Generator) -> Ints:
    """What the same episode achieved last (Andrychowicz 2017, section 3.3)."""
    return at.first_row + at.length


def episode(at: Transitions, rng: np.random.Generator) -> Ints:
    """Uniform over what the same episode achieved at any step, 1..T (Andrychowicz 2017, section 4.5)."""
    return at.first_row + uniform(rng, np.ones_like(at.length), at.length)


def random(at: Transitions, rng: np.random.Generator) -> Ints:
    """Uniform over everything achieved in the whole buffer (Andrychowicz 2017, section 4.5)."""
    other = at.anywhere(rng)
    return other.first_row + other.t + 1


def uniform(rng: np.random.Generator, low: Ints, high: Ints) -> Ints:
    """Integers uniform over low..high, both ends included, element by element."""
    # Flooring keeps the ends as likely as the rest; rounding would halve them.
    return low + (rng.random(len(low)) * (high - low + 1)).astype(np.int64)


STRATEGIES: dict[str, Strategy] = {"future": future, "final": final, "episode": episode, "random": random}
NAMES = (*STRATEGIES, "none")


def strategy_named(name: str) -> Strategy | None:
    """The strategy of that name, `module:function` for a user's own; `None` for "none".

    Raises:
        BadInput: no such strategy, or its module cannot be imported.
    """
    if name == "none":
        return None
    if name in STRATEGIES:
        return STRATEGIES[name]
    module, _, function = name.partition(":")
    if not (module and function):
        raise BadInput(
            "relabel", f"one of {', '.join(NAMES)} or module:function", repr(name), did_you_mean(name, NAMES)
        )
    try:
        strategy: Strategy = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise BadInput(
            "relabel",
            f"a function {function!r} in an importable module {module!r}",
            f"{type(error).__name__}: {error}",
            "Run from the folder that holds the module, or install it.",
        ) from error
    if not callable(strategy):
        raise BadInput("relabel", f"a function {name}", f"a {type(strategy).__name__}")
    return strategy
