"""One-line changes of a module: a comparison turned, an operator swapped, a condition dropped, a number off by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation import mutators


def condition_dropped(node: cst.BooleanOperation) -> Iterable[cst.BaseExpression]:
    """Yield ``a`` and ``b`` for ``a and b``, ``a or b``."""
    yield node.left
    yield node.right


OPERATORS: tuple[tuple[type, Callable[[Any], Iterable[cst.CSTNode]]], ...] = (
    (cst.BooleanOperation, condition_dropped),
    (cst.CSTNode, mutators.operator_swap_op),
    (cst.CSTNode, mutators.operator_keywords),
    (cst.UnaryOperation, mutators.operator_remove_unary_ops),
    (cst.IfExp, mutators.operator_if_exp),
    (cst.BaseNumber, mutators.operator_number),
    (cst.Name, mutators.operator_name),
)
NEVER_RUN = (cst.Annotation, cst.Decorator)


@dataclass(frozen=True)
class Change:
    """A changed module.

    Attributes:
        line: Its number, from 1.
        before, after: The changed expression's source.
        code: The whole module with the change.
    """

    line: int
    before: str
    after: str
    code: str


class _Sites(cst.CSTVisitor):
    """Every node that an operator changes, with its line and what becomes of it; text and types are left alone."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.sites: list[tuple[int, cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, NEVER_RUN):
            return False
        for kind, operator in OPERATORS:
            if isinstance(node, kind):
                line = self.get_metadata(PositionProvider, node).start.line
                self.sites += [(line, node, changed) for changed in operator(node)]
        return True


def changes(code: str) -> Iterator[Change]:
    """Yield every change of a module's source, in the order of its lines."""
    wrapper, sites = MetadataWrapper(cst.parse_module(code)), _Sites()
    wrapper.visit(sites)
    for line, before, after in sorted(sites.sites, key=lambda site: site[0]):
        changed = wrapper.module.deep_replace(before, after)
        assert isinstance(changed, cst.Module)
        texts = (" ".join(wrapper.module.code_for_node(node).split()) for node in (before, after))
        yield Change(line, *texts, changed.code)
