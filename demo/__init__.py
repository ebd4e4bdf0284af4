"""Demo worlds as data, the writer of their past, and the check that runs the main job. The top layer: nothing imports it."""
