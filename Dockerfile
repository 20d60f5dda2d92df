# The runner as an image: `runner serve` unless told otherwise, `runner work` for the workers. docs/deploy-azure.md shows both.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src

# Only a change of a lock installs the dependencies again.
COPY requirements.lock requirements-azure.lock ./
RUN python -m venv /opt/runner \
 && /opt/runner/bin/pip install --require-hashes --only-binary :all: -r requirements-azure.lock \
 && pip install --require-hashes --only-binary :all: -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY azure_bridge azure_bridge
COPY dataverse_client dataverse_client
COPY plugins plugins
COPY runner runner
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/runner/bin/pip install --no-deps --no-index /dist/*.whl

FROM python:${PYTHON_VERSION}-slim
COPY --from=build /opt/runner /opt/runner
ENV PATH=/opt/runner/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 RUNNER_DATA_DIR=/data
# A number: Kubernetes cannot tell that a name is not root's.
RUN install --directory --owner 10001 --group 10001 /data
WORKDIR /app
COPY registrations.yaml ./
USER 10001:10001
EXPOSE 8080
# For Docker itself; Azure and Kubernetes have probes of their own. A worker has no port: start it with --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["runner"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
