"""YAML in which a key that is given twice is refused: PyYAML keeps the last of two, silently."""

from __future__ import annotations

from typing import Any

import yaml


class StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader that refuses equal keys, before merge keys (`<<`) are resolved."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Composes a mapping.

        Raises:
          yaml.YAMLError: a key is given twice; its `problem_mark` is the second one's.
        """
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                name = (key.tag, key.value)
                if name in seen:
                    raise yaml.composer.ComposerError(
                        None, None, f"key '{key.value}' is given twice", key.start_mark
                    )
                seen.add(name)
        return node
