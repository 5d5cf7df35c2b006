"""The count of addresses with problems, for `verify --addresses`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from regulars.core.counts import count_of
from regulars.customers import address_book
from regulars.customers.address_rules import problems_of
from regulars.store import Row


@dataclass(slots=True)
class AddressCount:
    """The addresses of an account: their number, that of those with problems, and the problems by
    part and kind."""

    addresses: int = 0
    with_problems: int = 0
    problems: Counter[str] = field(default_factory=Counter)

    def read(self, customer: Row) -> None:
        """Count the addresses of a customer."""
        for entry in address_book.load(customer):
            problems = problems_of(entry.address)
            self.addresses += 1
            self.with_problems += bool(problems)
            self.problems.update(f"{p.part} {p.problem}" for p in problems)

    def describe(self, account_id: int) -> str:
        """Return the count as a line of the report."""
        line = (
            f"account {account_id}: {self.with_problems:,} of "
            f"{count_of(self.addresses, 'address', 'addresses')} "
            f"{'has' if self.with_problems == 1 else 'have'} problems"
        )
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self.problems.most_common())
        return f"{line}: {kinds}" if kinds else line

    def to_json(self, account_id: int) -> dict[str, Any]:
        """Return the count as a JSON value."""
        return {
            "account_id": account_id,
            "addresses": self.addresses,
            "with_problems": self.with_problems,
            "problems": dict(self.problems.most_common()),
        }
