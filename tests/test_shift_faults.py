"""A user's effect that does not do what it must is named, family and function."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from shift_play import POINT

from regoal.envs import Effect, EnvRecipe, register_shift
from regoal.envs.check import check_env, failures
from regoal.envs.recipe import Env, make
from regoal.envs.shift_families import FAMILIES
from regoal.errors import BadInput, EnvFault


@pytest.fixture(autouse=True)
def _only_ours_afterwards() -> Iterator[None]:
    ours = dict(FAMILIES)
    yield
    FAMILIES.clear()
    FAMILIES.update(ours)


def _play(env: Env) -> None:
    env.reset(seed=0)
    env.step(np.zeros(2, np.float32))


class Forgetful(Effect):
    """Forgets to return what its hooks are to return."""

    def after_reset(self, observation: dict[str, Any]) -> dict[str, Any]:
        return None if self.value == 1 else observation  # type: ignore[return-value]

    def act(self, action: NDArray[Any], noise: np.random.Generator) -> NDArray[Any]:
        return {2: None, 3: action[:1]}.get(int(self.value), action)  # type: ignore[return-value]

    def sense(self, observation: dict[str, Any], noise: np.random.Generator) -> dict[str, Any]:
        kept = {"observation": observation["observation"]}
        return {4: None, 5: kept}.get(int(self.value), observation)  # type: ignore[return-value]


class Broken(Effect):
    """Reads at the start what no env has."""

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self.wings = env.get_wrapper_attr("wings")


def test_an_effect_that_cannot_be_built_is_named_and_not_the_env() -> None:
    full = register_shift("broken", Broken)
    with pytest.raises(BadInput, match=r"expected effects that can be built, got AttributeError") as caught:
        check_env(EnvRecipe(POINT, f"{full}=1"))
    assert caught.value.where == f"{POINT} shift '{full}=1'"
    assert "line" in caught.value.fix


@pytest.mark.parametrize(
    ("value", "hook", "what", "got"),
    [
        (1, "after_reset", "observation", "None"),
        (2, "act", "action", "None"),
        (3, "act", "action", "ndarray array([0.])"),
        (4, "sense", "observation", "None"),
        (5, "sense", "observation", "dict {'observation': array("),
    ],
)
def test_a_hook_that_does_not_return_what_it_must_is_named(
    value: int, hook: str, what: str, got: str
) -> None:
    full = register_shift("forgetful", Forgetful)
    env = make(POINT, f"{full}={value}")
    with pytest.raises(EnvFault) as caught:
        _play(env)
    error = caught.value
    assert error.where == f"shift {full!r}, Forgetful.{hook}"
    shape = (
        "an action of shape (2,)" if what == "action" else "a dict with the keys observation, achieved_goal"
    )
    assert shape in error.expected
    assert error.got.startswith(got)
    assert f"`return {what}`" in error.fix
    (finding,) = failures(check_env(EnvRecipe(POINT, f"{full}={value}"), episodes=1))
    assert finding.detail.startswith(f"shift {full!r}, Forgetful.{hook} at ")
