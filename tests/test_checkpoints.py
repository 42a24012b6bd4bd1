"""Checkpoints: whole or passed over, never overwritten, never code."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from regoal.agent import checkpoints
from regoal.agent.checkpoints import KEEP, newest_checkpoint, save_checkpoint
from regoal.agent.policy import Exploration, Policy
from regoal.agent.run_state import RunState
from regoal.agent.saved_policy import arrays_of, policy_of, settings_of
from regoal.errors import BadInput, TrainingFault


def policy(value: float = 1.0) -> Policy:
    return Policy(
        weights=(np.full((3, 5), value, np.float32), np.full((2, 3), value, np.float32)),
        biases=(np.zeros(3, np.float32), np.zeros(2, np.float32)),
        mean=np.zeros(5, np.float32),
        std=np.ones(5, np.float32),
        clip=5.0,
        head="deterministic",
        exploration=Exploration(0.2, 0.3, 4),
        observation_size=3,
        action_low=-np.ones(2, np.float32),
        action_high=np.ones(2, np.float32),
    )


def save(run: Path, value: float) -> Path:
    return save_checkpoint(run, policy(value), {"x": np.array([value])}, {"env_steps": int(value)})


def loaded_value(run: Path) -> float:
    return float(Policy.load(run).weights[0][0, 0])


def test_what_is_saved_is_what_loads(tmp_path: Path) -> None:
    save(tmp_path, 1.0)
    loaded = Policy.load(tmp_path)
    for name in Policy.__dataclass_fields__:
        np.testing.assert_equal(getattr(loaded, name), getattr(policy(1.0), name))


def test_a_policy_saved_before_random_actions_were_held_holds_none() -> None:
    settings = settings_of(policy())
    del settings["exploration"]["random_hold"]
    assert policy_of(arrays_of(policy()), settings, "actor").exploration == Exploration(0.2, 0.3, 1)


@pytest.mark.parametrize(
    "wrong", [{"random_hold": 0}, {"random_hold": 2.5}, {"random_hold": 10**400}, {"random_share": 1.5}]
)
def test_a_saved_policy_that_cannot_explore_is_refused(wrong: dict[str, float]) -> None:
    settings = settings_of(policy())
    settings["exploration"] |= wrong
    with pytest.raises(BadInput, match=rf"actor: expected a policy that can act.*{min(wrong)}"):
        policy_of(arrays_of(policy()), settings, "actor")


def test_generations_count_up_and_the_newest_few_are_kept(tmp_path: Path) -> None:
    for value in range(1, KEEP + 3):
        save(tmp_path, value)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [f"{number:06d}" for number in range(3, KEEP + 3)]
    assert loaded_value(tmp_path) == KEEP + 2


@pytest.mark.parametrize("name", ["manifest.json", "actor.safetensors", "learner.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_generation_falls_back_loudly(tmp_path: Path, name: str, damage: str) -> None:
    save(tmp_path, 1)
    path = save(tmp_path, 2) / name
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    elif damage == "truncate":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.unlink()
    with pytest.warns(UserWarning, match="falling back"):
        assert loaded_value(tmp_path) == 1


def test_another_schema_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regoal.agent.checkpoints.SCHEMA", 99)
    save(tmp_path, 1)
    monkeypatch.undo()
    with pytest.warns(UserWarning, match="schema 99"), pytest.raises(BadInput, match="whole"):
        newest_checkpoint(tmp_path)


def test_a_manifest_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"]["../../secret"] = [1, "0"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(BadInput):
        newest_checkpoint(tmp_path)


def test_what_was_not_finished_is_not_seen(tmp_path: Path) -> None:
    save(tmp_path, 1)
    shutil.copytree(tmp_path / "checkpoints" / "000001", tmp_path / "checkpoints" / ".stage-7")
    (tmp_path / "checkpoints" / "000002").mkdir()
    with pytest.warns(UserWarning, match="000002"):
        assert loaded_value(tmp_path) == 1
    save(tmp_path, 3)
    assert loaded_value(tmp_path) == 3


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    save(tmp_path, 1)
    for actor, learner in ((float("nan"), 1.0), (1.0, float("inf"))):
        with pytest.raises(TrainingFault, match="finite"):
            save_checkpoint(tmp_path, policy(actor), {"x": np.array([learner])}, {})
    assert loaded_value(tmp_path) == 1
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["000001"]


def test_figures_that_are_no_json_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TrainingFault, match="The last checkpoint stays"):
        save_checkpoint(tmp_path, policy(), {}, {"noted": float("inf")})
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_could_not_be_read_back_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1)
    monkeypatch.setattr(checkpoints, "MOST_JSON_BYTES", 2_000)
    with pytest.raises(BadInput, match=r"state.json: expected at most 2,000 bytes"):
        save_checkpoint(tmp_path, policy(), {}, {"figures": [0.5] * 1_000})
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["000001"]
    assert loaded_value(tmp_path) == 1


def test_episodes_stay_where_a_list_of_them_cannot_be_read_just_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1)
    (tmp_path / "replay").mkdir()
    left = tmp_path / "replay" / "of-nobody"
    left.write_text("")

    def busy(path: Path, most: int) -> bytes:
        raise OSError(errno.ENFILE, "Too many open files in system")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "read_plain", busy)
        save(tmp_path, 2)
    assert left.exists()
    save(tmp_path, 3)
    assert not left.exists()


def test_what_was_noted_takes_no_more_room_for_a_million_updates() -> None:
    state = RunState()
    for number in range(1_000_000):
        state.note("critic_loss", number % 4)
    assert state.means() == {"critic_loss": 1.5}
    assert len(json.dumps(state.to_json())) < 1_000
    assert RunState.from_json(state.to_json()) == state


def test_every_figure_that_an_earlier_version_noted_counts() -> None:
    values = RunState(env_steps=50, block_began=50).to_json()
    del values["sums"], values["block_began"]
    state = RunState.from_json(values | {"noted": {"critic_loss": [1.0, 2.0, 6.0]}})
    assert (state.means(), state.block_began) == ({"critic_loss": 3.0}, 50)
    for wrong in ([1.0, "2"], [], 3):
        with pytest.raises(BadInput, match="checkpoint progress"):
            RunState.from_json(values | {"noted": {"critic_loss": wrong}})


def test_an_incomplete_generation_pushes_no_older_one_out(tmp_path: Path) -> None:
    for number in range(2 * KEEP):
        save_checkpoint(tmp_path, policy(), {}, {}, complete=number < KEEP)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2 * KEEP
    save(tmp_path, 1)
    assert len(list((tmp_path / "checkpoints").iterdir())) == KEEP


def test_a_save_that_fails_takes_its_half_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "sync", lambda path: full(path) if path.name == "state.json" else None)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, 2)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["000001"]
    assert loaded_value(tmp_path) == 1


def test_everything_is_on_disk_before_the_new_generation_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    sync, rename = checkpoints.sync, Path.rename
    monkeypatch.setattr(checkpoints, "sync", lambda path: (events.append(path.name), sync(path)))
    monkeypatch.setattr(Path, "rename", lambda self, to: (events.append("rename"), rename(self, to))[1])
    save(tmp_path, 1)
    named = events.index("rename")
    assert {"manifest.json", *checkpoints.FILES} <= set(events[:named])
    assert events[named + 1 :] == ["checkpoints"]


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (tmp_path / "checkpoints" / ".stage-99999").mkdir()
    save(tmp_path, 2)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["000001", "000002"]


def test_a_manifest_that_lists_nothing_is_damaged(tmp_path: Path) -> None:
    save(tmp_path, 1)
    path = save(tmp_path, 2) / "manifest.json"
    body = {"schema": checkpoints.SCHEMA, "files": {}}
    path.write_text(json.dumps(body | {"sha256": checkpoints._digest_of(body)}))
    with pytest.warns(UserWarning, match="damaged"):
        assert loaded_value(tmp_path) == 1


def test_a_folder_of_seeds_is_named_when_a_run_is_wanted(tmp_path: Path) -> None:
    save(_made(tmp_path / "seed-0"), 1)
    with pytest.raises(BadInput, match="seed-0"):
        Policy.load(tmp_path)


def _made(path: Path) -> Path:
    path.mkdir()
    return path
