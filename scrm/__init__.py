"""Composition root: settings, urls, Celery, the embedded runtime."""

from scrm.celery import app as celery_app

__all__ = ["celery_app"]
