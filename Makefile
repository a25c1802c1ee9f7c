# The two commands of the README are `make demo` and `make test`; each works alone on a fresh machine.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
VENV := .venv
BIN := $(VENV)/bin
DEV := $(VENV)/.installed-dev
RUN := $(VENV)/.installed-run
PURE := authority crypto erasure formats gossip identity locking sealing unixfs # floors that know no machine
unexport PYTHONDONTWRITEBYTECODE # every process of the tests would compile all it imports

.PHONY: help demo check test soak fuzz bench man deb clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

$(RUN): pyproject.toml packaging/bootstrap
	@packaging/bootstrap $(VENV) .
	@touch $@

$(DEV): pyproject.toml packaging/bootstrap
	@packaging/bootstrap $(VENV) '.[dev]'
	@touch $@ $(RUN)

demo: $(RUN) ## add a real directory (DIR=…), read it back, break a block; as root, two users of one node and one mount; a grid
	@packaging/demo $(BIN)/hold $(DIR)
	@packaging/demo-users $(BIN)/hold
	@packaging/demo-grid $(BIN)/hold $(DIR)

check: $(DEV) ## format, lint, types, import contracts, the pure floors' tests: seconds
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@said=$$(mktemp); failed=; $(BIN)/mypy >"$$said" 2>&1 & types=$$!; trap 'rm -f "$$said"' EXIT; \
	  $(BIN)/pytest -m "not slow" --hypothesis-profile=fast -n auto --dist worksteal tests/test_*.py $(PURE:%=tests/%) || failed=1; \
	  wait $$types || failed=1; cat "$$said"; [ -z "$$failed" ]

test: $(DEV) ## everything but the long runs; root for the tests that need it
	@packaging/test-needs
	@$(BIN)/pytest -m "not soak and not alone" -n $$(( $$(nproc) * 3 / 2 )) --dist loadfile --no-loadscope-reorder --durations 12 --durations-min 20
	@if [ "$$(id -u)" = 0 ]; then $(BIN)/pytest -m "alone and not soak" tests/system; fi

soak: $(DEV) ## at length: 2000 kills, 200 power cuts, ten minutes of a mount beside ext4 and of fsx, a thousand steps of rehearsal
	@packaging/test-needs
	@HOLD_SOAK=1 $(BIN)/pytest tests/system tests/gossip/test_world.py tests/storage/test_kill.py tests/volume/test_real.py -n auto

fuzz: $(DEV) ## every decoder against made-up input for FUZZ_SECONDS (300)
	@$(BIN)/python -m tests.fuzz.run $${FUZZ_SECONDS:-300}

bench: $(RUN) ## the table of ratios against dd, cp, restic, borg
	@$(BIN)/python benchmarks/run.py $(ARGS)

man: $(RUN) ## the manual pages, into dist/man: man -l dist/man/hold.1
	@$(BIN)/python -m commonhold.cli.manual dist/man
	@cp packaging/man/commonhold.7 dist/man

deb: ## the Debian 12 package, into dist: apt-get install ./dist/commonhold_…_amd64.deb
	@packaging/deb dist

clean: ## remove what was made here
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache src/*.egg-info
