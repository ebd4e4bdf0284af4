"""The way of a callback: envelope → event → row → answer → nudge."""
