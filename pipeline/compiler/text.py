"""The compiled spec as text: two YAML documents, the same bytes for the same deployment."""

from __future__ import annotations

from typing import Any

import yaml

from pipeline.compiler.lower import Compiled

#: Characters up to which a mapping stands on one line: a third fewer bytes, and easier to read.
_LINE = 150
_HEADER = """\
# Kubeflow Pipelines v2 (schema 2.1.0), compiled by Isthmus; do not edit: compile the deployment again.
# Back ends from 2.5.0 on. The second document is the platform spec.
"""


class _Dumper(yaml.CSafeDumper):
    """Short mappings and lists on one line, long ones on lines of their own."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style)
        width = sum(_width(key) + _width(value) + 4 for key, value in node.value)
        return _laid_out(node, width)

    def represent_sequence(
        self, tag: str, sequence: Any, flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, sequence, flow_style)
        width = sum(_width(value) + 2 for value in node.value)
        return _laid_out(node, width)


def _laid_out(node: Any, width: int) -> Any:
    node.flow_style, node.width = width < _LINE, width + 2
    return node


def _width(node: yaml.Node) -> int:
    return getattr(node, "width", None) or len(node.value)


def to_text(compiled: Compiled) -> str:
    """Both documents."""
    documents = [
        yaml.dump(document, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=10**6)
        for document in (compiled.pipeline, compiled.platform)
    ]
    return _HEADER + "---\n".join(documents)
