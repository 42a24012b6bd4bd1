"""The mean of what a policy has been lately: what is evaluated and kept of one that flickers."""

from dataclasses import replace

from regoal.agent.policy import Policy


class PolicyAverage:
    """Running mean of a policy's weights over about the last `share` of what it has learned so far.

    From one update to the next a policy may lose a part of what it can do and find it again; the mean of its
    weights does not (Nikishin 2018, Improving stability in deep reinforcement learning with weight
    averaging). Old weights are forgotten at a rate that falls with the number of steps (polynomial-decay
    averaging, Shamir & Zhang 2013, arXiv 1212.1824, section 4), so that the mean lags as little in a short
    run as in a long one. Only what is evaluated and kept is averaged, not what learns and explores.

    Args:
        policy: as it is before it learns.
        share: in (0, 1).

    Attributes:
        policy: the mean, with the newest input statistics.
    """

    def __init__(self, policy: Policy, share: float) -> None:
        self.policy, self._share = policy, share

    def update(self, policy: Policy, steps: int, learned: int) -> None:
        """Take in the policy as it is now.

        Args:
            policy: the newest one.
            steps: env steps since the last one was taken in.
            learned: env steps since the actor began to learn, these included; 0 or fewer if it has not.
        """
        rate = min(steps / (self._share * learned), 1.0) if learned > 0 else 1.0

        def towards(old: tuple, new: tuple) -> tuple:  # type: ignore[type-arg]
            return tuple(mean + rate * (one - mean) for mean, one in zip(old, new, strict=True))

        self.policy = replace(
            policy,
            weights=towards(self.policy.weights, policy.weights),
            biases=towards(self.policy.biases, policy.biases),
        )
