# One image for every process: serve (the default), worker, migrate, simulator.
#
# A release names the base by digest, which is what the builder then verifies:
#   docker build --build-arg BASE=python:3.13-slim-bookworm@sha256:… -t xyte-gateway:0.1.0 .
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
COPY requirements.lock /build/requirements.lock
# Every file's hash is in the lock, and nothing is compiled: no compiler, no code of a package runs while installing.
RUN python -m venv --without-pip /opt/xyte-mcp \
 && python -m pip --python /opt/xyte-mcp/bin/python install \
      --quiet --require-hashes --only-binary :all: -r /build/requirements.lock
COPY alembic.ini /srv/xyte-mcp/alembic.ini
COPY migrations /srv/xyte-mcp/migrations
COPY docs /srv/xyte-mcp/docs
COPY app /srv/xyte-mcp/app
COPY deploy/image/xyte-mcp /opt/xyte-mcp/bin/xyte-mcp
RUN python -m compileall -q -j 0 /srv/xyte-mcp \
 && chmod 0755 /opt/xyte-mcp/bin/xyte-mcp

FROM ${BASE}
LABEL org.opencontainers.image.title="xyte-gateway" \
      org.opencontainers.image.description="A multi-tenant gateway to the Xyte cloud: REST and MCP" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/xyte-mcp/bin:$PATH \
    PYTHONPATH=/srv/xyte-mcp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin xyte
COPY --from=build /opt/xyte-mcp /opt/xyte-mcp
COPY --from=build /srv/xyte-mcp /srv/xyte-mcp
COPY LICENSE /srv/xyte-mcp/LICENSE
WORKDIR /srv/xyte-mcp
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
EXPOSE 8000
# /readyz says 503 and requests are still taken for DRAIN_S; then what was begun is ended within 55 s.
STOPSIGNAL SIGTERM
# For serve; the other processes are watched by who runs them, or have a check of their own in compose.yaml.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["xyte-mcp", "doctor", "--quick", "http://127.0.0.1:8000/healthz"]
ENTRYPOINT ["xyte-mcp"]
CMD ["serve", "--host", "0.0.0.0"]
