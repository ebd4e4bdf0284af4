"""What the runtime says when it cannot go on."""


class RuntimeProblem(Exception):
    """A start that cannot succeed. The message is a sentence for the person at the terminal: what, why, what to do."""
