# The image of the engine.
#
#     docker build --build-arg BASE=python:3.13-slim-bookworm@sha256:... -t airscrew .
#
# The lock names no index: packages come from the public one, or from those that the arguments name.
# `python -m tests.support.images --engine FILE` makes it where no registry can be reached, of what stands here.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
ARG EXTRAS="etcd http kubernetes metrics"
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
RUN python3 -m pip install -q --no-cache-dir --target /uv "uv>=0.9,<1"
COPY . /source
WORKDIR /source
ENV UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1
RUN /uv/bin/uv export --frozen --no-emit-project --no-dev -q $(printf -- '--extra=%s ' ${EXTRAS}) -o /requirements.txt \
    && /uv/bin/uv venv -q --python "$(command -v python3)" /opt/airscrew \
    && /uv/bin/uv pip install -q --python /opt/airscrew/bin/python3 --require-hashes -r /requirements.txt \
    && /uv/bin/uv build -q --wheel --out-dir /wheels . \
    && /uv/bin/uv pip install -q --python /opt/airscrew/bin/python3 --no-deps /wheels/*.whl

FROM ${BASE}
COPY --from=build /opt/airscrew /opt/airscrew
ENV PATH=/opt/airscrew/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /
ENTRYPOINT ["airscrew"]
CMD ["--help"]
