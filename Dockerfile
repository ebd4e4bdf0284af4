# syntax=docker/dockerfile:1
# One image for web, workers, scheduler and the one-shot upgrade; docker-compose.yml says what each runs.

FROM node:22-slim AS frontend
WORKDIR /src/frontend
COPY frontend/package.json frontend/package-lock.json frontend/.npmrc ./
RUN npm ci --no-audit --no-fund
# The build collects the class names that the templates of every app use.
COPY . /src
RUN npm run build

FROM python:3.12-slim-trixie AS packages
COPY requirements/base.txt /tmp/base.txt
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --only-binary :all: --require-hashes --requirement /tmp/base.txt

# The simulated WeCom of the `simulator` profile: the same code base with the packages of development.
FROM packages AS packages-dev
COPY requirements/dev.txt /tmp/dev.txt
RUN /opt/venv/bin/pip install --no-cache-dir --only-binary :all: --require-hashes --requirement /tmp/dev.txt

FROM python:3.12-slim-trixie AS base
# pg_dump and psql, for the dump before a tenant is dropped and for moving tenants.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin scrm \
    && mkdir -p /app /srv/media /data \
    && chown scrm:scrm /srv/media /data
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MEDIA_ROOT=/srv/media STATIC_ROOT=/app/staticfiles

FROM base AS simulator
COPY --from=packages-dev /opt/venv /opt/venv
COPY scrm ./scrm
COPY simulator ./simulator
USER scrm
EXPOSE 8100

FROM base AS site
COPY --from=packages /opt/venv /opt/venv
COPY . .
COPY --from=frontend /src/frontend/dist ./frontend/dist
# build-env gives settings throw-away values: no secret and no server is needed to build.
RUN python -m scrm.runtime build-env -- python manage.py messages compile \
    && python -m scrm.runtime build-env -- python manage.py collectstatic --noinput \
    && rm -rf frontend/node_modules frontend/src
USER scrm
EXPOSE 8000
VOLUME /srv/media
CMD ["python", "-m", "gunicorn", "scrm.wsgi:application", "--bind", "0.0.0.0:8000", "--worker-class", "gthread"]
