"""Single flipped bits and cut files: what is loaded afterwards is what was saved, or nothing at all."""

import hashlib
import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from regoal.agent.checkpoints import Checkpoint, whole_checkpoints
from regoal.agent.config import DDPGConfig, TrainConfig
from regoal.agent.replay_files import read_segments
from regoal.agent.resuming import resumable
from regoal.agent.run_folder import read_config
from regoal.agent.training import train
from regoal.benchmarks.torture.tally import Tally
from regoal.errors import BadInput

Harm = Callable[[bytes, random.Random], bytes]


def bit_flips(folder: Path, tries: int, seed: int = 0) -> Tally:
    """One bit of one file at a time."""
    return _harmed(folder / "flips", tries, _flipped, random.Random(seed))


def truncations(folder: Path, tries: int, seed: int = 0) -> Tally:
    """One file at a time ends early."""
    return _harmed(folder / "truncations", tries, _cut, random.Random(seed))


def unfinished_run(path: Path, steps: int = 600) -> Path:
    """A run of three generations and three files of episodes that could go on to so many steps."""
    config = TrainConfig(
        env="regoal/PointReach-v0",
        out=str(path),
        agent=DDPGConfig(hidden=(8,), batch_size=8),
        steps=300,
        eval_interval=150,
        eval_episodes=1,
        checkpoint_interval=100,
        workers=0,
        keep_replay=True,
    )
    train(config)
    settings = (path / "config.toml").read_text()
    (path / "config.toml").write_text(settings.replace("steps = 300\n", f"steps = {steps}\n", 1))
    return path


def _harmed(path: Path, tries: int, harm: Harm, rng: random.Random) -> Tally:
    run = unfinished_run(path)
    saved = {one.path.name: _digest(run, one) for one in whole_checkpoints(run)}
    newest = max(saved)
    files = sorted([*(run / "checkpoints" / newest).iterdir(), *(run / "replay").iterdir()])
    tally, outcomes = Tally(), {"refused": 0, "fallen back from": 0}
    for number in range(tries):
        tally.tries += 1
        file = files[number % len(files)]
        whole = file.read_bytes()
        file.write_bytes(harm(whole, rng))
        name, found, told = _loaded(run)
        file.write_bytes(whole)
        if name is None:
            outcomes["refused"] += 1
        elif name != newest and found == saved[name] and told:
            outcomes["fallen back from"] += 1
        else:
            tally.failures.append(f"{file}: generation {name} is loaded, wrong or without a word")
    counts = ", ".join(f"{count} {what}" for what, count in outcomes.items())
    tally.note = f"{len(files)} files of the newest checkpoint and its episodes; {counts}"
    return tally


def _flipped(contents: bytes, rng: random.Random) -> bytes:
    flipped = bytearray(contents)
    flipped[rng.randrange(len(contents))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _cut(contents: bytes, rng: random.Random) -> bytes:
    return contents[: rng.randrange(len(contents))]


def _loaded(run: Path) -> tuple[str | None, str, bool]:
    """The generation that a resume would go on from, a hash of all in it, and whether anything was told."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            checkpoint = resumable(run, read_config(run))
            return checkpoint.path.name, _digest(run, checkpoint), bool(told)
        except BadInput:
            return None, "", True


def _digest(run: Path, checkpoint: Checkpoint) -> str:
    """Of everything that a checkpoint gives."""
    found: dict[str, Any] = {"state": json.dumps(checkpoint.state, sort_keys=True).encode()}
    found |= checkpoint.learner_arrays()
    found |= {f"snapshot {name}": value for name, value in checkpoint.snapshots().items()}
    found |= {f"policy {i}": value for i, value in enumerate(checkpoint.policy().arrays)}
    for episode in read_segments(run, checkpoint.segments):
        found |= {f"episode {episode.index} {name}": value for name, value in vars(episode).items()}
    whole = hashlib.sha256()
    for name in sorted(found):
        value = found[name]
        whole.update(name.encode() + (value if isinstance(value, bytes) else _bytes(value)))
    return whole.hexdigest()


def _bytes(value: Any) -> bytes:
    return value.tobytes() if hasattr(value, "tobytes") else repr(value).encode()
