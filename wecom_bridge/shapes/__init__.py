"""What WeCom answers, as frozen values: a module per family of calls. Field names are WeCom's own, so that a value kept as a
dict reads like WeCom's answer; what may be absent there has an empty default here. Any app may import these.
"""
