"""PLACEHOLDER until the shifts stand."""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym


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
