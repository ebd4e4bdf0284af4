"""What the bridge calls: command kinds and batch handlers, one module per noun."""
