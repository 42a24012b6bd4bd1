"""Exports: what is worth keeping of a trained agent, as a small run folder that says nothing of its machine.

    FOLDER/
      config.toml      settings
      run.toml         command and versions that trained it
      metrics.csv      the curve
      evaluation.toml  how well it plays
      checkpoints/000001/

It can be evaluated, ranked, watched and fine-tuned from. It holds neither optimisers nor episodes, nor
target networks, which begin as copies: nobody can resume it.
"""

import dataclasses
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import tomli_w

from regoal.agent.array_file import Arrays
from regoal.agent.checkpoints import Checkpoint, newest_checkpoint, refuse_export, save_checkpoint
from regoal.agent.config import TrainConfig
from regoal.agent.durable import MOST_JSON_BYTES, read_plain, remedy, sync
from regoal.agent.learner import exported_state, load_state, make_learner
from regoal.agent.normaliser import Normaliser
from regoal.agent.policy import Policy
from regoal.agent.run_folder import MOST_CONFIG_BYTES, nearest_folder, read_config
from regoal.agent.settings import to_toml
from regoal.agent.trust import WORLD, require_trusted
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import EnvRecipe
from regoal.errors import BadInput, SaveFault

NEW = "a folder that does not exist yet"
# A path that begins at the root, at home, or above the folder one stands in.
ELSEWHERE = re.compile(r"""(?:^|(?<=[\s=,;("'\[]))(?:/|~|(?:\./)*\.\.(?=/|$))[^\s,;)"'\]]*""")


@dataclass(frozen=True)
class Export:
    """What an export will hold, read from its run; the run may go on or go away.

    Attributes:
        out: the folder to be.
        config: settings, without paths of this machine.
        told: of run.toml, likewise.
        curve: contents of metrics.csv, up to the checkpoint.
        policy: to act with.
        networks: weights and input statistics of the learner.
        progress: for the checkpoint.
    """

    out: Path
    config: TrainConfig
    told: Mapping[str, Any]
    curve: bytes
    policy: Policy
    networks: Arrays
    progress: Mapping[str, Any]

    @property
    def recipe(self) -> EnvRecipe:
        """The world that it was trained in."""
        return EnvRecipe(self.config.env, self.config.shift, self.config.env_kwargs)


def prepare(run: Path, out: Path) -> Export:
    """Read what is to be exported: the newest checkpoint of a run; nothing is written.

    Args:
        run: its folder.
        out: the folder to be; as settings and command will have it, the run lay in runs/NAME. Env kwargs
            stay as they are, whatever paths are in them: the env needs them.

    Raises:
        BadInput: no such run, one that is an export already or asks for what was not named, or an `out`
            that cannot be written.
    """
    config = read_config(run)
    refuse_export(run, "a run that is none yet", "Copy its folder.")
    config = require_trusted(config, str(run), (*WORLD, "agent"))
    _require_new(out, run)
    checkpoint = newest_checkpoint(run)
    env_steps, gradient_steps, log_bytes = _counts(checkpoint)
    name = out.absolute().name
    told, curve = _told(run, name), _curve(run, log_bytes)
    return Export(
        out=out,
        config=dataclasses.replace(config, out=f"runs/{name}", source=portable(config.source)),
        told=told,
        curve=curve,
        policy=checkpoint.policy(),
        networks=_networks(config, checkpoint.learner_arrays()),
        progress={"exported": True, "env_steps": env_steps, "gradient_steps": gradient_steps},
    )


def write(export: Export, evaluation: Mapping[str, Any]) -> None:
    """Write an export beside where it belongs, and rename it into place.

    Args:
        export: what to write.
        evaluation: contents of evaluation.toml.

    Raises:
        BadInput: something is there in the meantime.
        SaveFault: it cannot be written; nothing is left of it.
    """
    out = export.out.absolute()
    stage = out.with_name(f".{out.name}.stage-{os.getpid()}")
    files = {
        "config.toml": tomli_w.dumps(to_toml(export.config)).encode(),
        "run.toml": tomli_w.dumps(export.told).encode(),
        "metrics.csv": export.curve,
        "evaluation.toml": tomli_w.dumps(evaluation).encode(),
    }
    try:
        stage.mkdir(parents=True)
        for name, contents in files.items():
            (stage / name).write_bytes(contents)
            sync(stage / name)
        save_checkpoint(stage, export.policy, export.networks, export.progress)
        if os.path.lexists(out):
            raise BadInput("out", NEW, str(export.out), "Nothing is ever overwritten.")
        stage.rename(out)
        sync(out.parent)
    except OSError as error:
        fix = f"{remedy(error)}.".capitalize()
        raise SaveFault(str(export.out), "a folder that can be written", str(error), fix) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def portable(text: str) -> str:
    """A text in which paths that do not lie below the folder one stands in are runs/NAME."""
    return ELSEWHERE.sub(lambda path: f"runs/{Path(path[0]).name}", text)


def portable_command(command: str, out: str) -> str:
    """A command line as anyone could type it, whose run lies in `out`.

    Raises:
        ValueError: a quote is not closed.
    """
    program, *arguments = shlex.split(command) or [""]
    path = Path(program)
    of_ours = path.name == "regoal" or (
        path.name in ("cli.py", "__main__.py") and path.parent.name == "regoal"
    )
    words = ["regoal" if of_ours else path.name]
    for before, word in pairwise(["", *arguments]):
        if before == "--out":
            words.append(out)
        else:
            words.append(f"--out={out}" if word.startswith("--out=") else portable(word))
    return shlex.join(words)


def _require_new(out: Path, run: Path) -> None:
    if os.path.lexists(out):
        raise BadInput("out", NEW, str(out), "Nothing is ever overwritten.")
    if out.resolve().is_relative_to(run.resolve()):
        raise BadInput("out", "a folder outside the run's", str(out), "A run is never changed.")
    if not os.access(nearest_folder(out.absolute().parent), os.W_OK):
        raise BadInput("out", "a folder that can be made", str(out), "Name another one.")


def _networks(config: TrainConfig, arrays: Arrays) -> Arrays:
    """Of the agent's arrays, those that an export keeps."""
    spec = GoalSpec.from_recipe(EnvRecipe(config.env, config.shift, config.env_kwargs))
    try:
        normaliser = Normaliser(spec.observation_size, spec.goal_size)
        learner = make_learner(config.agent, spec, normaliser, config.seed)
        load_state(learner, arrays)
        return exported_state(learner)
    finally:
        spec.close()


def _counts(checkpoint: Checkpoint) -> tuple[int, int, int]:
    """Env steps, gradient steps and bytes of metrics.csv at a checkpoint.

    All else that it says of how far the run is may be that of an older version.
    """
    try:
        state = checkpoint.state["progress"]["run"]
        counts = state["env_steps"], state["gradient_steps"], state["log_bytes"]["metrics.csv"]
        if not all(type(one) is int and one >= 0 for one in counts):
            raise TypeError(f"{counts}")
    except (KeyError, TypeError) as error:
        got = f"{type(error).__name__}: {error}"[:200]
        raise BadInput(str(checkpoint.path), "how far a run is", got, "Copy it again.") from error
    return counts


def _curve(run: Path, size: int) -> bytes:
    """The rows of metrics.csv that belong to a checkpoint."""
    path = run / "metrics.csv"
    try:
        return read_plain(path, MOST_JSON_BYTES)[:size]
    except OSError as error:
        raise BadInput(str(path), "the curve of the run", str(error), "Copy the run again, whole.") from error


def _told(run: Path, name: str) -> dict[str, Any]:
    """The contents of run.toml, without paths of this machine."""
    path = run / "run.toml"
    try:
        told: dict[str, Any] = tomllib.loads(read_plain(path, MOST_CONFIG_BYTES).decode())
        return {key: _portable(key, value, f"runs/{name}") for key, value in told.items()}
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(
            str(path), "what trained the run, in TOML", str(error)[:200], "Copy it again."
        ) from error


def _portable(key: str, value: Any, out: str) -> Any:
    if isinstance(value, dict):
        return {inner: _portable(inner, one, out) for inner, one in value.items()}
    if isinstance(value, list):
        return [_portable(key, one, out) for one in value]
    if not isinstance(value, str):
        return value
    return portable_command(value, out) if key == "command" else portable(value)
