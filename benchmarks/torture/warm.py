"""Imported by the server that processes are forked from: envs of gymnasium_robotics are known there."""

from regoal.envs.recipe import require_registered

require_registered("FetchReach-v4")
