"""Relabelling strategies: which goal a transition is shown as if it had been desired.

A strategy is a function `(at, rng) -> rows`: given where n transitions lie and a generator, it returns (n,)
integers that say which goals become the desired ones. A row r of the storage means what was achieved there:
the achieved goal *after* transition t lies in row `at.first_row + at.t + 1`, the last of the episode in row
`at.first_row + at.length`. The negative -1 - e means what the episode in slot e desired (`at.episode`).

Write your own in a module and name it `my_module:my_strategy`:

    def halfway(at, rng):
        return at.first_row + (at.t + 1 + at.length) // 2

A mixture is named by its weights and parts, `4*future+1*my_module:halfway`.
"""

import importlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from regoal.buffers.numbering import Ints
from regoal.buffers.storage import Transitions
from regoal.buffers.strategy_text import EXAMPLE, is_mixture, terms, weights
from regoal.errors import BadInput, did_you_mean

Strategy = Callable[[Transitions, np.random.Generator], Ints]
ROWS = "Return at.first_row + a position in 1..at.length, or -1 - the slot of an episode for what it desired."


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


def next(at: Transitions, rng: np.random.Generator) -> Ints:
    """What this very transition achieved, t+1: one of all goals that may be learned from (Kaelbling 1993)."""
    return at.first_row + at.t + 1


def desired(at: Transitions, rng: np.random.Generator) -> Ints:
    """What an episode desired, that of a transition uniform over the whole buffer: long episodes count more.

    The `actual` goals of RFAAB (Pitis 2020, arXiv 2007.02832, and its library mrl).
    """
    return -1 - at.anywhere(rng).episode


def mixture(parts: Sequence[tuple[float, Strategy]]) -> Strategy:
    """Draws one of several strategies for each transition.

    Args:
        parts: weights, which are positive, and strategies; each is drawn in proportion to its weight.
    """
    total = np.cumsum([weight for weight, _ in parts])
    bounds, strategies = total[:-1] / total[-1], [strategy for _, strategy in parts]

    def drawn(at: Transitions, rng: np.random.Generator) -> Ints:
        chosen = np.searchsorted(bounds, rng.random(len(at)), side="right")
        rows = np.empty(len(at), np.int64)
        for number, strategy in enumerate(strategies):
            mine = np.flatnonzero(chosen == number)
            if len(mine):
                rows[mine] = strategy(at.of(mine), rng)
        return rows

    return drawn


def uniform(rng: np.random.Generator, low: Ints, high: Ints) -> Ints:
    """Integers uniform over low..high, both ends included, element by element."""
    # Flooring keeps the ends as likely as the rest; rounding would halve them.
    return low + (rng.random(len(low)) * (high - low + 1)).astype(np.int64)


STRATEGIES: dict[str, Strategy] = {
    "future": future,
    "final": final,
    "episode": episode,
    "random": random,
    "next": next,
    "desired": desired,
    # Of rfaab_1_4_3_1_1, mrl's in the runs of MEGA: real 1, future 4, actual 3, achieved 1, behavioural 1.
    # Where no goals are made up to explore, behavioural ones are desired ones. Its one real goal in ten is
    # n_sampled_goal=9.
    "rfaab": mixture([(4, future), (4, desired), (1, random)]),
}
NAMES = (*STRATEGIES, "none")


def strategy_named(name: str) -> Strategy | None:
    """The strategy of that name, `module:function` for a user's own, or a mixture; `None` for "none".

    Raises:
        BadInput: no such strategy, its module cannot be imported, or a weight is not a positive number.
    """
    if name == "none":
        return None
    if not is_mixture(name):
        return _single(name, NAMES)
    shares = weights(name)  # all of them, before anything is imported
    parts = [part for _, part in terms(name)]
    if "none" in parts:
        fix = "One real goal for n_sampled_goal others is there in any case."
        raise BadInput("relabel", "strategies that relabel", f"'none' in {name!r}", fix)
    return mixture([(weight, _single(part, STRATEGIES)) for weight, part in zip(shares, parts, strict=True)])


def checked(strategy: Strategy) -> Strategy:
    """A user's strategy, what it returns being checked; ours as it is.

    Raises:
        BadInput: when it is called, if it returns anything but goals of the buffer.
    """
    if strategy in STRATEGIES.values():
        return strategy

    def rows_of(at: Transitions, rng: np.random.Generator) -> Ints:
        rows = np.array(strategy(at, rng))  # a copy: it may be written to, and may be the strategy's own
        expected = f"({len(at)},) integer rows from the strategy, each of an episode in the buffer"
        if not (np.issubdtype(rows.dtype, np.integer) and rows.shape == at.t.shape):
            raise BadInput("relabel", expected, f"{rows.dtype} of shape {rows.shape}", ROWS)
        rows = rows.astype(np.int64, copy=False)
        held = (rows >= at.first_row) & (rows <= at.first_row + at.length)  # of its own episode, as most are
        if not held.all():
            held[~held] = at.storage.holds(rows[~held])
        if not held.all():
            raise BadInput("relabel", expected, f"row {rows[~held][0]}, which is of none", ROWS)
        return rows

    return rows_of


def _single(name: str, known: Iterable[str]) -> Strategy:
    if name in STRATEGIES:
        return STRATEGIES[name]
    module, _, function = name.partition(":")
    if not (module and function):
        expected = f"one of {', '.join(known)}, module:function, or a mixture such as {EXAMPLE}"
        raise BadInput("relabel", expected, repr(name), did_you_mean(name, known))
    try:
        strategy: Strategy = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise BadInput(
            "relabel",
            f"a function {function!r} in an importable module {module!r}",
            f"{type(error).__name__}: {error}",
            "Run from the folder that holds the module, or install it.",
        ) from error
    if not callable(strategy):
        raise BadInput("relabel", f"a function {name}", f"a {type(strategy).__name__}")
    return checked(strategy)
