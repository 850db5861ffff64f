"""What a process keeps in memory of streams and completions stays within one budget."""

from gateway.http.memory_budget import MemoryBudget


class Hoard:
    """Holds bytes, and gives them up when it is asked, down to what is in use."""

    def __init__(self, budget: MemoryBudget, used: int = 0) -> None:
        self._budget = budget
        self._used = used
        self.held = 0
        self.asked = 0
        budget.add_evictor(self._evict)

    def take(self, count: int) -> None:
        self.held += count
        self._budget.count(count)

    def _evict(self, excess: int) -> None:
        self.asked += 1
        given = max(0, min(excess, self.held - self._used))
        self.held -= given
        self._budget.count(-given)


def test_what_is_needed_least_goes_first() -> None:
    budget = MemoryBudget(800)
    first, second = Hoard(budget), Hoard(budget)
    first.take(300)
    second.take(500)
    assert (first.asked, second.asked) == (0, 0)
    second.take(1)
    # An eighth of the budget is free again.
    assert (first.held, second.held, budget.held_bytes) == (199, 501, 700)
    assert second.asked == 0
    second.take(500)
    assert (first.held, second.held) == (0, 700)


def test_what_cannot_be_given_up_is_not_asked_for_at_each_byte() -> None:
    budget = MemoryBudget(1600)
    used = Hoard(budget, used=10_000)
    for _ in range(2000):
        used.take(1)
    assert used.asked == 4
    budget.count(-2000)
    for _ in range(1601):
        budget.count(1)
    assert used.asked == 5
