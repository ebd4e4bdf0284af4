"""links: signed short links, opens, scans, bot filter. Arrives with the content library and the codes."""
