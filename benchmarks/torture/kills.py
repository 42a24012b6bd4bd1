"""SIGKILL at random moments of one long run, most of them inside a save, each followed by a resume."""

import random
import time
import warnings
from pathlib import Path

from regoal.agent.checkpoints import KEEP, newest_checkpoint, whole_checkpoints
from regoal.agent.config import DDPGConfig, TrainConfig
from regoal.agent.interrupts import SIGNALS
from regoal.agent.policy import Policy
from regoal.agent.run_lock import LOCK
from regoal.benchmarks.torture.children import Child, resume_aloud, train_aloud
from regoal.benchmarks.torture.tally import Tally

INTERVAL = 100  # env steps between checkpoints: those of a block
INSIDE_SHARE = 0.6  # of the kills, which are aimed into a save while fewer were there
SAVES = 4  # an aimed kill is in one of the first so many


def kills(folder: Path, tries: int, seed: int = 0) -> Tally:
    """Kill, load, resume, look for leftovers, and again."""
    run, log = folder / "kills", folder / "kills.log"
    config = TrainConfig(
        env="regoal/PointReach-v0",
        out=str(run),
        agent=DDPGConfig(hidden=(32, 32), batch_size=32),
        steps=10**9,
        capacity=500,  # goes round soon: files of episodes come and go
        eval_interval=1_000,
        eval_episodes=2,
        checkpoint_interval=INTERVAL,
        workers=0,
    )
    child = Child(train_aloud, config, log=log)
    while child.told() not in (("saved", 0), None):
        pass
    child.kill()
    killer = _Killer(run, random.Random(seed))
    for _ in range(tries):
        killer.strike(Child(resume_aloud, run, 0, {}, True, log=log))
    killer.end(Child(resume_aloud, run, 0, {}, True, log=log))
    killer.tally.note = f"{killer.inside} inside a save, at most {killer.lost} env steps lost"
    return killer.tally


def leftovers(run: Path) -> list[str]:
    """What should not be in the folder of a run that has saved and works on, or has ended."""
    checkpoints = list(whole_checkpoints(run))
    listed = {segment.name for checkpoint in checkpoints for segment in checkpoint.segments}
    found = {path.name for path in (run / "replay").glob("*")} if (run / "replay").exists() else set()
    wrong = [f"{path} is left" for path in (*run.glob(".config*"), *run.glob("*/.stage*"))]
    wrong += [f"replay/{name} belongs to no checkpoint" for name in found - listed]
    wrong += [f"replay/{name} is missing" for name in listed - found]
    if len(checkpoints) > KEEP:
        wrong.append(f"{len(checkpoints)} generations")
    return wrong


class _Killer:
    """Ends one process after the other and looks at what is left.

    Attributes:
        tally: the result.
        inside: kills that came inside a save.
        lost: most env steps that one of them has cost.
    """

    def __init__(self, run: Path, rng: random.Random) -> None:
        self.tally, self.inside, self.lost = Tally(), 0, 0
        self._run, self._rng = run, rng
        self._seconds_to_save, self._seconds_of_save = 1.0, 0.05  # as last seen

    def strike(self, child: Child) -> None:
        """Let a process live for a while, kill it, and load what it leaves."""
        self.tally.tries += 1
        heard = self._live(child) + child.kill()
        kind, steps = heard[-1] if heard else ("", 0)
        self.inside += kind == "save"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # to fall back to an older generation would be one
                Policy.load(self._run)
                saved = newest_checkpoint(self._run).state["progress"]["run"]["env_steps"]
        except Exception as error:  # noqa: BLE001  (whatever it is, the run cannot be loaded)
            self._fail(f"{type(error).__name__}: {error}")
            return
        lost = max(steps - saved, 0)
        self.lost = max(self.lost, lost)
        if lost > INTERVAL:
            self._fail(f"{lost} env steps are lost")

    def end(self, child: Child) -> None:
        """See the last process save, and stop it in the way that it is meant to be stopped."""
        while (told := child.told()) is not None and told[0] != "saved":
            pass
        child.connection.send("go on")
        child.terminate()
        if child.ended() != 128 + SIGNALS[1]:
            self._fail("SIGTERM does not end it with a checkpoint")
        left = leftovers(self._run) + [LOCK for _ in self._run.glob(LOCK)]
        self.tally.failures += [f"at the end: {one}" for one in left]

    def _live(self, child: Child) -> list[tuple[str, int]]:
        """Hear what it says until its moment has come: in a save that was chosen, or at any time."""
        aimed = self.inside <= INSIDE_SHARE * self.tally.tries
        save = self._rng.randrange(SAVES) if aimed else -1
        end = time.monotonic() + (120.0 if aimed else self._rng.uniform(0.0, 2 * self._seconds_to_save))
        heard: list[tuple[str, int]] = []
        began, n_saves = time.monotonic(), 0
        while time.monotonic() < end:
            told = child.told(max(end - time.monotonic(), 0.0))
            if told is None:
                if time.monotonic() < end:
                    self._fail("the run has ended by itself")
                break
            heard.append(told)
            if told[0] == "save":
                save_began = time.monotonic()
                if n_saves == save:
                    time.sleep(self._rng.uniform(0.0, self._seconds_of_save))
                    break
            elif told[0] == "saved":
                self._seconds_of_save = time.monotonic() - save_began
                n_saves += 1
                if n_saves == 1:  # it waits for an answer: nothing moves meanwhile
                    self._seconds_to_save = time.monotonic() - began
                    if left := leftovers(self._run):
                        self._fail("; ".join(left))
                    child.connection.send("go on")
        return heard

    def _fail(self, what: str) -> None:
        self.tally.failures.append(f"try {self.tally.tries}: {what}")
