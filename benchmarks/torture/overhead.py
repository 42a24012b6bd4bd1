"""What checkpoints cost a run at the default interval."""

import dataclasses
import time
from pathlib import Path

import torch

from regoal.agent.agents import agent_name
from regoal.agent.clock import Clock
from regoal.agent.config import DDPGConfig, SACConfig, TrainConfig
from regoal.agent.interrupts import StopRequest
from regoal.agent.training import begin
from regoal.benchmarks.torture.tally import Tally
from regoal.envs.check import require_contract
from regoal.envs.recipe import EnvRecipe

MOST = 0.02  # of wall time
INTERVALS = 2  # the run goes through, with the defaults of everything
RUNS = (
    TrainConfig(env="FetchReach-v4", out="", agent=DDPGConfig()),
    TrainConfig(env="FetchReach-v4", out="", agent=SACConfig()),
    TrainConfig(env="regoal/PointReach-v0", out="", agent=DDPGConfig()),  # steps that cost next to nothing
)


def overhead(folder: Path, tries: int) -> Tally:
    """Train in several worlds; saving may take so much of the wall time and no more.

    Args:
        folder: for the runs.
        tries: how many of `RUNS`.
    """
    tally = Tally()
    shares = []
    for number, config in enumerate(RUNS[:tries]):
        steps = INTERVALS * config.checkpoint_interval
        share = _share(dataclasses.replace(config, out=str(folder / str(number)), steps=steps, profile=True))
        shares.append(f"{config.env} {agent_name(config.agent)} {share:.2%}")
        tally.tries += 1
        if share > MOST:
            tally.failures.append(f"{shares[-1]} of wall time")
    tally.note = f"of wall time: {', '.join(shares)}"
    return tally


def _share(config: TrainConfig) -> float:
    """Share of the wall time of a run that it saves."""
    torch.set_num_threads(config.threads)
    spec = require_contract(EnvRecipe(config.env, config.shift, config.env_kwargs))
    training = begin(config, spec)
    began = time.monotonic()
    with StopRequest() as stop:
        training.run(stop)
    spec.close()
    assert training.clocks is not None
    return float(training.clocks[Clock.SAVING]) / (time.monotonic() - began)
