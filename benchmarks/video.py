"""Frames of episodes, as a video or as a strip of pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regoal.agent.policy import Policy
from regoal.agent.seeding import Stream, env_seed
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
) -> list[Frame]:
    """Frames (height, width, 3) of evaluation episodes played without exploration; `tick` after each."""
    env = recipe.build(render_mode="rgb_array")
    frames = []
    try:
        for index in range(episodes):
            observation, _ = env.reset(seed=env_seed(seed, Stream.EVALUATION, index))
            frames.append(_frame(env.render()))
            ended = False
            while not ended:
                action = policy.act(observation["observation"], observation["desired_goal"])
                observation, _, terminated, truncated, _ = env.step(action)
                frames.append(_frame(env.render()))
                ended = bool(terminated or truncated)
            tick()
    finally:
        env.close()
    return frames


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


def write_video(path: Path, frames: list[Frame], fps: int = 25) -> None:
    """Write an mp4 (H.264).

    Raises:
        BadInput: another file type, or the extra `video` is not installed.
    """
    require_writable_mp4(path)
    import imageio_ffmpeg

    height, width, _ = frames[0].shape
    writer = imageio_ffmpeg.write_frames(str(path), (width, height), fps=fps, macro_block_size=8)
    writer.send(None)  # starts the encoder
    try:
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()


def _frame(picture: Any) -> Frame:
    if picture is None:
        raise BadInput("render", "a picture from env.render()", "None", "The env must offer rgb_array.")
    return np.asarray(picture, np.uint8)
