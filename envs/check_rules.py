"""The rules of the goal contract, each a function of what was recorded while playing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from regoal.envs import contract
from regoal.envs.check_play import Recording, Transition, single_number
from regoal.envs.contract import Array, PairScore
from regoal.envs.finding import Finding, noted, passed
from regoal.errors import BadInput

PAIRS = {"compute_reward": "reward of pairs", "compute_terminated": "termination of pairs"}
SIMULATION = "Look at the simulation: bound what can grow without end."
MOST_PAIRS = 64  # enough to tell whether batches work; scoring one by one costs a call a pair


def runs(recording: Recording) -> str:
    """Reset and step raised nothing."""
    if recording.crash:
        raise recording.crash
    return f"{recording.episodes} episodes, {len(recording.transitions)} steps"


def episodes_end(recording: Recording) -> str:
    """No episode went past the time limit."""
    if recording.endless:
        raise recording.endless
    return "at the time limit or before"


def observations_sound(recording: Recording) -> str:
    """Keys and shapes as declared, floats, finite."""
    if recording.bad_observations:
        raise recording.bad_observations[0]
    for what, _, copy in recording.returned:
        if not np.issubdtype(copy.dtype, np.floating):
            raise BadInput(
                f"{recording.name} {what}", "a float dtype", str(copy.dtype), "Cast it to float32."
            )
    return "keys and shapes as declared, floats, all finite"


def goal_stays(recording: Recording) -> str:
    """The desired goal is the same from the reset to the end of the episode."""
    for t in recording.transitions:
        if not np.array_equal(t.first_desired_goal, t.desired_goal):
            raise BadInput(
                f"{recording.name} 'desired_goal' at {t.when}",
                f"the goal of the reset, {t.first_desired_goal}",
                str(t.desired_goal),
                "Hindsight stores one goal an episode: draw a new goal in reset only.",
            )
    return "stays for the whole episode"


def success_told(recording: Recording, env: Any) -> str:
    """Every step's info says whether the goal is reached, as something like a bool."""
    key = None
    for t in recording.transitions:
        here = contract.success_key(env, t.info) if key is None else key
        key = here
        if key not in t.info:
            raise BadInput(
                f"{recording.name} info at {t.when}",
                f"the key {key!r}, as at the steps before",
                contract.key_list(t.info),
                f"Add info[{key!r}] at every step.",
            )
        if single_number(t.info[key]) not in (0.0, 1.0):
            raise BadInput(
                f"{recording.name} info[{key!r}] at {t.when}",
                "a bool",
                repr(t.info[key]),
                f"Set info[{key!r}] = bool(the goal is reached).",
            )
    return f"info[{key!r}] at every step"


def success_follows_reward(recording: Recording, function: PairScore) -> Finding | str:
    """Success is told where the reward is as good as that of the goal itself; sparse rewards tell."""
    scored = [t for t in recording.transitions if t.scored_reward is not None]
    own = [single_number(function(t.achieved_goal.copy(), t.achieved_goal.copy(), {})) for t in scored]
    if not scored or None in own or len({*own, *(t.scored_reward for t in scored)}) != 2:
        return noted("success and reward", "not compared: the reward is not one of two numbers")
    told = np.array([_is_success(t) for t in scored])
    best, reward = np.array(own, np.float64), np.array([t.scored_reward for t in scored], np.float64)
    rewarded = reward >= best
    differ = np.flatnonzero(told != rewarded)
    if 2 * len(differ) > len(scored):
        first = scored[differ[0]]
        raise BadInput(
            f"{recording.name} info at {first.when}",
            f"success {bool(rewarded[differ[0]])}, as the reward {first.scored_reward:g} says",
            f"{bool(told[differ[0]])} ({len(differ)} of {len(scored)} steps differ)",
            "Every figure of success would be wrong: set it where compute_reward gives its best.",
        )
    if len(differ):
        return noted("success and reward", f"differ at {len(differ)} of {len(scored)} steps")
    return f"say the same at all {len(scored)} steps"


def achieved_is_observed(recording: Recording) -> Finding:
    """Whether what is achieved can be seen: policies are shown the observation and the desired goal alone."""
    observed = np.stack([t.observation for t in recording.transitions]).astype(np.float32)
    achieved = np.stack([t.achieved_goal for t in recording.transitions]).astype(np.float32)
    same = np.isclose(observed[:, None, :], achieved[:, :, None], rtol=1e-5, atol=1e-6)
    always = np.asarray(same.all(axis=0), np.bool_)  # (goal_size, observation_size)
    hidden = np.flatnonzero(~always.any(axis=1)).tolist()
    if not hidden:
        return passed("achieved goal", "stands in the observation")
    return noted(
        "achieved goal",
        f"components {hidden} of it are none of the observation, and policies see nothing else of it",
        "Unless they follow from the observation, append them to it: nobody learns to go where it cannot see "
        "itself be.",
    )


def goal_reached(recording: Recording) -> Finding:
    """Whether the play reached a goal at all: what happens there is seen only then."""
    reached = sum(map(_is_success, recording.transitions))
    if reached:
        return passed("goal reached", f"at {reached} of {len(recording.transitions)} steps")
    return noted(
        "goal reached",
        "never by these random actions: the reward and the termination there were not seen in play",
    )


def rewards_match(recording: Recording, function: PairScore) -> Finding | str:
    """The reward of each step is what compute_reward says of the two goals alone."""
    name, transitions = recording.name, recording.transitions
    for t in transitions:
        reward = single_number(t.reward)
        if reward is None or not np.isfinite(reward):
            raise BadInput(f"{name} reward at {t.when}", "one finite number", repr(t.reward), SIMULATION)
    scored = [t for t in transitions if t.scored_reward is not None]
    if not scored:
        return noted("reward", "not compared: compute_reward gave no number")
    step = np.asarray([t.reward for t in scored], np.float64)
    again = np.asarray([t.scored_reward for t in scored], np.float64)
    differ = np.flatnonzero(~_same_rewards(step, again))
    if len(differ):
        raise _reward_fault(name, scored[differ[0]], len(differ), len(scored), function)
    return f"equals compute_reward(next achieved_goal, desired_goal) at all {len(scored)} steps"


def termination_matches(recording: Recording, can_terminate: bool) -> str:
    """`terminated` of each step is what compute_terminated says of the two goals alone."""
    name, transitions = recording.name, recording.transitions
    if not can_terminate:
        for t in transitions:
            if t.terminated:
                raise BadInput(
                    f"{name} terminated at {t.when}",
                    "False, as the env has no compute_terminated",
                    "True",
                    "Add compute_terminated(achieved_goal, desired_goal, info): where hindsight changes the "
                    "goal, it must know whether the episode would have ended.",
                )
        return "never terminates"
    scored = [t for t in transitions if t.scored_terminated is not None]
    differ = [t for t in scored if bool(t.terminated) != bool(t.scored_terminated)]
    if differ:
        raise BadInput(
            f"{name} terminated at {differ[0].when}",
            f"{bool(differ[0].scored_terminated)}, as compute_terminated(next achieved_goal, desired_goal)",
            f"{bool(differ[0].terminated)} ({len(differ)} of {len(scored)} steps differ)",
            "Terminate by the two goals alone; end an episode for any other reason by truncated.",
        )
    ended = sum(bool(t.terminated) for t in transitions)
    return f"equals compute_terminated at all {len(scored)} steps, {ended} of them True"


def scores_pure(recording: Recording, attribute: str, function: PairScore) -> str:
    """The same pair has the same score, whatever the simulator did in between."""
    field = {"compute_reward": "scored_reward", "compute_terminated": "scored_terminated"}[attribute]
    for t in recording.transitions:
        then = getattr(t, field)
        if then is None:
            continue
        now = single_number(function(t.achieved_goal.copy(), t.desired_goal.copy(), {}))
        if now != then and not (np.isnan(then) and now is not None and np.isnan(now)):
            raise BadInput(
                f"{recording.name} {attribute} of the goals at {t.when}",
                "the same score for the same two goals, whatever the simulator's state",
                f"{then} then and {now} later",
                "Hindsight scores old goals: move what it reads from the simulator into the goals.",
            )
    return "the same later as when it was played"


def batches(recording: Recording, attribute: str, function: PairScore) -> Finding:
    """Whether one call scores many pairs; one call a pair works too."""
    achieved, desired = some_pairs(recording.transitions)
    name = PAIRS[attribute]
    if attribute == "compute_terminated" and contract.constant_result(function) is False:
        return passed(name, "always False, so nobody asks")
    if contract.takes_batches(f"{recording.name} {attribute}", function, achieved, desired):
        return passed(name, f"one call of {attribute} scores a batch")
    return noted(
        name,
        f"{attribute} works, one call a pair: relabelling is slower",
        "Let it take (n, goal) arrays and return (n,): reduce with axis=-1.",
    )


def arrays_left_alone(recording: Recording) -> str:
    """The env does not write into arrays it has returned."""
    for what, array, copy in recording.returned:
        if array.shape != copy.shape or not np.array_equal(array, copy, equal_nan=True):
            index = int(np.flatnonzero(np.ravel(array != copy))[0])
            raise BadInput(
                f"{recording.name} {what}",
                f"that a returned array stays as it was, {copy.flat[index]} at index {index}",
                f"{array.flat[index]} some steps later: the env writes into it",
                "Return copies: array.copy().",
            )
    return "the env leaves them alone"


def _is_success(t: Transition) -> bool:
    return any(single_number(t.info.get(key)) == 1.0 for key in contract.SUCCESS_KEYS)


def some_pairs(transitions: Sequence[Transition]) -> tuple[Array, Array]:
    """Pairs (n, goal) and (n, goal) as they were played, then each goal with itself as reached."""
    chosen = transitions[:: max(1, len(transitions) // (MOST_PAIRS // 2))]
    achieved = np.stack([t.achieved_goal for t in chosen])
    desired = np.stack([t.desired_goal for t in chosen])
    return np.concatenate([achieved, achieved]), np.concatenate([desired, achieved])


def _same_rewards(step: Array, again: Array) -> Array:
    """Sparse rewards must be equal (as float32, which is what is stored), dense ones nearly."""
    step, again = step.astype(np.float32), again.astype(np.float32)
    if len(np.unique(again)) <= 2:
        return np.asarray(step == again)
    return np.isclose(step, again, rtol=1e-5, atol=1e-6)


def _reward_fault(name: str, t: Transition, n_differ: int, n: int, function: PairScore) -> BadInput:
    expected = f"{(t.scored_reward or 0.0) + 0.0}, as compute_reward(next achieved_goal, desired_goal)"
    got = f"{single_number(t.reward)} ({n_differ} of {n} steps differ)"
    with_info = single_number(function(t.achieved_goal.copy(), t.desired_goal.copy(), dict(t.info)))
    if with_info is not None and _same_rewards(*np.asarray([[t.reward], [with_info]], np.float64))[0]:
        return BadInput(
            f"{name} reward at {t.when}",
            expected + " with an empty info",
            got,
            f"compute_reward reads info ({', '.join(t.info)}), and a hindsight goal has none: compute what "
            "it needs from the two goals.",
        )
    return BadInput(
        f"{name} reward at {t.when}",
        expected,
        got,
        "The step adds what compute_reward does not know (a crash penalty, a cost of the action?): "
        "leave it out, or make it part of the goal.",
    )
