"""Pictures of episodes, where something can be rendered; a clear answer where not."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import imageio_ffmpeg
import numpy as np
import pytest

from regoal import BadInput, DDPGConfig, Policy, TrainConfig, train
from regoal.benchmarks import before_after, video
from regoal.benchmarks.before_after import show_before_after
from regoal.cli import main
from regoal.envs.recipe import EnvRecipe
from regoal.errors import SpoiledEpisode
from regoal.rendering import working_gl


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "run"
    train(
        TrainConfig(
            env="regoal/PointReach-v0",
            out=str(path),
            agent=DDPGConfig(hidden=(16,), batch_size=16),
            steps=100,
            eval_episodes=1,
        )
    )
    return path


def frames_in(path: Path) -> int:
    count, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    return int(count)


def test_a_video_has_a_frame_for_every_state(tmp_path: Path) -> None:
    frames = [np.full((48, 64, 3), 5 * i, np.uint8) for i in range(20)]
    video.write_video(tmp_path / "deep" / "x.mp4", frames)
    assert frames_in(tmp_path / "deep" / "x.mp4") == 20


def test_half_a_video_replaces_none(tmp_path: Path) -> None:
    video.write_video(path := tmp_path / "x.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3)
    before = path.read_bytes()

    def broken() -> Iterator[video.Frame]:
        yield np.zeros((48, 64, 3), np.uint8)
        raise RuntimeError("the simulator fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        video.write_video(path, broken())
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [before]


def test_without_rendering_the_answer_says_what_to_install(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(video, "working_gl", lambda: None)
    assert main(["watch", str(run), "--video", str(tmp_path / "x.mp4")]) == 2
    assert "apt install" in capsys.readouterr().err


def test_without_an_encoder_nothing_is_rendered(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setattr(video, "record", lambda *arguments, **options: pytest.fail("rendered"))
    assert main(["watch", str(run), "--video", str(tmp_path / "x.mp4")]) == 2
    assert "pip install imageio-ffmpeg" in capsys.readouterr().err


def test_without_rendering_before_and_after_are_paths(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(before_after, "working_gl", lambda: None)
    (written,) = show_before_after(tmp_path, run, run, "action_rotation=90")
    assert written.read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(working_gl() is None, reason="nothing can be rendered here (see regoal doctor)")
def test_watch_and_before_after_where_rendering_works(tmp_path: Path, run: Path) -> None:
    assert main(["watch", str(run), "--video", str(tmp_path / "x.mp4"), "--episodes", "2"]) == 0
    assert frames_in(tmp_path / "x.mp4") == 2 * 51
    strip, film = show_before_after(tmp_path, run, run, "action_rotation=90")
    assert strip.read_bytes().startswith(b"\x89PNG")
    assert frames_in(film) == 3 * 51


def test_only_mp4_is_written(run: Path) -> None:
    with pytest.raises(BadInput, match="mp4"):
        video.write_video(Path("x.gif"), [np.zeros((48, 64, 3), np.uint8)])


class _Jams(gym.Wrapper[Any, Any, Any, Any]):
    """Raises at its third step."""

    steps = 0

    def step(self, action: Any) -> Any:
        self.steps += 1
        if self.steps == 3:
            raise RuntimeError("the gripper is stuck")
        return self.env.step(action)


def test_an_env_that_raises_is_named_and_not_a_traceback(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = EnvRecipe.build
    monkeypatch.setattr(EnvRecipe, "build", lambda self, **options: _Jams(build(self, **options)))
    frames = video.record(EnvRecipe("regoal/PointReach-v0"), Policy.load(run), episodes=1, seed=0)
    for _ in range(3):
        assert next(frames).shape == (240, 240, 3)
    with pytest.raises(SpoiledEpisode, match=r"episode 0: expected .* RuntimeError: the gripper is stuck"):
        next(frames)
