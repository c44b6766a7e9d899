# Everything a developer does. Each target says in its "##" text what it is for; `make` lists them.

SHELL := /bin/bash -o pipefail
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
VENV := .venv
BIN := $(VENV)/bin

# Debian packages: to run the QEMU builder, to make the lab, to run the tests.
APT_RUN := python3-venv qemu-system-x86 qemu-utils ovmf mmdebstrap uidmap mtools fdisk e2fsprogs systemd-boot-efi ca-certificates
APT_LAB := $(shell cat lab/apt-packages.txt 2>/dev/null)
APT_TEST := git openssh-client dnf createrepo-c rpm tmux packer

.DEFAULT_GOAL := help
.PHONY: help setup demo lab test test-fast soak bench bench-aws live-aws live-azure lint format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## install what is missing: Debian packages, .venv with the command .venv/bin/bake

$(VENV)/.ready: Makefile pyproject.toml constraints.txt lab/apt-packages.txt
	@missing=$$(for package in $(APT_RUN) $(APT_LAB) $(APT_TEST); do \
	    dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || echo $$package; done); \
	if [ -n "$$missing" ]; then \
	    command -v apt-get >/dev/null || { echo "error: there is no apt-get to install what is missing:" $$missing; exit 1; }; \
	    echo "installing" $$missing; \
	    $(SUDO) apt-get update -qq && \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing </dev/null >$(CURDIR)/.apt.log 2>&1 \
	        || { tail -20 .apt.log; exit 1; }; rm -f .apt.log; \
	fi
	@$(BIN)/pip --version >/dev/null 2>&1 || python3 -m venv --clear $(VENV)
	@echo "installing the baker into $(VENV)"
	@$(BIN)/pip install -qq -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup ## bake recipes/ocean.py on a local virtual machine, everything it fetches served by the lab
	@$(BIN)/python -m lab run -- $(BIN)/bake recipes/ocean.py

lab: setup ## serve what recipes fetch (conda channel, installer, git, sftp) until Ctrl-C
	@$(BIN)/python -m lab serve

lint: setup ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check -q .
	@$(BIN)/ruff format -q --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >.lint-imports.log || { cat .lint-imports.log; rm -f .lint-imports.log; exit 1; }; rm -f .lint-imports.log

format: setup ## put the code into its form
	@$(BIN)/ruff check -q --fix .
	@$(BIN)/ruff format -q .

test: setup lint ## all tests, one ocean bake of a real virtual machine among them
	@$(BIN)/python -m lab build
	@$(BIN)/pytest -n 2 --dist loadgroup --no-loadscope-reorder -m 'not soak'

test-fast: setup ## the tests for the minutes between: no virtual machine
	@$(BIN)/pytest -q -n 2 --dist loadgroup -m 'not qemu and not lab and not soak'

soak: setup ## what takes an hour
	@$(BIN)/python -m lab build
	@$(BIN)/pytest -m soak

bench: setup ## ratios, measured side by side in one run
	@$(BIN)/python -m tests.bench
	@$(BIN)/python -m tests.bench_scan

bench-aws: setup ## a bake at the double of EC2 beside Packer's: where the seconds and the calls go (10 minutes)
	@$(BIN)/python -m tests.bench_aws

live-aws: setup ## a tiny bake in your own AWS account, swept at the end (some cents); only with BAKER_LIVE_AWS=1
	@$(BIN)/python -m tests.live_aws

live-azure: setup ## a tiny bake in your own Azure subscription, swept at the end (ten cents); only with BAKER_LIVE_AZURE=1
	@$(BIN)/python -m tests.live_azure

clean: ## remove .venv, .lab and .bake (logs of runs); images stay, and source images too
	rm -rf $(VENV) .lab .bake build dist *.egg-info
