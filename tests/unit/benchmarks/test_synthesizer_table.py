"""The tables of generators, and that the page shows what the committed results say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

# The benchmarks are no installed package.
sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.synthesizer import __main__ as command
from benchmarks.synthesizer import long_range, store, table

HONEST = {"excess": 0.0, "excess_row": 0.0, "copied": 0.0}


def _runs(generator: str, *measures: dict[str, float], data: str = "pumps") -> list[store.Result]:
    standing = store.Digests("abc", "def", "ghi")
    return [
        store.Result(
            data, generator, seed, {"train": 70, "period": 100}, {**HONEST, **own}, {"numpy": "2.0"},
            {"hyperparameters": "defaults"}, "2 cores", f"2026-11-0{seed + 1}", standing,
        )
        for seed, own in enumerate(measures)
    ]  # fmt: skip


def _lines(found: table.Found, columns: tuple[table.Column, ...] = table.FIDELITY) -> dict[str, str]:
    lines = table.render("pumps", found, columns).splitlines()
    return {"head": lines[0]} | {line.split("|")[1].strip(): line for line in lines[2:]}


def _found(**others: list[dict[str, float]]) -> dict[str, list[store.Result]]:
    found = {
        "real": [{"marginal": 0.97}],
        "TVAE": [{"marginal": 0.90}, {"marginal": 0.91}],
        "ours": [{"marginal": 0.97}, {"marginal": 0.98}],
    } | others
    return {name: _runs(name, *own) for name, own in found.items()}


def test_a_row_says_mean_interval_and_how_many_seeds() -> None:
    lines = _lines(_found(ARF=[{"marginal": 0.95, "acf": 0.2}]))
    assert lines["head"] == "| pumps | seeds | marginal ↑ | ACF err. ↓ |"
    assert lines["real"] == "| real | 1 | 0.970 |  |"  # real rows reach for nothing
    # Two seeds 0.01 apart: 12.706 (t of one degree of freedom) times 0.005.
    assert lines["ours"] == "| ours | 2 | **0.975** ± 0.064 |  |"
    assert lines["ARF"] == "| ARF | 1 | 0.950 | 0.200 |"
    assert lines["*wanted*"] == "| *wanted* | | ≥ 0.965 | ≤ 0.050 |"
    assert list(lines)[1:5] == ["real", "TVAE", "ARF", "ours"]


def test_who_is_ahead_stands_below_its_column() -> None:
    three = [[{"marginal": base + 0.001 * seed} for seed in range(3)] for base in (0.97, 0.90, 0.95)]
    lines = _lines(_found(ours=three[0], TVAE=three[1], ARF=three[2]))
    assert lines["*ahead of every other*"].split("|")[3].strip() == "ours"
    assert lines["*ours*"].split("|")[3].strip() == "ahead of all"
    lines = _lines(_found(ours=three[2], TVAE=three[1], ARF=three[0]))
    assert lines["*ahead of every other*"].split("|")[3].strip() == "ARF"
    assert lines["*ours*"].split("|")[3].strip() == "behind ARF"
    lines = _lines(_found(ours=three[0], TVAE=three[1], ARF=three[0]))
    assert lines["*ahead of every other*"].split("|")[3].strip() == ""
    assert lines["*ours*"].split("|")[3].strip() == "even with ARF"


def test_a_measure_that_fewer_seeds_have_says_so() -> None:
    lines = _lines(_found(ours=[{"marginal": 0.97, "auc": 0.8}, {"marginal": 0.98}]))
    assert lines["ours"] == "| ours | 2 | **0.975** ± 0.064 | 0.800 (1) |"


def test_below_its_bound_less_copying_is_no_better() -> None:
    def ours(excess: float) -> str:
        found = _found(ours=[{"excess": excess}] * 2, TVAE=[{"excess": -0.02}] * 2)
        lines = _lines(found, table.COST)
        place = lines["head"].split("|").index(" membership ↓ ")
        assert lines["*ahead of every other*"].split("|")[place].strip() == ""
        return lines["*ours*"].split("|")[place].strip()

    assert ours(0.009) == "kept" and ours(0.011) == "missed"


def test_the_long_range_is_a_table_of_its_own_without_bounds() -> None:
    assert len(table.tables("pumps", _found())) == 2
    three = [[{"marginal": 0.9, "long_day": base + 0.01 * seed, "long_dwell": 0.9} for seed in range(3)]
             for base in (0.1, 0.4)]  # fmt: skip
    fidelity, lasting, cost = table.tables("pumps", _found(ours=three[0], TVAE=three[1]), {"ours"})
    assert fidelity.startswith("| pumps | seeds | marginal ↑ |") and "membership" in cost
    assert lasting.splitlines() == [
        "| pumps: long range | seeds | day ↓ | dwell ↑ |",
        "| --- | --- | --- | --- |",
        "| real | 1 |  |  |",
        "| TVAE | 3 | 0.410 ± 0.025 | 0.900 ± 0.000 |",
        "| ours (stale) | 3 | 0.110 ± 0.025 | 0.900 ± 0.000 |",
        "| *ahead of every other* | | ours |  |",
        "| *ours* | | ahead of all | even with TVAE |",
    ]


def test_every_measure_of_the_long_range_has_its_column_and_is_explained() -> None:
    page = command.PAGE.read_text().split(table.BEGIN)[0]
    for key, title, bound, _, _ in table.LONG_RANGE:
        assert key.startswith(long_range.PREFIX) and bound is None
        assert f"| {title}" in page or f", {title}" in page, title
    committed = {
        key
        for own in store.Results(command.RESULTS).all().values()
        for runs in own.values()
        for run in runs
        for key in run.measures
        if key.startswith(long_range.PREFIX)
    }
    assert committed and committed <= {column[0] for column in table.LONG_RANGE}


def test_completing_runs_no_generator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = []
    monkeypatch.setattr(command.data, "shipped", lambda *given: ["pumps"])
    monkeypatch.setattr(command.session, "fill", lambda *_: pytest.fail("generators run"))
    monkeypatch.setattr(command.session, "complete", lambda *given: seen.append(given))
    given = ["--complete", "--generators", "ours", "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["synthesizer", *given])
    assert command.main() == 0
    ((case, names, results, rows),) = seen
    assert (case, names, results.folder, rows.folder) == ("pumps", ("ours",), tmp_path, command.KEPT / "rows")


def test_one_seed_cannot_be_ahead() -> None:
    lines = _lines(_found(ours=[{"marginal": 0.99}]))
    assert lines["*ahead of every other*"].split("|")[3].strip() == ""
    assert lines["*ours*"].split("|")[3].strip() == "first, seeds too few"
    lines = _lines(_found(ours=[{"marginal": 0.2}]))
    assert lines["*ours*"].split("|")[3].strip() == "TVAE better, seeds too few"


def test_less_is_better_of_errors_and_of_cost() -> None:
    three = [[{"fit_cpu_s": base + seed} for seed in range(3)] for base in (10.0, 90.0)]
    lines = _lines(_found(ours=three[0], TVAE=three[1]), table.COST)
    place = lines["head"].split("|").index(" fit CPU s ↓ ")
    assert lines["*ours*"].split("|")[place].strip() == "ahead of all"
    assert lines["ours"].split("|")[place].strip().startswith("**11.0**")
    assert lines["TVAE"].split("|")[place].strip().startswith("91.0 ±")


def test_a_generator_that_copies_is_marked_and_left_out() -> None:
    better = [{"marginal": 0.999, "excess_row": 0.2} for _ in range(2)]
    found = _found(TVAE=better, ARF=[{"marginal": 0.5}, {"marginal": 0.5}])
    lines = _lines(found)
    assert "TVAE †" in lines and "ARF" in lines and "ours" in lines
    assert lines["*ours*"].split("|")[3].strip() == "ahead of all"
    note = table.copying_note({"pumps": found})
    assert note.startswith("†") and "TVAE on pumps (by row)" in note and "ours" not in note
    assert table.copying_note({"pumps": _found()}) == ""
    own = _found(ours=[{"marginal": 0.99, "copied": 0.9}])
    assert "ours †" in _lines(own) and "ours on pumps (copied rows)" in table.copying_note({"pumps": own})
    assert _lines(own)["*ahead of every other*"].split("|")[3].strip() == ""


def test_a_result_of_other_code_is_marked() -> None:
    lines = table.render("pumps", _found(), table.FIDELITY, {"ours"}).splitlines()
    assert [line.split("|")[1].strip() for line in lines if "stale" in line] == ["ours (stale)"]


def test_the_document_says_with_what_it_was_measured() -> None:
    text = table.document({"pumps": _found()})
    assert "**pumps**: 70 training rows of a period of 100." in text
    assert "- TVAE: hyperparameters: defaults; numpy 2.0; code abc." in text
    assert "- Measured from 2026-11-01 to 2026-11-02 on: 2 cores." in text
    assert "TSTR and GRU AUC were not measured (`--quick`)." in text
    assert "not measured" not in table.document({"pumps": _found(ours=[{"marginal": 0.9, "auc": 0.8}])})


def test_a_page_is_changed_between_its_marks_only(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.into_page(page, "new")
    assert page.read_text() == f"before\n{table.BEGIN}\n\nnew\n\n{table.END}\nafter\n"
    assert table.on_page(page) == "new"
    page.write_text("nothing")
    with pytest.raises(ValueError, match=r"page.md has no marks"):
        table.into_page(page, "new")


def test_the_page_shows_the_committed_results() -> None:
    found = store.Results(command.RESULTS).all()
    assert {"dense (simulated server)", "simulated eu-west"} <= set(found)
    assert table.on_page(command.PAGE) == table.document(found), (
        "`python -m benchmarks.synthesizer --table docs` writes it"
    )


def test_committed_results_hold_numbers_alone() -> None:
    for path in command.RESULTS.glob("*/*/*.json"):
        assert path.stat().st_size < 8_000
        read = json.loads(path.read_text())
        assert all(isinstance(value, float | int) for value in read["measures"].values())
        # Without `long_range`: written before there was one, and not completed yet.
        assert set(read["digests"]) - {"long_range"} == {"made", "data", "measured"}
        assert "/" not in read["machine"]


def test_results_of_a_file_of_ones_own_are_not_put_beside_the_committed_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = []
    monkeypatch.setattr(command, "KEPT", tmp_path)
    monkeypatch.setattr(command.session, "fill", lambda *given: seen.append(given[3].folder) or [])
    csv = tmp_path / "own.csv"
    rows = "\n".join(f"2024-03-0{1 + i // 1440}T{i // 60 % 24:02d}:{i % 60:02d}:00Z,{i % 7},{i % 5}"
                     for i in range(2000))  # fmt: skip
    csv.write_text(f"timestamp,a,b\n{rows}\n")
    monkeypatch.setattr(sys, "argv", ["synthesizer", "--csv", str(csv), "--seeds", "1"])
    assert command.main() == 0 and seen == [tmp_path / "results"]
    monkeypatch.setattr(command.session, "fill", lambda *given: ["own: ARF, seed 0"])
    assert command.main() == 1


def test_rows_of_which_one_column_varies_are_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stamps = [
        f"2026-01-{1 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:00Z"
        for minute in range(2000)
    ]
    lines = [f"{stamp},{place % 7},1.5" for place, stamp in enumerate(stamps)]
    (tmp_path / "lonely.csv").write_text("\n".join(["timestamp,load,fixed", *lines]) + "\n")
    arguments = ["synthesizer", "--csv", str(tmp_path / "lonely.csv"), "--generators", "ours"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stopped:
        command.main()
    assert stopped.value.code == 2
    assert "lonely: fewer than two columns vary" in capsys.readouterr().err
