"""What a check found, and how it is told."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from regoal.errors import BadInput

Verdict = Literal["pass", "fail", "note"]

_LABEL: dict[Verdict, str] = {"pass": "ok", "fail": "FAIL", "note": "note"}


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        name: what was checked, "reward".
        verdict: "pass", "fail", or "note" for what works but is worth knowing.
        detail: what was seen; for a failure where it was, what was expected and what came.
        fix: what to do about it; empty for a pass.
        fault: the failure as an exception; `None` otherwise.
    """

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""
    fault: BadInput | None = field(default=None, compare=False, repr=False)


def passed(name: str, detail: str) -> Finding:
    """A check that found what it wanted."""
    return Finding(name, "pass", detail)


def noted(name: str, detail: str, fix: str = "") -> Finding:
    """Something that works, but slower or less surely than it could."""
    return Finding(name, "note", detail, fix)


def failed(name: str, fault: BadInput) -> Finding:
    """A check that found a fault."""
    return Finding(
        name, "fail", f"{fault.where}: expected {fault.expected}, got {fault.got}", fault.fix, fault
    )


def attempt(name: str, place: str, rule: Callable[[], Finding | str]) -> Finding:
    """Run one rule; whatever it raises becomes a failure, so that the other rules still run.

    Args:
        name: of the finding.
        place: what the rule looks at, for an exception that is not a `BadInput`.
        rule: gives a finding, or the detail of a pass.
    """
    try:
        found = rule()
    except BadInput as fault:
        return failed(name, fault)
    except Exception as error:  # noqa: BLE001  (the env's own code may raise anything)
        return failed(name, BadInput(place, "no exception", f"{type(error).__name__}: {error}"))
    return passed(name, found) if isinstance(found, str) else found


def failures(findings: Iterable[Finding]) -> list[Finding]:
    """Those that failed."""
    return [finding for finding in findings if finding.verdict == "fail"]


def render(findings: Iterable[Finding]) -> str:
    """Plain text lines: label, name and detail in columns, the fix indented on a line of its own."""
    findings = list(findings)
    width = max((len(finding.name) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{_LABEL[finding.verdict]:<4}  {finding.name:<{width}}  {finding.detail}")
        if finding.fix:
            lines.append(f"      {'':<{width}}  fix: {finding.fix}")
    return "\n".join(lines)
