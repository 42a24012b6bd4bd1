"""The commands that learn: one function each, whose annotated parameters are its arguments.

Each returns the exit code. Heavy imports happen inside, so that `regoal --help` answers at once.
"""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from regoal.benchmarks.seeds import parse_seeds
from regoal.launch import Machine, Trust, assignments, one_seed, per_seed, said, train_all

if TYPE_CHECKING:
    from regoal.agent.config import TrainConfig

Run = tyro.conf.Positional[Path]
SET = "--set", "For example agent.lr=1e-3."
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
TrustOptions = Annotated[Trust, tyro.conf.arg(name="")]
Seeds = Annotated[
    str | None, tyro.conf.arg(help="Several seeds, 0..4 or 0,2,5: runs go to OUT/seed-0 and so on.")
]


def train(
    env: EnvId,
    /,
    out: Path,
    preset: str = "auto",
    agent: str | None = None,
    relabel: str | None = None,
    n_sampled_goal: int | None = None,
    steps: int | None = None,
    seed: int | None = None,
    seeds: Seeds = None,
    shift: str = "",
    keep_replay: bool = False,
    machine: MachineOptions = Machine(),  # noqa: B008  (frozen)
    trust: TrustOptions = Trust(),  # noqa: B008  (frozen)
    jobs: int | None = None,
    settings: Settings = (),
) -> int:
    """Train an agent from scratch.

    Args:
        env: Gymnasium id, or module:namespace/Id-v0 for an env of your own.
        out: Run folder; it must not exist.
        preset: Settings that were found to work: auto, those of ENV if it has any; none; or a NAME that
            `regoal settings` lists. All else that you give wins over them.
        agent: ddpg, sac, or module:Class for an agent of your own; that of the preset, or ddpg, if not given.
        relabel: Hindsight goals: future, final, episode, random, next, desired, rfaab, none, module:function,
            or a mixture such as '4*future+1*random'; that of the preset, or future, if not given.
        n_sampled_goal: Hindsight goals for each real one; as in the preset, or 4, if not given.
        steps: Env steps to collect; as in the preset, or 5,000, if not given.
        seed: Seed of the run; 0 if not given.
        seeds: Several seeds.
        shift: What differs from the env as it comes, e.g. friction=0.1, friction=hard, or drawn anew for
            each episode action_gain=0.5..2 (a range) or action_gain=0.5/1/2 (a list).
        keep_replay: Keep the episodes with the checkpoints, for fine-tuning modes that use them.
        machine: How the run uses this machine.
        trust: What the run may import and give to the env.
        jobs: Runs at a time; as many as there are cores if not given.
        settings: Any other setting.
    """
    from regoal.agent.idle import without_idle
    from regoal.agent.settings import with_texts
    from regoal.benchmarks.presets import chosen, configured, expected

    env_kwargs = trust.grant()
    found = chosen(preset, env, agent)
    given = {"relabel": relabel, "n_sampled_goal": n_sampled_goal, "steps": steps}
    config = configured(
        found,
        env,
        out,
        agent=agent,
        env_kwargs=env_kwargs,
        seed=one_seed(seed, seeds),
        shift=shift,
        keep_replay=keep_replay,
        **machine.settings(),
        **{name: value for name, value in given.items() if value is not None},
    )
    given_texts = assignments(settings, *SET)
    # Twice: what they leave idle is 0, and what they ask for themselves is refused where it is idle.
    config = with_texts(without_idle(with_texts(config, given_texts)), given_texts)
    configs = [config] if seeds is None else per_seed(config, seeds)
    if found is None:
        return train_all(configs, jobs)
    print(f"preset {found.name} of {found.date}: {found.does}; --preset none leaves it out", file=sys.stderr)
    if not (shift or env_kwargs) and (measured := expected(found, env)):
        print(measured, file=sys.stderr)
    return train_all(configs, jobs, {"preset": found.name})


def finetune(
    run: Run,
    /,
    out: Path,
    shift: str | None = None,
    mode: str = "warm_start",
    relabel: str = "future",
    n_sampled_goal: int = 4,
    steps: int = 3_000,
    seed: int | None = None,
    seeds: Seeds = None,
    warmup_steps: int | None = None,
    critic_warmup_steps: int | None = None,
    critic_reset: bool = False,
    normaliser: str | None = None,
    keep_replay: bool = False,
    machine: MachineOptions = Machine(),  # noqa: B008  (frozen)
    trust: TrustOptions = Trust(),  # noqa: B008  (frozen)
    jobs: int | None = None,
    settings: Settings = (),
) -> int:
    """Fine-tune a trained run in a shifted env.

    Args:
        run: The source: a run folder, a folder of seed-0, seed-1 ... that are paired with --seeds, or the
            name of a shipped agent such as fetch-reach.
        out: Run folder; it must not exist.
        shift: What differs in the target, e.g. action_rotation=45,action_gain=0.5 or friction=hard; the
            target is the env as it comes if not given, whatever the source's shift was.
        mode: zero_shot, scratch, naive, warm_start, replay_mix[=SHARE], rlpd[=SHARE] or anchor[=WEIGHT];
            docs/finetuning.md defines each.
        relabel: Hindsight goals: future, final, episode, random, next, desired, rfaab, none, module:function,
            or a mixture such as '4*future+1*random'.
        n_sampled_goal: Hindsight goals for each real one.
        steps: Env steps to collect in the target; zero_shot collects none.
        seed: Seed of the run; 0 if not given.
        seeds: Several seeds.
        warmup_steps: Env steps that the source policy plays before the first update (warm_start); 100 if
            not given.
        critic_warmup_steps: Env steps after that in which the critics alone learn; 100 with warm_start
            and 0 with others if not given.
        critic_reset: Start with fresh critics.
        normaliser: Input statistics of the source: freeze, continue, refit, or damp what has become noisy;
            damp with warm_start and continue with others if not given.
        keep_replay: Keep the episodes with the checkpoints.
        machine: How the run uses this machine.
        trust: What the run may import and give to the env.
        jobs: Runs at a time; as many as there are cores if not given.
        settings: Any other setting.
    """
    from regoal.agent.config import FinetuneConfig
    from regoal.agent.finetuning import resolve
    from regoal.agent.shipped import located

    trust.grant()
    config = FinetuneConfig(
        out=str(out),
        shift=shift or "",
        mode=mode,
        relabel=relabel,
        n_sampled_goal=n_sampled_goal,
        steps=steps,
        seed=one_seed(seed, seeds),
        warmup_steps=warmup_steps,
        critic_warmup_steps=critic_warmup_steps,
        critic_reset=critic_reset,
        normaliser=normaliser,
        keep_replay=keep_replay,
        **machine.settings(),
        overrides=assignments(settings, *SET),
    )
    if seeds is None:
        sources, configs = [run], [resolve(run, config)]
    else:
        numbers = parse_seeds(seeds)
        paired = (run / "seed-0").is_dir() or not (located(run) / "config.toml").exists()
        sources = [run / f"seed-{one}" if paired else run for one in numbers]
        configs = [
            dataclasses.replace(resolve(source, config), seed=one, out=str(out / f"seed-{one}"))
            for source, one in zip(sources, numbers, strict=True)
        ]
    if shift is None and not configs[0].shift:
        print(_no_shift_note(sources[0], configs[0]), file=sys.stderr)
    return train_all(configs, jobs)


def _no_shift_note(run: Path, target: "TrainConfig") -> str:
    """Which world a run is fine-tuned in where no shift was asked for; it may be the source's by accident."""
    from regoal.agent.run_folder import read_config

    source = read_config(run)
    same = (source.env, source.env_kwargs, source.shift) == (target.env, target.env_kwargs, target.shift)
    trained = ", the world that the source was trained in"
    if not same:
        trained = f"; the source was trained in {_world(source)}"
    return f"note: without --shift the target is {_world(target)}{trained}"


def _world(config: "TrainConfig") -> str:
    return f"{config.env} with {config.shift or 'no shift'}"


def resume(
    run: Run,
    /,
    steps: int | None = None,
    workers: int | None = None,
    threads: int | None = None,
    trust: TrustOptions = Trust(),  # noqa: B008  (frozen)
) -> int:
    """Go on with a run that was stopped or killed: to the same numbers as if it had not been.

    Args:
        run: The run folder.
        steps: Env steps to reach, if more than it was begun with.
        workers: Processes that play, if others than before; numbers do not depend on them.
        threads: Torch threads, if others than before; numbers depend on them in the last digits.
        trust: What the run may import.
    """
    from regoal.agent.training import resume as go_on

    trust.grant()
    return said(lambda: go_on(run, steps=steps, workers=workers, threads=threads), run)
