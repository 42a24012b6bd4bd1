"""Where every random draw of a run comes from: one table of streams, one generator for each."""

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


class Stream(IntEnum):
    """What a generator is for. Numbers are part of a run's identity: never reuse or renumber them."""

    ENV = 0  # seeds of training episodes
    EXPLORATION = 1  # action noise of training episodes
    REPLAY = 2  # sampling and relabelling
    NETWORKS = 3  # initial weights
    UPDATE = 4  # noise inside updates (SAC)
    EVALUATION = 5  # seeds of evaluation episodes
    SOURCE_REPLAY = 6  # sampling and relabelling of a source's episodes
    MIXING = 7  # how many rows of a batch are the source's
    DIAGNOSIS = 8  # batches that are looked at and not learned from; in place of the episode, the env step
    TRIAL = 9  # the batch that a user's own agent is tried with before a run
    PRACTICE = 10  # which training episodes practise, and for what goal


def sequence(run_seed: int, stream: Stream, episode: int = 0, attempt: int = 0) -> np.random.SeedSequence:
    """The seed sequence of one stream; of one episode and attempt in it."""
    return np.random.SeedSequence(run_seed, spawn_key=(int(stream), episode, attempt))


def generator(run_seed: int, stream: Stream, episode: int = 0, attempt: int = 0) -> np.random.Generator:
    """A numpy generator (PCG64) for the stream."""
    return np.random.default_rng(sequence(run_seed, stream, episode, attempt))


def env_seed(run_seed: int, stream: Stream, episode: int, attempt: int = 0) -> int:
    """A seed for `env.reset`."""
    return int(sequence(run_seed, stream, episode, attempt).generate_state(1, np.uint32)[0])


def torch_generator(run_seed: int, stream: Stream) -> "torch.Generator":
    """A torch generator for the stream."""
    import torch

    seed = int(sequence(run_seed, stream).generate_state(1, np.uint64)[0]) >> 1
    return torch.Generator().manual_seed(seed)
