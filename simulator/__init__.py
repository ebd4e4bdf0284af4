"""A WeCom (企业微信) of our own: server API, callbacks, clock and hands, to develop, demonstrate and test against.

A separate program; it shares no code with the product. Start it with `python -m simulator`, see docs/simulator.md.
"""
