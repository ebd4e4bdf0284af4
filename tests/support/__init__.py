"""Makers and helpers of the tests, one module per app."""
