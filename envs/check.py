"""Does an env keep the goal contract? All that is wrong with it, found before training starts."""

from collections.abc import Callable

from regoal.envs import check_rules as rules
from regoal.envs import contract
from regoal.envs.check_play import REPEATED_STEPS, Recording, first_difference, optional_score, play
from regoal.envs.contract import PairScore
from regoal.envs.finding import Finding, attempt, failed, failures, noted, render
from regoal.envs.goal_spec import GoalSpec
from regoal.envs.recipe import BrokenConstructor, Env, EnvRecipe
from regoal.errors import BadInput

__all__ = ["Finding", "check_env", "failures", "render", "require_contract"]

Found = Callable[[str, Callable[[], Finding | str]], Finding]

PURE = {"compute_reward": "reward, again", "compute_terminated": "termination, again"}
LONGEST_EPISODE = 1000  # where the env has no time limit of its own, or a longer one
ADD_REWARD = "Add compute_reward(achieved_goal, desired_goal, info) to the env."


def check_env(recipe: EnvRecipe, *, episodes: int = 5, steps: int | None = None) -> list[Finding]:
    """Build the env, play it with random actions, and hold all that it returned against the contract.

    Args:
        recipe: how to build the env; it is closed at the end.
        episodes: how many to play.
        steps: the most in one episode; `None` for whole episodes (up to 1,000 steps).

    Returns:
        One finding a rule, in the order in which they are worth mending.

    Raises:
        BadInput: the env id is unknown, or the shift does not apply to it.
    """
    try:
        env = recipe.build()
    except BrokenConstructor as fault:
        return [failed("constructor", fault)]
    try:
        return _check(env, episodes, steps)
    finally:
        contract.close_in_time(env)


def require_contract(recipe: EnvRecipe, *, episodes: int = 2, steps: int = 50) -> GoalSpec:
    """The goal spec of an env that keeps the contract, by the quick form of the check.

    Args:
        recipe: how to build the env.
        episodes: how many to play.
        steps: the most in one episode.

    Raises:
        BadInput: the first failure, and how many more there are.
    """
    found = failures(check_env(recipe, episodes=episodes, steps=steps))
    if not found:
        return GoalSpec.from_recipe(recipe)
    fault, others = found[0].fault, [finding.name for finding in found[1:]]
    assert fault is not None  # every failure carries one
    more = f"{len(others)} more failed ({', '.join(others)}); see" if others else "See"
    options = f" --shift {recipe.shift}" if recipe.shift else ""
    if recipe.kwargs:
        options += " --env-kwargs " + " ".join(f"{name}={value}" for name, value in recipe.kwargs.items())
    fix = f"{fault.fix} {more} `regoal check {recipe.env_id}{options}`.".strip()
    raise BadInput(fault.where, fault.expected, fault.got, fix) from fault


def _check(env: Env, episodes: int, steps: int | None) -> list[Finding]:
    static, sizes, limit = _check_declared(env)
    if sizes is None:
        return static  # without sizes nothing that the env returns can be judged
    most = min(steps or LONGEST_EPISODE, limit or LONGEST_EPISODE)
    recording = play(env, sizes, episodes, most, limit)
    # Before the rules: it is one more chance for the env to write into arrays it has returned.
    repeat = attempt("seeded reset", f"{recording.name} second play", lambda: _same_again(env, recording))
    return static + _check_played(env, recording) + [repeat]


def _check_declared(env: Env) -> tuple[list[Finding], tuple[int, int] | None, int | None]:
    """What the env says of itself before it is played: findings, sizes and time limit."""
    name = contract.name_of(env)
    sizes: list[tuple[int, int]] = []
    limits: list[int] = []

    def observation_space() -> str:
        sizes.append(contract.observation_sizes(env))
        return f"observation ({sizes[0][0]},), achieved_goal and desired_goal ({sizes[0][1]},)"

    def action_space() -> str:
        low, high = contract.action_bounds(env)
        return f"({len(low)},) within [{low.min():g}, {high.max():g}]"

    def time_limit() -> str:
        limits.append(contract.episode_limit(env))
        return f"{limits[0]} steps"

    def reward_method() -> str:
        contract.goal_function(env, "compute_reward", ADD_REWARD)
        return "there"

    findings = [
        attempt("observation space", f"{name} observation_space", observation_space),
        attempt("action space", f"{name} action_space", action_space),
        attempt("time limit", f"{name} max_episode_steps", time_limit),
        attempt("compute_reward", f"{name} compute_reward", reward_method),
    ]
    return findings, sizes[0] if sizes else None, limits[0] if limits else None


def _check_played(env: Env, recording: Recording) -> list[Finding]:
    """What the recorded play shows."""
    name = recording.name

    def found(what: str, rule: Callable[[], Finding | str]) -> Finding:
        return attempt(what, f"{name} {what}", rule)

    findings = [
        found("reset and step", lambda: rules.runs(recording)),
        found("observations", lambda: rules.observations_sound(recording)),
        found("returned arrays", lambda: rules.arrays_left_alone(recording)),
    ]
    if not recording.transitions:
        return [*findings, noted("goals and rewards", "not checked: no step gave a sound observation")]
    findings += [
        found("episode end", lambda: rules.episodes_end(recording)),
        found("desired goal", lambda: rules.goal_stays(recording)),
        found("success", lambda: rules.success_told(recording, env)),
    ]
    if not env.has_wrapper_attr("shift_this_episode"):  # a shifted sensor shows something else
        findings.append(found("achieved goal", lambda: rules.achieved_is_observed(recording)))
    return findings + _check_scores(env, recording, found) + [rules.goal_reached(recording)]


def _check_scores(env: Env, recording: Recording, found: Found) -> list[Finding]:
    """The env's own scores against what it returned, and against what hindsight needs."""
    findings = []
    reward, terminated = optional_score(env, "compute_reward"), optional_score(env, "compute_terminated")
    if reward is not None:
        findings.append(found("reward", lambda: rules.rewards_match(recording, reward)))
    findings.append(
        found("termination", lambda: rules.termination_matches(recording, terminated is not None))
    )
    if reward is not None:
        findings += _check_score(recording, "compute_reward", reward, found)
        findings.append(found("success and reward", lambda: rules.success_follows_reward(recording, reward)))
    if terminated is not None:
        findings += _check_score(recording, "compute_terminated", terminated, found)
    return findings


def _check_score(recording: Recording, attribute: str, function: PairScore, found: Found) -> list[Finding]:
    return [
        found(PURE[attribute], lambda: rules.scores_pure(recording, attribute, function)),
        found(rules.PAIRS[attribute], lambda: rules.batches(recording, attribute, function)),
    ]


def _same_again(env: Env, recording: Recording) -> Finding | str:
    if recording.crash or not recording.opening:
        return noted("seeded reset", "not checked: the env failed before")
    difference = first_difference(env, recording)
    if difference:
        raise difference
    compared = min(len(recording.opening), REPEATED_STEPS + 1)
    return f"the same seed and actions give the same {compared} observations"
