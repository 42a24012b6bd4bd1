"""PLACEHOLDER until the shifts stand."""

import gymnasium as gym
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shift:
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> "Shift":
        return cls(text)

    def __str__(self) -> str:
        return self.text

    def apply(self, env: "gym.Env[dict[str, Any], Any]") -> "gym.Env[dict[str, Any], Any]":
        return env
