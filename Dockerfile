# One image for web, worker, beat and the migration; docker-compose.yml gives each its command.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    LEADSCORE_ENV=production \
    LEADSCORE_DATA_DIR=/data

# The volume takes its owner from this directory when it is first mounted.
RUN useradd --system --uid 10001 --create-home leadscore \
    && install --directory --owner=leadscore --group=leadscore --mode=0750 /data

WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY . .

USER leadscore
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["gunicorn", "leadscore.wsgi:application", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "4", \
     "--worker-class", "gthread", "--timeout", "120", "--limit-request-line", "8190", "--worker-tmp-dir", "/dev/shm", \
     "--no-control-socket"]
