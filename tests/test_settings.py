"""Settings from text and TOML."""

import dataclasses

import pytest

from regoal import BadInput, DDPGConfig, SACConfig, TrainConfig
from regoal.agent.settings import from_toml, set_field, to_toml, validate

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
    validate(PLAIN)
    validate(dataclasses.replace(PLAIN, agent=SACConfig()))
