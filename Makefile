# Everything runs from a fresh clone: each target installs what it needs.
PYTHON ?= python3.11
PY313 ?= $(shell for p in python3.13 $(HOME)/.pyenv/versions/3.13*/bin/python3.13; do $$p -c '' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
KERNELS := engine/training/cpu/lib/.host

# Real photos and splat files for tests and benchmarks, where they lie beside the checkout; what needs them is skipped without.
ifneq ($(wildcard ../shared/data),)
export SPLATWRIGHT_DATA ?= $(abspath ../shared/data)
endif
ifneq ($(wildcard ../shared/lab/cpu),)
export SPLATWRIGHT_PROTOTYPE ?= $(abspath ../shared/lab/cpu)
endif

PYTEST := python -m pytest -rsfE --durations=10
SERVICES := tests/server tests/environment tests/faults tests/sfm
PYTHON_PARTS := 'Python=$(BIN)/$(PYTEST) tests --ignore=tests/blender --ignore=tests/end_to_end $(SERVICES:%=--ignore=%) -m "not gpu"' \
	'Blender 4.5=$(BIN)/$(PYTEST) tests/blender' 'services=$(BIN)/$(PYTEST) $(SERVICES) -m "not gpu"' 'end to end=$(BIN)/$(PYTEST) tests/end_to_end'
WINDOWS_PART := 'Windows=$(BIN)/python -m tests.windows'
BLENDERS := .venv-bpy50/.ready $(if $(PY313),.venv-bpy52/.ready)
BLENDER_PARTS := 'Blender 5.0=.venv-bpy50/bin/$(PYTEST) tests/blender' $(if $(PY313),'Blender 5.2=.venv-bpy52/bin/$(PYTEST) tests/blender')

.PHONY: setup demo test test-all test-windows test-python test-blender test-gui guide-pictures test-gpu test-faults test-soak test-cases bench bench-cpu bench-formats bench-check bench-gpu bench-health bench-start bench-blender bench-sfm bench-serve bench-estimate sweep kernels wheel extension release docs lint types hooks locks clean

setup: .venv/.ready $(KERNELS)

.venv/.ready: pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv || python3 -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[blender,dev,reference,video,view,depth,lpips,docs]'
	touch $@

$(KERNELS): .venv/.ready $(wildcard engine/training/cpu/*.c engine/training/cpu/*.h) engine/training/cpu/build.py
	$(BIN)/python -m engine.training.cpu.build
	touch $@

# All platforms, cross-compiled; what `make extension` ships.
kernels: $(KERNELS)
	$(BIN)/python -m engine.training.cpu.build --all

# One wheel for every platform; without an old build folder, whose files would get in.
wheel: setup kernels
	rm -rf build
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

extension: setup kernels
	$(BIN)/python tools/extension.py

# Everything to publish, in dist/release; ARGS=--unreleased for a trial before the changelog names the version.
release: setup kernels
	$(BIN)/python -m tools.release $(ARGS)

# The guide as a site, in dist/site; broken links fail.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

demo: setup
	$(BIN)/python -m demo

# Three parts at a time, for many tests wait for processes of their own; how long each took and what was skipped and why is printed at the end.
test: setup extension $(BLENDERS)
	$(BIN)/python -m tests.parts --together 3 'lint=make --no-print-directory lint' $(PYTHON_PARTS) $(BLENDER_PARTS) $(WINDOWS_PART) 'types=make --no-print-directory types'
ifeq ($(PY313),)
	@echo 'bpy 5.2 not tested: no Python 3.13 found'
endif

test-all: test test-windows

# Core, jobs, server, training and the extension in Blender for Windows, under Wine; set up in out/windows from packages alone. Skips with
# the reason where Wine is missing or fails.
test-windows: setup extension
	$(BIN)/python -m tests.windows --all

# Everything on bpy 4.5; bpy stays in a process of its own, away from torch.
test-python: setup extension
	$(BIN)/python -m tests.parts --together 3 $(PYTHON_PARTS)

# The Blender tests on 5.0 and, where a Python 3.13 is found, on 5.2.
test-blender: setup extension $(BLENDERS)
	$(BIN)/python -m tests.parts --together 3 $(BLENDER_PARTS)
ifeq ($(PY313),)
	@echo 'bpy 5.2 not tested: no Python 3.13 found'
endif

# What the Blender tests import beside bpy.
IN_BLENDER := plyfile Pillow pytest pytest-timeout hypothesis

.venv-bpy50/.ready: pyproject.toml .venv/.ready
	test -d .venv-bpy50 || $(BIN)/python -m venv .venv-bpy50
	.venv-bpy50/bin/pip install --quiet --disable-pip-version-check $$($(BIN)/python tools/versions.py blender50 $(IN_BLENDER))
	touch $@

.venv-bpy52/.ready: pyproject.toml .venv/.ready
	test -d .venv-bpy52 || $(PY313) -m venv .venv-bpy52
	.venv-bpy52/bin/pip install --quiet --disable-pip-version-check $$($(BIN)/python tools/versions.py blender52 $(IN_BLENDER))
	touch $@

# A real Blender window; skips with a reason where no windowed Blender is found.
test-gui: extension
	$(BIN)/$(PYTEST) tests/gui -m gui

# The guide's pictures, out of what make test-gui has left in out/window.
guide-pictures: setup
	$(BIN)/python -m tools.guide_pictures

# Needs an NVIDIA card, nvcc and a C++ compiler; skips with the reason where one is missing. The first run compiles gsplat for minutes.
test-gpu: setup
	$(BIN)/$(PYTEST) tests --ignore=tests/blender --ignore=tests/end_to_end -m gpu

# A hundred random kills and faults, what a cut costs on a busy machine, then files that lie, with seeds of the day; ARGS='--seed 7' and
# SPLATWRIGHT_SEED=7 repeat a run.
test-faults: setup
	$(BIN)/python -m tests.faults.run $(ARGS)
	$(BIN)/python -m tests.faults.lost_seconds
	SPLATWRIGHT_FUZZ=10 SPLATWRIGHT_SEED=$${SPLATWRIGHT_SEED:-$$(date +%s)} $(BIN)/$(PYTEST) tests/faults/test_hostile_files.py \
		tests/training/test_checkpoint.py tests/end_to_end/test_endings.py

# Twenty minutes of a server and a long training at work: what they hold must stay flat; ARGS='--minutes 5' for less.
test-soak: setup
	$(BIN)/python -m tests.faults.soak $(ARGS)

# Splat files and datasets as strangers have them, in CASES or CASES/splats and CASES/datasets: read, told or refused as expected.
# ARGS=--train trains each dataset for a moment and compares it with the plain scene.
test-cases: setup
	$(BIN)/python -m tests.cases $(CASES) $(ARGS)

# Recipes of trainings on the scenes made for that, three seeds each; ARGS="--preset quick-look 'max_gaussians=30000 lr_scales=1e-2' ''" for
# others than the preset as it is.
sweep: setup
	$(BIN)/python -m tests.bench.sweep $(ARGS)

# Speed of the built-in engine; ARGS='--before COMMIT' beside another version, by instruction set.
bench bench-cpu: setup
	$(BIN)/python -m tests.bench.bench_cpu $(ARGS)

# Reading and writing every splat format.
bench-formats: setup
	$(BIN)/python -m tests.bench.bench_formats

# Cameras of real photos, beside plain pycolmap; ARGS=banana for the small set alone.
bench-sfm: setup
	$(BIN)/python -m tests.bench.bench_sfm $(ARGS)

# Training through the server beside the bare command line, sending 2,000 files, listing 200 jobs; ARGS=upload for one part.
bench-serve: setup
	$(BIN)/python -m tests.bench.bench_serve $(ARGS)

# Import, export, reload, live preview and sorting in Blender, beside its stock import and splat-transform.
bench-blender: setup
	$(BIN)/python -m tests.bench.bench_blender

# Seconds of the check of a dataset; what watching a training costs.
bench-check: setup
	$(BIN)/python -m tests.bench.bench_check $(ARGS)

bench-health: setup
	$(BIN)/python -m tests.bench.bench_health $(ARGS)

# A worker's start, processor seconds before step 1 by part, how long checkpoints stop a training; ARGS='--counts 10000000' for others.
bench-start: setup
	$(BIN)/python -m tests.bench.bench_start $(ARGS)

# Estimates of minutes, memory and disk beside whole trainings; ARGS='FOLDER --presets standard --backend cuda' for others.
bench-estimate: setup
	test -d out/sample || $(BIN)/python -m demo.capture sample out/sample
	$(BIN)/python -m tests.bench.bench_estimate $(ARGS)

# Our trainer against gsplat's on one card; ARGS='--steps 30000 --guides' for more.
bench-gpu: setup
	test -d out/sample || $(BIN)/python -m demo.capture sample out/sample
	test -d out/thicket || $(BIN)/python -m demo.capture thicket out/thicket
	$(BIN)/python -m tests.bench.bench_gpu $(ARGS)

# The full engine's packages with their versions and checksums, resolved anew.
locks: .venv/.ready
	$(BIN)/python -m tools.locks

lint: .venv/.ready
	$(BIN)/ruff check .

types: .venv/.ready
	$(BIN)/pyright

# Lets git run both before every commit.
hooks: .venv/.ready
	$(BIN)/pre-commit install

clean:
	rm -rf out dist build engine/training/cpu/lib
