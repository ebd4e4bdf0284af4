"""Our side of the past, as facts only: stages, orders, relations that ended, one finished broadcast. What can be computed
from facts (rollups, segments, matches) is left to the product."""
