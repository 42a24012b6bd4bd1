"""The commands: one function each, whose annotated parameters are the arguments; each returns the exit code.

Heavy imports happen inside, so that `regoal --help` answers at once.
"""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import tyro

from regoal.errors import EXIT_FAILED, BadInput
from regoal.launch import Machine, parse_seeds, per_seed, train_all

Run = tyro.conf.Positional[Path]
EnvId = tyro.conf.Positional[str]
Settings = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        name="set",
        metavar="NAME=VALUE ...",
        help="Any other settings, e.g. agent.lr=1e-3 eval_interval=100; `regoal settings` lists them.",
    ),
]
MachineOptions = Annotated[Machine, tyro.conf.arg(name="")]
Seeds = Annotated[
    str | None, tyro.conf.arg(help="Several seeds, 0..4 or 0,2,5: runs go to OUT/seed-0 and so on.")
]


def train(
    env: EnvId,
    /,
    out: Path,
    agent: str = "ddpg",
    relabel: str = "future",
    n_sampled_goal: int = 4,
    steps: int = 5_000,
    seed: int = 0,
    seeds: Seeds = None,
    shift: str = "",
    machine: MachineOptions = Machine(),  # noqa: B008  (frozen)
    jobs: int | None = None,
    settings: Settings = (),
) -> int:
    """Train an agent from scratch.

    Args:
        env: Gymnasium id, or module:namespace/Id-v0 for an env of your own.
        out: Run folder; it must not exist.
        agent: ddpg or sac.
        relabel: Hindsight goals: future, final, episode, random, none, or module:function.
        n_sampled_goal: Hindsight goals for each real one.
        steps: Env steps to collect.
        seed: Seed of the run.
        seeds: Several seeds.
        shift: What differs from the env as it comes, e.g. friction=0.1 or action_gain=0.5..2 (a range) or
            action_gain=0.5/1/2 (a list), drawn anew for each episode.
        machine: How the run uses this machine.
        jobs: Runs at a time; as many as there are cores if not given.
        settings: Any other setting.
    """
    from regoal.agent.config import TrainConfig, agent_config

    config = TrainConfig(
        env=env,
        out=str(out),
        agent=agent_config(agent),
        relabel=relabel,
        n_sampled_goal=n_sampled_goal,
        steps=steps,
        seed=seed,
        shift=shift,
        **machine.settings(),
    )
    for name, text in _assignments(settings).items():
        from regoal.agent.settings import set_field

        config = set_field(config, name, text)
    configs = [config] if seeds is None else per_seed(config, seeds)
    return train_all(configs, jobs)


def finetune(
    run: Run,
    /,
    out: Path,
    shift: str = "",
    mode: str = "warm_start",
    relabel: str = "future",
    n_sampled_goal: int = 4,
    steps: int = 3_000,
    seed: int = 0,
    seeds: Seeds = None,
    warmup_steps: int = 200,
    normaliser: str = "continue",
    machine: MachineOptions = Machine(),  # noqa: B008  (frozen)
    jobs: int | None = None,
    settings: Settings = (),
) -> int:
    """Fine-tune a trained run in a shifted env.

    Args:
        run: The source: a run folder, or a folder of seed-0, seed-1 ... that are paired with --seeds.
        out: Run folder; it must not exist.
        shift: What differs in the target, e.g. action_rotation=45,action_gain=0.5.
        mode: naive (keep the weights, learn at once) or warm_start (first fill the buffer with the source
            policy).
        relabel: Hindsight goals: future, final, episode, random, none, or module:function.
        n_sampled_goal: Hindsight goals for each real one.
        steps: Env steps to collect in the target.
        seed: Seed of the run.
        seeds: Several seeds.
        warmup_steps: Env steps before the first update (warm_start).
        normaliser: Input statistics of the source: freeze, continue or refit.
        machine: How the run uses this machine.
        jobs: Runs at a time; as many as there are cores if not given.
        settings: Any other setting.
    """
    from regoal.agent.config import FinetuneConfig
    from regoal.agent.finetuning import resolve

    config = FinetuneConfig(
        out=str(out),
        shift=shift,
        mode=mode,
        relabel=relabel,
        n_sampled_goal=n_sampled_goal,
        steps=steps,
        seed=seed,
        warmup_steps=warmup_steps,
        normaliser=normaliser,
        **machine.settings(),
        overrides=_assignments(settings),
    )
    if seeds is None:
        return train_all([resolve(run, config)], jobs)
    paired = (run / "seed-0").is_dir() or not (run / "config.toml").exists()
    configs = [
        dataclasses.replace(
            resolve(run / f"seed-{one}" if paired else run, config), seed=one, out=str(out / f"seed-{one}")
        )
        for one in parse_seeds(seeds)
    ]
    return train_all(configs, jobs)


def evaluate(
    run: Run,
    /,
    episodes: int = 100,
    shift: str | None = None,
    seed: int = 0,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Measure the success of a trained run.

    Args:
        run: A run folder, or a folder of seed-0, seed-1 ...
        episodes: Episodes to play.
        shift: World to play in, e.g. action_rotation=45; as in training if not given, "" for none.
        seed: Seed of the episodes.
        as_json: Print JSON, one line a run.
    """
    from regoal.agent.evaluation import evaluate as measure
    from regoal.agent.policy import Policy
    from regoal.benchmarks.statistics import wilson_interval
    from regoal.envs.goal_spec import GoalSpec

    _require_episodes(episodes, seed)
    for path in _runs_in(run):
        policy = Policy.load(path)
        spec = GoalSpec.from_recipe(_recipe(path, shift))
        env = spec.recipe.build()
        if not as_json:
            print(f"{path}: playing {episodes} episodes of {spec.recipe.env_id} ...", file=sys.stderr)
        with _counted(episodes, f"{path}", quiet=as_json) as tick:
            found = measure(env, spec, policy, episodes=episodes, seed=seed, tick=tick)
        env.close()
        spec.close()
        low, high = wilson_interval(round(found.success * episodes), episodes)
        if as_json:
            facts = dataclasses.asdict(found) | {"success_interval": [low, high]}
            print(json.dumps({"run": str(path), "shift": spec.recipe.shift, "seed": seed} | facts))
        else:
            print(
                f"{path}: success {found.success:.2f} [{low:.2f}, {high:.2f}], "
                f"any step {found.success_any:.2f}, return {found.mean_return:.1f} over {episodes} episodes"
                + (f" with {spec.recipe.shift}" if spec.recipe.shift else "")
            )
    return 0


def watch(run: Run, /, video: Path, episodes: int = 3, shift: str | None = None, seed: int = 0) -> int:
    """Write a video of a trained run; no display is needed.

    Args:
        run: A run folder.
        video: The mp4 to write.
        episodes: Episodes to show.
        shift: World to play in; as in training if not given, "" for none.
        seed: Seed of the episodes.
    """
    from regoal.benchmarks.video import record, require_rendering, require_writable_mp4, write_video

    _require_episodes(episodes, seed)
    require_writable_mp4(video)
    require_rendering()
    from regoal.agent.policy import Policy

    policy = Policy.load(run)
    recipe = _recipe(run, shift)
    print(f"rendering {episodes} episodes of {recipe.env_id} ...", file=sys.stderr)
    with _counted(episodes, str(video)) as tick:
        frames = record(recipe, policy, episodes=episodes, seed=seed, tick=tick)
    write_video(video, frames)
    print(f"{video}: {len(frames)} frames")
    return 0


def check(env: EnvId, /, shift: str = "") -> int:
    """Check an env against the goal contract and say how to mend what fails.

    Args:
        env: Gymnasium id, or module:namespace/Id-v0 for an env of your own.
        shift: Check the shifted env.
    """
    from regoal.envs.check import check_env, render
    from regoal.envs.recipe import EnvRecipe
    from regoal.envs.shift import Shift

    recipe = EnvRecipe(env, str(Shift.parse(shift)))
    print(f"playing {env} ...", file=sys.stderr)
    findings = check_env(recipe)
    print(render(findings))
    return EXIT_FAILED if any(finding.verdict == "fail" for finding in findings) else 0


def settings(agent: str = "ddpg") -> int:
    """List all settings for --set, with their defaults.

    Args:
        agent: ddpg or sac.
    """
    from regoal.agent.config import TrainConfig, agent_config
    from regoal.agent.settings import describe

    print(describe(TrainConfig(env="", out="", agent=agent_config(agent))))
    return 0


def shifts() -> int:
    """List the shift families: unit, unchanged value, what they do and where they apply."""
    from regoal.envs.shift_families import FAMILIES

    for family in FAMILIES.values():
        print(f"{family.name}  [{family.unit}; {family.identity:g} changes nothing]")
        print(f"    {family.description}\n    applies to: {family.applies_to}")
    print(
        "\nFigure friction=0.1 · range per episode friction=0.5..2 · list per episode friction=0.5/1/2"
        "\nCompose with commas: action_rotation=45,action_gain=0.5"
    )
    return 0


def doctor() -> int:
    """Print versions, threads and what can be rendered, and explain known breakage."""
    from regoal.doctor import report

    print("looking around; trying to draw a picture takes a few seconds ...", file=sys.stderr)
    text, problems = report()
    print(text)
    return EXIT_FAILED if problems else 0


def _require_episodes(episodes: int, seed: int) -> None:
    if episodes < 1:
        raise BadInput("episodes", "1 or more", str(episodes))
    if seed < 0:
        raise BadInput("seed", "0 or more", str(seed))


def _assignments(settings: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise BadInput("--set", "NAME=VALUE", repr(setting), "For example agent.lr=1e-3.")
        pairs[name.strip()] = value.strip()
    return pairs


def _runs_in(path: Path) -> list[Path]:
    """The run itself, or the runs of several seeds below it."""
    below = sorted(found.parent for found in path.glob("seed-*/config.toml"))
    return below if below and not (path / "config.toml").exists() else [path]


def _recipe(run: Path, shift: str | None) -> Any:
    from regoal.agent.run_folder import read_config
    from regoal.envs.recipe import EnvRecipe
    from regoal.envs.shift import Shift

    config = read_config(run)
    text = config.shift if shift is None else shift
    return EnvRecipe(config.env, str(Shift.parse(text)), config.env_kwargs)


@contextlib.contextmanager
def _counted(total: int, label: str, quiet: bool = False) -> Iterator[Callable[[], object]]:
    """Counts calls of what it yields, as a bar on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=label, unit="episode", leave=False) as shown:
        yield lambda: shown.update(1)


COMMANDS: dict[str, Callable[..., Any]] = {
    "train": train,
    "finetune": finetune,
    "evaluate": evaluate,
    "watch": watch,
    "check": check,
    "settings": settings,
    "shifts": shifts,
    "doctor": doctor,
}
