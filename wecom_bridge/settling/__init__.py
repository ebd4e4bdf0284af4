"""What became of a call whose answer was lost: a module per family, for the `settle` of a command kind.

Each procedure asks WeCom a bounded number of times and says what it found, or None while it cannot be sure: too early, too
much to read, or more than one answer that fits. It never guesses, because "it had not happened" makes the call anew. Any app
may import these.
"""
