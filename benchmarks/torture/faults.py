"""Broken envs, settings and machines, each with its stated behaviour: the tests that are marked `fault`.

Their list is `pytest -m fault --collect-only -q`.
"""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from regoal.benchmarks.torture.tally import Tally
from regoal.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]
MOST_SECONDS = 10.0  # for each


def faults(folder: Path, tries: int, seed: int = 0) -> Tally:
    """All of them, whatever `tries` says.

    Raises:
        BadInput: the tests are not here.
    """
    if not (ROOT / "tests").is_dir():
        raise BadInput("faults", "the tests beside the benchmarks", f"none in {ROOT}", "Run it from a clone.")
    report = folder / "faults.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "fault", f"--junitxml={report}", "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if not report.exists():
        return Tally(1, [done.stdout + done.stderr])
    tally, skipped = Tally(), 0
    for case in ElementTree.parse(report).iter("testcase"):
        name, seconds = f"{case.get('classname')}.{case.get('name')}", float(case.get("time", "0"))
        if case.find("skipped") is not None:
            skipped += 1
            continue
        tally.tries += 1
        if case.find("failure") is not None or case.find("error") is not None:
            tally.failures.append(f"{name} fails")
        elif seconds > MOST_SECONDS:
            tally.failures.append(f"{name} takes {seconds:.1f} s")
    tally.note = f"{skipped} that this machine does not allow" if skipped else ""
    return tally
