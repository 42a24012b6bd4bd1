"""Frames of episodes, as a video or as a strip of pictures."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.agent.policy import Policy
from regoal.agent.seeding import Stream, env_seed
from regoal.envs.contract import close, guarded_in_time
from regoal.envs.recipe import EnvRecipe
from regoal.errors import BadInput
from regoal.rendering import working_gl

Frame = NDArray[np.uint8]


def require_rendering() -> None:
    """Choose a MuJoCo backend that renders here; call it before anything imports mujoco.

    Raises:
        BadInput: nothing can be rendered, with what to install.
    """
    if working_gl() is None:
        raise BadInput(
            "rendering",
            "a working MuJoCo backend (EGL, OSMesa or a display)",
            "none",
            "On Debian or Ubuntu: apt install libegl1 libgl1-mesa-dri; `regoal doctor` shows more.",
        )


def record(
    recipe: EnvRecipe,
    policy: Policy,
    *,
    episodes: int,
    seed: int,
    tick: Callable[[], object] = lambda: None,
) -> Iterator[Frame]:
    """Frames (height, width, 3) of evaluation episodes, as they are played without exploration.

    `tick` is called after each episode.

    Raises:
        SpoiledEpisode: the env raised, or did not come back.
    """
    env = recipe.build(render_mode="rgb_array")
    try:
        for index in range(episodes):
            when, attempt_seed = f"episode {index}", env_seed(seed, Stream.EVALUATION, index)
            observation, _ = guarded_in_time(env, when, partial(env.reset, seed=attempt_seed))
            yield _frame(guarded_in_time(env, when, env.render))
            ended = False
            while not ended:
                action = policy.act(observation["observation"], observation["desired_goal"])
                outcome = guarded_in_time(env, when, partial(env.step, action))
                observation, _, terminated, truncated, _ = outcome
                yield _frame(guarded_in_time(env, when, env.render))
                ended = bool(terminated or truncated)
            tick()
    finally:
        close(env)


def require_writable_mp4(path: Path) -> None:
    """Refuse what cannot be written before anything is rendered.

    Raises:
        BadInput: another file type, a place that cannot be written, or the extra `video` is not installed.
    """
    try:
        import imageio_ffmpeg  # noqa: F401
    except ImportError as error:
        raise BadInput("video", "imageio-ffmpeg", str(error), "Run: pip install imageio-ffmpeg.") from error
    if path.suffix != ".mp4":
        raise BadInput("video", "a file name that ends in .mp4", str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        existed = path.exists()
        path.open("ab").close()
        if not existed:
            path.unlink()
    except OSError as error:
        raise BadInput("video", "a place that can be written", f"{path} ({error})") from error


def write_video(path: Path, frames: Iterable[Frame], fps: int = 25) -> int:
    """Write an mp4 (H.264), frame by frame as they come, of which there must be one; returns how many.

    Raises:
        BadInput: another file type, or the extra `video` is not installed.
    """
    require_writable_mp4(path)
    import imageio_ffmpeg

    coming = iter(frames)
    first = next(coming)
    height, width, _ = first.shape
    stage = path.with_name(f".{path.name}")  # half a video replaces none
    writer = imageio_ffmpeg.write_frames(
        str(stage), (width, height), fps=fps, macro_block_size=8, output_params=["-f", "mp4"]
    )
    writer.send(None)  # starts the encoder
    count = 0
    try:
        try:
            for count, frame in enumerate(itertools.chain([first], coming), 1):  # noqa: B007  (counts)
                writer.send(np.ascontiguousarray(frame))
        finally:
            writer.close()
        stage.replace(path)
    finally:
        stage.unlink(missing_ok=True)
    return count


def _frame(picture: Any) -> Frame:
    if picture is None:
        raise BadInput("render", "a picture from env.render()", "None", "The env must offer rgb_array.")
    return np.asarray(picture, np.uint8)
