# make demo: the whole pipeline on this machine, a few minutes after the install.
# make test: everything that is tested.
# make quick: the tests that take less than a second each, after every change.
# make docs: the documentation, into out/docs.
# make bench: how fast queries, studies and engines are, three quarters of an hour.
# All make .venv first and work again when run again.
PYTHON ?= python3
BIN := .venv/bin
OUT := out

.PHONY: demo test quick lint docs bench clean

# torch first and alone: with its version pinned no other package pulls a larger build in.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[collect,surrogate,nni,optuna,cmaes,page,pymoo,botorch]'
	touch $@

.venv/tested: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt \
		--editable '.[configspace,dehb,gguf,hub,import,lm-eval,optunahub,publish,ray,tensorboard]' \
		--group test --group lint --group docs
	touch $@

demo: .venv/installed
	@echo '== collect: 12 real fine-tunes of a very small model on generated tasks'
	$(BIN)/collect-grid collect/smoke.toml --out $(OUT)/smoke --workers 2
	@echo '== fit: a surrogate on the table that was just collected'
	$(BIN)/hpobench-llm fit $(OUT)/smoke --out $(OUT)/smoke-surrogate --folds 3 --no-ranking-check
	@echo '== replay: four optimizers, 20 seeds, 50 trials on the shipped table lora-nano'
	@rm -rf $(OUT)/nomad-vs-tpe
	$(BIN)/hpobench-llm replay studies/nomad-vs-tpe.toml --out $(OUT)/nomad-vs-tpe
	@echo '== compare'
	$(BIN)/hpobench-llm compare $(OUT)/nomad-vs-tpe

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal --quiet

test: .venv/tested
	$(PYTEST)

quick: .venv/tested
	$(PYTEST) -m 'not slow'

lint: .venv/tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# -E: a page is made anew although its file is as it was, since the code may not be.
docs: .venv/tested
	$(BIN)/python -m sphinx -b html -W --keep-going -q -E -d $(OUT)/docs-trees docs $(OUT)/docs

bench: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/queries.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/studies.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/packed.py

clean:
	rm -rf $(OUT)
