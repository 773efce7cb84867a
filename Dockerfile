# An engine for others on a rented machine with an NVIDIA card. See docs/remote.md.
# The development image: gsplat compiles its kernels with nvcc at the first training, for the card that is there. Its CUDA must be
# PyTorch's, so both are named together: 12.8 runs with every driver for CUDA 12 and later.
FROM nvidia/cuda:12.8.1-devel-ubuntu24.04
ARG PACKAGES=cu128

RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv python3-dev g++ libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

RUN python3 -m venv /opt/splatwright
ENV PATH=/opt/splatwright/bin:$PATH

# The packages first: they stay when only the engine changes.
COPY engine/locks/${PACKAGES}.txt /tmp/packages.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/packages.txt

WORKDIR /src
COPY . .
# ziglang is the compiler of the built-in engine's kernels; the image does without it afterwards.
RUN pip install --no-cache-dir "$(python tools/versions.py ziglang)" \
    && python -m engine.training.cpu.build \
    && pip install --no-cache-dir --no-deps . \
    && pip uninstall --yes ziglang

# The kernels that were compiled stay with the jobs, so that a new container does not compile them again.
ENV TORCH_EXTENSIONS_DIR=/data/kernels
VOLUME /data
WORKDIR /data
EXPOSE 8787

# Inside a container every address is the container's own: what is reached from outside is decided by `docker run -p`.
# SPLATWRIGHT_TOKEN must be given; the server does not start without it.
ENTRYPOINT ["splatwright", "serve", "--host", "0.0.0.0", "--folder", "/data/serve"]
