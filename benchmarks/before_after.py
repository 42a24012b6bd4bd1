"""What changed, to look at: the source policy and the fine-tuned one in the same target episodes."""

import os
from pathlib import Path

import numpy as np

from regoal.agent.policy import Policy
from regoal.agent.rollout import play
from regoal.agent.run_folder import read_config
from regoal.agent.seeding import Stream, env_seed
from regoal.agent.trust import require_trusted
from regoal.benchmarks.curves import pyplot
from regoal.benchmarks.video import Frame, record, write_video
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import EnvRecipe
from regoal.errors import BadInput
from regoal.rendering import working_gl

EPISODES = 3
SEED = 0


def show_before_after(out: Path, before: Path, after: Path, shift: str) -> list[Path]:
    """Write a video and a filmstrip, or a plot of paths where nothing can be rendered; returns the files."""
    config = require_trusted(read_config(after), os.fspath(after), ("env",))
    recipe = EnvRecipe(config.env, shift, config.env_kwargs)
    policies = {"before: source policy": Policy.load(before), "after: fine-tuned": Policy.load(after)}
    if working_gl() is None:
        return [draw_paths(out / "before-after.png", recipe, policies)]
    frames = [list(record(recipe, policy, episodes=EPISODES, seed=SEED)) for policy in policies.values()]
    written = [draw_filmstrip(out / "before-after.png", dict(zip(policies, frames, strict=True)))]
    try:
        write_video(
            out / "before-after.mp4",
            (np.concatenate(pair, axis=1) for pair in zip(*frames, strict=False)),
        )
        written.append(out / "before-after.mp4")
    except BadInput as error:
        print(f"no video: {error}")
    return written


def draw_filmstrip(path: Path, frames: dict[str, list[Frame]], pictures: int = 6) -> Path:
    """One row of pictures a policy, from the first episode."""
    plt = pyplot()
    length = min(len(row) for row in frames.values()) // EPISODES
    moments = np.linspace(0, length - 1, pictures).astype(int)
    figure, axes = plt.subplots(
        len(frames), pictures, figsize=(2 * pictures, 2.3 * len(frames)), layout="constrained"
    )
    for row, (label, shown) in zip(axes, frames.items(), strict=True):
        for axis, moment in zip(row, moments, strict=True):
            axis.imshow(shown[moment])
            axis.set(xticks=[], yticks=[], xlabel=f"step {moment}")
        row[0].set_title(label, loc="left")
    figure.get_layout_engine().set(hspace=0.12)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)
    return path


def draw_paths(path: Path, recipe: EnvRecipe, policies: dict[str, Policy]) -> Path:
    """The achieved goal's path seen from above, start to end, with the desired goal."""
    plt = pyplot()
    spec = GoalSpec.from_recipe(recipe)
    env = recipe.build()
    figure, axes = plt.subplots(
        1, len(policies), figsize=(9, 4.5), sharex=True, sharey=True, layout="constrained"
    )
    for axis, (label, policy) in zip(axes, policies.items(), strict=True):
        for index, colour in zip(range(EPISODES), ("#0072B2", "#E69F00", "#009E73"), strict=True):
            episode = play(env, spec, policy, seed=env_seed(SEED, Stream.EVALUATION, index))
            x, y = episode.achieved_goal[:, 0], episode.achieved_goal[:, 1]
            axis.plot(x, y, color=colour, marker=".", markersize=3)
            axis.plot(*episode.desired_goal[:2], color=colour, marker="*", markersize=14)
        axis.set(title=label, xlabel="x [m]", aspect="equal")
    axes[0].set_ylabel("y [m]   (stars: goals)")
    env.close()
    spec.close()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return path
