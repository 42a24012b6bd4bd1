"""Every guide and the README's example are run as they stand, block after block."""

import os
import re
import subprocess
import sys
from pathlib import Path

from regoal.benchmarks import batches, scale
from regoal.benchmarks.tables import read_rows

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(python|bash) ?(\S*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_page(page: Path, folder: Path) -> list[str]:
    """Run the blocks of a page in one folder; returns what each printed."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    printed = []
    for language, name, code in BLOCK.findall(page.read_text()):
        if language == "python":
            assert name.endswith(".py"), f"{page.name}: name the file a block of Python is saved as"
            (folder / name).write_text(code)
            command = [sys.executable, name]
        else:
            command = ["bash", "-euo", "pipefail", "-c", code]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{page.name}:\n{code}\n{done.stdout}\n{done.stderr}"
        printed.append(done.stdout)
    assert printed, f"{page.name} has no block to run"
    return printed


def success(line: str) -> float:
    found = re.search(r"success (?:[\d.]+ -> )?([\d.]+)", line)
    assert found, line
    return float(found[1])


def test_bring_your_own_env(tmp_path: Path) -> None:
    printed = run_page(ROOT / "docs" / "bring_your_own_env.md", tmp_path)
    assert "FAIL" not in printed[1]
    assert success(printed[2].splitlines()[-1]) >= 0.9
    before, tuned, after = (success(line) for line in printed[3].splitlines())
    assert before <= 0.7
    assert min(tuned, after) >= 0.9
    lines = (tmp_path / "my_env.py").read_text().splitlines()
    assert len([line for line in lines if line]) <= 20


def test_strategies(tmp_path: Path) -> None:
    printed = run_page(ROOT / "docs" / "strategies.md", tmp_path)
    assert "of 256 relabelled" in printed[-1]
    assert len((tmp_path / "my_strategies.py").read_text().splitlines()) <= 10


def test_the_readme_example(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    blocks = [(name, code) for language, name, code in BLOCK.findall(readme) if language == "python"]
    assert blocks, "the README must show an example"
    for name, code in blocks:
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{name}\n{done.stderr}"
        assert done.stdout


def test_scale(tmp_path: Path) -> None:
    run_page(ROOT / "docs" / "scale.md", tmp_path)
    assert (tmp_path / "runs" / "fast" / "metrics.csv").exists()


def test_scale_shows_the_tables_of_the_committed_csv() -> None:
    text, results = (ROOT / "docs" / "scale.md").read_text(), ROOT / "benchmarks" / "results"
    assert scale.tables(read_rows(results / "scale.csv")) in text
    assert batches.table(read_rows(results / "batches.csv")) in text
