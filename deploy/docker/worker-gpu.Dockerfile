# syntax=docker/dockerfile:1
# The worker with vLLM in its own process, for NVIDIA GPUs (CUDA 13 wheels; the host needs a driver of 580 or newer):
#   docker build -f deploy/docker/worker-gpu.Dockerfile -t proguard-worker:gpu .
# The trainer of a chat model is the same with TRL beside it:
#   docker build -f deploy/docker/worker-gpu.Dockerfile --build-arg LOCK=trainer-gpu.lock -t proguard-trainer:gpu .
# The wheels bring CUDA along, so the base needs none. The model is mounted read-only (/models), never downloaded.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG LOCK=gpu.lock
WORKDIR /build
RUN ["python", "-m", "venv", "/opt/proguard"]
COPY requirements/${LOCK} ./locked.txt
RUN ["/opt/proguard/bin/pip", "install", "--no-cache-dir", "--no-deps", "--require-hashes", "-r", "locked.txt"]
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY schemas schemas
COPY proguard_core proguard_core
COPY worker worker
RUN ["/opt/proguard/bin/pip", "install", "--no-cache-dir", "--no-deps", "--no-build-isolation", "."]
RUN ["/opt/proguard/bin/python", "-m", "compileall", "-q", "-x", "tests", "/opt/proguard/lib/python3.11/site-packages/worker"]
RUN ["install", "-d", "-m", "0700", "/state"]

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="proguard-worker-gpu" org.opencontainers.image.licenses="Apache-2.0"
# Triton compiles a small launcher with a C compiler when a kernel is first used.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/proguard /opt/proguard
COPY --from=build --chown=65532:65532 /state /var/lib/proguard
# Kernels are cached under /tmp/cache: mount a volume there to start faster the next time.
ENV HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/tmp/cache \
    VLLM_CACHE_ROOT=/tmp/cache/vllm \
    TRITON_CACHE_DIR=/tmp/cache/triton \
    TORCHINDUCTOR_CACHE_DIR=/tmp/cache/inductor \
    HF_HUB_OFFLINE=1 \
    VLLM_NO_USAGE_STATS=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PROGUARD_KAFKA__STATE_DIR=/var/lib/proguard \
    PROGUARD_TELEMETRY__HOST=0.0.0.0
USER 65532:65532
EXPOSE 9464
VOLUME ["/var/lib/proguard"]
# Loading a model of 7 billion parameters takes minutes.
HEALTHCHECK --interval=15s --timeout=5s --start-period=900s --retries=3 \
    CMD ["/opt/proguard/bin/python", "-c", "import urllib.request as http; http.urlopen('http://127.0.0.1:9464/livez', timeout=4)"]
ENTRYPOINT ["/opt/proguard/bin/proguard"]
CMD ["moderate"]
