"""What is installed here, what can be rendered, and which known breakage that means."""

import importlib
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import regoal
from regoal.rendering import backends, why_not

REQUIRED = (
    "torch",
    "numpy",
    "mujoco",
    "gymnasium",
    "gymnasium-robotics",
    "safetensors",
    "tyro",
    "tqdm",
    "tensorboard",
    "matplotlib",
    "tomli-w",
)
OPTIONAL = ("imageio-ffmpeg", "ray", "scipy")

HOW_TO_DRAW = {
    "egl": "Debian, Ubuntu: apt install libegl1 libgl1-mesa-dri",
    "osmesa": "Debian, Ubuntu: apt install libosmesa6",
    "glfw": "needs a display (an X or Wayland session)",
}


@dataclass(frozen=True)
class Problem:
    """Something that is broken, why, and what to do.

    Attributes:
        what: the package and its version, "mujoco 3.12.0".
        why: what goes wrong with it.
        fix: a command to run.
    """

    what: str
    why: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}\n  fix: {self.fix}"


def report() -> tuple[str, list[Problem]]:
    """All there is to say about this installation.

    Returns:
        Text to print, and the problems that keep training from working; what is merely optional
        (rendering, video, Ray) is told in the text and is no problem.
    """
    found = versions((*REQUIRED, *OPTIONAL))
    threads, torch_problems = _torch_lines()
    problems = missing(found) + known_breakage(found) + torch_problems
    sections = {
        "versions": _version_lines(found),
        "machine": [f"cpus    {_cpus()}", *threads],
        "rendering": _rendering_lines(),
        "video": [_video_line()],
        "problems": [line for problem in problems for line in str(problem).splitlines()] or ["none known"],
    }
    text = "\n".join("\n".join([name, *(f"  {line}" for line in lines)]) for name, lines in sections.items())
    return text, problems


def versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions by distribution name; what is not installed is left out."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def missing(installed: Mapping[str, str]) -> list[Problem]:
    """Packages that regoal cannot do without and that are not there."""
    return [
        Problem(name, "not installed, and regoal needs it", f"pip install {name}")
        for name in REQUIRED
        if name not in installed
    ]


def known_breakage(installed: Mapping[str, str]) -> list[Problem]:
    """What is known to go wrong with these versions.

    Args:
        installed: distribution name to version, as from `versions`.
    """
    problems = []
    mujoco, robotics, torch = (installed.get(name) for name in ("mujoco", "gymnasium-robotics", "torch"))
    # Newer releases of gymnasium-robotics are not known to be broken, so they are not accused.
    if mujoco and robotics and _numbers(mujoco) >= (3, 12) and _numbers(robotics) <= (1, 4, 2):
        problems.append(
            Problem(
                f"mujoco {mujoco} with gymnasium-robotics {robotics}",
                "every Fetch, Hand and Kitchen env fails in set_joint_qpos with a bare AssertionError",
                "pip install 'mujoco>=3.3,<3.12'",
            )
        )
    if mujoco and _numbers(mujoco) < (3, 3):
        problems.append(
            Problem(
                f"mujoco {mujoco}", "older than what regoal is tested with", "pip install 'mujoco>=3.3,<3.12'"
            )
        )
    if torch and _numbers(torch) < (2, 10):
        problems.append(
            Problem(
                f"torch {torch}",
                "older than 2.10, whose torch.load has known holes even with weights_only=True "
                "(CVE-2025-32434, CVE-2026-24747); regoal needs 2.10",
                "pip install 'torch>=2.10'",
            )
        )
    return problems


def _numbers(text: str) -> tuple[int, ...]:
    """The release part of a version as numbers: "2.13.0+cpu" gives (2, 13, 0)."""
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def _version_lines(found: Mapping[str, str]) -> list[str]:
    rows = {"python": platform.python_version(), "regoal": regoal.__version__}
    rows |= {name: found.get(name, "not installed") for name in REQUIRED}
    rows |= {name: found.get(name, "not installed (optional)") for name in OPTIONAL}
    width = max(map(len, rows))
    return [f"{name:<{width}}  {text}" for name, text in rows.items()]


def _cpus() -> str:
    """CPUs of the machine, and how many of them this process may use where that differs."""
    count = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else count
    return str(count) if usable == count else f"{count}, {usable} of them usable by this process"


def _torch_lines() -> tuple[list[str], list[Problem]]:
    """Build and threads of torch; a torch that cannot be imported is a problem."""
    try:
        import torch
    except (ImportError, OSError) as error:
        problem = Problem(
            "torch", f"cannot be imported: {error}", "pip install --force-reinstall 'torch>=2.10'"
        )
        return [], [problem]
    build = "CPU build"
    if torch.version.cuda:
        seen = "a GPU is seen" if torch.cuda.is_available() else "no GPU is seen"
        build = f"CUDA {torch.version.cuda} build, {seen}; regoal uses it with --device cuda"
    return [f"torch   {build}, {torch.get_num_threads()} threads"], []


def _rendering_lines() -> list[str]:
    """One line a backend: whether it draws, and what it needs if not."""
    lines = []
    for backend in backends():
        reason = why_not(backend)
        hint = HOW_TO_DRAW.get(backend, "")
        lines.append(
            f"{backend:<6}  " + (f"no: {reason}" + (f" ({hint})" if hint else "") if reason else "works")
        )
    chosen = os.environ.get("MUJOCO_GL")
    return [*lines, f"MUJOCO_GL is {chosen!r}"] if chosen else lines


def _video_line() -> str:
    """Whether mp4 files can be written."""
    try:
        importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        return f"mp4     no: {error} (pip install imageio-ffmpeg)"
    return "mp4     works"
