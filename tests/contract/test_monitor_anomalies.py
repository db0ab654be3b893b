"""TFDV opens what the monitoring report writes for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.drift.findings import MonitorReport
from pipeline.monitor_report.anomalies import table_rows, write_anomalies
from tests.support.made_up_monitoring import finding, undefined

pytestmark = pytest.mark.tfx


def test_tfdv_loads_and_displays_both_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.utils import anomalies_util, display_util

    report = MonitorReport(
        zone="eu-west",
        sharing="restricted",
        span=1,
        alpha=0.05,
        status="EVALUATED",
        findings=(
            finding("temperature", "eu-west", 4.0, cause="unit_change"),
            finding("flow", "eu-west", 0.5),
            finding("(all)", "eu-west", 2.0, cause="silent_gap"),
            undefined("torque", "eu-west", "no value on the other side"),
        ),
    )
    text, binary = write_anomalies(report, tmp_path)
    found = tfdv.load_anomalies_text(str(text))
    assert found == anomalies_util.load_anomalies_binary(str(binary))
    table = display_util.get_anomalies_dataframe(found)
    ours = {row["feature"]: (row["short"], row["long"]) for row in table_rows(report)}
    theirs = {name.strip("'"): tuple(row) for name, row in zip(table.index, table.to_numpy().tolist())}
    assert theirs == ours and set(ours) == {"temperature", "torque", "[dataset anomaly]"}
    drift = display_util.get_drift_skew_dataframe(found)
    assert sorted(set(drift.index)) == ["flow", "temperature"]
    row = drift[drift["type"] == "JENSEN_SHANNON_DIVERGENCE"].loc["temperature"]
    assert (row["value"], row["threshold"]) == (0.4, 0.1)
    shown: list[object] = []
    monkeypatch.setattr(display_util, "display", shown.append)
    tfdv.display_anomalies(found)
    assert len(shown) == 1 and "Comparator control data missing" in str(shown[0].to_string())  # type: ignore[attr-defined]
