"""The compiled spec as text: two YAML documents, the same bytes for the same deployment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pipeline.compiler.lower import Compiled

#: Characters up to which a mapping stands on one line: a third fewer bytes, and easier to read. A spec of
#: many regions, which nobody reads as a whole, gets longer lines: indentation is a fifth of it otherwise.
_LINE, _LONG_LINE = 150, 2000
_MANY_BYTES = 600 << 10
#: What Go's YAML reads as a number or a truth value though PyYAML writes it without quotes
#: (go-yaml v2, `resolve.go`): 1e3, 0o7, y, N. The back end would refuse a text that became a number.
_NOT_TEXT_IN_GO = re.compile(r"[-+]?\.?[0-9][0-9_]*\.?[0-9_]*([eE][-+]?[0-9]+)?|0[box][0-9a-fA-F_]+|[yYnN]")
_HEADER = """\
# Kubeflow Pipelines v2 (schema 2.1.0), compiled by Isthmus; do not edit: compile the deployment again.
# Back ends from 2.5.0 on. The second document is the platform spec.
"""


class _Dumper(yaml.CSafeDumper):
    """Short mappings and lists on one line, long ones on lines of their own."""

    line = _LINE

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style)
        width = sum(_width(key) + _width(value) + 4 for key, value in node.value)
        return _laid_out(node, width, self.line)

    def represent_sequence(
        self, tag: str, sequence: Any, flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, sequence, flow_style)
        width = sum(_width(value) + 2 for value in node.value)
        return _laid_out(node, width, self.line)


class _LongDumper(_Dumper):
    line = _LONG_LINE


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    quoted = "'" if _NOT_TEXT_IN_GO.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=quoted)


_Dumper.add_representer(str, _text)


def _laid_out(node: Any, width: int, line: int) -> Any:
    node.flow_style, node.width = width < line, width + 2
    return node


def _width(node: yaml.Node) -> int:
    return getattr(node, "width", None) or len(node.value)


def to_text(compiled: Compiled) -> str:
    """Both documents."""
    text = _dumped(compiled, _Dumper)
    return text if len(text.encode()) < _MANY_BYTES else _dumped(compiled, _LongDumper)


def _dumped(compiled: Compiled, dumper: type[_Dumper]) -> str:
    documents = [
        yaml.dump(document, Dumper=dumper, sort_keys=True, allow_unicode=True, width=10**6)
        for document in (compiled.pipeline, compiled.platform)
    ]
    return _HEADER + "---\n".join(documents)
