"""An env with a shift in force."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, SupportsFloat

import gymnasium as gym
import numpy as np

from regoal.envs.shift import Shift, Term
from regoal.envs.shift_effect import Array, Effect, Observation
from regoal.envs.shift_families import families_for
from regoal.envs.shift_family import Family
from regoal.errors import BadInput, EnvFault

if TYPE_CHECKING:
    from regoal.envs.recipe import Env

# Apart from the env's own generator, which takes the same seed without a key: what the env draws for a
# seed is the same with and without a shift.
_DRAWS, _NOISE = (0x5B1F7, 0), (0x5B1F7, 1)

_KEYS = {"observation", "achieved_goal", "desired_goal"}
_OBSERVATION = "a dict with the keys observation, achieved_goal and desired_goal"


class Shifted(gym.Wrapper[Observation, Array, Observation, Array], gym.utils.RecordConstructorArgs):
    """Put a shift in force; values of ranges and lists are drawn at every reset.

    `reset` adds `info["shift"]`: the text of the shift with the figures of this episode. The reward, the
    goals and success stay those of the env below, on the true state.

    Args:
        env: an env that is not shifted yet.
        shift: text of a `Shift`; levels stand for the figures of this env.

    Attributes:
        shift: the `Shift` in force, with figures for levels.
        shift_this_episode: the same with the figures of this episode, ranges and lists drawn.

    Raises:
        BadInput: the text is wrong, a family or its value does not apply to this env, or the env is
            shifted already.
    """

    def __init__(self, env: Env, shift: str) -> None:
        self.shift = Shift.parse(shift).resolved(_name(env))
        gym.utils.RecordConstructorArgs.__init__(self, shift=str(self.shift))
        gym.Wrapper.__init__(self, env)
        _refuse_twice(env, self.shift)
        for term in self.shift.terms:
            _refuse(env, term)
        self.shift_this_episode = self.shift
        self._records = [term.record for term in self.shift.terms]
        self._effects = [record.effect(env) for record in self._records]
        for term, record, effect in self._parts():
            if record.fixed:
                effect.begin(term.values[0])
        self._in_force: list[Effect] = []
        self._acting: list[Effect] = []
        self._draws: np.random.Generator | None = None
        self._noise = np.random.default_rng()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Draw this episode's values, put them in force and reset the env below."""
        if seed is not None or self._draws is None:
            self._draws = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=_DRAWS))
            self._noise = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=_NOISE))
        self._in_force, self._acting, drawn = [], [], []
        for term, record, effect in self._parts():
            value = term.draw(self._draws)
            effect.begin(value)
            drawn.append(Term(term.family, (value,)))
            if value != record.identity:
                self._in_force.append(effect)
                if type(effect).act is not Effect.act:
                    self._acting.append(effect)
        self.shift_this_episode = Shift(tuple(drawn))
        observation, info = self.env.reset(seed=seed, options=options)
        for effect in self._in_force:
            observation = self._seen("after_reset", effect, effect.after_reset(observation))
        return self._sense(observation), {**info, "shift": str(self.shift_this_episode)}

    def step(self, action: Array) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the env below with the shifted action.

        Raises:
            EnvFault: it was not reset yet. A copy begins there, too: an effect in force belongs to the env
                that it was begun in.
        """
        if self._draws is None:
            raise EnvFault(
                f"{_name(self.env)} step", "an env that was reset", "one that was not", "Reset it."
            )
        observation, reward, terminated, truncated, info = self.env.step(self._act(action))
        return self._sense(observation), reward, terminated, truncated, info

    def __reduce__(self) -> tuple[Any, ...]:
        # A copied env may have a model of its own: the effects must be built for that one.
        return type(self), (self.env, str(self.shift))

    def _parts(self) -> Iterator[tuple[Term, Family, Effect]]:
        return zip(self.shift.terms, self._records, self._effects, strict=True)

    def _act(self, action: Array) -> Array:
        """The action through all effects in canonical order, clipped to the box at the end.

        It is clipped before them too, as the env itself would do: a gain of 0.5 halves what the robot
        would have done, not what was asked beyond its limits.
        """
        if not self._acting:
            return action
        box: Any = self.env.action_space
        if np.shape(action) != box.shape:
            expected, got = f"an action of shape {box.shape}", f"shape {np.shape(action)}"
            raise EnvFault(f"{_name(self.env)} step", expected, got, "Give it one action for one env.")
        bent = np.clip(np.asarray(action, np.float64), box.low, box.high)
        for effect in self._acting:
            bent = effect.act(bent, self._noise)
            if np.shape(bent) != box.shape:
                raise self._fault("act", effect, f"an action of shape {box.shape}", bent, "action")
        clipped: Array = np.clip(bent, box.low, box.high).astype(box.dtype)
        return clipped

    def _sense(self, observation: Observation) -> Observation:
        for effect in self._in_force:
            observation = self._seen("sense", effect, effect.sense(observation, self._noise))
        return observation

    def _seen(self, hook: str, effect: Effect, returned: Any) -> Observation:
        """What a hook returned, if it is an observation."""
        if not isinstance(returned, dict) or not returned.keys() >= _KEYS:
            raise self._fault(hook, effect, _OBSERVATION, returned, "observation")
        return returned

    def _fault(self, hook: str, effect: Effect, expected: str, returned: Any, what: str) -> EnvFault:
        family = next(record.name for _, record, one in self._parts() if one is effect)
        got = "None" if returned is None else f"{type(returned).__name__} {returned!r}"
        fix = f"End {hook} with `return {what}`, changed or not."
        return EnvFault(
            f"shift {family!r}, {type(effect).__name__}.{hook}", f"to return {expected}", got, fix
        )


def _name(env: Env) -> str:
    return env.spec.id if env.spec else type(env.unwrapped).__name__


def _refuse_twice(env: Env, shift: Shift) -> None:
    below: Any = env
    while isinstance(below, gym.Wrapper):
        if isinstance(below, Shifted):
            raise BadInput(
                f"{_name(env)} shift",
                "an env that is not shifted yet",
                f"one with {str(below.shift)!r}",
                f"Write all terms in one shift: '{below.shift},{shift}'.",
            )
        below = below.env


def _refuse(env: Env, term: Term) -> None:
    family = term.record
    reason = family.why_not(env)
    if reason is not None:
        raise BadInput(
            f"{_name(env)} shift {family.name!r}",
            f"an env it applies to: {family.applies_to}",
            f"{_name(env)}, where it cannot: {reason}",
            f"Here these apply: {', '.join(families_for(env)) or 'none'}.",
        )
    greatest = family.greatest(env) if family.greatest else family.high
    if max(term.values) > greatest:
        raise BadInput(
            f"{_name(env)} shift {family.name!r}",
            f"a value <= {greatest:.3g} in this env",
            f"{max(term.values):g}",
            "Beyond it things lie off the table, within walls or out of reach.",
        )
