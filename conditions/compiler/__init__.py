"""Tree → Q over root contacts. Every leaf is true or false for a person; negation is pushed down to the leaves.

SQL's third value never surfaces: above the leaves stand only AND, OR and a count of what is true, for which "unknown" acts like
false, and a negated leaf is spelled out (NOT EXISTS, IS NOT TRUE). Rows of a person are looked up by two index probes, her own and
her branches': one probe on coalesce(root, id) could use no index, and a person who changed would cost a scan.
"""

from conditions.compiler.trees import UnknownField, compile_leaf, compile_tree
from conditions.recheck import recheck_at, recheck_expression

__all__ = ["UnknownField", "compile_leaf", "compile_tree", "recheck_at", "recheck_expression"]
