"""Contents made to do harm in files that are what they are called: settings, counters, arrays, episodes."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from regoal.benchmarks.torture.box import Box

Craft = Callable[[Box], object]
ACTOR, LEARNER, SNAPSHOTS = "actor.safetensors", "learner.safetensors", "snapshots.safetensors"
HUGE = 10**30
BUFFER = ("progress", "experience", "buffers", "own")


def cases() -> dict[str, tuple[str, Craft]]:
    """What is attempted, and what was done to the run before, by name."""
    found: dict[str, tuple[str, Craft]] = {}
    for (keys, value), attempt in STATES.items():
        shown = repr(value) if len(repr(value)) < 40 else repr(value)[:37] + "..."
        found[f"state.json with {'.'.join(keys)} = {shown}"] = attempt, partial(_state, keys, value)
    for kind, text in STATE_TEXTS.items():
        found[f"state.json that is {kind}"] = "load", partial(_text, text)
    for kind, (file, name, change) in ARRAYS.items():
        attempt = "load" if file == ACTOR else "resume"
        found[kind] = attempt, partial(Box.array, file=file, name=name, change=change)
    for kind, craft in EPISODES.items():
        found[f"a file of episodes with {kind}"] = "resume", craft
    for kind, (attempt, old, new) in SETTINGS.items():
        found[f"config.toml with {kind}"] = attempt, partial(Box.config, old=old, new=new)
    found["config.toml with a buffer beyond all memory"] = "resume", _large_buffer
    for kind, text in CONFIG_TEXTS.items():
        found[f"config.toml that is {kind}"] = "resume", partial(_config, text)
    return found


def _state(keys: tuple[str, ...], value: str, box: Box) -> None:
    box.state(*keys, value=json.loads(value))


def _text(text: bytes, box: Box) -> None:
    box.write("state.json", text)


def _large_buffer(box: Box) -> None:
    box.config("steps = 600\n", f"steps = {10**15}\n")
    box.config("capacity = 1000000\n", f"capacity = {10**15}\n")


def _config(text: bytes, box: Box) -> None:
    (box.run / "config.toml").write_bytes(text)


# JSON values in places of state.json, and what is attempted then.
STATES: dict[tuple[tuple[str, ...], str], str] = {
    (("policy",), "[]"): "load",
    (("policy", "n_layers"), f"{HUGE}"): "load",
    (("policy", "n_layers"), "-1"): "load",
    (("policy", "n_layers"), '"2"'): "load",
    (("policy", "clip"), '"wide"'): "load",
    (("policy", "clip"), "-5"): "load",
    (("policy", "head"), '"os.system"'): "load",
    (("policy", "head"), '["gaussian"]'): "load",
    (("policy", "exploration"), '{"__class__": "os.system"}'): "load",
    (("policy", "exploration", "noise_std"), "[1]"): "load",
    (("policy", "observation_size"), "0"): "load",
    (("policy", "observation_size"), f"{HUGE}"): "load",
    (("policy", "observation_size"), "2.5"): "load",
    (("progress",), "[1, 2]"): "resume",
    (("progress", "run"), "null"): "resume",
    (("progress", "run", "env_steps"), "-5"): "resume",
    (("progress", "run", "env_steps"), f"{HUGE}"): "resume",
    (("progress", "run", "env_steps"), '"300"'): "resume",
    (("progress", "run", "episodes"), f"{HUGE}"): "resume",
    (("progress", "run", "updates_owed"), '"all"'): "resume",
    (("progress", "run", "noted"), '{"critic_loss": "x"}'): "resume",
    (("progress", "run", "noted"), '{"../evil": [1.0]}'): "resume",
    (("progress", "run", "pending"), "3"): "resume",
    (("progress", "run", "pending"), '{"env_steps": 1}'): "resume",
    (("progress", "run", "log_bytes"), '{"metrics.csv": -1}'): "resume",
    (("progress", "run", "log_bytes"), '{"metrics.csv": [1]}'): "resume",
    (("progress", "experience"), "null"): "resume",
    (("progress", "experience", "mixing"), '{"bit_generator": "os.system"}'): "resume",
    ((*BUFFER, "generator"), '{"bit_generator": "MT19937", "state": {"key": [], "pos": 0}}'): "resume",
    ((*BUFFER, "generator", "state", "state"), "-1"): "resume",
    ((*BUFFER, "generator", "state", "inc"), f"{10**60}"): "resume",
    ((*BUFFER, "generator", "uinteger"), f"{HUGE}"): "resume",
    ((*BUFFER, "n_episodes"), "1000"): "resume",
    ((*BUFFER, "n_episodes"), '"6"'): "resume",
    ((*BUFFER, "n_episodes"), f"-{HUGE}"): "resume",
    ((*BUFFER, "oldest_row"), "-3"): "resume",
    ((*BUFFER, "oldest_row"), f"{HUGE}"): "resume",
    (("progress", "source"), '[{"name": "../../outside/precious.csv"}]'): "resume",
    (("replay",), '{"name": "x"}'): "resume",
}
STATE_TEXTS = {
    "a list": b"[]",
    "nothing": b"",
    "nested 100,000 deep": b'{"progress":' * 50_000 + b"[" * 50_000,
    "full of NaN": b'{"schema": 3, "progress": {}, "replay": [], "policy": {"clip": NaN}}',
    "larger than all numbers": b'{"schema": 3, "progress": {}, "replay": [], "policy": {"clip": 1e999}}',
    "an integer of 5,000 digits": b'{"schema": ' + b"9" * 5_000 + b"}",
    "one key twice": b'{"schema": 3, "schema": 3, "progress": {}, "replay": [], "policy": {}}',
}
ARRAYS: dict[str, tuple[str, str, Callable[[Any], Any]]] = {
    "weights that are NaN": (ACTOR, "weight.0", lambda array: array * np.nan),
    "weights that are infinite": (ACTOR, "bias.1", lambda array: array + np.inf),
    "weights in double precision": (ACTOR, "weight.0", lambda array: array.astype(np.float64)),
    "weights that are whole numbers": (ACTOR, "weight.0", lambda array: array.astype(np.int64)),
    "weights of another shape": (ACTOR, "weight.0", lambda array: array[:, :1]),
    "weights in three dimensions": (ACTOR, "weight.0", lambda array: array[None]),
    "a standard deviation of 0": (ACTOR, "std", lambda array: array * 0),
    "action bounds the wrong way round": (ACTOR, "action_low", lambda array: array + 10),
    "no actions": (ACTOR, "action_low", lambda array: array[:0]),
    "critics that are NaN": (LEARNER, "critic.flat", lambda array: array * np.nan),
    "critics of another shape": (LEARNER, "critic.flat", lambda array: array[..., :-1]),
    "critics of other numbers": (LEARNER, "critic.flat", lambda array: array.astype(np.float64)),
    "a mean of another size": (LEARNER, "normaliser.goal.mean", lambda array: array[:1]),
    "squares below 0": (LEARNER, "normaliser.goal.sum_of_squares", lambda array: array - 1e9),
    "a count below 0": (LEARNER, "normaliser.observation.count", lambda array: array * 0 - 1),
    "a playing policy of another shape": (SNAPSHOTS, "acting.0", lambda array: array[:1]),
    "a playing policy that is infinite": (SNAPSHOTS, "acting.0", lambda array: array + np.inf),
}


def _grown(name: str) -> Craft:
    return lambda box: box.episodes(lambda arrays: arrays.update({name: np.repeat(arrays[name], 2, axis=0)}))


def _changed(name: str, change: Callable[[Any], Any]) -> Craft:
    return lambda box: box.episodes(lambda arrays: arrays.update({name: change(arrays[name])}))


EPISODES: dict[str, Craft] = {
    "a name above its folder": lambda box: box.segment(name="../../outside/precious.csv"),
    "an absolute name": lambda box: box.segment(name=str(box.outside / "precious.csv")),
    "a name that is a folder": lambda box: box.segment(name=".."),
    "no name": lambda box: box.segment(name=""),
    "a name with a zero in it": lambda box: box.segment(name="00000000-0123456789abcdef.safetensors\0"),
    "a huge size": lambda box: box.segment(size=1 << 60),
    "more episodes than it has": lambda box: box.segment(episodes=50),
    "more steps than it has": lambda box: box.segment(transitions=HUGE),
    "fields of its own": lambda box: box.segment(__class__="os.system"),
    "a link for itself": lambda box: box.link(min((box.run / "replay").iterdir()), box.outside),
    "lengths below 0": _changed("length", lambda array: -array),
    "lengths beyond its end": _changed("length", lambda array: array * 1_000_000),
    "too many observations": _grown("observation"),
    "rewards in double precision": _changed("reward", lambda array: array.astype(np.float64)),
    "rewards that are NaN": _changed("reward", lambda array: array * np.nan),
    "actions beyond their box": _changed("action", lambda array: array + 100),
    "goals of another size": _changed("desired_goal", lambda array: array[:, :1]),
    "no lengths": lambda box: box.episodes(lambda arrays: arrays.pop("length")),
}
# Line of config.toml, and what stands in its place.
ENV, RELABEL, SHIFT = 'env = "regoal/PointReach-v0"', 'relabel = "future"', 'shift = ""'
DISGUISED = 'env = "regoal:evil_module:regoal/PointReach-v0"'
SETTINGS: dict[str, tuple[str, str, str]] = {
    "an env of a module": ("resume", ENV, 'env = "evil_module:regoal/PointReach-v0"'),
    "an env of a module, evaluated": ("evaluate", ENV, 'env = "evil_module:regoal/PointReach-v0"'),
    "an env of a module, fine-tuned": ("finetune", ENV, 'env = "evil_module:regoal/PointReach-v0"'),
    "an env of a module that looks like ours": ("resume", ENV, DISGUISED),
    "an env of a path": ("resume", ENV, 'env = "../evil_module.py:X-v0"'),
    "an env that runs the command line": ("resume", ENV, 'env = "regoal.__main__:regoal/PointReach-v0"'),
    "a strategy of a module": ("resume", RELABEL, 'relabel = "evil_module:strategy"'),
    "a strategy of the system": ("resume", RELABEL, 'relabel = "os:system"'),
    "a built-in strategy": ("resume", RELABEL, 'relabel = "builtins:exec"'),
    "a mixture with one of a module": ("resume", RELABEL, 'relabel = "4*future+1*evil_module:strategy"'),
    "a strategy with dots": ("resume", RELABEL, 'relabel = "os.path:os.system"'),
    "a shift of a module": ("resume", SHIFT, 'shift = "evil_module:wind=1"'),
    "a shift of a module, evaluated": ("evaluate", SHIFT, 'shift = "evil_module:wind=1"'),
    "a shift of a module that looks like ours": ("resume", SHIFT, 'shift = "regoal:evil_module:wind=1"'),
    "a second shift of a module": ("resume", SHIFT, 'shift = "action_gain=0.5,evil_module:wind=1"'),
    "env kwargs": ("resume", "[env_kwargs]", '[env_kwargs]\nrender_mode = "human"'),
    "env kwargs, evaluated": ("evaluate", "[env_kwargs]", '[env_kwargs]\nentry_point = "os:system"'),
    "an env of other sizes": ("resume", ENV, 'env = "FetchReach-v4"'),
    "an env that does not exist": ("resume", ENV, 'env = "regoal/None-v0"'),
    "an env with a zero in it": ("resume", ENV, 'env = "regoal/\\u0000-v0"'),
    "another agent": ("resume", 'name = "ddpg"', 'name = "evil_module.Agent"'),
    "an agent of a module": ("resume", 'name = "ddpg"', 'name = "evil_module:Agent"'),
    "an agent of a module, fine-tuned": ("finetune", 'name = "ddpg"', 'name = "evil_module:Agent"'),
    "an agent of a module that looks like ours": ("resume", 'name = "ddpg"', 'name = "regoal:evil_module:A"'),
    "an agent of the system": ("resume", 'name = "ddpg"', 'name = "subprocess:Popen"'),
    "the other agent": ("resume", 'name = "ddpg"\n', 'name = "sac"\n'),
    "another network": ("resume", "hidden = [\n    8,\n]", "hidden = [9]"),
    "a network of 10^18 weights": ("resume", "hidden = [\n    8,\n]", "hidden = [1000000000, 1000000000]"),
    "a million critics": ("resume", "n_critics = 1\n", "n_critics = 1000000\n"),
    "a learning rate that is text": ("resume", "lr = 0.001", "lr = \"__import__('os').getpid()\""),
    "a learning rate beyond all numbers": ("resume", "lr = 0.001", f"lr = {10**400}"),
    "a million workers": ("resume", "workers = 0", "workers = 1000000"),
    "a million threads": ("resume", "threads = 1\n", "threads = 1000000\n"),
    "episodes without end": ("resume", "block_episodes = 2", f"block_episodes = {10**18}"),
    "a batch beyond all memory": ("resume", "batch_size = 8\n", f"batch_size = {10**15}\n"),
    "a source elsewhere": ("resume", 'source = ""', 'source = "../outside"'),
    "a setting of its own": ("resume", "steps = 600\n", 'steps = 600\n__class__ = "os.system"\n'),
}
CONFIG_TEXTS = {
    "a list of nothing": b"",
    "binary": b"\xff\xfe\x00\x00",
    "nested 100,000 deep": b"env = " + b"[" * 100_000,
    "ten million bytes": b"#" * 10_000_000,
    "a pickle": b"\x80\x04cos\nsystem\n.",
    "without an agent": b'agent = "ddpg"\nenv = "regoal/PointReach-v0"\nout = "x"\n',
}
