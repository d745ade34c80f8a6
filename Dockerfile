# Three stages: the first builds the package, the second installs it, the third only runs. Build and run:
#
#     docker build --tag acumen .
#     docker run --publish 127.0.0.1:8000:8000 --volume acumen-data:/data --read-only --tmpfs /tmp \
#         --cap-drop ALL --security-opt no-new-privileges --memory 2g acumen
#
# A tag may become another image at any time. To build from one and the same, name its digest, which
# "docker buildx imagetools inspect python:3.13-slim" prints:
#
#     docker build --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:… --tag acumen .

ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS package

# Everything comes as a wheel with a hash that a lock names, so no stage needs a compiler.
WORKDIR /src
COPY requirements-build.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
        --require-hashes --only-binary :all: --requirement requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY storage storage
COPY query query
COPY clients/charts/dist clients/charts/dist
COPY clients/js/dist clients/js/dist
COPY clients/pages/dist clients/pages/dist
RUN pip wheel --no-cache-dir --disable-pip-version-check \
        --no-deps --no-index --no-build-isolation --wheel-dir /wheels .


FROM ${PYTHON_IMAGE} AS install

WORKDIR /src
RUN python -m venv /opt/acumen
COPY requirements.lock ./
RUN /opt/acumen/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement requirements.lock
COPY --from=package /wheels /wheels
# Nothing that installs or builds travels on to the last stage.
RUN /opt/acumen/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-index /wheels/*.whl \
    && /opt/acumen/bin/pip uninstall --yes pip \
    && /opt/acumen/bin/acumen --version


FROM ${PYTHON_IMAGE}

# A fixed number, so that a volume keeps its owner from one image to the next.
RUN groupadd --system --gid 10001 acumen \
    && useradd --system --uid 10001 --gid acumen --home-dir /data --shell /usr/sbin/nologin acumen \
    && install --directory --owner=acumen --group=acumen --mode=0700 /data
COPY --from=install /opt/acumen /opt/acumen

ENV PATH=/opt/acumen/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1 \
    ACUMEN_HOST=0.0.0.0 \
    ACUMEN_PORT=8000 \
    ACUMEN_DATA=/data

USER acumen
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM

# Ready, not only alive: the answer is 503 while the server starts, recovers or drains. With a certificate of its
# own the server speaks TLS here too; the probe stays on this host and so does not check the name.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, ssl, urllib.request as r; tls = bool(os.environ.get('ACUMEN_TLS_CERT')); r.urlopen(('https' if tls else 'http') + '://127.0.0.1:' + os.environ['ACUMEN_PORT'] + '/ready', timeout=4, context=ssl._create_unverified_context() if tls else None)"]

ENTRYPOINT ["acumen"]
CMD ["serve"]
