"""Opening a merchant: its schema from a snapshot of the migrations at head, its seed rows, in steps that can be resumed."""

from tenants.provision.seeds import register_seed

__all__ = ["register_seed"]
