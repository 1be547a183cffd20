# syntax=docker/dockerfile:1
# The worker with the embedded guard, or with a guard that answers over HTTP; no torch. Build from the project's folder:
#   docker build -f deploy/docker/worker-cpu.Dockerfile -t proguard-worker:cpu .
# Pin the base by digest in your registry: PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
RUN ["python", "-m", "venv", "/opt/proguard"]
# base, or console: what PostgreSQL and clustering need beside it.
ARG LOCK=base
COPY requirements/${LOCK}.lock ./locked.txt
# Every package by version and hash; nothing is resolved here.
RUN ["/opt/proguard/bin/pip", "install", "--no-cache-dir", "--no-deps", "--require-hashes", "-r", "locked.txt"]
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY schemas schemas
COPY proguard_core proguard_core
COPY worker worker
RUN ["/opt/proguard/bin/pip", "install", "--no-cache-dir", "--no-deps", "--no-build-isolation", "."]
RUN ["/opt/proguard/bin/python", "-m", "compileall", "-q", "/opt/proguard/lib"]
RUN ["install", "-d", "-m", "0700", "/state"]

# A slim image: onnxruntime and OpenCV want libstdc++ and a libc of this age, which a distroless Python may change under
# them. Nothing below needs its shell, so it may be removed or replaced by a distroless one that was tried.
FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="proguard-worker" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/proguard /opt/proguard
COPY --from=build --chown=65532:65532 /state /var/lib/proguard
ENV HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PROGUARD_KAFKA__STATE_DIR=/var/lib/proguard \
    PROGUARD_TELEMETRY__HOST=0.0.0.0
USER 65532:65532
EXPOSE 9464
VOLUME ["/var/lib/proguard"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["/opt/proguard/bin/python", "-c", "import urllib.request as http; http.urlopen('http://127.0.0.1:9464/livez', timeout=4)"]
ENTRYPOINT ["/opt/proguard/bin/proguard"]
CMD ["moderate"]
