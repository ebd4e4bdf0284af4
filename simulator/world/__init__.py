"""What exists: people, relations, tags, groups and messages, as a pure function of the scenario plus what changed."""
