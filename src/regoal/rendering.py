"""Which OpenGL backend lets MuJoCo draw on this machine, found by trying."""

import os
import subprocess
import sys
from functools import cache
from textwrap import shorten

TIMEOUT = 30  # [s] for one try; a driver that hangs must not hang us
SWITCHED_OFF = ("0", "disable", "disabled", "false", "off")

# In a process of its own: a backend that fails may take the process with it, and mujoco reads MUJOCO_GL once.
_DRAW = """
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco/>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 32, 32)
renderer.update_scene(data)
assert renderer.render().shape == (32, 32, 3)
renderer.close()
"""


def backends() -> tuple[str, ...]:
    """The backends to try on this system, the best first."""
    if sys.platform == "darwin":
        return ("cgl", "glfw")
    return ("egl", "osmesa", "glfw")


@cache
def why_not(backend: str) -> str:
    """Draw one picture with the backend in a process of its own.

    Returns:
        Empty where it works, else the last line of the error.
    """
    environment = os.environ | {"MUJOCO_GL": backend, "PYTHONSAFEPATH": "1"}  # nothing of this folder
    try:
        done = subprocess.run(
            [sys.executable, "-c", _DRAW], env=environment, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return f"no picture after {TIMEOUT} s"
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return shorten(lines[-1], 100, placeholder=" ...") if lines else f"exit code {done.returncode}"


def working_gl() -> str | None:
    """Choose a backend that can draw and set MUJOCO_GL to it; call it before mujoco is imported.

    A MUJOCO_GL that is already set is tried alone: what a user has chosen is not overruled. The tries
    are remembered, so only the first call takes time (about 0.5 s a backend).

    Returns:
        The backend's name; `None` where nothing can be drawn, and then MUJOCO_GL is left as it was.
    """
    chosen = os.environ.get("MUJOCO_GL", "").strip().lower()
    if chosen in SWITCHED_OFF:
        return None
    for backend in (chosen,) if chosen else backends():
        if not why_not(backend):
            os.environ["MUJOCO_GL"] = backend
            return backend
    return None
