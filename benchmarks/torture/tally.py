"""What came of a test."""

from dataclasses import dataclass, field


@dataclass
class Tally:
    """Tries of one test, and what went wrong in them.

    Attributes:
        tries: how many.
        failures: what went wrong, a line each.
        note: a figure that belongs to the result.
    """

    tries: int = 0
    failures: list[str] = field(default_factory=list)
    note: str = ""
