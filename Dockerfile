# An engine for others on a rented machine with an NVIDIA card. See docs/remote.md.
# The development image: gsplat compiles its kernels with nvcc at the first training, for the card that is there.
FROM nvidia/cuda:12.6.3-devel-ubuntu24.04

RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv python3-dev g++ git libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

RUN python3 -m venv /opt/splatwright
ENV PATH=/opt/splatwright/bin:$PATH

WORKDIR /src
COPY . .
# ziglang is the compiler of the built-in engine's kernels; the image does without it afterwards.
RUN pip install --no-cache-dir ziglang==0.17.0 numpy \
    && python -m engine.training.cpu.build \
    && pip install --no-cache-dir '.[serve,cuda,photos]' \
    && pip uninstall --yes ziglang

# The kernels that were compiled stay with the jobs, so that a new container does not compile them again.
ENV TORCH_EXTENSIONS_DIR=/data/kernels
VOLUME /data
WORKDIR /data
EXPOSE 8787

# Inside a container every address is the container's own: what is reached from outside is decided by `docker run -p`.
# SPLATWRIGHT_TOKEN must be given; the server does not start without it.
ENTRYPOINT ["splatwright", "serve", "--host", "0.0.0.0", "--folder", "/data/serve"]
