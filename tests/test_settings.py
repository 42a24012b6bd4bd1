"""Settings from text and TOML."""

import dataclasses
import math
from pathlib import Path

import pytest

from regoal import BadInput, DDPGConfig, SACConfig, TrainConfig
from regoal.agent.settings import describe, from_toml, set_field, to_toml
from regoal.agent.validation import validated

PLAIN = TrainConfig(env="regoal/PointReach-v0", out="runs/x")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("steps", "300", 300),
        ("steps", "3e2", 300),
        ("agent.lr", "1e-3", 0.001),
        ("agent.lr", "1", 1.0),
        ("agent.hidden", "(64, 32)", (64, 32)),
        ("agent.hidden", "64", (64,)),
        ("agent.critic_layer_norm", "true", True),
        ("relabel", "final", "final"),
        ("relabel", "4*future+4*desired", "4*future+4*desired"),  # a text, and not a sum
        ("env_kwargs", "{'terminate_on_success': True}", {"terminate_on_success": True}),
    ],
)
def test_a_setting_by_its_name(name: str, text: str, expected: object) -> None:
    value: object = set_field(PLAIN, name, text)
    for part in name.split("."):
        value = getattr(value, part)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("step", "3", "Did you mean steps"),
        ("agent.learning_rate", "3", "agent.learning_rate"),
        ("agent.gama", "3", "agent.gamma"),
        ("lr", "3", "Did you mean agent.lr?"),
        ("agent.batch_size", "{[]:1}", "int"),
        ("agent", "sac", "agent"),
        ("steps.more", "3", "steps"),
        ("steps", "many", "steps: expected a value of type int, got 'many'"),
        ("steps", "2.5", "int"),
        ("steps", "true", "int"),
        ("agent.lr", "true", "float"),
        ("agent.hidden", "wide", "tuple"),
        ("agent.hidden", "(1.5,)", "int"),
    ],
)
def test_a_bad_setting_is_named(name: str, text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        set_field(PLAIN, name, text)
    assert message in str(caught.value)


def test_text_is_never_run_as_code() -> None:
    assert set_field(PLAIN, "relabel", "__import__('os').getcwd()").relabel == "__import__('os').getcwd()"


@pytest.mark.parametrize("agent", [DDPGConfig(lr=0.5, hidden=(3,)), SACConfig(n_critics=5)])
def test_toml_and_back(agent: DDPGConfig | SACConfig) -> None:
    config = dataclasses.replace(PLAIN, agent=agent, env_kwargs={"a": 1}, seed=4, shift="action_gain=0.5")
    assert from_toml(to_toml(config)) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 3}, "steps"),
        ({"steps": "3"}, "int"),
        ({"agent": {"name": "dpg"}}, "ddpg"),
        ({"agent": {"name": "sac", "action_l2": 1.0}}, "action_l2"),
    ],
)
def test_a_bad_file_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        from_toml(to_toml(PLAIN) | change)


def test_a_missing_env_is_named() -> None:
    values = to_toml(PLAIN)
    del values["env"]
    with pytest.raises(BadInput, match="'env'"):
        from_toml(values)


def test_defaults_are_valid() -> None:
    assert validated(PLAIN) == PLAIN
    sac = dataclasses.replace(PLAIN, agent=SACConfig())
    assert validated(sac) == sac


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agent": "sac"}, "SACConfig"),
        ({"relabel": lambda at, rng: at}, "module:function"),
        ({"steps": "many"}, "steps"),
        ({"steps": 100, "learning_starts": 100}, "more than the 100 before"),
        ({"agent": SACConfig(initial_alpha=0.0)}, "agent.initial_alpha"),
        ({"agent": DDPGConfig(random_share=5)}, "agent.random_share"),
        ({"agent": DDPGConfig(random_hold=0)}, "got 0. 1 draws each random action anew."),
        ({"agent": DDPGConfig(random_hold=10**400)}, "agent.random_hold: expected 1 to 1,000,000 steps"),
        ({"agent": SACConfig(target_critics=3)}, "agent.target_critics: expected 0 to 2, the critics"),
        ({"agent": DDPGConfig(target_critics=2)}, "agent.target_critics: expected 0 to 1, the critics"),
        ({"agent": SACConfig(target_critics=-1)}, "agent.target_critics: expected 0 to 2, the critics"),
        ({"agent": DDPGConfig(random_hold=1.5)}, "agent.random_hold: expected a value of type int"),
        ({"agent": DDPGConfig(noise_std=-1)}, "agent.noise_std"),
        ({"agent": DDPGConfig(lr=float("nan"))}, "agent.lr"),
        (
            {"agent": DDPGConfig(updates_per_step=math.inf)},
            "agent.updates_per_step: expected more than 0, and",
        ),
        ({"agent": DDPGConfig(finetune_lr_share=math.inf)}, "agent.finetune_lr_share"),
        (
            {"agent": DDPGConfig(noise_std=math.inf)},
            "agent.noise_std: expected 0 or more, and finite, got inf",
        ),
        ({"env": object()}, "env: expected a value of type str"),
    ],
)
def test_what_python_users_get_wrong_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        validated(dataclasses.replace(PLAIN, **changes))
    assert message in str(caught.value)


def test_only_a_config_is_a_config() -> None:
    with pytest.raises(BadInput, match="TrainConfig"):
        validated("regoal/PointReach-v0")  # type: ignore[arg-type]


def test_paths_and_whole_numbers_are_taken_as_they_are_meant() -> None:
    config = validated(dataclasses.replace(PLAIN, out=Path("runs/y"), agent=DDPGConfig(lr=1)))
    assert config.out == "runs/y"
    assert isinstance(config.agent.lr, float)


def test_all_settings_are_listed_with_their_values() -> None:
    lines = describe(PLAIN).splitlines()
    assert "steps=5000" in lines
    assert "agent.hidden=128,128,128" in lines
