"""The control API: what a test, a demo driver or the page of hands asks of the simulator itself."""
