"""What changes something, one module per noun; each call is one transaction."""
