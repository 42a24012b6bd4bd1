"""Learning: networks, normaliser, DDPG, SAC, rollout, training, fine-tuning, evaluation, checkpoints."""
