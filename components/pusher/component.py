"""The region's Pusher as a TFX component."""

from __future__ import annotations

from components.artifacts import MonitorReport, PushedRelease, SpanSketch
from components.pusher.config import PusherConfig
from components.pusher.executor import Executor
from components.tfx_shim import (
    BaseChannel,
    BaseComponent,
    Channel,
    ChannelParameter,
    ComponentSpec,
    ExecutionParameter,
    ExecutorClassSpec,
    standard_artifacts,
)
from components.version import __version__


class PusherSpec(ComponentSpec):
    """Inputs and outputs of `Pusher`."""

    PARAMETERS = {
        "config": ExecutionParameter(type=str),
        "locale": ExecutionParameter(type=str),
        "span": ExecutionParameter(type=int),
        "fingerprint": ExecutionParameter(type=str),
        "isthmus_version": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "schema": ChannelParameter(type=standard_artifacts.Schema, optional=True),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics, optional=True),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation, optional=True),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing, optional=True),
        "model": ChannelParameter(type=standard_artifacts.Model, optional=True),
        "monitor": ChannelParameter(type=MonitorReport, optional=True),
        "sketch": ChannelParameter(type=SpanSketch, optional=True),
    }
    OUTPUTS = {"pushed": ChannelParameter(type=PushedRelease)}


class Pusher(BaseComponent):
    """Signs and publishes what may leave a region.

    Inputs: `examples` (Examples: synthetic rows of a restricted locale, real rows of an open one),
    `schema` (Schema), `statistics` (ExampleStatistics *of these examples*), `evaluation`
    (ModelEvaluation), `blessing` (ModelBlessing; without it synthetic rows are not pushed), `model`
    (Model that the rows were drawn from; it says what they cost where the locale has a privacy budget),
    `monitor` (MonitorReport; its `outward.json` goes with the release where the egress policy lets it),
    `sketch` (SpanSketch of the real rows, where the policy asks for one).
    Output: `pushed` (PushedRelease).
    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = ExecutorClassSpec(Executor)

    def __init__(
        self,
        config: PusherConfig,
        examples: BaseChannel,
        locale: str,
        span: int,
        schema: BaseChannel | None = None,
        statistics: BaseChannel | None = None,
        evaluation: BaseChannel | None = None,
        blessing: BaseChannel | None = None,
        model: BaseChannel | None = None,
        monitor: BaseChannel | None = None,
        sketch: BaseChannel | None = None,
        fingerprint: str = "",
    ) -> None:
        """Args are the configuration and channels above; another `fingerprint` means another execution."""
        super().__init__(
            PusherSpec(
                config=config.to_exec_property(),
                locale=locale,
                span=span,
                fingerprint=fingerprint,
                isthmus_version=__version__,
                examples=examples,
                schema=schema,
                statistics=statistics,
                evaluation=evaluation,
                blessing=blessing,
                model=model,
                monitor=monitor,
                sketch=sketch,
                pushed=Channel(type=PushedRelease),
            )
        )
