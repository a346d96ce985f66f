# Everything in two commands: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS ?= dev
CONFIG ?= cartpole
UV := uv==0.13.9
# The versions that were tried; `make constraints` renews them, and pip takes the same file.
# Where Python may write no bytecode, each process would compile every library anew: compile it once.
INSTALL := $(BIN)/uv pip install --quiet $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode) --python $(BIN)/python --constraint constraints.txt --editable
PYTEST := $(BIN)/python -m pytest -n 3 --dist worksteal
REST := --tier full --tier extras --tier browser

.PHONY: demo test pytest lint test-all rest tiers ray newest oldest constraints docs bench validity agreement cov mutants cases effects faults hostile signals same-tables profile clean

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(UV)'

$(VENV)/.installed: $(BIN)/uv pyproject.toml constraints.txt
	$(INSTALL) '.[fast]'
	touch $@

$(VENV)/.installed-dev: $(BIN)/uv pyproject.toml constraints.txt
	$(INSTALL) '.[$(EXTRAS)]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-all: $(BIN)/uv pyproject.toml constraints.txt
	$(INSTALL) '.[dev-all]'
	touch $@ $(VENV)/.installed-dev $(VENV)/.installed

$(VENV)/.installed-docs: $(BIN)/uv pyproject.toml constraints.txt
	$(INSTALL) '.[docs]'
	touch $@

## Install into .venv with the compiled engine, run the quickstart sweep, print the verdicts and where all lies.
demo: $(VENV)/.installed
	$(BIN)/rl-transfer sweep quickstart

## Install with the dev extra; lint, types, dead code, the default tier of the tests. Nothing else is needed.
## With one worker more than the two cores that are asked for: many tests wait, for processes that they start.
## Each worker takes its share in order (what a module prepares is seldom prepared twice), and then what others have left.
test: $(VENV)/.installed-dev
	$(MAKE) --no-print-directory --jobs=2 lint pytest

pytest: $(VENV)/.installed-dev
	$(PYTEST)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/support/dead_code.py

## Every tier: `make test`, then what takes longer or needs more: Ray, Keras, transformers and their kin, and a
## Chromium that is on the machine already (on Debian: apt-get install chromium).
test-all: test rest

rest: $(VENV)/.installed-all
	@$(BIN)/python tests/support/browser.py
	$(MAKE) --no-print-directory --jobs=2 tiers ray

tiers:
	$(PYTEST) $(REST)

## Ray's tests share one cluster, hence one process.
ray:
	$(BIN)/python -m pytest --tier ray

## The default tier with the newest of everything, and with the lowest versions that pyproject.toml allows, each in an
## environment of its own. PYTHON=python3.13: another Python. Old libraries may call what newer ones deprecate.
newest oldest:
	rm -rf .venv-$@
	$(PYTHON) -m venv .venv-$@
	.venv-$@/bin/python -m pip install --quiet --disable-pip-version-check '$(UV)'
	.venv-$@/bin/uv pip install --quiet $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode) --python .venv-$@/bin/python --editable '.[dev]' \
		--resolution $(if $(filter oldest,$@),lowest-direct,highest)
	.venv-$@/bin/python -m pytest -n 3 --dist worksteal $(if $(filter oldest,$@),-W ignore::DeprecationWarning)

## Write constraints.txt anew: the newest versions that go together, for every Python that pyproject.toml allows.
constraints: $(BIN)/uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --all-extras --no-annotate pyproject.toml \
		--custom-compile-command 'make constraints' --output-file constraints.txt

## The site in build/site; a broken link or anchor ends the build (with --quiet it would not).
docs: $(VENV)/.installed-docs
	$(BIN)/mkdocs build --strict

## Every benchmark in a short form. Numbers for the docs come from the full commands.
bench: $(VENV)/.installed-all
	$(BIN)/python benchmarks/environments.py --environments CartPole-v1 --instances 8 --repeats 3
	$(BIN)/python benchmarks/cached_features.py --repeats 1
	$(BIN)/python benchmarks/image_throughput.py --epochs 1 --repeats 1
	$(BIN)/python benchmarks/growth.py --runs 100 1000
	$(BIN)/python benchmarks/report_size.py --cells 12 --seeds 2 --live
	$(BIN)/python benchmarks/jump_start.py --seeds 1
	$(BIN)/python benchmarks/inter_task.py --output $$(mktemp -d) --seeds 2
	$(BIN)/python benchmarks/mbtl.py --seeds 1
	$(BIN)/python benchmarks/alignment_pairs.py --sources 1 --output $$(mktemp -d)
	$(BIN)/python benchmarks/pairing_check.py --sets 1
	$(BIN)/python benchmarks/action_matching.py --seeds 1
	$(BIN)/python benchmarks/feature_alignment.py --seeds 1 --unlabelled 64
	$(BIN)/python benchmarks/keras_faces.py --seeds 2 --shots 10
	$(BIN)/python benchmarks/text_features.py --seeds 1
	$(BIN)/python benchmarks/domain_gap.py --seeds 1 --domains inverted
	$(BIN)/python benchmarks/scheduler.py
	$(BIN)/python benchmarks/resume.py --runs 200
	$(BIN)/python benchmarks/run_cost.py
	$(BIN)/python benchmarks/shell_loop.py --runs 4 --blocks 1
	$(BIN)/python benchmarks/engine.py --rows cartpole --repeats 1 --steps 2048
	$(BIN)/python benchmarks/engine_agreement.py --output $$(mktemp -d) --tasks cartpole --seeds 2
	$(BIN)/python benchmarks/quickstart.py --ways sb3-1 compiled-1
	@echo "Short forms. Each file in benchmarks/ says its full command in its first lines."

## Every simulation that a page of docs/ names: coverage, false verdicts, power. Says what each took and which rows
## of their tables the docs have; what is finished is kept in results/validity. JOBS=2: two at a time.
validity: $(VENV)/.installed-all
	@$(BIN)/python -m benchmarks.validity --output results/validity --jobs $(or $(JOBS),1)

## Are the two engines equivalent over 30 seeds? An hour; what is finished is kept in results/agreement.
agreement: $(VENV)/.installed-all
	$(BIN)/python benchmarks/engine_agreement.py --output results/agreement --seeds $(or $(SEEDS),30)

## The tests under branch coverage; fails below the floor in pyproject.toml. Worker processes are not measured.
cov: $(VENV)/.installed-all
	$(BIN)/python -m pytest -n 2 --tier all --cov --cov-report=term:skip-covered

## Change the code in every small way and see whether a test notices: SAMPLE=300 SEED=0 draws, NAMED=1 takes
## only the changes that once slipped through, AT=rl_transfer/core/freeze.py:88 modules or lines, SECONDS=100
## more seconds of tests for each, TIERS=1 the default tier first and all tiers on what lives, KEEP=FILE and AGAIN=FILE
## write what became of each and judge the same ones again.
mutants: $(VENV)/.installed-all
	PYTHONPATH=$(CURDIR):$(CURDIR)/envs:$(CURDIR)/tests $(BIN)/python -m mutants $(if $(NAMED),--named) \
		--sample $(or $(SAMPLE),0) --seed $(or $(SEED),0) $(if $(AT),--at '$(AT)') \
		$(if $(SECONDS),--seconds $(SECONDS)) $(if $(TIERS),--tiers) $(if $(AGAIN),--again '$(AGAIN)') $(if $(KEEP),--keep '$(KEEP)')

## The tests that draw from many cases, with all cases, steps and examples.
cases: $(VENV)/.installed-all
	CASES=all $(BIN)/python -m pytest -n 2 $$(grep -rlE '^from support.(cases|physics) ' tests --include='test_*.py')

## Of these the environments: every parameter of MuJoCo and Box2D proven at both ends of every environment, 10,000
## steps of every batched one, every shipped target, and every wrapper on CartPole and Pendulum (some minutes).
effects: $(VENV)/.installed-dev
	CASES=all $(BIN)/python -m pytest -n 2 tests/envs/test_mujoco_parameters.py tests/envs/test_box2d_parameters.py \
		tests/envs/test_vector_equality.py tests/envs/test_envs_conformance.py tests/envs/test_envs_classic.py

## Damage every file of a run in every way and print what is made of it: the table of docs/reliability.md.
## KILLS=100 SEED=0: random kill -9 of workers, their server and sweeps, too (half an hour).
faults: $(VENV)/.installed-all
	@PYTHONPATH=$(CURDIR):$(CURDIR)/envs:$(CURDIR)/tests $(BIN)/python -m faults \
		--kills $(or $(KILLS),0) --seed $(or $(SEED),0)

## What refusing hostile input costs: CPU seconds and memory of the program for each. ONLY=overrides: one kind.
hostile: $(VENV)/.installed-all
	@PYTHONPATH=$(CURDIR):$(CURDIR)/envs:$(CURDIR)/tests $(BIN)/python -m faults.hostile $(if $(ONLY),--only '$(ONLY)')

## The tests of Ctrl-C and SIGTERM in a loop beside busy processes: TIMES=20 rounds, LOAD=2 processes.
signals: $(VENV)/.installed-dev
	@PYTHONPATH=$(CURDIR):$(CURDIR)/envs:$(CURDIR)/tests $(BIN)/python -m faults.signals \
		--times $(or $(TIMES),20) $(if $(LOAD),--load $(LOAD))

## One suite with 1 worker, 2, packs and two Ray nodes: the same tables? CONFIG="quickstart seeds=2": another suite.
same-tables: $(VENV)/.installed-all
	@PYTHONPATH=$(CURDIR):$(CURDIR)/envs:$(CURDIR)/tests $(BIN)/python -m faults.same_tables \
		$(if $(filter command line,$(origin CONFIG)),$(CONFIG))

## One training run under cProfile: make profile CONFIG="cartpole training.total_steps=10240"
profile: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/profile_run.py train $(CONFIG)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
