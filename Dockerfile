# The gateway, with nothing that only a build or an engine needs.
#   docker build -t smallforge-gateway .
#   docker run -p 127.0.0.1:8080:8080 -v ./releases:/releases:ro smallforge-gateway --student http://host:8000

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/base.txt requirements/base.txt
RUN python -m venv /opt/smallforge \
    && /opt/smallforge/bin/pip install --require-hashes -r requirements/base.txt
COPY . .
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install "hatchling>=1.27" "editables>=0.5" \
    && /opt/build/bin/python -m hatchling build -t wheel -d /wheel \
    && /opt/smallforge/bin/pip install --no-deps /wheel/*.whl

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /home/smallforge --create-home smallforge
COPY --from=build /opt/smallforge /opt/smallforge
ENV PATH=/opt/smallforge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SMALLFORGE_RELEASES=/releases \
    SMALLFORGE_GATEWAY__METRICS_HOST=0.0.0.0
USER 10001
WORKDIR /home/smallforge
EXPOSE 8080 9091
# Draining takes as long as the requests in flight; give `docker stop` the same time.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["gateway", "serve", "--host", "0.0.0.0"]
