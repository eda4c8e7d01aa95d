#!/usr/bin/env bash
# Measures graphcond on one GPU in a quarter of an hour and writes a section for RESULTS.md: the tests marked gpu,
# xformers against SDPA and half precision against fp32 for every injector, every shipped recipe for a few steps,
# drawing, torch.compile, and training steps in several ways, with random weights of the shapes of Stable Diffusion
# 1.5, 2.1 and XL.
#
#     bash benchmarks/gpu.sh [--quick] [--out FILE] [--parts tests,recipes] [--resume] [--minutes 14]
#     bash benchmarks/gpu.sh --dry-run          # every part on a CPU, with tiny shapes
#
# It needs a CUDA build of torch, 40 GB of disk and, for every recipe at its own batch size, 80 GB of memory on the
# GPU (batches that do not fit are halved). A machine that has torch but no network takes the rest from wheels in
# WHEELS (./wheels unless set). Collect them where there is a network, for the Python of the GPU machine:
#
#     pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
#         --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
#         -d wheels -c constraints.txt \
#         diffusers importlib_metadata pydantic pydantic_core annotated-types typing-inspection typing_extensions \
#         beartype xformers hatchling packaging pathspec pluggy tomlkit trove-classifiers
#
# Add whatever else it says it needs. PYTHON chooses the interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -x .venv/bin/python ]; then default=.venv/bin/python; else default=python3; fi
PYTHON=${PYTHON:-$default}
WHEELS=${WHEELS:-wheels}
SITE=${TMPDIR:-/tmp}/graphcond-gpu-site-$(id -u)

if compgen -G "$WHEELS/*.whl" >/dev/null; then
    newest=$(ls -t "$WHEELS"/*.whl | head -n 1)
    if [ ! -e "$SITE/.installed" ] || [ "$newest" -nt "$SITE/.installed" ]; then
        rm -rf "$SITE"
        "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$SITE" "$WHEELS"/*.whl
        # graphcond itself runs from this folder; installed are its name and version
        "$PYTHON" -m pip install --quiet --no-index --find-links "$WHEELS" --no-deps --no-cache-dir --target "$SITE" .
        touch "$SITE/.installed"
    fi
    PYTHONPATH=$SITE${PYTHONPATH:+:$PYTHONPATH}
fi
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
exec "$PYTHON" -m benchmarks.gpu "$@"
