"""Every performance claim as a program that prints a ratio. `make bench`, `make bench NAME=x`; see docs/running.md."""
