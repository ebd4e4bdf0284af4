"""What every page is made of: assets, icons, template tags, charts, toasts, the living style page."""
