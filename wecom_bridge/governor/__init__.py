"""How fast WeCom is called: shares of its windows and of the calls at once, kept by all processes together.

`limits` says what is allowed, `shared` keeps count in Redis, `local` stands in for it while it is away, `memory` keeps in
PostgreSQL what must outlive it, `reach` waits for a WeCom that cannot be reached, `pace` puts them together.
"""
