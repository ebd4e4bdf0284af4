"""The embedded runtime: set-up, PostgreSQL and Valkey from wheels, and the supervisor behind `make demo` and `make test`.

Nothing here needs Django to be configured.
"""
