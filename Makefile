# The plain lines behind each target stand in README.md, for systems without make.
VENV ?= .venv
PYTHON ?= python3
DEMO ?= demo

BIN := $(VENV)/bin
# Holds the digest of what was installed and the checkout that the editable install points to.
STAMP := $(VENV)/.monai-skd-installed
WANTED = $$(cat pyproject.toml constraints.txt | $(PYTHON) -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')

# 3D Slicer's scene library pins much of what it needs, so its tests have an environment of their own.
SLICER_VENV ?= .venv-slicer
SLICER_BIN := $(SLICER_VENV)/bin
SLICER_STAMP := $(SLICER_VENV)/.monai-skd-installed
SLICER_WANTED = $$(cat pyproject.toml tests/slicer_extension/requirements.txt | $(PYTHON) -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')

# So does MONAI Label.
LABEL_VENV ?= .venv-label
LABEL_BIN := $(LABEL_VENV)/bin
LABEL_STAMP := $(LABEL_VENV)/.monai-skd-installed
LABEL_WANTED = $$(cat pyproject.toml tests/label_app/requirements.txt | $(PYTHON) -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')

.PHONY: install demo test lint slicer-install slicer-test slicer-pictures label-install label-test clean

# Three cases: nothing changed; only the checkout is another one (link it, cheap); anything else (install).
install:
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@wanted="$(WANTED)"; have="$$(cat $(STAMP) 2>/dev/null || true)"; \
	if [ "$$have" = "$$wanted $(CURDIR)" ]; then exit 0; fi; \
	rm -f $(STAMP); \
	if [ "$${have%% *}" = "$$wanted" ]; then \
		$(BIN)/python -m pip install --quiet --no-deps -e .; \
	else \
		$(BIN)/python -m pip install -c constraints.txt -e ".[train,test]"; \
	fi && echo "$$wanted $(CURDIR)" > $(STAMP)

demo: install
	$(BIN)/python -m MonaiSKD demo --out $(DEMO)

test: install
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slicer-install:
	@test -x $(SLICER_BIN)/python || $(PYTHON) -m venv $(SLICER_VENV)
	@wanted="$(SLICER_WANTED)"; have="$$(cat $(SLICER_STAMP) 2>/dev/null || true)"; \
	if [ "$$have" = "$$wanted $(CURDIR)" ]; then exit 0; fi; \
	rm -f $(SLICER_STAMP); \
	if [ "$${have%% *}" = "$$wanted" ]; then \
		$(SLICER_BIN)/python -m pip install --quiet --no-deps -e .; \
	else \
		$(SLICER_BIN)/python -m pip install -r tests/slicer_extension/requirements.txt -e .; \
	fi && echo "$$wanted $(CURDIR)" > $(SLICER_STAMP)

# The training that the module starts runs in the environment of the training half, where there is one.
slicer-test: slicer-install
	MONAI_SKD_TRAIN_PYTHON="$$(test -x $(BIN)/python && echo $(abspath $(BIN))/python)" \
		$(SLICER_BIN)/python -m pytest tests/slicer_extension

# sam2, which MONAI Label brings, is built; alone it would fetch a PyTorch of its own for that, and compile for CUDA.
# An old pip does not find versions that go together.
label-install:
	@test -x $(LABEL_BIN)/python || $(PYTHON) -m venv $(LABEL_VENV)
	@wanted="$(LABEL_WANTED)"; have="$$(cat $(LABEL_STAMP) 2>/dev/null || true)"; \
	if [ "$$have" = "$$wanted $(CURDIR)" ]; then exit 0; fi; \
	rm -f $(LABEL_STAMP); \
	if [ "$${have%% *}" = "$$wanted" ]; then \
		$(LABEL_BIN)/python -m pip install --quiet --no-deps -e .; \
	else \
		$(LABEL_BIN)/python -m pip install --upgrade pip torch torchvision setuptools wheel hatchling editables && \
		SAM2_BUILD_CUDA=0 $(LABEL_BIN)/python -m pip install --no-build-isolation \
			-r tests/label_app/requirements.txt -e ".[label]"; \
	fi && echo "$$wanted $(CURDIR)" > $(LABEL_STAMP)

label-test: label-install
	$(LABEL_BIN)/python -m pytest tests/label_app

# The pictures of docs/slicer.md.
slicer-pictures: install slicer-install
	MONAI_SKD_TRAIN_PYTHON="$(abspath $(BIN))/python" MONAI_SKD_PICTURES="$(CURDIR)/docs/images" \
		$(SLICER_BIN)/python -m pytest tests/slicer_extension/test_pictures.py

clean:
	rm -rf build dist demo *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find MonaiSKD tests -name __pycache__ -type d -prune -exec rm -rf {} +
