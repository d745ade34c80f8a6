# Two stages: the first installs, the second only runs. Build and run:
#
#     docker build --tag acumen .
#     docker run --publish 8000:8000 --volume acumen-data:/data acumen

FROM python:3.13-slim AS build

# Everything comes as a wheel with a hash that the lock names, so no stage needs a compiler.
WORKDIR /src
RUN python -m venv /opt/acumen
COPY requirements.lock ./
RUN /opt/acumen/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY storage storage
COPY query query
# What only builds the package (and pip itself) does not travel on to the second stage.
RUN /opt/acumen/bin/pip install --no-cache-dir --disable-pip-version-check \
        --no-deps --no-index --no-build-isolation . \
    && /opt/acumen/bin/pip uninstall --yes hatchling editables trove-classifiers pathspec pluggy tomlkit \
        setuptools pip \
    && /opt/acumen/bin/acumen --help >/dev/null


FROM python:3.13-slim

# A fixed number, so that a volume keeps its owner from one image to the next.
RUN groupadd --system --gid 10001 acumen \
    && useradd --system --uid 10001 --gid acumen --home-dir /data --shell /usr/sbin/nologin acumen \
    && install --directory --owner=acumen --group=acumen --mode=0700 /data
COPY --from=build /opt/acumen /opt/acumen

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
