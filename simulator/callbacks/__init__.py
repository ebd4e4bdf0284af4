"""Events as WeCom words them, and their way to the corp's URL."""
