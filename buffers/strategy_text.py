"""A mixture of relabelling strategies as a text, `4*future+4*desired+1*random`. Imports nothing heavy."""

import math

from regoal.errors import BadInput

EXAMPLE = "4*future+4*desired+1*random"


def is_mixture(text: str) -> bool:
    """Whether a text is one of a mixture, whatever its parts are: no name of a strategy has these signs."""
    return "*" in text or "+" in text


def terms(text: str) -> list[tuple[str, str]]:
    """What stands for the weight and for the name of each part; a single strategy is a part without weight.

    Whoever asks which modules a text names must split it as whoever imports them does: both ask here.
    """
    parts = (term.rpartition("*") for term in text.split("+"))
    return [(weight.strip(), name.strip()) for weight, _, name in parts]


def weights(text: str) -> list[float]:
    """The weights of a mixture's parts, in their order.

    Raises:
        BadInput: a part has none, or one that is not a positive number.
    """
    found = []
    for weight, name in terms(text):
        try:
            value = float(weight)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            got = f"{weight!r} for {name!r}" if weight else f"none for {name!r}"
            raise BadInput("relabel", "a positive weight for each part", f"{got} in {text!r}", _FIX)
        found.append(value)
    if not math.isfinite(sum(found)):
        raise BadInput("relabel", "weights that can be added up", repr(text), _FIX)
    return found


_FIX = f"For example {EXAMPLE}."
