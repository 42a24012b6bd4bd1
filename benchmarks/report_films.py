"""Pictures of what changed: policies in the same target episode, before and after, small."""

import base64
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from regoal.agent.durable import MOST_JSON_BYTES, parsed, read_plain
from regoal.agent.run_folder import read_config
from regoal.agent.trust import WORLD, require_trusted, trust_settings
from regoal.benchmarks.report_data import Findings
from regoal.benchmarks.results import DONE
from regoal.benchmarks.video import record
from regoal.envs.recipe import EnvRecipe
from regoal.errors import BadInput

PICTURES, HEIGHT = 6, 160  # in a row, and in pixels
SEED = 0  # of the episode
SECONDS = 180.0  # for one task; drivers may hang


@dataclass(frozen=True)
class Film:
    """Pictures of one task.

    Attributes:
        note: what is seen, or why nothing is.
        pictures: of each policy by its label, as data URIs in their order.
    """

    note: str
    pictures: Mapping[str, list[str]] = field(default_factory=dict)


def films(found: Findings, out: Path) -> dict[str, Film]:
    """For each task, the source policy, the baseline and the arm that did best, in the same episode."""
    runs = _runs(out)
    return {task: _film(found, task, runs, out) for task in found.tasks}


def _film(found: Findings, task: str, runs: Mapping[tuple[str, str, int], Path], out: Path) -> Film:
    shown: dict[str, Path] = {}
    ranked = sorted(found.by_task[task], key=lambda arm: -arm.area.value)
    learned = [arm.name for arm in ranked if arm.name not in found.results.zero_shot]
    for name in dict.fromkeys([*([found.baseline] if found.baseline else []), *learned[:1]]):
        seeds = [seed for seed in found.results.seeds_of(task, name) if (task, name, seed) in runs]
        if seeds:
            shown[f"{name}, seed {seeds[0]}"] = runs[task, name, seeds[0]]
    if not shown:
        return Film("the run folders are not here.")
    try:
        configs = {run: require_trusted(read_config(run), str(run), WORLD) for run in shown.values()}
    except BadInput as error:
        return Film(f"{error.where} is {error.got}, which is not trusted here.")
    sources = [(config.seed, config.source) for config in configs.values() if config.source]
    if sources:
        seed, path = sources[-1]
        source = out.joinpath("cells", *Path(path).parts[-3:])  # the benchmark may lie elsewhere now
        if source.is_dir() and source.resolve().is_relative_to((out / "cells").resolve()):
            shown = {f"before: source policy, seed {seed}": source} | shown
    pictures, problem = _drawn(shown, next(iter(configs)))
    if problem:
        return Film(problem)
    return Film(f"Episode {SEED} of each, from its start to its end, without exploration.", pictures)


def _runs(out: Path) -> dict[tuple[str, str, int], Path]:
    found = {}
    for path in sorted(out.glob(f"cells/*/*/*/{DONE}")):
        columns = parsed(read_plain(path, MOST_JSON_BYTES))
        set_aside = ".begun" in path.parent.name
        taken_over = not (path.parent / "config.toml").exists()
        if columns.get("arm") and not (set_aside or taken_over):
            found[columns["task"], columns["arm"], int(columns["seed"])] = path.parent
    return found


def _drawn(shown: Mapping[str, Path], target: Path) -> tuple[dict[str, list[str]], str]:
    """Draw in a process of its own, where MuJoCo is not loaded yet; pictures, or what went wrong."""
    command = [sys.executable, "-m", __name__, str(target), *map(str, shown.values())]
    try:
        # What is installed comes before what lies in this folder, as in the command itself.
        environment = os.environ | {"PYTHONSAFEPATH": "1"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return {}, f"nothing was drawn within {SECONDS:g} s."
    if done.returncode != 0:
        return {}, (done.stderr.strip().splitlines() or ["drawing failed"])[-1]
    rows = [line.split() for line in done.stdout.splitlines()[-len(shown) :]]
    return dict(zip(shown, rows, strict=True)), ""


def strip(target: Path, run: Path) -> list[str]:
    """Pictures of a policy in the world of a run, as data URIs."""
    import numpy as np
    from PIL import Image

    from regoal.agent.policy import Policy

    config = read_config(target)
    recipe = EnvRecipe(config.env, config.shift, config.env_kwargs)
    frames = list(record(recipe, Policy.load(run), episodes=1, seed=SEED))
    moments = np.linspace(0, len(frames) - 1, PICTURES).round().astype(int)
    pictures = []
    for moment in moments:
        picture, buffer = Image.fromarray(frames[moment]), io.BytesIO()
        size = (round(HEIGHT * picture.width / picture.height), HEIGHT)
        picture.convert("RGB").resize(size).save(buffer, "JPEG", quality=80)
        pictures.append("data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode())
    return pictures


def main(target: Path, runs: list[Path]) -> int:
    """Print a row of pictures for each run."""
    from regoal.rendering import working_gl

    working_gl()  # before mujoco is imported; envs that need none draw in any case
    for run in (target, *runs):
        trust_settings(read_config(run))  # whoever started this process has held them against it
    for run in runs:
        print(*strip(target, run))
    return 0


if __name__ == "__main__":
    sys.path.append("")
    sys.exit(main(Path(sys.argv[1]), [Path(one) for one in sys.argv[2:]]))
