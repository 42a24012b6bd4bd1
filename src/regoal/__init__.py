"""Reinforcement learning with hindsight fine-tuning."""

__version__ = "0.1.0"
