FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md requirements.lock ./
RUN python -m venv /opt/clickmill && /opt/clickmill/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY ingest ingest
COPY rollups rollups
COPY api api
COPY deploy deploy
RUN /opt/clickmill/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --system --create-home clickmill
COPY --from=build /opt/clickmill /opt/clickmill
ENV PATH=/opt/clickmill/bin:$PATH PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=2
USER clickmill
WORKDIR /home/clickmill
# Compiled here rather than at every start of a container.
RUN python -c 'import rollups.compiled.hash_set, rollups.compiled.siphash'
EXPOSE 8080
ENTRYPOINT ["clickmill"]
CMD ["up", "--host", "0.0.0.0", "--demo"]
