"""How a call whose answer was lost is settled by asking WeCom: a module per family of calls. Any app may import these."""
