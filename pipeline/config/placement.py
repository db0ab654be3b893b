"""Where a locale's steps run on Kubernetes: the form of the section, which nothing reads yet."""

from __future__ import annotations

import pydantic

from components.config_base import ComponentConfig


class PlacementSection(ComponentConfig):
    """Where a locale's steps run on Kubernetes; refused until the Kubeflow compiler is built.

    Attributes:
      node_selector: Node labels.
      service_account: Kubernetes service account.
      namespace: Namespace of the region.
      cpu: CPU request per step, cores.
      memory_gib: Memory request per step, GiB.
    """

    node_selector: dict[str, str] = {}
    service_account: str | None = None
    namespace: str | None = None
    cpu: float | None = pydantic.Field(default=None, gt=0)
    memory_gib: float | None = pydantic.Field(default=None, gt=0)

    @pydantic.model_validator(mode="after")
    def _check_read(self) -> PlacementSection:
        """A setting that is accepted and dropped would be taken for one that holds."""
        given = [name for name in type(self).model_fields if getattr(self, name) not in ({}, None)]
        if given:
            raise ValueError(
                f"found {', '.join(given)}, which nothing reads: every run is on this machine; "
                "allowed: no placement, until the Kubeflow compiler is built"
            )
        return self


NOWHERE = PlacementSection()
