# The gateway alone: every download is checked against its hash, and nothing is in it that only a build needs.
#   make image
#   docker run --rm -v smallforge:/data smallforge-gateway keys create me
#   docker run -p 127.0.0.1:8080:8080 -v smallforge:/data -v ./releases:/releases:ro smallforge-gateway \
#     serve --student http://host:8000

FROM python:3.11-slim-bookworm AS libraries
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements/gateway.txt /requirements.txt
# pip stays behind in this stage: what can't install can't be made to.
RUN python -m venv --without-pip /opt/smallforge \
    && python -m pip --python /opt/smallforge/bin/python install --require-hashes --only-binary :all: -r /requirements.txt

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /data --create-home smallforge
COPY --from=libraries /opt/smallforge /opt/smallforge
COPY programs /opt/smallforge/app/programs
COPY engine /opt/smallforge/app/engine
COPY gateway /opt/smallforge/app/gateway
# The bill of materials, where `make sbom` has written one: a pattern may match nothing.
COPY LICENSE requirements/gateway.txt build/gateway.cdx.jso[n] /usr/share/doc/smallforge/
ENV PATH=/opt/smallforge/bin:$PATH \
    PYTHONPATH=/opt/smallforge/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SMALLFORGE_RELEASES=/releases \
    SMALLFORGE_GATEWAY__HOST=0.0.0.0 \
    SMALLFORGE_GATEWAY__METRICS_HOST=0.0.0.0 \
    SMALLFORGE_GATEWAY__LOG_FORMAT=json
USER 10001
# Keys and traffic, where a gateway keeps any; nothing else is written.
WORKDIR /data
VOLUME /data
EXPOSE 8080 9091
# SIGTERM drains: give `docker stop` as long as the longest request takes.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["python", "-m", "gateway"]
CMD ["serve"]
