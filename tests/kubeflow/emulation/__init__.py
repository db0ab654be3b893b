"""Open-source Kubeflow Pipelines v2 without a cluster: drivers, launcher and workflow engine, emulated."""

from tests.kubeflow.emulation.backend import Backend
from tests.kubeflow.emulation.pods import Fault
from tests.kubeflow.emulation.records import AttemptRecord, RunRecord, TaskRecord
from tests.kubeflow.emulation.resolve import DriverError
from tests.kubeflow.emulation.spec import SpecError

__all__ = ["AttemptRecord", "Backend", "DriverError", "Fault", "RunRecord", "SpecError", "TaskRecord"]
