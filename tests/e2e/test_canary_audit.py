"""The canary audit: marks are planted in a restricted locale, and every byte that left it is searched.

One small run serves all tests. A clean run leaves nothing. Then bugs are seeded, one by one, into the code
that writes what leaves; each writes its part again from the run's own artifacts, and the audit finds it.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

pytestmark = pytest.mark.e2e

LOCALE = "eu-west"
#: Texts that stand nowhere but in the locale's rows, paths and secrets.
TEXTS = {
    "series": "zyxwold-pump-01",
    "customer in a path": "kunde-quxotlham",
    "rare category": "mode-vexilbrand",
    "rare kind": "kind-wexquilm",
    "operator": "Brynhildr Okaforova",
    "quarantined cell": "cell-jorvakkel",
    "malformed row": "junk-trelluvian",
    "unknown column": "col_sprondleth",
    "secret": "hunter2-gravvelkeim",
}
#: Numbers: extremes of columns, and marked records in the middle of train and holdout.
EXTREMES = {"greatest temp_c": 87.319427, "least flow_lpm": -41.273819, "greatest pressure_kpa": 871.46293}
#: Records lie below every forecast of the centre: of its values of six digits some meet a mark by chance.
RECORDS = {f"record {number}": 12.113847 + 0.0931973 * number for number in range(12)}
NUMBERS = EXTREMES | RECORDS
GATE = {
    "metric": "exact_copy_risk_rows",
    "of": "value",
    "rule": "max",
    "threshold": 0.2,
    "reason": "a test",
}


def plant(folder: Path) -> Path:
    """A small fleet of one open and one restricted locale; the restricted one's rows are marked."""
    from pipeline import starter

    config = starter.write(folder, seed=7, size="small")
    data = yaml.safe_load(config.read_text())
    data["locales"] = [locale for locale in data["locales"] if locale["name"] != "ap-south"]
    # No curated schema: every domain is then found in rows, which is the harder case for the border.
    data["dataset"].pop("schema_name")
    data["synthesizer"] |= {"max_steps": 10, "evaluate_every": 10}
    data["central"].update(quorum=2, ideal=False)
    data["central"]["detector"] = {"bootstrap_samples": 100, "classifier": {"max_iter": 10}}
    (locale,) = [locale for locale in data["locales"] if locale["name"] == LOCALE]
    locale["privacy"] = {"gate": {"checks": [GATE]}}
    locale["max_bad_fraction"] = 0.05
    locale["source"] = {"pattern": f"data/{LOCALE}/*/span-{{SPAN}}/*.csv"}
    locale["pii"] = [
        {"column": "operator", "action": "drop"},
        {"column": "serial", "action": "drop"},
    ]
    config.write_text(yaml.safe_dump(data, sort_keys=False))

    old = folder / "data" / LOCALE / "span-0"
    frame = pd.read_csv(old / "data.csv", keep_default_na=False)
    shutil.rmtree(old)
    frame["asset"] = frame["asset"].str.replace(f"{LOCALE}-pump-01", TEXTS["series"])
    rng = np.random.default_rng(3)
    spots = iter(rng.choice(len(frame) - 40, 60, replace=False) + 20)
    for value in RECORDS.values():
        frame.loc[next(spots), "temp_c"] = value
    for name, value in EXTREMES.items():
        frame.loc[next(spots), name.split()[1]] = value
    for _ in range(4):
        frame.loc[next(spots), "mode"] = TEXTS["rare category"]
    normal = frame.index[(frame["label"] == 0)]
    frame.loc[normal[200:204], ["label", "kind"]] = [1, TEXTS["rare kind"]]
    frame["operator"] = TEXTS["operator"]
    frame[TEXTS["unknown column"]] = 1
    frame["soc"] = frame["soc"].astype(object)
    frame.loc[next(spots), "soc"] = TEXTS["quarantined cell"]
    new = folder / "data" / LOCALE / TEXTS["customer in a path"] / "span-0"
    new.mkdir(parents=True)
    frame.to_csv(new / "data.csv", index=False)
    with (new / "data.csv").open("a") as file:
        file.write(f"{TEXTS['malformed row']},too,few,fields\n")
    return config


def isthmus(config: Path, *arguments: object) -> subprocess.CompletedProcess:
    """The command line, with temporary files where the audit can see them and a secret around it."""
    temporary = config.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(temporary), "ISTHMUS_TEST_SECRET": TEXTS["secret"]}
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)


def outside(folder: Path) -> Iterator[Path]:
    """Everything below the deployment but the locale's own source, root and keys."""
    own = (folder / "data", folder / "keys", folder / "runs" / LOCALE)
    for path in sorted(folder.rglob("*")):
        if not any(path == place or place in path.parents for place in own):
            yield path


def audit(files: Any, root: Path) -> dict[str, set[str]]:
    """Marks found, each with the files that it was found in."""
    from components.egress.canary import needles, search

    found: dict[str, set[str]] = {}
    for leak in search(files, needles(TEXTS, NUMBERS), root):
        found.setdefault(leak.mark, set()).add(f"{leak.file} ({leak.form})")
    return found


@dataclasses.dataclass
class Fleet:
    """A finished run: its deployment, what it printed, and where the locale's artifacts are."""

    config: Path
    done: subprocess.CompletedProcess
    failed: subprocess.CompletedProcess
    state: dict[str, Any]

    @property
    def folder(self) -> Path:
        return self.config.parent

    @property
    def run_dir(self) -> Path:
        return self.folder / "runs" / "runs" / self.state["run_id"]

    def artifact(self, component: str, channel: str) -> Path:
        for item in self.state["locales"][LOCALE]["components"]:
            if item["id"] == component:
                return Path(item["outputs"][channel])
        raise KeyError(component)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory) -> Fleet:
    config = plant(tmp_path_factory.mktemp("canary") / "fleet")
    done = isthmus(config, "run", config, "--small")
    runs = config.parent / "runs" / "runs"
    state = json.loads(
        (runs / json.loads((runs / "latest.json").read_text())["run_id"] / "run.json").read_text()
    )
    # And a run that fails in the locale: its error has a place that is a customer's name.
    data = yaml.safe_load(config.read_text())
    data["locales"][-1]["max_bad_fraction"] = 0.0
    strict = config.with_name("strict.yaml")
    strict.write_text(yaml.safe_dump(data))
    failed = isthmus(config, "run", strict, "--locale", LOCALE, "--stage", "onboard")
    return Fleet(config, done, failed, state)


def test_a_clean_run_leaves_no_mark_in_any_byte_outside_the_locale(fleet):
    assert fleet.done.returncode in (0, 1), fleet.done.stdout + fleet.done.stderr
    assert fleet.state["locales"][LOCALE]["status"] == "succeeded"
    assert list((fleet.folder / "exchange" / LOCALE).rglob("manifest.json"))
    files = list(outside(fleet.folder))
    assert sum(path.is_file() for path in files) > 60
    assert audit(files, fleet.folder) == {}


def test_what_the_command_prints_holds_no_mark(fleet, tmp_path):
    for number, done in enumerate((fleet.done, fleet.failed)):
        (tmp_path / f"{number}.out").write_text(done.stdout)
        (tmp_path / f"{number}.err").write_text(done.stderr)
    assert audit(tmp_path.iterdir(), tmp_path) == {}
    for command in ("status", "lineage", "report", "egress"):
        (tmp_path / command).write_text(isthmus(fleet.config, command, fleet.config, "--json").stdout)
        assert (tmp_path / command).stat().st_size > 100
    assert audit(tmp_path.iterdir(), tmp_path) == {}


def test_a_failing_run_says_what_is_wrong_without_the_customers_name(fleet):
    assert fleet.failed.returncode == 2
    assert "max_bad_fraction" in fleet.failed.stdout and "…/span-0/data.csv row" in fleet.failed.stdout
    # The whole sentence stands in the locale's own log.
    logs = (fleet.folder / "runs" / LOCALE / "logs").glob("*.log")
    assert any(f"{TEXTS['customer in a path']}/span-0/data.csv row" in log.read_text() for log in logs)


def test_every_mark_was_there_to_be_found(fleet):
    inside = [*(fleet.folder / "runs" / LOCALE).rglob("*"), *(fleet.folder / "data" / LOCALE).rglob("*")]
    found = audit(inside, fleet.folder)
    # The secret is in the environment alone.
    assert set(found) == {*TEXTS, *NUMBERS} - {"secret"}
    rows = [path for path in inside if "ExampleGen/examples" in str(path)]
    stored = set(audit(rows, fleet.folder))
    assert {*NUMBERS, "series", "rare category", "rare kind"} <= stored
    # What the PII policy drops, and what the data set does not name, is not even stored.
    assert not stored & {"operator", "unknown column"}


# --- seeded bugs -------------------------------------------------------------------------------------


@dataclasses.dataclass
class Bench:
    """Writes one stage's part again from the run's artifacts, into `out`."""

    fleet: Fleet
    out: Path
    patch: pytest.MonkeyPatch

    def push(self, **change: Any) -> Path:
        """The real Pusher on the run's artifacts; the exchange is below `out`."""
        from components.pusher.core import RegionInputs, push_region
        from pipeline.config.load import load_deployment
        from pipeline.config.resolve_regional import regional_configs

        config = regional_configs(load_deployment(self.fleet.config), LOCALE).pusher
        config = config.model_copy(update={"exchange_uri": str(self.out / "exchange")})
        inputs = {
            "examples": self.fleet.artifact("SyntheticGen", "synthetic"),
            "schema": self.fleet.artifact("SchemaGen", "schema"),
            "statistics": self.fleet.artifact("SyntheticStatisticsGen", "statistics"),
            "evaluation": self.fleet.artifact("ReleaseEvaluator", "evaluation"),
            "blessing": self.fleet.artifact("ReleaseEvaluator", "blessing"),
        }
        report = push_region(config, LOCALE, 0, RegionInputs(**{**inputs, **change}))
        assert report["pushed"], report
        return self.out / "exchange"

    def report(self) -> None:
        """The run's report, rendered again into `out`."""
        from pipeline.report.collect import collect
        from pipeline.report.render import render

        render(collect(self.fleet.run_dir), self.out / "report.html")

    def replaced(self, component: str, channel: str, file: str, content: dict[str, Any]) -> None:
        """A copy of the run in which one JSON file of the locale says something else."""
        target = self.out.parent / "changed" / component
        shutil.copytree(self.fleet.artifact(component, channel), target, dirs_exist_ok=True)
        (target / file).write_text(json.dumps(content))
        state = json.loads(json.dumps(self.fleet.state))
        for item in state["locales"][LOCALE]["components"]:
            if item["id"] == component:
                item["outputs"][channel] = str(target)
        run_dir = self.out.parent / "changed" / "run"
        run_dir.mkdir(exist_ok=True)
        (run_dir / "run.json").write_text(json.dumps(state))
        self.fleet = dataclasses.replace(self.fleet, state={**state, "run_id": "run"})
        self.patch.setattr(Fleet, "run_dir", property(lambda _: run_dir))

    def json(self, component: str, channel: str, file: str) -> Any:
        return json.loads((self.fleet.artifact(component, channel) / file).read_text())

    def rows(self, split: str) -> pa.Table:
        from components.split_io import read_table

        return read_table(self.fleet.artifact("ExampleGen", "examples"), split, dataset=self.dataset())

    def marked(self, count: int) -> pa.Table:
        """The last training rows: they are of the series whose name is a mark."""
        table = self.rows("train")
        return table.slice(table.num_rows - count)

    def synthetic(self, change: Callable[[pa.Table], pa.Table]) -> Path:
        """The synthetic rows, altered, with the count of supporters beside them."""
        from components.egress.categories import SUPPORT_FILE
        from components.split_io import read_table, write_split

        old = self.fleet.artifact("SyntheticGen", "synthetic")
        new = self.out.parent / "synthetic"
        table = change(read_table(old, "train", dataset=self.dataset()))
        write_split(new, "train", iter([table]))
        shutil.copy(old / SUPPORT_FILE, new / SUPPORT_FILE)
        return new

    def dataset(self) -> Any:
        from pipeline.config.load import load_deployment

        return load_deployment(self.fleet.config).dataset

    def record(self, error: str | None = None, **change: Any) -> None:
        """`run.json` saved again, with an error in the locale."""
        from pipeline.run_state import PipelineState, RunState, fail

        state = RunState(
            **{
                **{
                    key: self.fleet.state[key]
                    for key in ("run_id", "name", "config", "config_digest", "seed")
                },
                "started_at": "",
                "locales": {LOCALE: PipelineState(sharing="restricted")},
                "central": PipelineState(),
                "stage": "merge",
                **change,
            }
        )
        if error is not None:
            fail(state.locales[LOCALE], error)
        state.save(self.out)

    def error(self, error: Exception) -> str:
        """What a worker of the locale tells its parent of an error."""
        from pipeline import worker

        job = worker.Job(str(self.fleet.config), LOCALE, "merge", str(self.out.parent / "worker.log"))
        return worker._outward_error(job, error)

    def unjudged(self) -> None:
        """The fault that several bugs need: texts leave as they are."""
        from pipeline import outward

        self.patch.setattr(outward, "outward", lambda text, *_: text)


@pytest.fixture
def bench(fleet, tmp_path, monkeypatch) -> Bench:
    out = tmp_path / "left"
    out.mkdir()
    return Bench(fleet, out, monkeypatch)


def vocabulary_in_the_schema(bench: Bench) -> None:
    from google.protobuf import text_format

    from components.pusher import core

    bench.patch.setattr(core, "released_schema", lambda schema, *_: text_format.MessageToString(schema))
    bench.push()


def extremes_in_the_schema(bench: Bench) -> None:
    from google.protobuf import text_format

    from components.pusher import core

    parts = [bench.rows(split)["temp_c"].to_numpy() for split in ("train", "eval", "holdout")]
    greatest = float(np.nanmax(np.concatenate(parts)))

    def with_domain(schema, *_):
        for feature in schema.feature:
            if feature.name == "temp_c":
                feature.float_domain.max = greatest
        return text_format.MessageToString(schema)

    bench.patch.setattr(core, "released_schema", with_domain)
    bench.push()


def exact_quantiles_in_the_report(bench: Bench) -> None:
    from pipeline.report import curves

    plots = bench.json("ReleaseEvaluator", "evaluation", "plots.json")
    parts = [bench.rows(split)["temp_c"].to_numpy() for split in ("train", "eval", "holdout")]
    values = np.sort(np.concatenate(parts))
    values = values[np.isfinite(values)]
    edges = np.quantile(values, np.linspace(0, 1, 41), method="nearest")
    plots["features"]["temp_c"]["edges"] = edges.tolist()
    bench.replaced("ReleaseEvaluator", "evaluation", "plots.json", plots)
    # The report draws the middles of bins; a bug that draws their edges shows the extremes themselves.
    bench.patch.setattr(curves, "_centres", lambda found: found[1:])
    state = json.loads((bench.fleet.run_dir / "run.json").read_text())
    state["locales"][LOCALE]["egress"]["real_curves"] = "binned"
    (bench.fleet.run_dir / "run.json").write_text(json.dumps(state))
    bench.report()


def row_in_an_error_message(bench: Bench) -> None:
    from components.errors import DataError

    bench.unjudged()
    row = bench.marked(3).to_pylist()
    bench.record(bench.error(DataError(f"row does not convert: {row}")))


def path_with_a_customers_name(bench: Bench) -> None:
    from components.errors import DataError

    bench.unjudged()
    report = bench.json("ExampleGen", "quarantine", "ingest.json")
    bench.record(bench.error(DataError(f"{report['files'][LOCALE][0]}: the file is empty")))


def raw_rows_copied_into_a_log(bench: Bench) -> None:
    bench.marked(100).to_pandas().to_csv(bench.out / "startup.log")


def statistics_of_the_real_rows(bench: Bench) -> None:
    from components.pusher import core

    real = bench.fleet.artifact("StatisticsGen", "statistics") / "Split-train" / "FeatureStats.pb"
    bench.patch.setattr(core, "_statistics", lambda *_: real.read_bytes())
    bench.push()


def holdout_row_among_the_synthetic(bench: Bench) -> None:
    from components.pusher import core

    def add(table: pa.Table) -> pa.Table:
        real = bench.rows("holdout")
        marked = np.isin(real["temp_c"].to_numpy(), np.array(list(RECORDS.values()), np.float32))
        assert marked.any(), "the marked records must lie in holdout too"
        real = real.filter(pa.array(marked)).to_pandas()
        real["asset"] = "syn-0001"
        return pa.concat_tables([table, pa.Table.from_pandas(real, table.schema, preserve_index=False)])

    bench.patch.setattr(core, "_statistics", lambda *_: b"")
    bench.push(examples=bench.synthetic(add))


def real_series_among_the_synthetic(bench: Bench) -> None:
    from components.pusher import core

    def rename(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index("asset")
        return table.set_column(at, "asset", pa.array([TEXTS["series"]] * table.num_rows))

    bench.patch.setattr(core.egress_rows, "check_values", lambda *_: None)
    bench.patch.setattr(core, "_statistics", lambda *_: b"")
    bench.push(examples=bench.synthetic(rename))


def rare_category_not_folded(bench: Bench) -> None:
    from components.pusher import core

    def unfold(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index("mode")
        modes = ["mode-vexilbrand" if i % 50 == 0 else "sun" for i in range(table.num_rows)]
        return table.set_column(at, "mode", pa.array(modes))

    bench.patch.setattr(core.egress_rows, "check_values", lambda *_: None)
    bench.patch.setattr(core, "_statistics", lambda *_: b"")
    bench.push(examples=bench.synthetic(unfold))


def model_file_in_the_release(bench: Bench) -> None:
    from components.pusher import core

    files = core._files

    def with_model(*arguments, **options):
        model = bench.fleet.artifact("SynthesizerTrainer", "model")
        extra = {
            f"Split-train/{i}.gz": path for i, path in enumerate(sorted(model.rglob("*"))) if path.is_file()
        }
        return {**files(*arguments, **options), **extra}

    bench.patch.setattr(core, "_files", with_model)
    bench.push()


def environment_in_the_run_record(bench: Bench) -> None:
    from pipeline import outward

    bench.patch.setenv("ISTHMUS_TEST_SECRET", TEXTS["secret"])
    bench.patch.setattr(outward, "run_record", dict)
    bench.record(versions=dict(os.environ))


def anomaly_in_the_words_of_tfdv(bench: Bench) -> None:
    bench.unjudged()
    drift = bench.json("ExampleValidator", "drift", "drift.json")
    short = f"Examples contain values missing from the schema: {TEXTS['rare category']} (<1%)."
    drift["anomalies"] = [{"split": "eval", "feature": "mode", "severity": "ERROR", "short": short}]
    bench.replaced("ExampleValidator", "drift", "drift.json", drift)
    bench.report()


def unknown_columns_by_name(bench: Bench) -> None:
    bench.unjudged()
    bench.report()


def reason_of_a_metric_in_the_release(bench: Bench) -> None:
    from components.egress import evaluation, lists

    bench.patch.setattr(lists, "METRIC_FIELDS", lists.METRIC_FIELDS | {"reason"})
    bench.patch.setattr(evaluation, "is_fixed", lambda text: True)
    content = bench.json("ReleaseEvaluator", "evaluation", "evaluation.json")
    content["metrics"][0]["reason"] = f"the nearest record is {max(RECORDS.values()):.9g}"
    folder = bench.out.parent / "evaluation"
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps(content))
    bench.push(evaluation=folder)


def series_in_the_centres_metadata(bench: Bench) -> None:
    import sqlite3

    shutil.copy(bench.fleet.folder / "runs" / "central" / "metadata.sqlite", bench.out / "metadata.sqlite")
    with sqlite3.connect(bench.out / "metadata.sqlite") as store:
        # Longer than a page: it is split over several in the raw file.
        done = store.execute("UPDATE ArtifactProperty SET string_value = ?", (TEXTS["series"] * 300,))
        assert done.rowcount > 0


def coded_row_in_the_privacy_statement(bench: Bench) -> None:
    from components.pusher import core

    row = json.dumps(bench.marked(1).to_pylist()).encode()
    coded = base64.b64encode(b"v1:" + row).decode()
    statement = core.privacy_statement

    def chatty(config, locale, span):
        found = statement(config, locale, span)
        return found.model_copy(update={"sentences": (*found.sentences, f"Nonce {coded}.")})

    bench.patch.setattr(core, "privacy_statement", chatty)
    bench.push()


def rows_as_parquet_in_the_exchange(bench: Bench) -> None:
    import pyarrow.parquet

    target = bench.out / "exchange" / LOCALE / "cache.parquet"
    target.parent.mkdir(parents=True)
    pyarrow.parquet.write_table(bench.rows("train"), target, compression="zstd")


#: The bug, and a mark that the audit must find (others may come with it).
BUGS = {
    vocabulary_in_the_schema: "rare category",
    extremes_in_the_schema: "greatest temp_c",
    exact_quantiles_in_the_report: "greatest temp_c",
    row_in_an_error_message: "series",
    path_with_a_customers_name: "customer in a path",
    raw_rows_copied_into_a_log: "series",
    statistics_of_the_real_rows: "greatest temp_c",
    holdout_row_among_the_synthetic: "record",
    real_series_among_the_synthetic: "series",
    rare_category_not_folded: "rare category",
    model_file_in_the_release: "rare category",
    environment_in_the_run_record: "secret",
    anomaly_in_the_words_of_tfdv: "rare category",
    unknown_columns_by_name: "unknown column",
    reason_of_a_metric_in_the_release: "record",
    series_in_the_centres_metadata: "series",
    coded_row_in_the_privacy_statement: "series",
    rows_as_parquet_in_the_exchange: "series",
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_seeded_bug_is_found(bench, bug):
    bug(bench)
    found = audit(bench.out.rglob("*"), bench.out)
    assert any(mark.startswith(BUGS[bug]) for mark in found), found


def test_the_same_bench_without_a_bug_leaves_nothing(bench):
    from components.errors import DataError

    bench.push()
    bench.report()
    row = bench.marked(3).to_pylist()
    files = bench.json("ExampleGen", "quarantine", "ingest.json")["files"][LOCALE]
    bench.record(bench.error(DataError(f"{files[0]}: row does not convert: {row}")))
    assert len(list(bench.out.rglob("*"))) > 8
    assert audit(bench.out.rglob("*"), bench.out) == {}


# --- and the guards refuse what the audit would find ------------------------------------------------------


def _refused(bench: Bench, bug: Callable[[Bench], None], match: str, *restored: tuple[Any, str]) -> None:
    from components.errors import IsthmusError

    originals = [(owner, name, getattr(owner, name)) for owner, name in restored]
    patch = bench.patch.setattr

    def only_others(owner: Any, name: str, value: Any) -> None:
        if not any(owner is kept and name == its for kept, its, _ in originals):
            patch(owner, name, value)

    with contextlib.ExitStack() as stack:
        stack.callback(bench.patch.undo)
        bench.patch.setattr = only_others  # type: ignore[method-assign]
        with pytest.raises(IsthmusError, match=match):
            bug(bench)
    assert audit(bench.out.rglob("*"), bench.out) == {}


def test_with_the_guards_up_the_pusher_refuses(bench):
    from components.pusher import core

    checks = (core.egress_rows, "check_values")
    _refused(bench, real_series_among_the_synthetic, "bear names that SyntheticGen does not make", checks)


def test_with_the_guards_up_a_rare_category_is_refused(bench):
    from components.pusher import core

    checks = (core.egress_rows, "check_values")
    _refused(bench, rare_category_not_folded, "fewer than 10 real supporters", checks)


def test_with_the_guards_up_real_statistics_are_refused(bench):
    with pytest.raises(Exception, match="only statistics of the released rows may leave"):
        bench.push(statistics=bench.fleet.artifact("StatisticsGen", "statistics"))
    assert audit(bench.out.rglob("*"), bench.out) == {}


def test_with_the_guards_up_the_environment_is_no_version(bench):
    from pipeline import outward

    bench.patch.setenv("ISTHMUS_TEST_SECRET", TEXTS["secret"])
    with pytest.raises(Exception, match="on no list"):
        outward.run_record({"versions": dict(os.environ)})
