"""Faults on purpose, by rules that repeat: what goes wrong with a share of all calls and callbacks."""
