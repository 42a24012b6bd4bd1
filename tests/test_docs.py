"""Every guide is run as it stands, block after block, and the README's example (which learns if `slow`)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from regoal.benchmarks import batches, scale
from regoal.benchmarks.results import read_results
from regoal.benchmarks.tables import read_rows

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(python|bash|toml) ?(\S*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_page(page: Path, folder: Path) -> list[str]:
    """Run the blocks of a page in one folder; returns what each printed. Settings are only saved."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    printed = []
    for language, name, code in BLOCK.findall(page.read_text()):
        if language != "bash":
            suffix = {"python": ".py", "toml": ".toml"}[language]
            assert name.endswith(suffix), f"{page.name}: name the file that a block is saved as"
            (folder / name).write_text(code)
        if language == "toml":
            continue
        bash = ["bash", "-euo", "pipefail", "-c", code]
        command = [sys.executable, name] if language == "python" else bash
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


def test_weaker_robot(tmp_path: Path) -> None:
    printed = run_page(ROOT / "docs" / "weaker-robot.md", tmp_path)
    trained, weak, sagging = (success(line) for line in printed[1].splitlines())
    assert min(trained, weak) >= 0.95
    assert sagging <= 0.6
    assert success(printed[2].splitlines()[-1]) >= max(0.7, sagging + 0.2)  # 0.02 of the action are left
    assert "better than all others" in printed[3]
    assert printed[4] == "(4,) True\n"


def test_your_strategy(tmp_path: Path) -> None:
    page = ROOT / "docs" / "your-strategy.md"
    printed = run_page(page, tmp_path)
    assert len((tmp_path / "my_strategies.py").read_text().splitlines()) <= 10
    out = tmp_path / "runs" / "strategies"
    assert read_results(out / "results.csv").arms == ["future", "final", "none", "my_strategies:discounted"]
    (headline,) = re.findall(r"\*(Too few seeds[^*]*)\*", page.read_text())
    report = (out / "report.md").read_text().replace("’", "'")
    assert f"**{headline}**" in report
    assert "95 % bootstrap intervals are too narrow" in report
    curve = read_results(out / "results.csv").curve("regoal/PointReach-v0", "none")
    assert curve.success.max() <= 0.3  # hindsight is what decides here
    assert printed[-1].startswith("Too few seeds to claim a difference: ")


def test_your_agent(tmp_path: Path) -> None:
    printed = run_page(ROOT / "docs" / "your-agent.md", tmp_path)
    lines = (tmp_path / "td3.py").read_text().splitlines()
    assert len([line for line in lines if line]) <= 60
    shown = printed[1].splitlines()
    assert "agent.target_noise=0.2" in shown
    trained, evaluated, tuned = (success(line) for line in shown if line.startswith("runs/"))
    assert min(trained, evaluated, tuned) >= 0.9
    out = tmp_path / "runs" / "compare"
    results = read_results(out / "results.csv")
    assert results.arms == ["ddpg", "td3:TD3"]
    for arm in results.arms:
        assert results.curve("regoal/PointReach-v0", arm).success[:, -1].mean() >= 0.7
    report = (out / "report.md").read_text()
    assert "**Too few seeds to claim a difference" in report
    assert "6 pairs" in report


def test_diagnosis(tmp_path: Path) -> None:
    printed = run_page(ROOT / "docs" / "diagnosis.md", tmp_path)
    assert "a batch of 256 as the learner sees it after 2,000 env steps" in printed[0]
    assert float(printed[1].split()[0]) < 0.2, "the object rests"
    assert (tmp_path / "push.png").exists()


def run_readme(folder: Path, *shorter: tuple[str, str]) -> str:
    """What the README's example prints, with these texts in place of others."""
    readme = (ROOT / "README.md").read_text()
    (code,) = [code for language, _, code in BLOCK.findall(readme) if language == "python"]
    for written, instead in shorter:
        assert code.count(written) == 1
        code = code.replace(written, instead)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_example_runs(tmp_path: Path) -> None:
    printed = run_readme(tmp_path, ("steps=3_000", "steps=300"), ("steps=1_500", "steps=300"))
    assert re.fullmatch(r"[01]\.\d+ \[.+ .+\]\n", printed)


@pytest.mark.slow
def test_the_readme_example_learns_as_it_stands(tmp_path: Path) -> None:
    assert float(run_readme(tmp_path).split()[0]) >= 0.9


def test_scale(tmp_path: Path) -> None:
    run_page(ROOT / "docs" / "scale.md", tmp_path)
    assert (tmp_path / "runs" / "fast" / "metrics.csv").exists()


def test_scale_shows_the_tables_of_the_committed_csv() -> None:
    text, results = (ROOT / "docs" / "scale.md").read_text(), ROOT / "benchmarks" / "results"
    assert scale.tables(read_rows(results / "scale.csv")) in text
    assert batches.table(read_rows(results / "batches.csv")) in text
