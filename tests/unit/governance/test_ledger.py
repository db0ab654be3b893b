"""The budget ledger: reserved before it is spent, never spent twice, never forgotten."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from components.errors import ConfigError, DataError, PrivacyBudgetExceededError
from components.governance.config import BudgetConfig
from components.governance.core import accounting
from components.governance.core.entries import ChainError
from components.governance.core.events import Gaussian, NonPrivate, PrivacyCost
from components.governance.core.ledger import Ledger
from components.release.keys import PrivateKey, new_private_key

MODEL_A, MODEL_B = "a" * 64, "b" * 64
FIRST, SECOND = "1" * 64, "2" * 64


def test_a_release_is_reserved_then_committed_and_counts_once(
    ledger: Ledger, key: PrivateKey, cost: PrivacyCost
) -> None:
    alone = accounting.spent_epsilon([cost], 1e-6)
    reservation = ledger.reserve(key, "work-1", 7, cost)
    assert ledger.state().epsilon("reserved") == alone
    assert ledger.state().epsilon("committed") == 0
    done = ledger.commit(key, "work-1", 7, cost, MODEL_A, FIRST)
    assert (done.identifier, done.status, done.content_digests) == (
        reservation.identifier,
        "committed",
        [FIRST],
    )
    assert ledger.state().epsilon() == ledger.state().epsilon("committed") == alone


def test_the_release_that_would_exceed_the_budget_is_refused_and_recorded(
    ledger: Ledger, key: PrivateKey, cost: PrivacyCost
) -> None:
    ledger.reserve(key, "work-1", 1, cost)
    ledger.reserve(key, "work-2", 2, cost)
    with pytest.raises(PrivacyBudgetExceededError) as caught:
        ledger.reserve(key, "work-3", 3, cost)
    # 0.274 and 0.340: two and three Gaussians of multiplier 20, by the closed form.
    assert "from 0.274 to 0.3403 at delta 1e-06, the budget is 0.3" in str(caught.value)
    assert caught.value.exit_status == 1
    state = ledger.state()
    assert (len(state.reservations), state.refusals) == (2, 1)


def test_a_crash_between_reservation_and_commit_stays_counted_and_the_same_work_resumes(
    ledger: Ledger, key: PrivateKey, cost: PrivacyCost, tmp_path: Path
) -> None:
    child = os.fork()
    if child == 0:
        ledger.reserve(key, "work-1", 1, cost)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert ledger.state().epsilon() > 0
    again = ledger.reserve(key, "work-1", 1, cost)
    assert list(ledger.state().reservations) == [again.identifier]
    assert ledger.reserve(key, "work-2", 1, cost).identifier != again.identifier


def test_a_reservation_that_is_given_back_counts_no_more_and_its_work_may_come_back(
    ledger: Ledger, key: PrivateKey, cost: PrivacyCost
) -> None:
    first = ledger.reserve(key, "work-1", 1, cost)
    assert ledger.release(key, first.identifier, "training failed").status == "released"
    assert ledger.release(key, first.identifier, "again").status == "released"
    assert ledger.state().epsilon() == 0
    # A cached model of that work is published after all: it pays then.
    done = ledger.commit(key, "work-1", 1, cost, MODEL_A, FIRST)
    assert done.identifier != first.identifier and done.status == "committed"
    assert ledger.state().epsilon("committed") == accounting.spent_epsilon([cost], 1e-6)


def test_a_published_release_cannot_be_given_back(ledger: Ledger, key: PrivateKey, cost: PrivacyCost) -> None:
    done = ledger.commit(key, "work-1", 1, cost, MODEL_A, FIRST)
    with pytest.raises(DataError, match="what is published cannot be called back"):
        ledger.release(key, done.identifier, "please")
    with pytest.raises(DataError, match="no reservation 'abc'"):
        ledger.release(key, "abc", "please")


def test_one_model_is_paid_for_once_and_another_of_the_same_work_again(
    ledger: Ledger, key: PrivateKey, cost: PrivacyCost
) -> None:
    ledger.reserve(key, "work-1", 1, cost)
    ledger.commit(key, "work-1", 1, cost, MODEL_A, FIRST)
    length = ledger.state().anchor
    ledger.commit(key, "work-1", 1, cost, MODEL_A, FIRST)
    assert ledger.state().anchor == length  # a retry writes nothing
    ledger.commit(key, "work-1", 1, cost, MODEL_A, SECOND)
    assert len(ledger.state().reservations) == 1
    # Trained again with fresh noise: a second look at the data.
    ledger.commit(key, "work-1", 1, cost, MODEL_B, SECOND)
    assert ledger.state().epsilon() == accounting.spent_epsilon([cost, cost], 1e-6)


def test_a_model_that_cost_something_else_than_was_reserved_is_refused(
    ledger: Ledger, key: PrivateKey, cost: PrivacyCost
) -> None:
    cheap = PrivacyCost(unit="series", events=(Gaussian(noise_multiplier=90.0),))
    ledger.reserve(key, "work-1", 1, cheap)
    with pytest.raises(DataError, match="cost something else than reservation"):
        ledger.commit(key, "work-1", 1, cost, MODEL_A, FIRST)
    # Reserving again at another cost is another reservation, not a resumed one.
    ledger.reserve(key, "work-1", 1, cost)
    assert ledger.state().epsilon() == accounting.spent_epsilon([cheap, cost], 1e-6)


def test_a_cost_without_bound_or_of_another_unit_is_refused(ledger: Ledger, key: PrivateKey) -> None:
    unbounded = PrivacyCost(unit="series", events=(NonPrivate(),))
    with pytest.raises(PrivacyBudgetExceededError, match="from 0 to inf"):
        ledger.reserve(key, "work-1", 1, unbounded)
    with pytest.raises(DataError, match=r"per record \(add_or_remove_one\), the budget per series"):
        ledger.reserve(key, "work-1", 1, PrivacyCost(unit="record", events=()))
    relation = PrivacyCost(unit="series", neighboring_relation="replace_one", events=())
    with pytest.raises(DataError, match="one does not bound the other"):
        ledger.reserve(key, "work-1", 1, relation)


def test_only_the_locale_changes_its_budget(
    ledger: Ledger, key: PrivateKey, budget: BudgetConfig, cost: PrivacyCost
) -> None:
    larger = budget.model_copy(update={"epsilon": 9.0})
    with pytest.raises(ConfigError, match=r"privacy.budget is epsilon 9 .* was opened with epsilon 0.3"):
        ledger.open(key, larger)
    assert ledger.open(key, budget.model_copy(update={"cadence": "daily"})).anchor == ledger.state().anchor
    with pytest.raises(ChainError, match="may not write"):
        ledger.open(new_private_key(), larger, "I want to", change=True)
    ledger.reserve(key, "work-1", 1, cost)
    assert ledger.open(key, larger, "approved by the board", change=True).budget == larger
    assert len(ledger.state().reservations) == 1


def test_a_ledger_that_was_never_opened_reserves_nothing(
    tmp_path: Path, key: PrivateKey, cost: PrivacyCost
) -> None:
    with pytest.raises(DataError, match="not opened"):
        Ledger(tmp_path, "eu-west", "series", [key.public]).reserve(key, "work-1", 1, cost)


def test_a_ledger_of_another_locale_is_not_taken(ledger: Ledger, key: PrivateKey) -> None:
    other = Ledger(ledger.chain.path.parent, "us-east", "series", [key.public])
    with pytest.raises(ChainError, match="of another locale"):
        other.state()


def test_a_history_that_no_ledger_writes_is_refused_though_it_is_signed(
    ledger: Ledger, key: PrivateKey
) -> None:
    body = {"reservation": "nobody", "model_digest": MODEL_A, "content_digest": FIRST}
    with ledger.chain.locked() as entries:
        ledger.chain.append(entries, "commit", body, key)
    with pytest.raises(ChainError, match=r"entry 2 \(commit\) does not follow"):
        ledger.state()


def test_a_truncated_ledger_reserves_nothing(ledger: Ledger, key: PrivateKey, cost: PrivacyCost) -> None:
    ledger.reserve(key, "work-1", 1, cost)
    lines = ledger.chain.path.read_bytes().splitlines(keepends=True)
    ledger.chain.path.write_bytes(lines[0])
    with pytest.raises(ChainError, match="the last were removed"):
        ledger.reserve(key, "work-2", 2, cost)


def _reserve_in_child(folder: str, pem: str, work: str, results) -> None:
    from components.release.keys import load_private_key
    from components.secrets import SecretRef

    key = load_private_key(SecretRef(file=pem))
    cost = PrivacyCost(unit="series", events=(Gaussian(noise_multiplier=20.0),))
    try:
        Ledger(Path(folder), "eu-west", "series", [key.public]).reserve(key, work, 1, cost)
        results.put("reserved")
    except PrivacyBudgetExceededError:
        results.put("refused")


def test_of_runs_at_once_only_as_many_pass_as_the_budget_allows(tmp_path: Path, budget: BudgetConfig) -> None:
    from components.release.keys import ensure_key_pair

    key = ensure_key_pair(tmp_path / "key")
    ledger = Ledger(tmp_path / "governance", "eu-west", "series", [key.public])
    ledger.open(key, budget)
    ledger.reserve(key, "before", 0, PrivacyCost(unit="series", events=(Gaussian(noise_multiplier=20.0),)))
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [
        context.Process(
            target=_reserve_in_child,
            args=(str(tmp_path / "governance"), str(tmp_path / "key"), f"work-{n}", results),
        )
        for n in range(3)
    ]
    for worker in workers:
        worker.start()
    outcomes = sorted(results.get(timeout=30) for _ in workers)
    for worker in workers:
        worker.join()
    assert outcomes == ["refused", "refused", "reserved"]
    assert ledger.state().epsilon() <= budget.epsilon


class LedgerMachine(RuleBasedStateMachine):
    """Any order of operations: the ledger's sum is what dp-accounting says of what was not given back."""

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.key = _KEY
        self.ledger = Ledger(Path(self.folder.name), "x", "series", [self.key.public])
        self.ledger.open(self.key, BudgetConfig(epsilon=0.2, delta=1e-6, unit="series"))
        self.counted: dict[str, PrivacyCost] = {}
        self.spent = 0.0
        self.number = 0

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(target=reservations, sigma=st.sampled_from([40.0, 80.0]))
    def reserve(self, sigma: float) -> tuple[str, PrivacyCost]:
        self.number += 1
        work = f"work-{self.number}"
        cost = PrivacyCost(unit="series", events=(Gaussian(noise_multiplier=sigma),))
        fits = accounting.spent_epsilon([*self.counted.values(), cost], 1e-6) <= 0.2
        try:
            self.ledger.reserve(self.key, work, 1, cost)
        except PrivacyBudgetExceededError:
            assert not fits
        else:
            assert fits
            self.counted[work] = cost
        return work, cost

    @rule(found=consumes(reservations))
    def commit(self, found: tuple[str, PrivacyCost]) -> None:
        work, cost = found
        if work in self.counted:
            digest = work.encode().hex().ljust(64, "0")
            self.ledger.commit(self.key, work, 1, cost, digest, digest)

    @rule(found=consumes(reservations))
    def give_back(self, found: tuple[str, PrivacyCost]) -> None:
        reservation = self.ledger.state().of_work(found[0])
        if reservation is not None:
            self.ledger.release(self.key, reservation.identifier, "failed")
            del self.counted[found[0]]

    @invariant()
    def the_sum_is_right_and_what_is_spent_never_falls(self) -> None:
        state = self.ledger.state()
        assert state.epsilon() == accounting.spent_epsilon(list(self.counted.values()), 1e-6)
        assert state.epsilon("committed") >= self.spent
        self.spent = state.epsilon("committed")


_KEY = new_private_key()
TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=5, stateful_step_count=10, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_a_locale_that_changed_its_key_reads_what_the_old_one_signed(
    ledger: Ledger, key: PrivateKey, cost: PrivacyCost
) -> None:
    ledger.reserve(key, "work-1", 1, cost)
    new = new_private_key()
    folder = ledger.chain.path.parent
    both = Ledger(folder, "eu-west", "series", [new.public, key.public])
    both.commit(new, "work-1", 1, cost, MODEL_A, FIRST)
    assert both.state().of_model(MODEL_A) is not None
    with pytest.raises(ChainError, match="entry 1 is not signed"):
        Ledger(folder, "eu-west", "series", [new.public]).state()
