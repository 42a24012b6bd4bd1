"""Who may import whom, what the face loads, and how fast it answers."""

import ast
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import regoal
from regoal.benchmarks.report_page import TEMPLATE

SOURCE = Path(regoal.__file__).parent
ALLOWED = {
    "envs": {"regoal.envs", "regoal.errors"},
    "buffers": {"regoal.buffers", "regoal.errors"},
    "agent": {"regoal.agent", "regoal.buffers", "regoal.envs", "regoal.errors"},
    "benchmarks": {
        "regoal.benchmarks",
        "regoal.agent",
        "regoal.buffers",
        "regoal.envs",
        "regoal.errors",
        "regoal.rendering",
    },
}
SETUPTOOLS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["tool"]["setuptools"]
LISTED, DATA = SETUPTOOLS["packages"], SETUPTOOLS["package-data"]
FOREIGN = {"buffers": {"numpy", "torch", "regoal"}, "envs": {"numpy", "gymnasium", "mujoco", "regoal"}}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


def files(package: str) -> list[Path]:
    found = sorted((SOURCE / package).glob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_packages_import_only_what_lies_below_them(package: str) -> None:
    for path in files(package):
        for name in imports(path):
            if name.split(".")[0] == "regoal":
                assert ".".join(name.split(".")[:2]) in ALLOWED[package], f"{path.name} imports {name}"


@pytest.mark.parametrize("package", sorted(FOREIGN))
def test_lower_packages_use_few_libraries(package: str) -> None:
    known = FOREIGN[package] | set(sys.stdlib_module_names)
    for path in files(package):
        for name in imports(path):
            assert name.split(".")[0] in known, f"{path.name} imports {name}"


def test_nothing_imports_the_command_line() -> None:
    for package in ALLOWED:
        for path in files(package):
            assert not imports(path) & {
                "regoal.cli",
                "regoal.benchmark_commands",
                "regoal.export_command",
                "regoal.learning_commands",
                "regoal.looking_commands",
                "regoal.launch",
            }


def test_every_file_belongs_to_a_listed_package() -> None:
    for package in ALLOWED:
        assert not [
            path
            for path in (SOURCE / package).iterdir()
            if path.is_dir() and list(path.glob("*.py")) and f"regoal.{package}.{path.name}" not in LISTED
        ]


@pytest.mark.parametrize("folder", ["presets", "suites"])
def test_every_shipped_suite_and_preset_goes_into_the_wheel(folder: str) -> None:
    assert {path.suffix for path in (SOURCE / "benchmarks" / folder).iterdir()} == {".toml"}
    assert f"{folder}/*.toml" in DATA["regoal.benchmarks"]


def test_the_template_of_reports_goes_into_the_wheel() -> None:
    assert TEMPLATE.name in DATA["regoal.benchmarks"]


def test_every_shipped_agent_goes_into_the_wheel_as_a_whole() -> None:
    agents = SOURCE / "agent"
    shipped = [path.relative_to(agents) for path in agents.glob("shipped/**/*") if path.is_file()]
    assert shipped
    for path in shipped:
        assert any(path.match(pattern) for pattern in DATA["regoal.agent"]), path
        assert not any(part.startswith(".") for part in path.parts), f"{path}: of a process that was killed"


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import regoal",
        "import regoal.agent.config, regoal.agent.settings",
        "import regoal.agent.worker",
        "import regoal.agent.policy, regoal.agent.checkpoints",
        "import regoal.agent.shipped; regoal.agent.shipped.agents()",
        "import regoal.buffers.episode",
        "import regoal.benchmarks.worlds, regoal.benchmarks.rank",
        "import regoal.envs.check",
    ],
)
def test_these_never_load_torch(statement: str) -> None:
    assert "torch" not in loaded_after(statement)


def test_importing_regoal_is_light() -> None:
    heavy = {"torch", "mujoco", "gymnasium", "gymnasium_robotics", "matplotlib", "numpy"}
    assert not heavy & loaded_after("import regoal")


def test_help_answers_within_a_second() -> None:
    command = [sys.executable, "-m", "regoal.cli", "--help"]
    subprocess.run(command, capture_output=True, check=True)  # compiles the files
    best = min(_seconds(command) for _ in range(3))
    assert best < 1.0


def _seconds(command: list[str]) -> float:
    """Of the processor, which do not grow where tests share it with other work."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
