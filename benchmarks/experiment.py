"""Sources that are pretrained once, and what each mode makes of them in a shifted target.

Every mode of a seed starts from the same source run, so modes are paired by seed. A run is an ordinary run
folder: OUT/source/seed-0, and OUT/SHIFT/MODE/seed-0 for what came of it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from regoal.agent.config import FinetuneConfig, TrainConfig
from regoal.agent.finetuning import resolve
from regoal.agent.progress import say
from regoal.benchmarks.cell_run import Job, is_finished, run_on
from regoal.benchmarks.cells import Cell
from regoal.benchmarks.curves import Curve, read_curve
from regoal.benchmarks.parallel import all_results
from regoal.envs.recipe import EnvRecipe


@dataclass(frozen=True)
class Experiment:
    """What is compared, and for how long it learns.

    Attributes:
        env: id of the env.
        shift: the target.
        modes: of fine-tuning; each is run for each seed.
        seeds: a source for each.
        source_steps, steps: env steps in the source and in the target.
        eval_interval: env steps between evaluations in the target.
        eval_episodes: episodes an evaluation.
    """

    env: str
    shift: str
    modes: tuple[str, ...]
    seeds: tuple[int, ...]
    source_steps: int
    steps: int
    eval_interval: int
    eval_episodes: int = 20


def source_path(out: Path, seed: int) -> Path:
    """The run folder of a seed's source."""
    return out / "source" / f"seed-{seed}"


def run_path(out: Path, shift: str, mode: str, seed: int) -> Path:
    """The run folder of a mode in a target."""
    return out / shift / mode / f"seed-{seed}"


def source_config(experiment: Experiment, out: Path, seed: int) -> TrainConfig:
    """The pretraining of one seed."""
    return TrainConfig(
        env=experiment.env,
        out=str(source_path(out, seed)),
        steps=experiment.source_steps,
        seed=seed,
        eval_interval=max(experiment.source_steps // 10, 1),
        keep_replay=True,
        workers=0,
    )


def tuned_config(experiment: Experiment, out: Path, mode: str, seed: int) -> TrainConfig:
    """A mode's run of one seed in the target."""
    return resolve(
        source_path(out, seed),
        FinetuneConfig(
            out=str(run_path(out, experiment.shift, mode, seed)),
            shift=experiment.shift,
            mode=mode,
            steps=experiment.steps,
            seed=seed,
            eval_interval=experiment.eval_interval,
            eval_episodes=experiment.eval_episodes,
            workers=0,
        ),
    )


def learned(config: TrainConfig) -> None:
    """Run it to its end, from wherever it was stopped.

    Raises:
        BadInput: it cannot begin, or in its folder is a run of other settings.
        Stopped: a stop was asked for.
    """
    # A run writes its shift down in one way, however it was typed.
    shift = EnvRecipe(config.env, config.shift, config.env_kwargs).shift
    cell = Cell(config.out, replace(config, shift=shift))
    if not is_finished(cell):
        cell.path.mkdir(parents=True, exist_ok=True)
        run_on(Job(cell, {}))


def run_experiment(experiment: Experiment, out: Path, jobs: int) -> None:
    """Pretrain the sources, then run every mode; one thread a run, `jobs` runs at a time.

    What is finished in the folder is not run again, what was stopped goes on.

    Raises:
        BadInput: a run cannot begin, or there is one of other settings.
        Stopped: a stop was asked for.
        RunFailed: a run went wrong; the others have ended.
    """
    modes, seeds = experiment.modes, experiment.seeds
    say(f"pretraining {len(seeds)} sources in {experiment.env} ...")
    all_results(learned, [source_config(experiment, out, seed) for seed in seeds], jobs, name_of)
    say(f"{len(modes)} modes x {len(seeds)} seeds ...")
    configs = [tuned_config(experiment, out, mode, seed) for seed in seeds for mode in modes]
    all_results(learned, configs, jobs, name_of)


def read_mode(experiment: Experiment, out: Path, mode: str) -> Curve:
    """What a mode reached in the target, a row a seed."""
    return read_curve([run_path(out, experiment.shift, mode, seed) for seed in experiment.seeds])


def name_of(config: TrainConfig) -> str:
    """For messages."""
    return config.out
