"""The back end as a test sees it: one object, one call per run."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.kubeflow.emulation import checks, engine, pods, records
from tests.kubeflow.emulation.driver import Driver
from tests.kubeflow.emulation.metadata import Store
from tests.kubeflow.emulation.objects import S3Account
from tests.kubeflow.emulation.resolve import DriverError
from tests.kubeflow.emulation.spec import SpecError, load


class Backend:
    """An installation of Kubeflow Pipelines on this machine.

    Args:
      s3_endpoint: An S3 server, http://host:port; it gets `minio://` and `s3://` both.
      state: A folder that is kept over runs: metadata, cache, volumes of claims.
      work: A folder for pods and logs, one folder per run in it.
      parallel: Pods at a time.
      secrets: Keys and values by the secret's name.
      faults: What goes wrong, by task name or path.
      environment: Variables that every pod gets, such as PYTHONPATH.
      release: Of the back end, "2.14" for instance; README.md says what differs.
      strict: Refuses specs that the back end would take and treat otherwise than one expects.
      cache: Whether the installation has caching.
      publish_logs: Whether logs are artifacts (from 2.5).
      access_key: The launcher's.
      secret_key: The launcher's.
      namespace: The runs'; the cache is kept per namespace.
      backoff: Factor of the pauses between attempts, so that tests need not wait.
      grace_s: Between SIGTERM and SIGKILL; 30 on a cluster.
      keep_pods: Keeps the folders of pods that succeeded; those that failed are always kept.
      hollow: Runs a stand-in for every container, which only makes its outputs: the pipeline's shape
        without its work.
    """

    def __init__(
        self,
        s3_endpoint: str,
        state: Path | str,
        work: Path | str,
        parallel: int = 2,
        secrets: Mapping[str, Mapping[str, str]] | None = None,
        faults: Mapping[str, pods.Fault | Iterable[pods.Fault]] | None = None,
        environment: Mapping[str, str] | None = None,
        release: str = "2.14",
        strict: bool = True,
        cache: bool = True,
        publish_logs: bool = True,
        access_key: str = "testing",
        secret_key: str = "testing-secret",
        namespace: str = "isthmus",
        backoff: float = 1.0,
        grace_s: float = 5.0,
        keep_pods: bool = False,
        hollow: bool = False,
    ) -> None:
        self.state, self.work = Path(state).absolute(), Path(work).absolute()
        self.release, self.strict, self.cache = release, strict, cache
        self.publish_logs, self.namespace = publish_logs, namespace
        given = {
            name: [value] if isinstance(value, pods.Fault) else list(value)
            for name, value in (faults or {}).items()
        }
        self.setup = engine.Setup(
            account=S3Account(s3_endpoint, access_key, secret_key),
            parallel=parallel,
            faults=given,
            secrets={name: dict(values) for name, values in (secrets or {}).items()},
            volumes=self.state / "volumes",
            environment=dict(environment or {}),
            backoff=backoff,
            grace_s=grace_s,
            keep_pods=keep_pods,
            hollow=hollow,
        )

    def run(
        self,
        spec_path: Path | str,
        parameters: Mapping[str, Any] | None = None,
        pipeline_root: str = "minio://mlpipeline/v2/artifacts",
        run_id: str = "",
    ) -> records.RunRecord:
        """Runs a compiled pipeline; the record lies in the working folder as well, as run.json.

        Args:
          spec_path: What `isthmus compile` wrote.
          parameters: Of the run.
          pipeline_root: minio://bucket/prefix or s3://bucket/prefix; the bucket exists.
          run_id: A new one by default.

        Raises:
          SpecError: The back end does not take the spec; with `strict`, one that it takes but reads
            otherwise.
          DriverError: The parameters do not fit it.
        """
        spec = load(Path(spec_path), self.release)
        found = checks.problems(spec) if self.strict else []
        if found:
            raise SpecError("\n".join(found))
        if not pipeline_root.startswith(("minio://", "s3://")):
            raise SpecError(f"pipeline root {pipeline_root}: minio:// or s3://")
        run = records.RunRecord(run_id or str(uuid.uuid4()), spec.name)
        folder = self.work / run.run_id
        store = Store(self.state / "metadata.sqlite")
        driver = Driver(spec, store, run.run_id, pipeline_root, self.namespace, self.publish_logs, self.cache)
        began = time.time()
        runner = engine.Engine(spec, store, driver, self.setup, folder, run)
        try:
            runner.execute(dict(parameters or {}))
        except BaseException as error:
            run.state = "FAILED" if isinstance(error, DriverError) else "CANCELED"
            raise
        finally:
            run.seconds = time.time() - began
            run.write(folder / "run.json")
            store.close()
        return run
