# Everyday tasks. `make` lists them.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup lint format test-fast test-ui test-engine test snapshots contract screenshots dev

help: ## list the tasks
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

setup: ## make .venv with everything that development needs
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e '.[syntax,test]'

lint: ## style, types, import layers, and the page of safety promises
	$(BIN)/ruff check tui tests screenshots
	$(BIN)/ruff format --check tui tests screenshots
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.support.contract --check

format: ## sort imports and format
	$(BIN)/ruff check --select I --fix tui tests screenshots
	$(BIN)/ruff format tui tests screenshots

test-fast: ## what needs no root, no engine and no terminal; under a minute
	$(BIN)/pytest -q -n auto -m 'not engine and not root and not iozone and not ssh and not png' \
	  --ignore tests/ui --ignore tests/e2e

test-ui: ## the screens, without a terminal; some minutes, as any user
	$(BIN)/pytest -q -n auto -m 'not engine' tests/ui

test-engine: ## one file or directory against real engines, as root: make test-engine T=tests/files/test_undo.py
	$(BIN)/pytest -q $(or $(T),-m engine)

test: ## everything, as root; about half an hour
	$(BIN)/pytest -n 3 --dist loadfile

snapshots: ## take the pictures of the screens anew; look at the report of the differences first
	$(BIN)/pytest -q tests/ui --snapshot-update

contract: ## write docs/safety-contract.md from the tests' markers
	$(BIN)/python -m tests.support.contract

screenshots: ## make the README's pictures
	$(BIN)/python -m screenshots.make

dev: ## run the demo with Textual's console: `textual console` in another terminal (pip install textual-dev)
	$(BIN)/textual run --dev -c $(BIN)/dtui demo
