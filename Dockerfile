# syntax=docker/dockerfile:1
# Build: docker build -t fhir-server .                Run: docs/deployment.md
#
# The base is named by tag here, so that a build by hand gets its security fixes. A release is built from a digest:
# the pipeline looks it up, passes BASE=...@sha256:... and BASE_DIGEST, and the labels of the image tell it.
ARG BASE=docker.io/library/python:3.12-slim-bookworm

FROM ${BASE} AS build
ARG EXTRAS=terminology,mongodb,elasticsearch,redis,otel,kms,s3,views,bulk,graphql,dicom,billing
ARG CYCLONEDX=cyclonedx-bom==7.*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY . .
# The wheel holds the data folders too; the environment is made of it and of nothing else of this folder.
RUN python -m venv /opt/fhir /opt/sbom \
 && pip wheel --no-deps --wheel-dir /wheel . \
 && wheel="$(ls /wheel/fhir_server-*.whl)" \
 && /opt/fhir/bin/pip install "${wheel}[${EXTRAS}]" \
 && /opt/sbom/bin/pip install "${CYCLONEDX}" \
 && CYCLONEDX_PY=/opt/sbom/bin/cyclonedx-py scripts/sbom /opt/fhir /opt/fhir/share/sbom.cdx.json \
 && /opt/fhir/bin/pip uninstall --yes pip \
 && install -m 0755 deploy/healthcheck.py /opt/fhir/bin/healthcheck

FROM ${BASE}
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG BASE
ARG BASE_DIGEST=unknown
LABEL org.opencontainers.image.title="fhir-server" \
      org.opencontainers.image.description="A FHIR R4 server that is the system of record" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"
RUN groupadd --gid 10001 fhir \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin fhir \
 && install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=build /opt/fhir /opt/fhir
# Keys that lie beside the data folder (docs/encryption.md) need a place in the volume too, so it is a folder in it.
ENV PATH=/opt/fhir/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FHIR_SERVER_HOST=0.0.0.0 \
    FHIR_SERVER_DATA_DIR=/data/record \
    FHIR_SERVER_DEMO=false
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["healthcheck"]
ENTRYPOINT ["fhir-server"]
CMD ["serve"]
