"""The doctor: knows what breaks, by versions alone, and which backends draw, by trying."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from regoal import doctor, rendering
from regoal.doctor import known_breakage, missing, report, versions

GOOD = {"mujoco": "3.11.0", "gymnasium-robotics": "1.4.2", "torch": "2.13.0+cpu"}


TRY = rendering.why_not


@pytest.fixture(autouse=True)
def _as_if_new(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No backend chosen and no try remembered; what a test sets is undone."""
    monkeypatch.setenv("MUJOCO_GL", "")
    TRY.cache_clear()
    yield
    TRY.cache_clear()


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretends that just these backends draw; gives the list of those tried."""

    def pretend(*works: str) -> list[str]:
        tried: list[str] = []

        def why_not(backend: str) -> str:
            tried.append(backend)
            return "" if backend in works else "no library"

        monkeypatch.setattr(rendering, "why_not", why_not)
        monkeypatch.setattr(doctor, "why_not", why_not)
        monkeypatch.setattr(rendering, "backends", lambda: ("egl", "osmesa", "glfw"))
        monkeypatch.setattr(doctor, "backends", lambda: ("egl", "osmesa", "glfw"))
        return tried

    return pretend


@pytest.mark.parametrize("mujoco", ["3.12.0", "3.12.1", "3.20.0", "4.0.0"])
def test_a_mujoco_too_new_for_the_robots_is_explained(mujoco: str) -> None:
    (problem,) = known_breakage(GOOD | {"mujoco": mujoco})
    assert problem.what == f"mujoco {mujoco} with gymnasium-robotics 1.4.2"
    assert "AssertionError" in problem.why
    assert problem.fix == "pip install 'mujoco>=3.3,<3.12'"


@pytest.mark.parametrize(
    "changes",
    [{}, {"mujoco": "3.3.7"}, {"mujoco": "3.12.0", "gymnasium-robotics": "1.5.0"}, {"torch": "2.10.0"}],
)
def test_what_works_is_not_accused(changes: dict[str, str]) -> None:
    assert known_breakage(GOOD | changes) == []


def test_an_old_torch_is_a_problem() -> None:
    (problem,) = known_breakage(GOOD | {"torch": "2.9.1+cu128"})
    assert "CVE-2025-32434" in problem.why


def test_problems_add_up_and_absent_packages_do_not_crash() -> None:
    assert len(known_breakage({"mujoco": "3.12.0", "gymnasium-robotics": "1.4.2", "torch": "2.1"})) == 2
    assert known_breakage({}) == []
    assert [
        problem.what for problem in missing({name: "1" for name in doctor.REQUIRED if name != "tyro"})
    ] == ["tyro"]


def test_versions_leave_out_what_is_not_installed() -> None:
    found = versions(["numpy", "no-such-distribution"])
    assert list(found) == ["numpy"]


def test_the_report_tells_all(only: Any) -> None:
    only("osmesa")
    text, problems = report()
    assert problems == []
    for word in ("python", "regoal", "mujoco", "gymnasium-robotics", "cpus", "threads", "build", "mp4"):
        assert word in text
    assert "egl     no: no library (Debian, Ubuntu: apt install libegl1 libgl1-mesa-dri)" in text
    assert "osmesa  works" in text
    assert text.endswith("problems\n  none known")


def test_a_problem_is_in_the_text_with_its_fix(only: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    only()
    installed = versions(doctor.REQUIRED) | {"mujoco": "3.12.0"}
    monkeypatch.setattr(doctor, "versions", lambda names: installed)
    text, problems = report()
    assert len(problems) == 1
    assert "mujoco 3.12.0 with gymnasium-robotics" in text
    assert "fix: pip install 'mujoco>=3.3,<3.12'" in text


def test_the_first_backend_that_draws_is_chosen_and_set(only: Any) -> None:
    tried = only("osmesa", "glfw")
    assert rendering.working_gl() == "osmesa"
    assert os.environ["MUJOCO_GL"] == "osmesa"
    assert tried == ["egl", "osmesa"]


def test_a_backend_that_is_set_is_not_overruled(only: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    tried = only("egl")
    assert rendering.working_gl() is None
    assert tried == ["glfw"]
    assert os.environ["MUJOCO_GL"] == "glfw"


def test_rendering_switched_off_is_respected(only: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "disabled")
    tried = only("egl")
    assert rendering.working_gl() is None
    assert tried == []


def test_a_backend_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_DRAW", "import time; time.sleep(60)")
    monkeypatch.setattr(rendering, "TIMEOUT", 0.2)
    assert rendering.why_not("egl") == "no picture after 0.2 s"


def test_a_backend_that_crashes_says_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_DRAW", "raise OSError('no libOSMesa')")
    assert rendering.why_not("osmesa") == "OSError: no libOSMesa"


def test_tries_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "_DRAW", "pass")
    assert rendering.why_not("egl") == ""
    monkeypatch.setattr(rendering, "_DRAW", "raise OSError")
    assert rendering.why_not("egl") == ""


def test_what_is_chosen_does_draw_an_env() -> None:
    """In a process of its own, as mujoco reads MUJOCO_GL when it is imported."""
    code = (
        "from regoal.rendering import working_gl\n"
        "if working_gl() is None: raise SystemExit(3)\n"
        "from regoal.envs.recipe import make\n"
        "env = make('FetchReach-v4', render_mode='rgb_array'); env.reset(seed=0)\n"
        "picture = env.render(); assert picture.shape == (480, 480, 3) and picture.std() > 10\n"
        "env.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    if done.returncode == 3:
        pytest.skip("nothing can be rendered here")
    assert done.returncode == 0, done.stderr
