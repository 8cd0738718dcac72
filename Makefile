# A developer's day. `make help` lists the targets.
STUDY ?=
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
PYTHON ?= python3
CONFIGS = config.yaml $(if $(STUDY),studies/$(STUDY).yaml)
SNAKEMAKE = .venv/bin/snakemake --cores $(CORES) $(if $(STUDY),--configfile studies/$(STUDY).yaml)
ifneq ($(STUDY),)
ifeq ($(wildcard studies/$(STUDY).yaml),)
$(error STUDY=$(STUDY): there is no studies/$(STUDY).yaml; there are $(notdir $(basename $(wildcard studies/*.yaml))))
endif
endif
.DEFAULT_GOAL := help
.PHONY: help run check test test-fast plan report lint format reference graph cluster status recover verify unlock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: .venv/ready  ## run a study end to end (STUDY=name takes studies/<name>.yaml)
	$(SNAKEMAKE)
	@.venv/bin/python scripts/summarize.py $(CONFIGS)

check: .venv/ready  ## say what a study has, lacks and will take, before it starts
	@.venv/bin/python scripts/check_study.py $(CONFIGS)

plan: .venv/ready  ## list what `make run` would do
	$(SNAKEMAKE) --dry-run --quiet rules host

report: .venv/ready  ## write the report of a study again from its tables
	$(SNAKEMAKE) --forcerun build_report -- report

test: .venv/ready  ## run all tests
	.venv/bin/python -m pytest -n $(CORES)

test-fast: .venv/ready  ## run the tests that do not start the workflow
	.venv/bin/python -m pytest -n $(CORES) -m "not workflow"

lint: .venv/ready  ## check style of Python and Snakemake files
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/snakefmt --check Snakefile rules
	.venv/bin/snakemake --lint

format: .venv/ready  ## format Python and Snakemake files
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
	.venv/bin/snakefmt Snakefile rules

reference: .venv/ready  ## write the generated files: configuration reference, schema, conda environments, page of public data
	.venv/bin/python scripts/generate_reference.py
	.venv/bin/python scripts/generate_data_page.py

graph: .venv/ready  ## print the graph of the rules (mermaid)
	@$(SNAKEMAKE) --rulegraph mermaid-js 2>/dev/null

cluster: .venv/ready  ## install what profiles/slurm and profiles/generic need
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement envs/cluster.lock

status: .venv/ready  ## say how far a study has come: jobs done, failed, waiting; hours used and left
	@.venv/bin/python scripts/show_status.py $(CONFIGS)

recover: .venv/ready  ## after a hard kill: release the lock, if the run that held it is over
	@.venv/bin/python scripts/recover_run.py $(SNAKEMAKE)

verify: .venv/ready  ## recompute the checksums of a finished study and compare
	@.venv/bin/python scripts/verify_results.py $(CONFIGS)

unlock: .venv/ready  ## after a hard kill: release the lock of the working folder
	$(SNAKEMAKE) --unlock

clean:  ## remove the results of the study, keep data and volumes
	@test -n "$(STUDY)" || { echo "say which: make clean STUDY=name"; exit 2; }
	rm -rf results/$(STUDY)

.venv/ready: envs/requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; say make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement envs/requirements.lock
	@touch $@
