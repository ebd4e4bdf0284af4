"""The Celery application: seven queues, one kind of task that names its tenant, no results."""

import os

from celery import Celery
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scrm.settings")

QUEUES = ("welcome", "inbound", "outbound", "segments", "campaigns", "bulk", "analytics")

app = Celery("scrm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_queues = [Queue(name) for name in QUEUES]
app.autodiscover_tasks()
