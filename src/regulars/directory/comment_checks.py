"""Checks of the words of comments for `verify`."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from regulars.comments.words import WORDS
from regulars.store.comments import comment_terms, comments

# Since this version of the tables, all programs write the words.
_VERSION = "0027"
_BATCH = 500


def problems_of_comments(
    connection: sa.Connection, account_id: int, finished: str
) -> Iterator[str]:
    """Yield the problems of the words of an account's comments. `finished` is the version of the
    tables whose contract part is done."""
    if finished < _VERSION:
        return
    of_account = comments.c.account_id == account_id
    columns = [comments.c[name] for name in ("comment_id", "customer_id", "text", "words")]
    statement = sa.select(*columns).where(of_account).order_by(comments.c.comment_id)
    after, count = 0, 0
    while True:
        page = statement.where(comments.c.comment_id > after).limit(_BATCH)
        rows = connection.execute(page).all()
        if not rows:
            break
        last = rows[-1].comment_id
        stored: dict[tuple[int, int], set[str]] = {}
        in_page = sa.select(comment_terms).where(
            comment_terms.c.account_id == account_id,
            comment_terms.c.comment_id > after,
            comment_terms.c.comment_id <= last,
        )
        for term in connection.execute(in_page):
            stored.setdefault((term.comment_id, term.customer_id), set()).add(term.term)
            count += 1
        for row in rows:
            label = f"account {account_id}, comment {row.comment_id}"
            if row.words != WORDS.words(row.text):
                yield f"{label}: the words do not match the text"
            terms = stored.pop((row.comment_id, row.customer_id), set())
            if terms != set(WORDS.terms(row.words)):
                yield f"{label}: the search index does not match the words"
        for comment_id, customer_id in stored:
            label = f"account {account_id}, comment {comment_id}"
            yield f"{label}: the search index has it for customer {customer_id}"
        after = last
    total = sa.select(sa.func.count()).where(comment_terms.c.account_id == account_id)
    if connection.execute(total).scalar_one() != count:
        yield f"account {account_id}: the search index has comments that are missing"
