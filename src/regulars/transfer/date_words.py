"""The words in dates: months, days of the week, halves of the day and time zones, in the languages
of CLDR (Unicode's Common Locale Data Repository).

The names are in date_names.tsv, which tools/date_words.py writes: a group of languages, a meaning,
and its names.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

# The groups of languages of date_names.tsv: English, the 14 main languages, two of others, and
# Croatian.
_GROUPS = (1, 2, 3, 4, 5)
# Common forms that CLDR does not have, by month.
_OTHER_MONTHS = {
    "maerz": 3,
    "mrz": 3,
    "jaenner": 1,
    "setiembre": 9,
    "sett": 9,
    "genn": 1,
    "magg": 5,
    "juill": 7,
    "set": 9,
    "sep": 9,
    "sept": 9,
    "фев": 2,
    "сен": 9,
    "ноя": 11,
    "берез": 3,
    "верес": 9,
    "листоп": 11,
}
_OTHER_WEEKDAYS = {"tues": 1, "weds": 2, "thur": 3, "thurs": 3}
# Taiwan's clock has more than two parts of the day.
_OTHER_PERIODS = {
    "凌晨": "am",
    "清晨": "am",
    "早上": "am",
    "中午": "noon",
    "晚上": "evening",
    "πμ": "am",
    "μμ": "pm",
    "пр об": "am",
    "сл об": "pm",
}
_WEEKDAYS_CJK = {"月": 0, "火": 1, "水": 2, "木": 3, "金": 4, "土": 5, "日": 6}

# Offsets in minutes. Those of North America are from RFC 5322, section 4.3, the others from the
# IANA time zone database. Names with several meanings (IST, BST of Bangladesh) are absent.
ZONES = {
    "utc": 0,
    "gmt": 0,
    "z": 0,
    "ut": 0,
    "est": -300,
    "edt": -240,
    "mst": -420,
    "mdt": -360,
    "pst": -480,
    "pdt": -420,
    "cdt": -300,
    "akst": -540,
    "akdt": -480,
    "wet": 0,
    "west": 60,
    "bst": 60,
    "cet": 60,
    "cest": 120,
    "mez": 60,
    "mesz": 120,
    "eet": 120,
    "eest": 180,
    "msk": 180,
    "sast": 120,
    "jst": 540,
    "kst": 540,
    "hkt": 480,
    "sgt": 480,
    "awst": 480,
    "acst": 570,
    "acdt": 630,
    "aest": 600,
    "aedt": 660,
    "nzst": 720,
    "nzdt": 780,
    "التوقيت العالمي": 0,
}

# Words without a meaning of their own: `18 de marzo de 2024`, `18th of March`, `um 14:20 Uhr`.
# `am` and `em` are German and Portuguese for "on". The period `am` follows a time directly.
_FILLERS = frozenset(
    "de del d of the le el il al a at um uhr om uur as la las les alle ore o os kl klo saat da do "
    "den der dem am em i in on en и в г г. года год год. р року р. r roku st nd rd th er e eme re "
    "ro º ª го à ve na dne v ob gada m ч น ค ศ พ 公元 西元 西暦 の ad ce pukul jam godz hod hodin "
    "ora óra στις часов horas hrs u klokken klokka الساعة الموافق ساعت ж թ".split()
)

# Texts for an unknown date.
_NO_DATE = frozenset(
    "n/a na n.a n.a. n\\a #n/a none null nil never nan nat undefined unknown empty blank (none) "
    "(empty) (blank) (null) <null> \\n tbd ? nunca jamas jamais nie niemals mai nooit nigdy asla "
    "никогда ابدا مطلقا 从未 從未 从不 從不 无 無 なし 未設定 없음 aldrig aucun aucune ninguno "
    "ninguna nessuno nessuna nenhum nenhuma kein keine keiner geen brak yok нет unbekannt inconnu "
    "desconocido desconhecido sconosciuto onbekend nieznany bilinmiyor неизвестно غيرمعروف "
    "dd/mm/yyyy mm/dd/yyyy yyyy-mm-dd jj/mm/aaaa dd/mm/aaaa tt.mm.jjjj gg/mm/aaaa".split()
) | {"not set", "not available", "no date", "hicbir zaman", "لا يوجد", "غير معروف", "안 함"}


@dataclass(frozen=True, slots=True)
class Word:
    """The meanings of a word. `months` are 1 to 12, `weekdays` 0 (Monday) to 6, `period` is `am`,
    `pm`, `noon`, `evening` or empty, `offset_minutes` is what a time zone is ahead of UTC."""

    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    period: str = ""
    offset_minutes: int | None = None


_FILLER = Word()


class _Characters(dict[int, str]):
    """Replacements for `str.translate`: any decimal digit, full-width character, blank or dash as
    in ASCII, and no invisible characters. Superscript digits are no decimal digits."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Nd":
            replacement = str(unicodedata.decimal(character))
        elif 0xFF01 <= code <= 0xFF5E:
            replacement = chr(code - 0xFEE0)
        elif category == "Cf":
            replacement = ""
        elif category == "Pd" or code == 0x2212:
            replacement = "-"
        else:
            replacement = {
                "ı": "i",
                "ł": "l",
                "’": "'",
                "׳": "'",
                "。": ".",
                "،": ",",
                "、": ",",
            }.get(character, " " if character.isspace() else character)
        if len(self) < 5_000:
            self[code] = replacement
        return replacement


_CHARACTERS = _Characters()


def fold(text: str) -> str:
    """Return a text in lower case, without accents and invisible characters, with ASCII digits and
    single blanks. The text is at most as long as the caller allows: the time is linear."""
    if text.isascii():
        return " ".join(text.lower().split())
    # NFC would leave a combining mark on its letter, and NFD would take Hangul apart.
    letters = unicodedata.normalize("NFD", text.casefold()).translate(_CHARACTERS)
    letters = "".join([c for c in letters if not unicodedata.combining(c)])
    return " ".join(unicodedata.normalize("NFC", letters).split())


NO_DATE = frozenset(map(fold, _NO_DATE))
Vocabulary = Mapping[str, Word]


def vocabularies() -> Iterator[Vocabulary]:
    """Iterate over the folded words of English, of the 14 main languages, and of all languages.
    Each is loaded when it is reached."""
    return map(_vocabulary, _GROUPS)


@cache
def _vocabulary(size: int) -> Vocabulary:
    """Return the words of the first `size` groups of languages."""
    if size == 0:
        words = {name: Word(offset_minutes=offset) for name, offset in ZONES.items()}
        for name, month in _OTHER_MONTHS.items():
            _add(words, name, Word(months=frozenset({month})))
        for name, weekday in (_OTHER_WEEKDAYS | _WEEKDAYS_CJK).items():
            _add(words, name, Word(weekdays=frozenset({weekday})))
        for name, period in _OTHER_PERIODS.items():
            _add(words, name, Word(period=period))
        return words
    words = dict(_vocabulary(size - 1))
    for line in _names().splitlines():
        group, meaning, *names = line.split("\t")
        if int(group) == size:
            word = _meaning(meaning)
            for name in names:
                _add(words, name, word)
    return words | {fold(name): _FILLER for name in _FILLERS}


def _names() -> str:
    return files(__package__).joinpath("date_names.tsv").read_text("utf-8")


def _meaning(text: str) -> Word:
    """Return the word of a meaning, such as `month 3`."""
    kind, _, value = text.partition(" ")
    if kind == "month":
        return Word(months=frozenset({int(value)}))
    if kind == "weekday":
        return Word(weekdays=frozenset({int(value)}))
    return Word(period=value)


def _add(words: dict[str, Word], name: str, word: Word) -> None:
    known = words.get(name, word)
    words[name] = Word(
        known.months | word.months,
        known.weekdays | word.weekdays,
        known.period or word.period,
        known.offset_minutes,
    )
