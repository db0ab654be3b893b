"""The base of Isthmus' Beam executors."""

from __future__ import annotations

from components.tfx_shim import BaseBeamExecutor, BaseExecutor


class BeamExecutor(BaseBeamExecutor):
    """Takes Beam's options as they stand; `_make_beam_pipeline` is TFX's."""

    def __init__(self, context: BaseBeamExecutor.Context | None = None) -> None:
        """Keeps the options.

        TFX 1.16 would add its own source, packed at each start (2 to 3 s, and a folder left in /tmp), for
        workers without TFX. Ours have Isthmus, and TFX with it.

        Args:
          context: From the launcher; None is Beam's default, the direct runner.
        """
        super().__init__()
        if context is not None:
            BaseExecutor.__init__(self, context)
            self._beam_pipeline_args = list(context.beam_pipeline_args or [])
            self._make_beam_pipeline_fn = context.make_beam_pipeline_fn
