# syntax=docker/dockerfile:1
FROM python:3.11-slim-bookworm AS build
WORKDIR /srv/relance
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY worker worker
COPY channels channels
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --editable .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /srv/relance relance
WORKDIR /srv/relance
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/relance /srv/relance
COPY templates templates
COPY config config
RUN install --directory --owner relance var
USER relance
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
ENTRYPOINT ["relance"]
CMD ["worker"]
