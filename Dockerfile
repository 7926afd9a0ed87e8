# Build: docker build -t fhir-server .
# Run:   see docs/deployment.md (the server listens on loopback until part 3 brings sign-in).
FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/fhir \
 && /opt/fhir/bin/pip install --no-cache-dir --disable-pip-version-check '.[demo,terminology]'

FROM python:3.12-slim-bookworm
RUN groupadd --gid 10001 fhir \
 && useradd --uid 10001 --gid fhir --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin fhir \
 && install -d -o fhir -g fhir -m 0700 /data
COPY --from=build /opt/fhir /opt/fhir
ENV PATH=/opt/fhir/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FHIR_SERVER_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health/ready', timeout=4)"]
ENTRYPOINT ["fhir-server"]
CMD ["serve"]
