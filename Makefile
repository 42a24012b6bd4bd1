# Every target sets up what it needs; a second call reuses the virtual environment.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Stable-Baselines3, tianshou and TorchRL live apart from ours.
PEERS := .venv-peers/bin
PEERS_READY := .venv-peers/.ready
# One thread each: runs use the cores by running side by side.
export OMP_NUM_THREADS := 1

.PHONY: demo results bench bench-learning torture test test-slow test-peer test-browser test-ray lint type wheel clean

demo: $(READY)
	@$(BIN)/python -m regoal.benchmarks.demo --out runs/demo $(DEMO)

# Reruns what README and docs show of learning and transfer, part by part: hours; the same command goes on.
# make results PARTS="reach modes" runs these; benchmarks/results/parts.csv tells how long each takes.
results: $(READY)
	@$(BIN)/python -m regoal.benchmarks.parts $(PARTS)

# How fast we are beside the peers, and how our figures grow (about 50 minutes; leave the machine alone).
bench: $(PEERS_READY)
	@$(PEERS)/python -m regoal.benchmarks.speed --results benchmarks/results $(BENCH)
	@$(PEERS)/python -m regoal.benchmarks.scale --results benchmarks/results
	@$(PEERS)/python -m regoal.benchmarks.batches --results benchmarks/results

# How well every preset learns its envs (hours), and FetchPush beside Stable-Baselines3 (half an hour each, one
# after the other; leave the machine alone). Goes on where it was.
bench-learning: $(READY) $(PEERS_READY)
	@$(BIN)/python -m regoal.benchmarks.learning --results benchmarks/results $(LEARNING)
	@$(PEERS)/python -m regoal.benchmarks.beside --results benchmarks/results $(BESIDE)

# Kills, damaged and crafted files, broken envs, half an hour of faults (about two hours in all).
torture: $(READY)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[ray]"
	@$(BIN)/python -m regoal.benchmarks.torture --results benchmarks/results $(TORTURE)

test: $(READY)
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow and not peer and not browser and not ray" $(TESTS)

test-slow: $(READY)
	@$(BIN)/python -m pytest -q -n 2 -m slow $(TESTS)

test-peer: $(PEERS_READY)
	@$(PEERS)/python -m pytest -q -m peer tests/test_peers.py tests/test_beside.py

# Needs a Chromium: apt install chromium chromium-driver.
test-browser: $(READY)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[browser]"
	@$(BIN)/python -m pytest -q -m browser tests/test_report_browser.py

# Starts Ray clusters of two nodes on this machine, and takes nodes away (four minutes).
test-ray: $(READY)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[ray]"
	@$(BIN)/python -m pytest -q -m ray tests/test_ray.py

lint: $(READY)
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

type: $(READY)
	@$(BIN)/mypy -p regoal

wheel: $(READY)
	@rm -rf build dist && $(BIN)/python -m build --wheel --outdir dist . > dist.log 2>&1 || (cat dist.log; exit 1); rm -f dist.log

clean:
	rm -rf .venv .venv-peers build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "regoal needs Python 3.11 or newer: make PYTHON=python3.12")'
	@echo "setting up .venv (once; PyTorch and MuJoCo take a few minutes to download)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev,video]"
	@touch $(READY)

$(PEERS_READY): pyproject.toml benchmarks/peers/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "regoal needs Python 3.11 or newer: make PYTHON=python3.12")'
	@echo "setting up .venv-peers (once; all peers take a few minutes to download)"
	@$(PYTHON) -m venv .venv-peers
	@$(PEERS)/python -m pip install -q --disable-pip-version-check -c benchmarks/peers/constraints.txt -e ".[peers]" pytest
	@touch $(PEERS_READY)
