"""SyntheticGen: grids, workers, seeds, refusals, on a small trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components import split_io
from components.errors import ConfigError, DataError
from components.synthetic_gen.config import SyntheticGenConfig
from tests.support.synthesizer import DATASET, ROWS, SCHEMA, generate, train

pytestmark = pytest.mark.tfx


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    return train(tmp_path_factory.mktemp("synthetic-gen"))


def _do(
    inputs: dict[str, list[Any]], uri: Path, workers: int = 1, seed: int = 9, **changes: Any
) -> tuple[Any, pa.Table]:
    mode = "in_memory" if workers == 1 else "multi_processing"
    args = [
        "--runner=DirectRunner",
        f"--direct_running_mode={mode}",
        f"--direct_num_workers={workers}",
    ]
    output = generate(inputs, uri, args, seed, **changes)
    return output, split_io.read_table(output.uri, "train", dataset=DATASET)


def test_the_real_grid_with_synthetic_ids(inputs: dict[str, list[Any]], tmp_path: Path) -> None:
    output, table = _do(inputs, tmp_path / "out")
    assert table.num_rows == 3 * ROWS
    assert set(table.column("asset").to_pylist()) == {"syn-0001", "syn-0002", "syn-0003"}
    assert table.column("site").to_pylist() == table.column("asset").to_pylist()
    assert table.column("timestamp").to_numpy()[:2].tolist() == [0, 600_000_000]
    assert set(table.column("kind").to_pylist()) == {"", "shift"}
    assert table.column("void").null_count == table.num_rows
    label = table.column("label").to_numpy()
    # Three real events of 30 rows, three times as often.
    assert label.mean() == pytest.approx(3 * 30 / ROWS, rel=0.3)
    assert output.get_int_custom_property("span") == 2
    assert output.get_string_custom_property("locale") == "eu-west"
    assert output.get_string_custom_property("data_digest") == split_io.split_digest(output.uri, "train")
    assert not [p for p in Path(output.uri).iterdir() if p.name.startswith(".")]


def test_workers_do_not_change_the_rows_seeds_do(inputs: dict[str, list[Any]], tmp_path: Path) -> None:
    digests = [
        _do(inputs, tmp_path / name, workers=workers, seed=seed, rows_per_shard=ROWS)[
            0
        ].get_string_custom_property("data_digest")
        for name, workers, seed in (("a", 1, 9), ("b", 2, 9), ("c", 1, 10))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_rows_and_regular_grids(inputs: dict[str, list[Any]], tmp_path: Path) -> None:
    _, table = _do(inputs, tmp_path / "rows", grid="rows", rows=501, sessions=2)
    assert table.num_rows == 501
    bare = {key: value for key, value in inputs.items() if key != "examples"}
    _, table = _do(bare, tmp_path / "regular", grid="regular", sessions=2, interval_s=1200.0)
    assert table.num_rows == 2 * ROWS // 2
    assert (np.diff(table.column("timestamp").to_numpy()[:10]) == 1_200_000_000).all()


def test_a_real_grid_needs_examples(inputs: dict[str, list[Any]], tmp_path: Path) -> None:
    bare = {key: value for key, value in inputs.items() if key != "examples"}
    with pytest.raises(ConfigError, match="grid 'real' needs the channel 'examples'"):
        _do(bare, tmp_path / "out")


def test_rows_outside_the_schema_are_never_written(inputs: dict[str, list[Any]], tmp_path: Path) -> None:
    from components.tfx_shim import standard_artifacts

    schema = standard_artifacts.Schema()
    schema.uri = str(tmp_path / "schema")
    Path(schema.uri).mkdir()
    (Path(schema.uri) / "schema.pbtxt").write_text(SCHEMA.replace("max: 100.0", "max: 10.0"))
    with pytest.raises(DataError, match=r"locale=eu-west span=2.*temp \(above its domain\)"):
        _do({**inputs, "schema": [schema]}, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.gz"))


def test_the_component_wires_optional_examples() -> None:
    from components.synthetic_gen.component import SyntheticGen
    from components.tfx_shim import Channel, standard_artifacts

    config = SyntheticGenConfig(dataset=DATASET, grid="regular")
    channels = {
        "model": Channel(type=standard_artifacts.Model),
        "schema": Channel(type=standard_artifacts.Schema),
    }
    component = SyntheticGen(config, **channels, locale="eu-west", span=1, seed=2)
    assert "examples" not in component.inputs and component.exec_properties["span"] == 1
    wired = SyntheticGen(
        config,
        **channels,
        examples=Channel(type=standard_artifacts.Examples),
        locale="eu-west",
        span=1,
        seed=2,
    )
    assert "examples" in wired.inputs
