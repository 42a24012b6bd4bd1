"""Policies in many worlds: one env under many shifts, side by side in processes."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from regoal.agent.evaluation import play_outcomes
from regoal.agent.policy import Policy
from regoal.benchmarks.parallel import require_jobs, run_all
from regoal.benchmarks.sources import Source, load_sources, require_figures, require_fit
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import EnvRecipe

PLAIN = "none"  # in tables: the family of the env as it comes


@dataclass(frozen=True)
class World:
    """An env under a shift, and who plays how much in it.

    Attributes:
        recipe: the env and its shift.
        policies: policy k plays the episodes of seed `seed + k`.
        episodes: each policy plays so many.
        seed: of the first policy's episodes.
        label: names it in lines of progress.
    """

    recipe: EnvRecipe
    policies: tuple[Policy, ...]
    episodes: int
    seed: int
    label: str


def play_world(world: World) -> int:
    """Play all episodes of a world; how many of them were successes."""
    spec = GoalSpec.from_recipe(world.recipe)
    won = 0
    try:
        for number, policy in enumerate(world.policies):
            outcomes = play_outcomes(spec, policy, episodes=world.episodes, seed=world.seed + number)
            won += sum(outcome.success for outcome in outcomes)
    finally:
        spec.close()
    success = won / (world.episodes * len(world.policies))
    print(f"{world.label}: success {success:.2f}", file=sys.stderr, flush=True)
    return won


def play_worlds(worlds: Sequence[World], jobs: int) -> list[int | BaseException]:
    """The successes in each world, `jobs` worlds at a time; what went wrong stands in a world's place.

    The numbers do not depend on `jobs`: every world has an env of its own, and fixed seeds.
    """
    first = worlds[0]
    print(
        f"playing {len(worlds)} worlds of {first.recipe.env_id}, {first.episodes} episodes each by "
        f"{len(first.policies)} policies ...",
        file=sys.stderr,
        flush=True,
    )
    labelled = [
        replace(world, label=f"{number}/{len(worlds)} {world.label}")
        for number, world in enumerate(worlds, start=1)
    ]
    return run_all(play_world, labelled, jobs, label=lambda world: world.label)


def worlds_of(sources: Sequence[Source], shifts: Iterable[str], episodes: int, seed: int) -> list[World]:
    """One world a shift, all with the same policies and the same episodes.

    Raises:
        BadInput: a shift cannot be read.
    """
    policies = tuple(source.policy for source in sources)
    recipes = [sources[0].target(shift) for shift in shifts]
    return [World(recipe, policies, episodes, seed, recipe.shift or "no shift") for recipe in recipes]


def load_players(runs: Sequence[Path], episodes: int, seed: int, jobs: int) -> list[Source]:
    """Runs that can play in the env that all of them were trained in.

    Raises:
        BadInput: an unusable run or figure, or see `load_sources`; nothing was played.
    """
    require_figures(episodes, seed)
    require_jobs(jobs)
    sources = load_sources(runs)
    spec = GoalSpec.from_recipe(sources[0].target(""))
    try:
        require_fit(sources, spec)
    finally:
        spec.close()
    return sources
