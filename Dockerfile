# The services' image. `--build-arg REQUIREMENTS=requirements.lock` adds the embedded engine and broker, for `up`.
# The base is named by version: pin the digest that you pulled.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements-image.lock ./
RUN python -m venv /opt/tools && /opt/tools/bin/pip install --no-cache-dir --require-hashes -r requirements-image.lock
ARG REQUIREMENTS=requirements-services.lock
COPY requirements.lock requirements-services.lock ./
RUN python -m venv --without-pip /opt/clickmill \
    && /opt/tools/bin/pip --python /opt/clickmill/bin/python install --no-cache-dir --require-hashes -r "$REQUIREMENTS" \
    && find /opt/clickmill/lib -depth -type d \( -name tests -o -path '*/pyarrow/include' \) -exec rm -r {} +
COPY pyproject.toml README.md ./
COPY ingest ingest
COPY rollups rollups
COPY api api
COPY deploy deploy
RUN /opt/tools/bin/pip --python /opt/clickmill/bin/python install --no-cache-dir --no-deps . \
    && /opt/tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
       --output-file /opt/clickmill/sbom.cdx.json /opt/clickmill/bin/python
# Compiled here, for any processor, and read from where it is: a container's file system may be read-only.
ENV NUMBA_CPU_NAME=generic NUMBA_CACHE_LOCATOR_CLASSES=rollups.compiled.jit.CacheInPlace
RUN /opt/clickmill/bin/python -P -c 'import rollups.compiled.hash_set, rollups.compiled.siphash'

FROM python:3.11-slim
ARG REVISION=unknown
LABEL org.opencontainers.image.title="clickmill" \
      org.opencontainers.image.description="Click pipeline: Kafka to ClickHouse rollups and their APIs" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="python:3.11-slim"
RUN groupadd --gid 10001 clickmill \
    && useradd --uid 10001 --gid clickmill --home-dir /data --create-home --shell /usr/sbin/nologin clickmill
COPY --from=build /opt/clickmill /opt/clickmill
COPY deploy/image/ready /usr/local/bin/ready
ENV PATH=/opt/clickmill/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    NUMBA_CPU_NAME=generic \
    NUMBA_CACHE_LOCATOR_CLASSES=rollups.compiled.jit.CacheInPlace \
    CLICKMILL_DATA_DIR=/data
USER 10001:10001
# Only `up` writes here. No VOLUME: each container of a service would leave one behind.
WORKDIR /data
EXPOSE 8080 8081 8082
ENTRYPOINT ["clickmill"]
CMD ["--help"]
