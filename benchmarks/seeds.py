"""Seeds as they are typed."""

from regoal.errors import BadInput

MOST_SEEDS = 10_000


def parse_seeds(text: str) -> list[int]:
    """The seeds of a text such as `0..4` or `0,2,5`.

    Raises:
        BadInput: it is none, or names one twice.
    """
    try:
        if ".." in text:
            first, last = (int(part) for part in text.split(".."))
            seeds = list(range(first, min(last, first + MOST_SEEDS) + 1))
        else:
            seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = []
    if len(seeds) > MOST_SEEDS:
        raise BadInput("seeds", f"at most {MOST_SEEDS:,}", repr(text)[:200])
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise BadInput("seeds", "a range 0..4 or a list 0,2,5 of different seeds", repr(text))
    return seeds
