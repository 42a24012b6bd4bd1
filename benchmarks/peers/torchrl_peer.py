"""TorchRL: its HERReplayBuffer."""

from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray
from tensordict import TensorDict, TensorDictBase
from torchrl.data import HERReplayBuffer, LazyTensorStorage

from regoal.benchmarks.peers.episodes import THRESHOLD, Episodes, Transitions, transitions

HER_RATIO = 0.8  # 4 sampled goals for each real one


def versions() -> dict[str, str]:
    """Name and version of the peer."""
    return {"torchrl": version("torchrl"), "tensordict": version("tensordict")}


def her_sampler(episodes: Episodes, n_transitions: int) -> Callable[[int], object]:
    """A full HERReplayBuffer; the function returned draws a batch of the given size from it.

    It relabels when sampling, so that the buffer holds each transition once. Kind to TorchRL: stored is
    float32 and only what an update needs, and FetchPush's reward is written in torch, which spares the
    detour through numpy.
    """
    return full_buffer(transitions(episodes, n_transitions)).sample


def fetch_push_reward(batch: TensorDictBase) -> torch.Tensor:
    """FetchPush's `compute_reward` for relabelled transitions: (n, 1)."""
    distance = (batch["next", "achieved_goal"] - batch["desired_goal"]).norm(dim=-1, keepdim=True)
    return -(distance > THRESHOLD).float()


def empty_buffer(n_transitions: int) -> HERReplayBuffer:
    """The buffer as it is before the first step."""
    return HERReplayBuffer(
        reward_fn=fetch_push_reward,
        her_ratio=HER_RATIO,
        strategy="future",
        # By default it takes the goal achieved before the step, which may be the transition's own start
        # and is never the episode's end; this is what the others do.
        achieved_goal_key=("next", "achieved_goal"),
        storage=LazyTensorStorage(n_transitions),
    )


def full_buffer(source: Transitions) -> HERReplayBuffer:
    """Filled by `extend`, which takes any number of transitions at once."""
    buffer = empty_buffer(len(source.last))
    buffer.extend(steps(source))
    return buffer


def steps(source: Transitions) -> TensorDict:
    """What `extend` takes, and a row of it `add`."""
    last = torch.from_numpy(source.last)[:, None]
    desired = single(source.desired_goal)
    return TensorDict(
        {
            "observation": single(source.observation),
            "desired_goal": desired,
            "action": single(source.action),
            "next": {
                "observation": single(source.next_observation),
                "achieved_goal": single(source.next_achieved_goal),
                "desired_goal": desired,
                "reward": single(source.reward)[:, None],
                "done": last,
                "terminated": torch.zeros_like(last),
            },
        },
        batch_size=[len(last)],
    )


def single(values: NDArray[np.floating]) -> torch.Tensor:
    """A copy in the precision that updates work in."""
    return torch.from_numpy(values.astype(np.float32))
