"""TorchRL: its HERReplayBuffer, which relabels when it samples."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from tensordict import TensorDict
from torchrl.data import HERReplayBuffer, LazyTensorStorage

from regoal.benchmarks.peers.data import STEPS, THRESHOLD, Episodes, episodes

NAME = "torchrl"


def label() -> str:
    """Name and version."""
    return f"{NAME} {version(NAME)}"


def reward(transition: Any) -> torch.Tensor:
    """FetchPush's reward in torch, which is kinder than a detour through numpy."""
    distance = (transition["next", "achieved_goal"] - transition["desired_goal"]).norm(dim=-1, keepdim=True)
    return -(distance > THRESHOLD).float()


def filled(n_transitions: int, made: Episodes) -> HERReplayBuffer:
    """A full buffer. Only what an update needs is stored, in single precision."""
    buffer = HERReplayBuffer(
        reward_fn=reward,
        her_ratio=0.8,
        strategy="future",
        # Its default, the achieved goal before the step, is off by one (see docs/strategies.md).
        achieved_goal_key=("next", "achieved_goal"),
        storage=LazyTensorStorage(n_transitions),
        batch_size=256,
    )

    def column(key: str, after: bool = False) -> torch.Tensor:
        return torch.from_numpy(made.flat(key, after)).float()

    done = (torch.arange(n_transitions) % STEPS == STEPS - 1)[:, None]
    buffer.extend(
        TensorDict(
            {
                "observation": column("observation"),
                "desired_goal": column("desired_goal"),
                "action": column("action"),
                "next": {
                    "observation": column("observation", after=True),
                    "desired_goal": column("desired_goal"),
                    "achieved_goal": column("achieved_goal", after=True),
                    "reward": torch.from_numpy(made.reward.reshape(-1, 1)),
                    "done": done,
                    "terminated": torch.zeros_like(done),
                },
            },
            batch_size=[n_transitions],
        )
    )
    return buffer


def her_sample(n_transitions: int, batch_size: int) -> Callable[[], object]:
    """One batch."""
    torch.set_num_threads(1)
    buffer = filled(n_transitions, episodes(n_transitions))
    return lambda: buffer.sample(batch_size)
