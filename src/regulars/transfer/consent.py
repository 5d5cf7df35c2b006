"""Parse yes and no, and the words of other systems for consent to marketing.

The words are in consent_words.toml, with the words that mean yes in one language and no in another.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from regulars.core.text import folded

# Sentences begin with an answer: `I agree to receive marketing emails from Acme`.
_MAX_WORD_CHARACTERS = 200
# What ends an answer before an explanation.
_BEGINNING = re.compile(r"\s*[,;،、，(/（:]\s*|\s+[-–—]\s+")
_LIST = re.compile(r"[,;|/+&]|\s(?:and|und|et|y|e|en|i)\s")
# Words of the longest phrase.
_MAX_PHRASE = 5
# Letters that have no decomposition in Unicode.
_STROKES = str.maketrans({"ł": "l", "ı": "i", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe"})


class _Words(NamedTuple):
    """The words by their key: whether the word means yes. `channels` are ways to send marketing
    that include emails, and `negations` words for "not". `stems` are parts of words that are of a
    subscription, and of nothing else."""

    flags: dict[str, bool]
    consent: dict[str, bool]
    unset: dict[str, bool]
    channels: frozenset[str]
    negations: frozenset[str]
    stems: tuple[str, ...]


def read_consent(text: str, is_opt_out: bool = False) -> bool | None:
    """Return whether a text says that the customer accepts marketing; None if it is unknown.

    With `is_opt_out`, the text is from a column of opt-outs: yes and no are inverted. Words for a
    state, such as `unsubscribed`, keep their meaning. Numbers other than 1, 0 and -1 (true in
    Access) are unknown.
    """
    if len(text) > _MAX_WORD_CHARACTERS:
        return None
    return _read(text, is_opt_out)


def read_flag(text: str) -> bool | None:
    """Return whether a text says yes or no, in one of the known languages; None if neither."""
    return None if len(text) > _MAX_WORD_CHARACTERS else _flag(text)


def is_state(text: str) -> bool:
    """Return whether a text is a state of consent, such as `unsubscribed`. Yes and no are not."""
    return len(text) <= _MAX_WORD_CHARACTERS and _key(text) in _words().consent


def is_activity(text: str) -> bool | None:
    """Return whether a text says that a customer is active or inactive, by a state or by yes and
    no; None if neither."""
    return read_consent(text) if is_state(text) else read_flag(text)


@lru_cache(maxsize=2_048)
def is_subscription_state(text: str) -> bool:
    """Return whether a text is a state of a subscription and of nothing else: `unsubscribed`, but
    not `active` or `pending`, which orders and accounts have, too."""
    return is_state(text) and any(stem in _key(text) for stem in _words().stems)


@lru_cache(maxsize=2_048)
def _read(text: str, is_opt_out: bool) -> bool | None:
    flag = _flag(text)
    if flag is not None:
        return flag is not is_opt_out
    words, key = _words(), _key(text)
    answer = words.consent.get(key, words.unset.get(key))
    if answer is None:
        answer = _read_beginning(text, is_opt_out)
    if answer is None:
        answer = _read_sentence(text)
    if answer is None and _has_channel(text):
        return not is_opt_out
    return answer


def _has_channel(text: str) -> bool:
    """Return whether a text is a list of ways to send marketing, with emails: `Email, SMS`."""
    parts = [part.strip() for part in _LIST.split(text)]
    is_list = all(len(part) > 1 or not part.isascii() for part in parts)
    return is_list and not _words().channels.isdisjoint(map(_key, parts))


def _read_sentence(text: str) -> bool | None:
    """Return what the first words of a sentence say: `I agree to receive emails`."""
    known, parts = _words(), text.split()
    for count in range(min(len(parts) - 1, _MAX_PHRASE), 0, -1):
        phrase = _key(" ".join(parts[:count]))
        answer = known.consent.get(phrase) if count > 1 else known.flags.get(phrase)
        if answer is None or (count == 1 and len(phrase) < 2):
            continue
        is_negated = any(_key(part) in known.negations for part in parts[count:])
        return None if answer and is_negated else answer
    return None


def _read_beginning(text: str, is_opt_out: bool) -> bool | None:
    """Return what the beginning of a text says, if the rest does not contradict: `Yes, I agree`,
    `Subscribed (double opt-in)`."""
    beginning, *rest = _BEGINNING.split(text, maxsplit=1)
    if not rest or (len(beginning) < 2 and beginning.isascii()):  # `N/A`
        return None
    answer = _read(beginning, is_opt_out)
    return answer if _read(rest[0], is_opt_out) in (answer, None) else None


@lru_cache(maxsize=2_048)
def _flag(text: str) -> bool | None:
    flags = _words().flags
    exact = flags.get(text.strip())
    return exact if exact is not None else flags.get(_key(text))


def _key(text: str) -> str:
    """Return the form by which words are compared: no case, accents, spaces and punctuation. A text
    without letters and digits is its own key."""
    word = "".join([c for c in folded(text).translate(_STROKES) if c.isalnum()])
    return word or "".join([c for c in text if c.isprintable() and c != "\ufe0f"]).strip()


@lru_cache(maxsize=1)
def _words() -> _Words:
    data = tomllib.loads(files(__package__).joinpath("consent_words.toml").read_text("utf-8"))
    flags, consent, unset = (_by_key(data[section]) for section in ("flags", "consent", "unset"))
    channels, negations = (
        frozenset(map(_key, data["sentences"][name])) for name in ("channels", "negations")
    )
    stems = tuple(map(_key, data["subscription"]["stems"]))
    return _Words(flags, consent, unset, channels, negations, stems)


def _by_key(section: dict[str, list[str]]) -> dict[str, bool]:
    return {
        key: answer == "yes"
        for answer in ("yes", "no")
        for word in section.get(answer, ())
        # A number keeps its form: without punctuation, 1.0 is ten.
        for key in ({word} if word[-1:] == "0" and len(word) > 1 else {word, _key(word)})
    }
