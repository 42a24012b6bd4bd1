"""The trained runs that are compared in one target: read, and checked against each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regoal.agent.config import TrainConfig
from regoal.agent.policy import Policy
from regoal.agent.run_folder import read_config
from regoal.agent.shipped import located
from regoal.agent.source import require_sizes
from regoal.agent.trust import require_trusted
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import EnvRecipe
from regoal.errors import BadInput


@dataclass(frozen=True)
class Source:
    """A trained run.

    Attributes:
        path: its folder.
        config: its settings.
        policy: its newest policy.
    """

    path: Path
    config: TrainConfig
    policy: Policy

    def target(self, shift: str) -> EnvRecipe:
        """Its env, with this shift and no other."""
        return EnvRecipe(self.config.env, shift, self.config.env_kwargs)


def runs_in(path: Path) -> list[Path]:
    """The run itself, or the runs seed-0, seed-1 ... below it, in the order of their numbers.

    A shipped agent stays its name.
    """
    if (located(path) / "config.toml").exists():
        return [path]
    found = (config.parent for config in path.glob("seed-*/config.toml"))
    below = [run for run in found if run.name.removeprefix("seed-").isdigit()]  # and not those set aside
    return sorted(below, key=lambda run: (len(run.name), run.name)) or [path]


def load_sources(runs: Sequence[Path]) -> list[Source]:
    """Read runs that are to be compared; a folder of seeds stands for its runs.

    Raises:
        BadInput: there is none, one is no run or is named twice, or they are not all of one env, one
            observation size and one action size.
    """
    paths = [path for run in runs for path in runs_in(run)]
    if not paths:
        raise BadInput("runs", "one run or more", "none", "Name the folders of trained runs.")
    _require_different(paths)
    sources = [
        Source(path, require_trusted(read_config(path), str(path), ("env",)), Policy.load(path))
        for path in paths
    ]
    first = sources[0]
    for source in sources[1:]:
        for (what, value), (_, expected) in zip(_facts(source), _facts(first), strict=True):
            if value != expected:
                raise BadInput(
                    f"{source.path} {what}",
                    f"that of {first.path}, {expected}",
                    str(value),
                    "Runs are compared in one target, over the same episodes.",
                )
    return sources


def require_fit(sources: Sequence[Source], spec: GoalSpec) -> None:
    """That policies can act in an env.

    Raises:
        BadInput: a size differs.
    """
    for source in sources:
        require_sizes(source.policy, spec, str(source.path))


def require_figures(episodes: int, seed: int) -> None:
    """That there is something to play.

    Raises:
        BadInput: too few episodes, or a seed that is none.
    """
    if episodes < 1:
        raise BadInput("episodes", "1 or more", str(episodes))
    if seed < 0:
        raise BadInput("seed", "0 or more", str(seed))


def _require_different(paths: Sequence[Path]) -> None:
    seen: dict[Path, Path] = {}
    for path in paths:
        real = located(path).resolve()
        if real in seen:
            raise BadInput(str(path), "each run once", f"the run {seen[real]} again", "Name it once.")
        seen[real] = path


def _facts(source: Source) -> Iterator[tuple[str, object]]:
    """What runs must have in common to be compared."""
    yield "env", source.config.env
    yield "env_kwargs", dict(source.config.env_kwargs)
    yield "observation size", source.policy.observation_size
    yield "action size", source.policy.action_size
