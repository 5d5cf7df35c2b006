# syntax=docker/dockerfile:1

# Builds an image of Regulars: docker build --build-arg REGULARS_COMMIT=$(git rev-parse HEAD) -t regulars .

FROM python:3.13-slim-bookworm AS build
ARG REGULARS_COMMIT=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    REGULARS_COMMIT=${REGULARS_COMMIT}
WORKDIR /src
RUN python -m venv /opt/regulars
COPY pyproject.toml setup.py README.md constraints.txt ./
COPY src ./src
RUN PIP_CONSTRAINT=constraints.txt /opt/regulars/bin/pip install .

FROM python:3.13-slim-bookworm
# pg_dump and pg_restore, for `regulars backup` of PostgreSQL 15 and older. For a newer server,
# install the client of its version from apt.postgresql.org.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/regulars --create-home regulars
COPY --from=build /opt/regulars /opt/regulars
ENV PATH=/opt/regulars/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    REGULARS_HOST=0.0.0.0
USER 10001
WORKDIR /var/lib/regulars
VOLUME /var/lib/regulars
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["regulars"]
CMD ["serve"]
