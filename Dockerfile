# The gateway alone: every download is checked against its hash, and nothing is in it that only a build needs.
#   docker build -t smallforge-gateway .
#   docker run -p 127.0.0.1:8080:8080 -v ./releases:/releases:ro smallforge-gateway --student http://host:8000

FROM python:3.11-slim-bookworm AS libraries
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements/base.txt /requirements.txt
RUN python -m venv /opt/smallforge \
    && /opt/smallforge/bin/pip install --require-hashes -r /requirements.txt

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home smallforge
COPY --from=libraries /opt/smallforge /opt/smallforge
COPY programs /opt/smallforge/app/programs
COPY engine /opt/smallforge/app/engine
COPY gateway /opt/smallforge/app/gateway
ENV PATH=/opt/smallforge/bin:$PATH \
    PYTHONPATH=/opt/smallforge/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SMALLFORGE_RELEASES=/releases \
    SMALLFORGE_GATEWAY__METRICS_HOST=0.0.0.0
USER 10001
WORKDIR /home/smallforge
EXPOSE 8080 9091
# SIGTERM drains: give `docker stop` as long as the longest request takes.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["python", "-m", "gateway", "serve", "--host", "0.0.0.0"]
