"""A full read of a corp: directory and tags, each guide's customers (staged, then applied), groups, and what is gone.

`runs` begins, confirms and shows one; `drive` takes it through its steps, a slice at a time.
"""
