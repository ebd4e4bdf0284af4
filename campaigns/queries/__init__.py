"""What only reads, one module per noun."""
