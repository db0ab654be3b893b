"""A sketch of real rows goes with its signed release in one form, paid for where it has noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydantic
import pytest

from components.drift.core import outward
from components.egress.config import EgressConfig, SketchConfig
from components.egress.sketch import to_bytes
from components.errors import DataError, InternalError
from components.governance.config import BudgetConfig, GovernanceConfig, LedgerAccess
from components.governance.core.accounting import Tally, epsilon_of
from components.governance.core.events import Gaussian, PrivacyCost
from components.governance.core.spending import open_ledger, read_cost, reserved, write_cost
from components.governance.core.summary import standing
from components.merge_gen.config import MergeGenConfig, MergeLocale
from components.merge_gen.core import merge_releases
from components.merge_gen.resolution import resolve_releases
from components.pusher.clearing import push_governed
from components.pusher.config import PusherConfig
from components.pusher.core import RegionInputs
from components.release.keys import ensure_key_pair
from components.release.manifest import SCHEMA_VALIDATED, PrivacyStatement, Versions
from components.release.privacy import PrivacyClaim
from components.release.storage import open_store
from components.secrets import SecretRef
from components.split_io import shard_paths, write_split
from tests.support.monitoring import rows
from tests.support.releases import publish_release
from tests.support.sketches import CURATED, SCHEMA, curated, sketch

__all__ = ["curated"]
pytestmark = pytest.mark.usefixtures("curated", "other_gates_pass")

SUPPRESSED = SketchConfig(mode="suppressed", minimum=20)
NOISE = {"epsilon": 1.0, "delta": 1e-6}
NOISED = SketchConfig.model_validate(
    {"mode": "noised", "begin": "1970-01-01", "end": "1970-01-13", "noise": NOISE}
)
MODEL = PrivacyCost(unit="record", events=(Gaussian(noise_multiplier=5.0),))
CLAIM = PrivacyClaim(
    mechanism="Gaussian mechanism",
    epsilon=0.9,
    delta=1e-6,
    unit="record",
    adjacency="add_or_remove_one",
    sampling="none",
)


@pytest.fixture
def other_gates_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The made-up rows are of no curated schema of the program; that gate has its own tests."""
    from components.egress import rows as egress_rows
    from components.pusher import core

    monkeypatch.setattr(egress_rows, "check_values", lambda *arguments: None)
    monkeypatch.setattr(core, "curated_schema", lambda name: SCHEMA)


class Region:
    def __init__(self, root: Path) -> None:
        self.root, self.key = root, ensure_key_pair(root / "key")
        self.exchange = str(root / "exchange")
        self.governance = GovernanceConfig(
            locale="eu-west",
            folder=str(root / "governance"),
            trusted_keys=(str(root / "key.pub"),),
            budget_unit="record",
        )
        self.ledger.open(self.key, BudgetConfig(epsilon=3, delta=1e-6, unit="record"))
        write_split(root / "examples", "train", rows(9, days=1).drop(["label"]))
        (root / "blessing").mkdir()

    @property
    def ledger(self) -> Any:
        return open_ledger(self.governance)

    def part(self, name: str, cost: PrivacyCost, file: str, content: bytes) -> Path:
        """A folder that says what it cost, reserved as the region's components do."""
        access = LedgerAccess(governance=self.governance, signing_key=SecretRef(file=str(self.root / "key")))
        folder = self.root / name
        folder.mkdir()
        with reserved(access, f"{name}-1", 1, cost) as price:
            (folder / file).write_bytes(content)
            write_cost(folder, price)
        return folder

    def push(
        self,
        policy: SketchConfig,
        sketch: Path | None,
        model: Path | None = None,
        verdict: str = "BLESSED",
    ) -> dict[str, Any]:
        for file in (self.root / "blessing").iterdir():
            file.unlink()
        (self.root / "blessing" / verdict).touch()
        noised = policy.mode == "noised"
        config = PusherConfig(
            kind="synthetic",
            exchange_uri=self.exchange,
            signing_key=SecretRef(file=str(self.root / "key")),
            dataset=CURATED,
            egress=EgressConfig(min_supporters=1, sketch=policy),
            governance=self.governance if noised else None,
            privacy=CLAIM if noised else None,
        )
        inputs = RegionInputs(self.root / "examples", blessing=self.root / "blessing", sketch=sketch)
        return push_governed(config, "eu-west", 1, inputs, model)

    def suppressed(self, raw: bytes | None = None) -> Path:
        folder = self.root / "suppressed"
        folder.mkdir()
        (folder / "sketch.json").write_bytes(raw or to_bytes(sketch(rows(1), minimum=20)))
        return folder

    def noised(self) -> Path:
        rules = NOISED.rules()
        assert rules is not None
        made = sketch(rows(1), **rules.model_dump())
        return self.part("sketch", outward.cost(rules), "sketch.json", to_bytes(made))

    def publish(self, raw: bytes, kind: str = "synthetic") -> None:
        """As somebody who has the key and another program would."""
        files: dict[str, Any] = {
            f"Split-train/{p.name}": p for p in shard_paths(self.root / "examples", "train")
        }
        fields = {
            "locale": "eu-west",
            "span": 1,
            "kind": kind,
            "rows": {"train": 288},
            "columns": {
                "timestamp": "int64",
                "asset": "string",
                "temp": "float32",
                "on": "int64",
                "mode": "string",
            },
            "versions": Versions(isthmus="1", tfx="2", tensorflow="3"),
            "config_digest": "",
            "privacy": PrivacyStatement(sentences=("One.",)),
            "verdict": "BLESSED" if kind == "synthetic" else SCHEMA_VALIDATED,
            "gates": {},
        }
        publish_release(open_store(self.exchange), self.key, {**files, "sketch.json": raw}, **fields)

    def merge(self, sharing: Any = "restricted", **dataset: Any) -> tuple[Any, Path]:
        locale = MergeLocale(name="eu-west", sharing=sharing, trusted_key=str(self.root / "key.pub"))
        config = MergeGenConfig(
            dataset=CURATED.model_copy(update=dataset),
            exchange_uri=self.exchange,
            locales=(locale,),
            quorum=1,
        )
        folder = self.root / "sketches"
        merged = self.root / "merged"
        return merge_releases(
            config, resolve_releases(config), merged, self.root / "monitors", folder
        ), folder


@pytest.fixture
def region(tmp_path: Path) -> Region:
    return Region(tmp_path)


def test_it_is_digested_and_signed_with_the_release_and_the_centre_reads_it_from_there(region):
    made = region.suppressed()
    release = Path(region.push(SUPPRESSED, made)["uri"])
    manifest = json.loads((release / "manifest.json").read_text())
    assert set(manifest["files"]) == {"Split-train/data_tfrecord-00000-of-00001.gz", "sketch.json"}
    assert any("without differential privacy" in text for text in manifest["privacy"]["sentences"])
    result, folder = region.merge()
    assert [item.locale for item in result.accepted] == ["eu-west"]
    raw = (made / "sketch.json").read_bytes()
    assert (folder / "eu-west.json").read_bytes() == (release / "sketch.json").read_bytes() == raw


def test_a_byte_that_was_changed_on_the_way_refuses_the_release(region):
    file = Path(region.push(SUPPRESSED, region.suppressed())["uri"]) / "sketch.json"
    file.write_bytes(file.read_bytes().replace(b'"minimum":20', b'"minimum":10'))
    result, folder = region.merge()
    assert result.accepted == () and not folder.exists()
    assert "its SHA-256 is not the one in the manifest" in result.refused[0]["reason"]


def form() -> dict[str, Any]:
    return json.loads(to_bytes(sketch(rows(1), minimum=20)))


def bytes_of(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n").encode()


def first(**features: Any) -> dict[str, Any]:
    found = form()
    found["periods"][0]["features"] |= features
    return found


def noised(**changes: Any) -> dict[str, Any]:
    rules = NOISED.rules()
    assert rules is not None
    return {**json.loads(to_bytes(sketch(rows(1), **rules.model_dump()))), **changes}


FIRST = form()["periods"][0]
HOSTILE = {
    "an extra field": ({**form(), "low": [17.125]}, "low: Extra inputs"),
    "a count below the minimum": (
        first(on={"bins": [100, 7, None], "missing": None}),
        "tells a count below its minimum 20, or one that is not rounded",
    ),
    "an exact count": (first(on={"bins": [101, 180, None], "missing": None}), "or one that is not rounded"),
    "a minimum of one": ({**form(), "minimum": 1}, "minimum: Input should be greater than or equal to 5"),
    "another plan": ({**form(), "plan_sha256": "0" * 64}, "made on another plan"),
    "an unknown mechanism": ({**form(), "mechanism": "rounding"}, "mechanism: Input should be"),
    "more periods than there may be": (
        {**form(), "periods": [{**FIRST, "begin_s": 86_400 * day} for day in range(10_001)]},
        "periods: Tuple should have at most 10000 items",
    ),
    "more categories than it says": ({**form(), "top_categories": 1}, "tells more than 1 bins"),
    "suppression that claims an epsilon": ({**form(), "epsilon": 0.1}, "another mechanism's noise_std"),
    "noise without an epsilon": (noised(epsilon=None), "another mechanism's noise_std"),
    "less noise than its epsilon has": (noised(noise_std=0.5), "states another noise than its epsilon"),
    "a count that overflows": (first(on={"bins": [10**18, None, None], "missing": None}), "bins.0"),
    "a text": ({**form(), "minimum": "x" * 30}, "minimum: Input should be a valid integer"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_signed_release_with_anything_else_is_refused_whole_and_the_region_refuses_it_too(region, name):
    content, rule = HOSTILE[name]
    region.publish(bytes_of(content))
    result, folder = region.merge()
    assert result.accepted == () and not folder.exists()
    reason = result.refused[0]["reason"]
    assert rule in reason and "\n" not in reason and "17.125" not in reason
    with pytest.raises(InternalError, match="nothing was released") as refused:
        region.push(SUPPRESSED, region.suppressed(bytes_of(content)))
    assert "17.125" not in str(refused.value)


def test_two_readers_never_see_two_sketches(region):
    twice = bytes_of(form()).replace(b'"version":1', b'"version":1,"version":1')
    region.publish(twice)
    assert "not in the one form" in region.merge()[0].refused[0]["reason"]


def test_a_sketch_beside_real_rows_and_one_that_the_centre_has_no_plan_for_are_refused(region):
    region.publish(bytes_of(form()))
    assert "no public plan to read it on" in region.merge(schema_name=None)[0].refused[0]["reason"]
    region.publish(bytes_of({**form(), "minimum": 40, "periods": []}), kind="open")
    assert "a sketch beside real rows" in region.merge("open")[0].refused[0]["reason"]


@pytest.mark.parametrize(
    ("policy", "rule"),
    [
        ({"minimum": 40}, "made by other rules"),
        ({"top_categories": 2}, "made by other rules"),
        ({"period_days": 3}, "periods of another length"),
        ({"begin": "1970-01-02", "end": "1970-01-13"}, "outside the declared days"),
    ],
)
def test_a_sketch_that_tells_more_than_the_policy_lets_out_is_not_released(region, policy, rule):
    given = SketchConfig.model_validate({"mode": "suppressed", "minimum": 20, **policy})
    with pytest.raises(InternalError, match=rule):
        region.push(given, region.suppressed())


def test_withheld_is_withheld_though_one_is_connected_and_a_missing_one_is_refused(region):
    assert "sketch.json" not in region.push(SketchConfig(), region.suppressed())["files"]
    with pytest.raises(DataError, match="there is no sketch of the real rows"):
        region.push(SUPPRESSED, None)


def test_noise_is_paid_for_with_the_release_and_its_claim_counts_both(region):
    model = region.part("model", MODEL, "saved_model.pb", b"1")
    made = region.noised()
    report = region.push(NOISED, made, model)
    state = region.ledger.state()
    assert [found.status for found in state.reservations.values()] == ["committed", "committed"]
    both = (*MODEL.events, *read_cost(made, "x").events)
    epsilon = epsilon_of(Tally.of(both), 1e-6)
    shown = standing(state)
    assert shown["spent"] == pytest.approx(epsilon) and shown["releases"] == 1
    # The next release is taken to cost as much as this one, its sketch with it.
    assert shown["release_epsilon"] == pytest.approx(epsilon)
    manifest = json.loads((Path(report["uri"]) / "manifest.json").read_text())
    assert epsilon <= manifest["privacy"]["epsilon"] < epsilon + 1e-5
    assert any("sketch.json" in text for text in manifest["privacy"]["sentences"])
    again = region.push(NOISED, made, model)
    assert again["outcome"] == "already published" and region.ledger.state().anchor == state.anchor
    result, folder = region.merge()
    assert len(result.accepted) == 1 and (folder / "eu-west.json").exists()


def test_what_the_gate_refuses_gives_both_back_and_pays_for_both_when_it_is_published_after_all(region):
    model, made = region.part("model", MODEL, "saved_model.pb", b"1"), region.noised()
    assert not region.push(NOISED, made, model, verdict="NOT_BLESSED")["pushed"]
    assert [found.status for found in region.ledger.state().reservations.values()] == ["released"] * 2
    assert region.push(NOISED, made, model)["pushed"]
    assert len(region.ledger.state().costs("committed")) == 2


def test_a_sketch_that_says_that_it_cost_less_is_not_published(region):
    model, made = region.part("model", MODEL, "saved_model.pb", b"1"), region.noised()
    write_cost(made, PrivacyCost(unit="record", events=(Gaussian(noise_multiplier=99.0),)))
    with pytest.raises(DataError, match="cost something else than the locale's policy"):
        region.push(NOISED, made, model)
    (made / "privacy_cost.json").unlink()
    with pytest.raises(DataError, match="does not say what it cost"):
        region.push(NOISED, made, model)
    assert not Path(region.exchange).exists()


def test_a_pusher_refuses_counts_without_a_bound_beside_an_epsilon_and_noise_without_a_budget(region):
    base = {"kind": "synthetic", "exchange_uri": "x", "signing_key": SecretRef(file="k"), "dataset": CURATED}
    for policy, more in ((SUPPRESSED, {"privacy": CLAIM}), (NOISED, {}), (SUPPRESSED, {"kind": "open"})):
        with pytest.raises(pydantic.ValidationError, match=r"egress\.sketch"):
            PusherConfig(**{**base, "egress": EgressConfig(sketch=policy), **more})
