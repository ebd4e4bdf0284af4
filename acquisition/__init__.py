"""acquisition: codes, landing pages, referral, lead routing. Arrives with the codes."""
