"""A run is a folder: settings, versions, command line, metrics, episodes, curves, checkpoints."""

import contextlib
import csv
import os
import shlex
import sys
import tomllib
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import tomli_w

from regoal.agent.config import TrainConfig
from regoal.agent.durable import read_plain, remedy, sync
from regoal.agent.metrics import OURS
from regoal.agent.run_lock import LOCK
from regoal.agent.settings import from_toml, to_toml
from regoal.agent.shipped import located, suggestion
from regoal.buffers.episode import Episode
from regoal.errors import BadInput, SaveFault

MOST_CONFIG_BYTES = 1 << 20
PACKAGES = ("regoal", "torch", "numpy", "mujoco", "gymnasium", "gymnasium-robotics")

EPISODE_COLUMNS = ("episode", "env_steps", "length", "return", "success", "success_any", "shift")
# metrics.csv column -> TensorBoard tag; the tags are those of Stable-Baselines3, so that curves overlay.
# Columns of a user's own agent are train/COLUMN.
TAGS = {
    "success": "eval/success_rate",
    "success_any": "eval/success_any_rate",
    "return": "eval/mean_reward",
    "episode_length": "eval/mean_ep_length",
    "rollout_success": "rollout/success_rate",
    "rollout_return": "rollout/ep_rew_mean",
    "rollout_length": "rollout/ep_len_mean",
    "critic_loss": "train/critic_loss",
    "actor_loss": "train/actor_loss",
    "q_mean": "train/q_mean",
    "action_square": "train/action_square",
    "alpha": "train/ent_coef",
    "entropy": "train/entropy",
    "gradient_steps": "train/n_updates",
    "episodes": "time/episodes",
    "wall_env_steps_per_second": "time/fps",
    "wall_seconds": "time/time_elapsed",
}


def require_new(path: Path) -> None:
    """That nothing is where a new run is to be; the lock of one that is about to begin is nothing.

    Raises:
        BadInput: something is.
    """
    if path.exists() and not (path.is_dir() and {one.name for one in path.iterdir()} <= {LOCK}):
        raise BadInput("out", "a folder that does not exist yet", str(path), "Runs are never overwritten.")


def make_run_folder(config: TrainConfig) -> None:
    """Make the folder of a new run, empty.

    Raises:
        BadInput: something is there already.
    """
    path = Path(config.out)
    require_new(path)
    _toml(config)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput("out", "a folder that can be made", f"{path} ({error})") from error


def write_settings(config: TrainConfig, notes: Mapping[str, str] | None = None) -> None:
    """Write config.toml and run.toml of a new run, whose lock is held.

    Args:
        config: what its numbers depend on.
        notes: what else there is to know of where it comes from, for run.toml alone.

    Raises:
        BadInput: another process was quicker.
        SaveFault: the folder cannot be written to.
    """
    path = Path(config.out)
    if (path / "config.toml").exists():
        raise BadInput("out", "a folder that does not exist yet", str(path), "Runs are never overwritten.")
    run: dict[str, Any] = {"command": shlex.join(sys.argv), "python": sys.version.split()[0]}
    run |= {"notes": dict(notes or {}), "versions": versions()}
    with writing(path):
        (path / "config.toml").write_text(_toml(config))
        (path / "run.toml").write_text(tomli_w.dumps(run))
        for one in (path / "config.toml", path / "run.toml", path, path.parent):
            sync(one)


def _toml(config: TrainConfig) -> str:
    try:
        return tomli_w.dumps(to_toml(config))
    except TypeError as error:
        raise BadInput("env_kwargs", "values that TOML can hold", str(error)) from error


@contextlib.contextmanager
def writing(run: Path) -> Iterator[None]:
    """Around everything that writes to a run's folder.

    Raises:
        SaveFault: it cannot be written to: the disk is full, the folder read-only, or all files are open.
    """
    try:
        yield
    except OSError as error:
        raise SaveFault(
            str(run),
            "a folder that can be written to",
            str(error),
            f"What was saved stays: {remedy(error)}, and `regoal resume {run}`.",
        ) from error


def rewrite_config(run: Path, config: TrainConfig) -> None:
    """Put other settings in place of a run's, at once and for good."""
    for left in run.glob(".config-*.toml"):  # of a process that was killed while it wrote
        left.unlink()
    stage = run / f".config-{os.getpid()}.toml"
    stage.write_text(tomli_w.dumps(to_toml(config)))
    sync(stage)
    stage.rename(run / "config.toml")
    sync(run)


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())


def read_config(run: str | os.PathLike[str]) -> TrainConfig:
    """The settings of a run, to read; before an env is built from them, `trust.require_trusted`.

    Args:
        run: its folder, or the name of a shipped agent.

    Raises:
        BadInput: it is no run folder, or its config.toml is not of this version.
    """
    path = located(run) / "config.toml"
    try:
        values = tomllib.loads(read_plain(path, MOST_CONFIG_BYTES).decode())
    except FileNotFoundError as error:
        below = sorted(str(found.parent) for found in Path(run).glob("*/config.toml"))[:10]
        hint = f"Did you mean {' or '.join(below)}?" if below else suggestion(run)
        got = str(run) if Path(run).exists() else f"{run}, which does not exist"
        raise BadInput("run", "a run folder", got, hint) from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(str(path), "a readable TOML file", str(error)[:200]) from error
    return from_toml(values)


def versions() -> dict[str, str]:
    """Versions of what numbers depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def last_sitting(run: Path, env_steps: int) -> tuple[int, dict[str, str]]:
    """Threads and versions of the sitting that came to a checkpoint; no versions where none are told.

    Args:
        run: its folder.
        env_steps: of the checkpoint. A sitting that went on from there, or from further on, did not save it.
    """
    threads = read_config(run).threads
    try:
        told = tomllib.loads(read_plain(run / "run.toml", MOST_CONFIG_BYTES).decode())
        before = [one for one in told.get("resumed", []) if one["env_steps"] < env_steps]
        last = before[-1] if before else {"threads": threads, "versions": told["versions"]}
        return int(last["threads"]), {str(name): str(one) for name, one in last["versions"].items()}
    except (OSError, ValueError, OverflowError, RecursionError, LookupError, TypeError, AttributeError):
        return threads, {}


class RunLog:
    """Writes metrics.csv, episodes.csv and TensorBoard events of one run.

    Wall-clock columns begin with `wall_`; all others are the same for the same command.

    Args:
        path: the run folder.
        columns: of metrics.csv.
        sizes: what `sizes` gave at a checkpoint, to go on from there: what was written after it goes.
        env_steps: those of that checkpoint.
    """

    def __init__(
        self, path: Path, columns: list[str], sizes: Mapping[str, int] | None = None, env_steps: int = 0
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        sizes = sizes or {}
        self._path = path
        others = {name: f"train/{name}" for name in columns if name not in OURS}
        self._tags = others | TAGS
        with writing(path):
            self._files = {
                name: _opened(path / name, sizes.get(name, 0)) for name in ("metrics.csv", "episodes.csv")
            }
            self._events = SummaryWriter(str(path), purge_step=env_steps + 1 if sizes else None)
        self._metrics = csv.DictWriter(self._files["metrics.csv"], columns, lineterminator="\n")
        self._episodes = csv.writer(self._files["episodes.csv"], lineterminator="\n")
        if self._is_empty("metrics.csv"):
            self._metrics.writeheader()
        if self._is_empty("episodes.csv"):
            self._episodes.writerow(EPISODE_COLUMNS)

    def sizes(self) -> dict[str, int]:
        """Bytes of each file, all of them on disk."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        return {name: os.fstat(file.fileno()).st_size for name, file in self._files.items()}

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An error that is under way is the one to tell.
        with writing(self._path) if error is None else contextlib.suppress(OSError):
            for file in self._files.values():
                file.close()
            self._events.close()

    def episode(self, episode: Episode, env_steps: int) -> None:
        """One training episode; `env_steps` counts up to its end."""
        row = [
            episode.index,
            env_steps,
            len(episode),
            f"{float(episode.reward.sum()):.6g}",
            int(episode.success[-1]),
            int(episode.success.any()),
            episode.shift,
        ]
        with writing(self._path):
            self._episodes.writerow(row)

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """One row of metrics."""
        shown = {key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()}
        with writing(self._path):
            self._metrics.writerow(shown)
            for file in self._files.values():
                file.flush()
            for key, tag in self._tags.items():
                if row.get(key) not in (None, ""):
                    self._events.add_scalar(tag, row[key], row["env_steps"])
            self._events.flush()

    def _is_empty(self, name: str) -> bool:
        return os.fstat(self._files[name].fileno()).st_size == 0


def _opened(path: Path, size: int) -> TextIO:
    """A file to append to after its first `size` bytes, the others cut off.

    Where fewer are left, what is appended begins behind its last whole line.
    """
    file = path.open("a", newline="")
    there = os.fstat(file.fileno()).st_size
    if there < size:
        warnings.warn(f"{path}: {size - there} bytes are missing, and the rows in them", stacklevel=3)
        size = path.read_bytes().rfind(b"\n") + 1
    file.truncate(size)
    return file
