"""The commands that look at envs and at what was learned: one function each, as in `learning_commands.py`."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from regoal.counting import counted
from regoal.errors import EXIT_FAILED, BadInput, printable
from regoal.launch import Trust

Run = tyro.conf.Positional[Path]
Runs = tyro.conf.Positional[tuple[Path, ...]]
EnvId = tyro.conf.Positional[str]
TrustOptions = Annotated[Trust, tyro.conf.arg(name="")]


def evaluate(
    run: Run,
    /,
    episodes: int = 100,
    shift: str | None = None,
    seed: int = 0,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
    trust: TrustOptions = Trust(),  # noqa: B008  (frozen)
) -> int:
    """Measure the success of a trained run.

    Args:
        run: A run folder, a folder of seed-0, seed-1 ..., or the name of a shipped agent such as fetch-reach.
        episodes: Episodes to play.
        shift: World to play in, e.g. action_rotation=45; the one that each run was trained in if not given
            (`rank` then plays without a shift), "" for no shift.
        seed: Seed of the episodes.
        as_json: Print JSON, one line a run.
        trust: What the runs may import and give to their envs.
    """
    from regoal.agent.evaluation import evaluate as measure
    from regoal.agent.policy import Policy
    from regoal.agent.source import require_sizes
    from regoal.benchmarks.sources import require_figures, runs_in
    from regoal.benchmarks.statistics import wilson_interval
    from regoal.envs.goal_spec import GoalSpec

    require_figures(episodes, seed)
    trust.grant()
    for path in runs_in(run):
        policy = Policy.load(path)
        spec = GoalSpec.from_recipe(_recipe(path, shift))
        require_sizes(policy, spec, str(path))
        if not as_json:
            where = f"{spec.recipe.env_id} with {spec.recipe.shift or 'no shift'}"
            print(f"{path}: playing {episodes} episodes of {where} ...", file=sys.stderr)
        with counted(episodes, f"{path}", quiet=as_json) as tick:
            found = measure(spec, policy, episodes=episodes, seed=seed, tick=tick)
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


def rank(
    runs: Runs,
    /,
    shift: str = "",
    episodes: int = 100,
    seed: int = 0,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
    trust: TrustOptions = Trust(),  # noqa: B008  (frozen)
) -> int:
    """Order trained runs by their success in a target: which one to start from?

    Args:
        runs: Run folders and names of shipped agents; a folder of seed-0, seed-1 ... stands for its runs.
        shift: The target, e.g. friction=hard; the env as it comes, no shift, if not given (`evaluate` then
            plays the world that each run was trained in).
        episodes: Each run plays so many, the same ones.
        seed: Seed of the episodes.
        as_json: Print JSON, one line a run.
        trust: What the runs may import and give to their envs.
    """
    from regoal.benchmarks.rank import as_text
    from regoal.benchmarks.rank import rank as order
    from regoal.benchmarks.sources import runs_in

    trust.grant()
    n_runs = sum(len(runs_in(run)) for run in runs)
    if not as_json:
        where = shift or "the env as it comes, no shift"
        print(f"playing {episodes} episodes with each of {n_runs} runs in {where} ...", file=sys.stderr)
    with counted(episodes * n_runs, "rank", quiet=as_json) as tick:
        ranked = order(runs, shift, episodes, seed, tick)
    if as_json:
        for one in ranked:
            print(json.dumps(dataclasses.asdict(one)))
    else:
        print(as_text(ranked))
    return 0


def watch(
    run: Run,
    /,
    video: Path,
    episodes: int = 3,
    shift: str | None = None,
    seed: int = 0,
    trust: TrustOptions = Trust(),  # noqa: B008  (frozen)
) -> int:
    """Write a video of a trained run; no display is needed.

    Args:
        run: A run folder, or the name of a shipped agent.
        video: The mp4 to write.
        episodes: Episodes to show.
        shift: World to play in; the one that the run was trained in if not given, "" for no shift.
        seed: Seed of the episodes.
        trust: What the run may import and give to its env.
    """
    from regoal.benchmarks.sources import require_figures
    from regoal.benchmarks.video import record, require_rendering, require_writable_mp4, write_video

    require_figures(episodes, seed)
    trust.grant()
    require_writable_mp4(video)
    require_rendering()
    from regoal.agent.policy import Policy

    policy = Policy.load(run)
    recipe = _recipe(run, shift)
    where = f"{recipe.env_id} with {recipe.shift or 'no shift'}"
    print(f"rendering {episodes} episodes of {where} ...", file=sys.stderr)
    with counted(episodes, str(video)) as tick:
        frames = write_video(video, record(recipe, policy, episodes=episodes, seed=seed, tick=tick))
    print(f"{video}: {frames} frames")
    return 0


def check(
    env: EnvId,
    /,
    shift: str = "",
    trust: TrustOptions = Trust(),  # noqa: B008  (frozen)
) -> int:
    """Check an env against the goal contract and say how to mend what fails.

    Args:
        env: Gymnasium id, or module:namespace/Id-v0 for an env of your own.
        shift: Check the shifted env.
        trust: Arguments of the env, and modules that register shifts.
    """
    from regoal.envs.check import check_env, render
    from regoal.envs.recipe import EnvRecipe

    recipe = EnvRecipe(env, shift, trust.grant())
    print(f"playing {env} with {recipe.shift or 'no shift'} ...", file=sys.stderr)
    findings = check_env(recipe)
    print(render(findings))
    return EXIT_FAILED if any(finding.verdict == "fail" for finding in findings) else 0


def settings(agent: str | None = None, preset: str = "none") -> int:
    """List all settings for --set, with their defaults, what a preset was measured to do, and all presets.

    Args:
        agent: ddpg, sac, or module:Class for an agent of your own; that of the preset, or ddpg, if not given.
        preset: List the values of this preset.
    """
    from regoal.agent.settings import describe
    from regoal.benchmarks.presets import chosen, configured, curves_as_text, listing

    found = chosen(preset, "", agent)
    print(describe(configured(found, "", "", agent=agent)))
    if found is not None:
        print(curves_as_text(found))
    print(listing())
    return 0


def shifts(
    env: Annotated[str, tyro.conf.Positional] = "",
    /,
    shift: str = "",
    policy: tuple[Path, ...] = (),
    episodes: int = 50,
    seed: int | None = None,
    out: Path = Path("."),
    jobs: int | None = None,
    trust: TrustOptions = Trust(),  # noqa: B008  (frozen)
) -> int:
    """List what can be shifted, everywhere or in one env; with --policy: where does transfer break?

    Args:
        env: Gymnasium id, or module:namespace/Id-v0; all families are listed if not given.
        shift: A family of your own, my_shifts:wind: what its module registers is listed, too. As --modules.
        policy: Runs or shipped agents of that env; their zero-shot success is measured at every level.
        episodes: Each run plays so many in each world.
        seed: Seed of the episodes; one that no training run uses if not given.
        out: Folder to write the table and the plot to.
        jobs: Worlds at a time; as many as there are cores if not given.
        trust: What the runs may import and give to their envs; the module of ENV they may.
    """
    from regoal.envs.recipe import require_registered
    from regoal.envs.shift_listing import import_families, listing

    trust.grant()
    import_families(shift)
    if env:
        require_registered(env)
    if not policy:
        print(listing(env or None))
        return 0
    if not env:
        raise BadInput(
            "env", "the env that the policy was trained in", "none", "regoal shifts ENV --policy RUN"
        )
    from regoal.agent.machine import cores
    from regoal.benchmarks import shift_table as table

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput("out", "a folder that can be made", f"{out} ({error})") from error
    table.require_same_env(table.table_path(out, env), env)
    rows = table.measure_levels(
        policy,
        env,
        episodes,
        table.SEED if seed is None else seed,
        cores() if jobs is None else jobs,
    )
    print(table.as_text(rows))
    for path in table.write_table(out, rows):
        print(path)
    return 0


def doctor() -> int:
    """Print versions, threads and what can be rendered, and explain known breakage."""
    from regoal.doctor import report

    print("looking around; trying to draw a picture takes a few seconds ...", file=sys.stderr)
    text, problems = report()
    print(text)
    return EXIT_FAILED if problems else 0


def inspect(
    run: Run,
    /,
    rows: int = 10,
    out: Path | None = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
    trust: TrustOptions = Trust(),  # noqa: B008  (frozen)
) -> int:
    """Show a batch as the learner of a run sees it: goals, where they come from, rewards before and after.

    Args:
        run: A run folder that holds its episodes: running, stopped, or finished with --keep-replay.
        rows: Rows to show, spread evenly over the batch.
        out: A picture to write, too: FILE.png or FILE.svg.
        as_json: Print JSON, all rows.
        trust: What the run may import and give to its env.
    """
    from regoal.benchmarks import inspection as view

    if rows < 1:
        raise BadInput("rows", "1 or more", str(rows))
    if out is not None:
        view.require_picture(out)
    trust.grant()
    from regoal.agent.inspection import inspect as look

    found = look(run)
    print(json.dumps(found.to_json()) if as_json else printable(view.as_text(found, rows)))
    if out is not None:
        view.draw(out, found)
        print(out, file=sys.stderr)
    return 0


def _recipe(run: Path, shift: str | None) -> Any:
    from regoal.agent.run_folder import read_config
    from regoal.agent.trust import WORLD, require_trusted
    from regoal.envs.recipe import EnvRecipe

    config = require_trusted(read_config(run), str(run), WORLD if shift is None else ("env",))
    return EnvRecipe(config.env, config.shift if shift is None else shift, config.env_kwargs)
