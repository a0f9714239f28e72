# syntax=docker/dockerfile:1
# One image for every process: `relance worker`, `scheduler`, `web`, and what operators type. docker-compose.yml runs it.
# A tag can be moved. For the same bytes in ten years, write its digest behind it: python:3.11.15-slim-bookworm@sha256:...
FROM python:3.11.15-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

FROM base AS build
WORKDIR /srv/relance
COPY requirements.lock ./
COPY tests/requirements.lock tests/
# What runs; and setuptools, from the other lock, for as long as it takes to install relance itself.
RUN python -m venv /opt/venv \
    && sed -n '/^setuptools==/,/# via/p' tests/requirements.lock > tests/build.lock \
    && /opt/venv/bin/python -m pip install --no-cache-dir --require-hashes --requirement requirements.lock --requirement tests/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY worker worker
COPY channels channels
# Editable: relance finds its templates beside its code, and operators mount theirs over them.
RUN /opt/venv/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && python -m compileall -q worker channels \
    && /opt/venv/bin/python -m pip uninstall --yes setuptools pip \
    && rm -r tests

FROM base
LABEL org.opencontainers.image.title="relance" \
      org.opencontainers.image.description="Chases unpaid invoices politely, and stops the moment the debtor pays or answers." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
RUN python -m pip uninstall --yes pip setuptools wheel \
    && groupadd --gid 10001 relance \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /srv/relance --shell /usr/sbin/nologin relance
WORKDIR /srv/relance
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/relance ./
COPY templates templates
COPY config config
# The only folder it writes to: the outbox, when a channel has no credentials.
RUN install --directory --owner 10001 --group 10001 --mode 0700 var
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["relance"]
CMD ["worker"]
