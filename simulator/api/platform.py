"""Addresses of WeCom's own servers."""

from simulator.api.registry import Call, endpoint


@endpoint("get_api_domain_ip", method="GET")
def api_addresses(call: Call) -> dict:
    """Where the API answers."""
    return {"ip_list": [call.request.url.host or "127.0.0.1"]}


@endpoint("getcallbackip", method="GET")
def callback_addresses(call: Call) -> dict:
    """Where callbacks come from."""
    return {"ip_list": ["127.0.0.1"]}
