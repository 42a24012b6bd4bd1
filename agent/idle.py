"""Settings that other settings leave nothing to do. Imports nothing heavy."""

import dataclasses

from regoal.agent.config import TrainConfig


def without_idle(config: TrainConfig) -> TrainConfig:
    """The same with those that would be idle at 0 or 1, for settings that were taken over from elsewhere.

    Without hindsight there is nothing for `informative_share` and `candidates` to choose and nothing for
    `imitation` to follow, and no goal that was achieved is learned that `practice` could ask for. Weights
    that are kept know what to do with objects: `discovery`, `imitation` and `practice` are for networks that
    start afresh.
    """
    relabels = config.relabel != "none" and config.n_sampled_goal > 0
    afresh = config.mode == "scratch" or config.fresh_networks
    return dataclasses.replace(
        config,
        informative_share=config.informative_share if relabels else 0.0,
        candidates=config.candidates if relabels else 1,
        imitation=config.imitation if relabels and afresh else 0.0,
        practice=config.practice if relabels and afresh else 0.0,
        discovery=config.discovery if afresh else 0.0,
    )
