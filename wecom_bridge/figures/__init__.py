"""The bridge's own figures, per tenant: how fast callbacks are answered, what calls came to, how old commands got.

`recorder` counts in the process and adds to the rows (`rows`) when a slice ends; `buckets` says how durations are kept;
`reading` answers the status page, `prometheus` the scrape. Apps add what they know with `sources`.
"""
