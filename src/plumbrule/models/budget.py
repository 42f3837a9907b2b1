"""A bound on what calls may cost, kept before each call and never after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition

from plumbrule.errors import BudgetError


@dataclass
class Bill:
    """What one attempt may cost, and what it did."""

    dollars: float
    """At first the most it can cost; corrected once the price is known."""

    charged: bool = True
    """False once it is sure that nothing was charged."""


class EndpointBudget:
    """Calls and dollars spent or set aside; several threads may ask at once."""

    def __init__(
        self,
        *,
        max_calls: int | None,
        max_dollars: float | None,
        calls: int = 0,
        dollars: float = 0.0,
    ) -> None:
        """Start from what was spent before."""
        self._max_calls, self._max_dollars = max_calls, max_dollars
        self._calls, self._dollars = calls, dollars
        self._open_calls, self._open_dollars = 0, 0.0
        self._changed = Condition()

    @contextmanager
    def reserve(self, worst: float) -> Iterator[Bill]:
        """Set the worst case aside for one attempt; what it really cost replaces it at the end.

        While other attempts are under way their worst case may yet shrink, so this waits for
        them before it gives up.

        Raises:
            BudgetError: The attempt could exceed the budget. It is not made.
        """
        with self._changed:
            while not self._fits(worst):
                if not self._open_calls:
                    raise BudgetError(self._explain(worst))
                self._changed.wait()
            self._open_calls += 1
            self._open_dollars += worst
        bill = Bill(dollars=worst)
        try:
            yield bill
        finally:
            with self._changed:
                self._open_calls -= 1
                self._open_dollars -= worst
                if bill.charged:
                    self._calls += 1
                    self._dollars += bill.dollars
                self._changed.notify_all()

    def _fits(self, worst: float) -> bool:
        calls = self._calls + self._open_calls + 1
        dollars = self._dollars + self._open_dollars + worst
        return (self._max_calls is None or calls <= self._max_calls) and (
            self._max_dollars is None or dollars <= self._max_dollars
        )

    def _explain(self, worst: float) -> str:
        limits = []
        if self._max_calls is not None:
            limits.append(f"{self._calls} of {self._max_calls} calls")
        if self._max_dollars is not None:
            limits.append(f"${self._dollars:.4f} of ${self._max_dollars:.4f}")
        return (
            f"the budget does not cover another call: {' and '.join(limits)} spent, one more "
            f"costs up to ${worst:.4f}. "
            "Every answer so far is kept: raise max_calls or max_dollars and give the same "
            "command to go on."
        )
