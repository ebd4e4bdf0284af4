"""The translation pipeline: Chinese source strings, an English catalogue, no gettext tools.

`extract` reads the sources, `catalogue` keeps locale/<language>/LC_MESSAGES/django.po in step with them and compiles it.
`python -m scrm.i18n` works without settings; `manage.py messages` is the same.
"""
