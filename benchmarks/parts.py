"""All that README and docs show of learning and of transfer, part by part: `make results`.

    python -m regoal.benchmarks.parts                  # what is not finished, one part after the other
    python -m regoal.benchmarks.parts transfer-turned  # this part alone
    python -m regoal.benchmarks.parts --list

Each part is one or more commands that go on where they were stopped, with runs below OUT; a part that is
finished there is not run again. What it found is copied to the folder of results, from where another machine
goes on with the next part of the same suite; a table there that has runs which the new one has not stays as
it is. parts.csv tells how long each took, over all sittings that were not killed; runs that several parts
share count in the first.
What compares with other libraries has its own commands: `make bench`, `make bench-learning`.
"""

import argparse
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from regoal.agent.interrupts import StopRequest
from regoal.agent.machine import cores
from regoal.agent.progress import say
from regoal.benchmarks import learning
from regoal.benchmarks.benchmark_folder import commit
from regoal.benchmarks.parallel import POLL_SECONDS
from regoal.benchmarks.published import LEFT_AS_IT_IS, missing_runs, of_others, replace_file
from regoal.benchmarks.staging import replace_text
from regoal.benchmarks.tables import read_table, replace_rows
from regoal.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, BadInput, did_you_mean

TABLE = "parts.csv"


@dataclass(frozen=True)
class Part:
    """Something that is measured at one go.

    Attributes:
        commands: what follows `python -m`, one after the other; {out} and {results} stand for folders.
        published: files that they leave in OUT, and what they are called among the results; the first one is
            a table that the others are made of.
        suite: that the first command runs. It goes on from the suite's table among the results, if it is
            there, but for the cells of the part itself: these are to be measured.
        only: text in the names of the part's cells.
        learned: the runs of learning.csv that it makes.
    """

    commands: tuple[str, ...]
    published: tuple[tuple[str, str], ...] = ()
    suite: str = ""
    only: str = ""
    learned: tuple[learning.Run, ...] = ()


@dataclass(frozen=True)
class Row:
    """How long a part took.

    Attributes:
        part: its name.
        seconds: of wall clock, over all its sittings.
        cores: of the machine.
        commit: that it was finished at.
    """

    part: str
    seconds: float
    cores: int
    commit: str


def _module(name: str, options: str = "") -> Part:
    return Part((f"regoal.benchmarks.{name} --out {{out}}/{name} --results {{results}} {options}".strip(),))


def _suite(name: str, only: str = "", figures: Iterable[str] = ("intervals",)) -> Part:
    command = f"regoal benchmark {name} --out {{out}}/{name}" + (f" --only {only}" if only else "")
    files = {f"{name}/results.csv": f"{name}.csv"}
    files |= {f"{name}/figures/{figure}.png": f"{name}-{figure}.png" for figure in figures}
    return Part((command,), tuple(files.items()), name, only)


def _transfer(suite: str, only: str = "", figures: Iterable[str] = ()) -> Part:
    measured = _suite(suite, only, figures)
    compared = f"regoal.benchmarks.transfer {{out}}/{suite} --results {{results}}"
    return Part((*measured.commands, compared), measured.published, suite, only)


def _ablation(suite: str, only: str) -> Part:
    measured = _suite(suite, only)
    printed = f"regoal.benchmarks.ablation {{out}}/{suite}"
    return Part((*measured.commands, printed), measured.published, suite, only)


def _learning(env: str, preset: str, *seeds: int) -> Part:
    listed = ",".join(map(str, seeds))
    (command,) = _module("learning", f"--env {env} --preset {preset} --seeds {listed}").commands
    return Part((command,), learned=tuple((env, preset, str(seed)) for seed in seeds))


def _learning_by_seed(env: str, preset: str) -> dict[str, Part]:
    return {f"learning-{preset}-{seed}": _learning(env, preset, seed) for seed in range(3)}


BOTH = ("heat-map", "intervals")
# In the order in which they are run: the short ones first.
PARTS = {
    "demo": _module("demo"),
    "reach": _module("reach"),
    "modes": _module("modes", "reach"),
    "transfer-levels": _transfer("transfer-levels"),
    "transfer-turned": _suite("transfer", "action_rotation", BOTH),
    "transfer-fine": _suite("transfer", "reward_threshold", BOTH),
    "transfer-sensed": _suite("transfer", "observation_bias", BOTH),
    "relabel-reach": _suite("relabel", "FetchReach"),
    "relabel-maze": _suite("relabel", "PointMaze"),
    "learning-push": _learning("FetchPush-v4", "push", 0, 1, 2),
    "learning-efficient": _learning("FetchPush-v4", "sample-efficient", 0, 1, 2),
    # A seed each: another machine goes on with the next, for the table keeps the others.
    **_learning_by_seed("FetchSlide-v4", "slide"),
    **_learning_by_seed("FetchPickAndPlace-v4", "pick"),
    **_learning_by_seed("PointMaze_Medium-v3", "maze"),
    **_learning_by_seed("HandReach-v3", "hand"),
    "learning-ant": _learning("AntMaze_UMaze-v5", "ant", 0),
    **{f"push-ablation-{seed}": _ablation("push-ablation", f"/seed-{seed}") for seed in range(3)},
    # A seed each, with its source: another machine goes on with the next.
    **{
        f"transfer-push-{seed}": _transfer("transfer-push", f"/seed-{seed}", ("heat-map",))
        for seed in range(5)
    },
}


def run(name: str, out: Path, results: Path, stop: StopRequest) -> int:
    """Run a part, or what is left of it; returns the exit code.

    Args:
        name: of the part.
        out: folder of the runs.
        results: folder of what is published.
        stop: what it tells a command that runs.
    """
    part = PARTS[name]
    out.mkdir(parents=True, exist_ok=True)
    spent = out / f"{name}.seconds"
    places = {"out": str(out), "results": str(results)}
    code, began = 0, time.monotonic()
    try:
        for number, command in enumerate(part.commands):
            if stop.requested:
                code = 128 + stop.signal
                break
            words = [word.format(**places) for word in shlex.split(command)]
            if number == 0 and part.suite:
                words.append("--retry")  # or a cell that failed once would stay failed
                if known := of_others(part.suite, part.only, out, results):
                    words += ["--known", str(known)]
            say(f"{name}: python -m {shlex.join(words)}")
            if code := _call([sys.executable, "-m", *words], stop):
                break
    finally:
        seconds = time.monotonic() - began + (float(spent.read_text()) if spent.exists() else 0.0)
        replace_text(spent, f"{seconds:.3f}\n")
    published = code == 0 and _publish(part, out, results)
    if code not in (0, LEFT_AS_IT_IS):
        say(f"{name}: ended with exit code {code}; the same command goes on")
        return code
    if not published:
        say(f"{name}: measured, {seconds / 60:.1f} minutes; to be published when the others are there")
        return 0
    row = Row(name, round(seconds), cores(), commit())
    for folder in (out, results):
        _put(folder / TABLE, row)
    spent.unlink()  # whoever measures it again begins anew
    say(f"{name}: finished, {seconds / 60:.1f} minutes")
    return 0


def _publish(part: Part, out: Path, results: Path) -> bool:
    """Copy what a part has found, unless runs that are published already would be lost; whether it did."""
    if part.suite and part.published:
        (source, target), *_ = part.published
        if missing := missing_runs(out / source, results / target):
            say(f"{results / target} stays as it is: {missing}")
            return False
    for source, target in part.published:
        replace_file(out / source, results / target)
    return True


def finished(out: Path) -> set[str]:
    """Names of the parts that are finished in a folder of runs."""
    return {row["part"] for row in read_table(out / TABLE, _columns())}


def as_markdown(rows: Iterable[dict[str, str]], learned: learning.Rows) -> str:
    """All parts and their minutes, for docs.

    Args:
        rows: of parts.csv.
        learned: rows of learning.csv. Where a part was not measured as such but all of its runs are there,
            it has the sum of their minutes, marked as such.
    """
    measured = {row["part"]: f"{float(row['seconds']) / 60:.1f}" for row in rows}
    lines = ["| part | minutes | command |", "|---|---|---|"]
    for name, part in PARTS.items():
        minutes = measured.get(name) or _by_its_runs(part, learned)
        lines.append(f"| {name} | {minutes} | {told(name)} |")
    return "\n".join(lines)


def _by_its_runs(part: Part, learned: learning.Rows) -> str:
    seconds = learning.seconds_of(learned)
    if not part.learned or any(run not in seconds for run in part.learned):
        return "not timed yet"
    return f"{sum(seconds[run] for run in part.learned) / 60:.1f} by its runs"


def told(name: str) -> str:
    """The commands of a part, for people."""
    return ", then ".join(
        f"`python -m {one.format(out='OUT', results='RESULTS')}`" for one in PARTS[name].commands
    )


def _put(path: Path, row: Row) -> None:
    """Put a row in the place of the part's former one, in the order of the parts."""
    rows: dict[str, dict[str, str] | Row] = {one["part"]: one for one in read_table(path, _columns())}
    rows[row.part] = row
    order = [*PARTS, *rows]  # one that there is no more stands at the end
    replace_rows(path, Row, sorted(rows.values(), key=lambda one: order.index(_name(one))))


def _name(row: dict[str, str] | Row) -> str:
    return row.part if isinstance(row, Row) else row["part"]


def _columns() -> list[str]:
    return [field.name for field in fields(Row)]


def _call(command: Sequence[str], stop: StopRequest) -> int:
    """Run a command, which ends by itself and can be gone on with when it is told to stop.

    Ctrl-C at a terminal tells it, too; SIGTERM is passed on.
    """
    process = subprocess.Popen(command)
    passed_on = False
    while (code := _ended(process)) is None:
        if stop.signal == signal.SIGTERM and not passed_on:
            process.terminate()
            passed_on = True
    return code if code >= 0 else 128 - code


def _ended(process: "subprocess.Popen[bytes]") -> int | None:
    try:
        return process.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    except KeyboardInterrupt:  # the second signal: it ends at once
        process.terminate()
        process.wait()
        raise


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="all if not given")
    parser.add_argument("--list", action="store_true", help="say what there is, and what is finished")
    parser.add_argument("--out", type=Path, default=Path("runs/results"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args(argv)
    try:
        for name in options.parts:
            if name not in PARTS:
                raise BadInput("part", "a part of the results", repr(name), did_you_mean(name, PARTS))
        done = finished(options.out)
        finished(options.results)  # that it can be read, before hours have passed
        if not options.list and not options.results.is_dir():
            raise BadInput("results", "a folder that exists", str(options.results))
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    wanted = options.parts or PARTS
    if options.list:
        for name in wanted:
            print(f"{name:16} {'finished' if name in done else '-':9} {told(name)}")
        return 0
    try:
        with StopRequest() as stop:
            return run_all([name for name in wanted if not _is_done(name, done)], options, stop)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def run_all(names: Sequence[str], options: argparse.Namespace, stop: StopRequest) -> int:
    """Run parts one after the other, until one fails or a stop is asked for; returns the exit code.

    Those that had to wait for others of their suite before they could be published are once more at the end.
    """
    for again in (False, True):
        for number, name in enumerate(names):
            if again and (name in finished(options.out) or not _others_after(names, number)):
                continue
            if code := run(name, options.out, options.results, stop):
                return code
            if stop.requested:
                return 128 + stop.signal
    return 0


def _others_after(names: Sequence[str], number: int) -> bool:
    """Whether parts of the same suite come after one."""
    suite = PARTS[names[number]].suite
    return bool(suite) and any(PARTS[name].suite == suite for name in names[number + 1 :])


def _is_done(name: str, done: Collection[str]) -> bool:
    if name in done:
        say(f"{name}: finished before")
    return name in done


if __name__ == "__main__":
    sys.exit(main())
