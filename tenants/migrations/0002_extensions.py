"""Trigram search of Chinese names, in public, where every tenant's search path finds it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_initial")]

    operations = [
        migrations.RunSQL(["CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public"], migrations.RunSQL.noop),
    ]
