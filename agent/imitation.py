"""Hindsight imitation: a pull of the actor to actions that led to a goal, and are better than its own.

Where an episode later achieved what it had not achieved at t, its actions are a demonstration of how to get
there, and hindsight says to where. Only those are followed that the critics value above what the actor
would do (the Q-filter of Nair 2018, arXiv 1709.10089, eq. 4), and the pull may fade, lest it hold the
policy at what exploration happens to do.
"""

import torch

from regoal.agent.anchor import Pull
from regoal.agent.learner import Learner
from regoal.buffers.batch import Batch
from regoal.errors import BadInput


def require_critic(learner: Learner, name: str) -> None:
    """That the learner has what tells which actions are better.

    Args:
        learner: of the run.
        name: of its agent.

    Raises:
        BadInput: it has not.
    """
    if "target_critic" not in learner.modules():
        had = ", ".join(learner.modules())
        fix = "Let its `modules` name one, or set imitation to 0."
        raise BadInput("imitation", f"an agent with a module 'target_critic', not {name}'s", had, fix)


@torch.no_grad()
def imitation(learner: Learner, batch: Batch, weight: float) -> Pull:
    """The pull for a batch: to the action that was taken, in rows with a `new_goal` where it is the better.

    Args:
        learner: with a `target_critic` of the shape that `Learner.modules` says.
        batch: from a buffer that tells new goals.
        weight: of the squared distance in those rows; it is 0 in all others.
    """
    rows = batch.new_goal.nonzero().squeeze(-1)  # the others are not worth looking at
    taken = batch.action[rows]
    x = learner.inputs(batch.observation[rows], batch.desired_goal[rows])
    own = learner.actor(x)[0][:, : taken.shape[-1]].tanh()
    critic = learner.modules()["target_critic"]
    values = critic(x.repeat(2, 1), torch.cat([taken, own])).squeeze(-1).amin(dim=0)
    better = values[: len(rows)] > values[len(rows) :]
    return Pull(batch.action, weight, batch.new_goal.index_put((rows,), better))
