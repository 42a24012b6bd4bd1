"""Checkpoints as numbered generations: safetensors and JSON only, nothing that runs code when loaded.

    checkpoints/
      000003/ manifest.json   schema, SHA-256 and size of every file, and of the manifest itself
              actor.safetensors   weights and input statistics of the policy
              learner.safetensors all arrays to go on learning
              snapshots.safetensors policies that were playing, and what an anchor pulls to
              state.json          how far the run is, generators, settings of the policy, replay files

A generation is written beside the others, synced, and renamed into place; it is never changed afterwards.
The newest is the highest number whose manifest verifies.
"""

import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from regoal.agent.durable import sha256, sync
from regoal.agent.policy import Exploration, Policy
from regoal.agent.replay_files import Segment, parsed_segments, sweep
from regoal.errors import BadInput, TrainingFault

SCHEMA = 3
KEEP = 3
FILES = {"actor.safetensors", "learner.safetensors", "snapshots.safetensors", "state.json"}
MOST_MANIFEST_BYTES = 1 << 16  # a larger one is none
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """A generation on disk that verified.

    Attributes:
        path: its folder.
        state: contents of state.json.
    """

    path: Path
    state: dict[str, Any]

    def policy(self) -> Policy:
        """The policy, ready to act."""
        arrays = _finite(self.path / "actor.safetensors")
        settings = self.state["policy"]
        n_layers = settings["n_layers"]
        return Policy(
            weights=tuple(arrays[f"weight.{i}"] for i in range(n_layers)),
            biases=tuple(arrays[f"bias.{i}"] for i in range(n_layers)),
            mean=arrays["mean"],
            std=arrays["std"],
            clip=settings["clip"],
            head=settings["head"],
            exploration=Exploration(**settings["exploration"]),
            observation_size=settings["observation_size"],
            action_low=arrays["action_low"],
            action_high=arrays["action_high"],
        )

    @property
    def segments(self) -> list[Segment]:
        """Files of the run's episodes up to this checkpoint, in order; none where they were not kept."""
        return parsed_segments(self.state["replay"])

    def learner_arrays(self) -> Arrays:
        """All arrays of the learner, as `learner.state_of` gave them."""
        return _finite(self.path / "learner.safetensors")

    def snapshots(self) -> Arrays:
        """Arrays of policies that were playing, and of the anchor."""
        return _finite(self.path / "snapshots.safetensors")


def save_checkpoint(
    run: Path,
    policy: Policy,
    learner: Arrays,
    progress: Mapping[str, Any],
    *,
    snapshots: Arrays | None = None,
    replay: Sequence[Segment] = (),
) -> Path:
    """Write the next generation of a run and drop all but the newest `KEEP`.

    Args:
        run: the run folder.
        policy: to act with.
        learner: to go on learning with.
        progress: how far the run is, and all else that JSON can hold.
        snapshots: arrays that go on playing or pulling while the learner learns.
        replay: segments of episodes that belong to it, which are on disk already.

    Raises:
        TrainingFault: something is not finite; nothing was written, so the last good generation stays.
    """
    actor = _policy_arrays(policy)
    snapshots = snapshots or {}
    for name, value in (actor | learner | snapshots).items():
        if not np.isfinite(value).all():
            raise TrainingFault(
                f"{run} {name}", "finite numbers to save", "NaN or infinity", "The last checkpoint stays."
            )
    folder = run / "checkpoints"
    folder.mkdir(exist_ok=True)
    sync(run)
    number = max(_generations(folder), default=0) + 1
    for left in folder.glob(".stage-*"):  # of a process that was killed while it saved
        shutil.rmtree(left)
    stage = folder / f".stage-{os.getpid()}"
    stage.mkdir()
    for name, arrays in (("actor", actor), ("learner", learner), ("snapshots", snapshots)):
        contiguous = {key: np.array(value, order="C") for key, value in arrays.items()}
        save_file(contiguous, stage / f"{name}.safetensors")
    state = {
        "schema": SCHEMA,
        "progress": progress,
        "replay": [asdict(segment) for segment in replay],
        "policy": {
            "n_layers": len(policy.weights),
            "clip": policy.clip,
            "head": policy.head,
            "exploration": asdict(policy.exploration),
            "observation_size": policy.observation_size,
        },
    }
    (stage / "state.json").write_text(json.dumps(state, indent=1))
    files = {path.name: _digest(path) for path in sorted(stage.iterdir())}
    body = {"schema": SCHEMA, "files": files}
    (stage / "manifest.json").write_text(json.dumps(body | {"sha256": _digest_of(body)}, indent=1))
    for path in stage.iterdir():
        sync(path)
    sync(stage)
    target = folder / f"{number:06d}"
    stage.rename(target)
    sync(folder)
    for old in sorted(_generations(folder))[:-KEEP]:
        shutil.rmtree(folder / f"{old:06d}")
    sweep(run, _listed(folder))
    return target


def newest_checkpoint(run: Path) -> Checkpoint:
    """The newest generation of a run that is whole; damaged ones are passed over with a warning.

    Raises:
        BadInput: there is no run folder or no whole generation in it.
    """
    for checkpoint in whole_checkpoints(run):
        return checkpoint
    raise BadInput(
        "run", "a checkpoint that is whole", f"none in {run}", "Train again, or copy the run again."
    )


def whole_checkpoints(run: Path) -> Iterator[Checkpoint]:
    """The generations of a run that are whole, newest first; damaged ones are passed over with a warning.

    Raises:
        BadInput: there is no run folder.
    """
    folder = run / "checkpoints"
    if not folder.is_dir():
        got = str(run) if run.exists() else f"{run}, which does not exist"
        raise BadInput("run", "a run folder with checkpoints", got, _runs_below(run))
    for number in sorted(_generations(folder), reverse=True):
        path = folder / f"{number:06d}"
        fault = _fault(path)
        if fault is None:
            yield Checkpoint(path, json.loads((path / "state.json").read_text()))
        else:
            warnings.warn(f"{path}: {fault}; falling back to the generation before", stacklevel=3)


def _listed(folder: Path) -> Iterator[Segment]:
    """Segments that any generation lists, whole or not."""
    for number in _generations(folder):
        try:
            yield from parsed_segments(
                json.loads((folder / f"{number:06d}" / "state.json").read_text())["replay"]
            )
        except (OSError, ValueError, KeyError, TypeError, BadInput):  # damaged: it lists nothing
            continue


def _policy_arrays(policy: Policy) -> Arrays:
    arrays: Arrays = {
        "mean": policy.mean,
        "std": policy.std,
        "action_low": policy.action_low,
        "action_high": policy.action_high,
    }
    for i, (weight, bias) in enumerate(zip(policy.weights, policy.biases, strict=True)):
        arrays |= {f"weight.{i}": np.ascontiguousarray(weight), f"bias.{i}": bias}
    return arrays


def _fault(path: Path) -> str | None:
    """What is wrong with a generation, or None."""
    try:
        if (path / "manifest.json").stat().st_size > MOST_MANIFEST_BYTES:
            return "its manifest is damaged"
        manifest = json.loads((path / "manifest.json").read_text())
        body = {"schema": manifest["schema"], "files": manifest["files"]}
        if manifest["sha256"] != _digest_of(body):
            return "its manifest is damaged"
        if manifest["schema"] != SCHEMA:
            return f"it has schema {manifest['schema']}, this version reads {SCHEMA}"
        if set(manifest["files"]) != FILES:
            return "its manifest is damaged"
        for name, (size, digest) in manifest["files"].items():
            if (path / name).stat().st_size != size or _digest(path / name)[1] != digest:
                return f"{name} is damaged"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _finite(path: Path) -> Arrays:
    arrays: Arrays = load_file(path)
    for name, value in arrays.items():
        if not np.isfinite(value).all():
            raise BadInput(f"{path} {name}", "finite numbers", "NaN or infinity", "Use another checkpoint.")
    return arrays


def _generations(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdigit()]


def _runs_below(run: Path) -> str:
    below = sorted(path.parent for path in run.glob("*/checkpoints"))[:10]
    return f"Did you mean {' or '.join(str(path) for path in below)}?" if below else ""


def _digest(path: Path) -> tuple[int, str]:
    data = path.read_bytes()
    return len(data), sha256(data)


def _digest_of(body: dict[str, Any]) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode())
