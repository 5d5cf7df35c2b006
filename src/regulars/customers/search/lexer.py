"""Splits the text of a search into terms with their positions, character by character."""

from __future__ import annotations

from dataclasses import dataclass

from regulars.core.errors import InvalidQuery, Rejected

_QUOTES = "\"'"
_OPERATORS = (">=", "<=", ">", "<")


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a search: its text without quotes, escapes and star, and its position from 0.

    `bare` is true for a word without quotes, escapes and star, which may be an operator.
    """

    text: str
    position: int
    prefix: bool = False
    bare: bool = True

    @property
    def shown(self) -> str:
        """The text as an error shows it."""
        return repr(self.text[:100])


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A term `key:value`, with the comparison before the value, if there is one."""

    key: str
    position: int
    operator: str
    value: Value


class Text:
    """Reads a query from start to end, each character once."""

    def __init__(self, query: str) -> None:
        self._query = query
        self.position = 0
        self._escaped_end = False

    def skip_spaces(self) -> None:
        """Move to the next character that is not a space."""
        while self.position < len(self._query) and self._query[self.position].isspace():
            self.position += 1

    def at_end(self) -> bool:
        return self.position >= len(self._query)

    def take(self, character: str) -> bool:
        """Move past a character if it is the next one. Return whether it was."""
        if self._query.startswith(character, self.position):
            self.position += len(character)
            return True
        return False

    def take_keyword(self, word: str) -> bool:
        """Move past a whole word if it is the next one. Return whether it was."""
        end = self.position + len(word)
        if self._query.startswith(word, self.position) and self.ends_word(end):
            self.position = end
            return True
        return False

    def next_is(self, character: str) -> bool:
        return self._query.startswith(character, self.position)

    def ends_word(self, index: int | None = None) -> bool:
        """Return whether a word ends at the current position, or at `index`: at a space, a
        parenthesis, or the end."""
        index = self.position if index is None else index
        if index >= len(self._query):
            return True
        return self._query[index].isspace() or self._query[index] in "()"

    def term(self) -> Value | KeyValue:
        """Return the term at the current position. Raises Rejected."""
        start = self.position
        if self._query[start] in _QUOTES:
            return self._quoted()
        word, bare, colon = self._characters(until_colon=True)
        if not colon:
            return self._as_value(word, start, bare)
        if not word:
            raise syntax_error("A key is missing before the colon.", start, "a key")
        self.position += 1
        operator = next((sign for sign in _OPERATORS if self.take(sign)), "")
        if self.ends_word():
            prefix_text = f"{word}:{operator}"[:100]
            raise syntax_error(
                f"`{prefix_text}` needs a value, without a space.", self.position, "a value"
            )
        if self._query[self.position] in _QUOTES:
            return KeyValue(word, start, operator, self._quoted())
        begins = self.position
        text, plain, _ = self._characters(until_colon=False)
        return KeyValue(word, start, operator, self._as_value(text, begins, plain))

    def _as_value(self, text: str, position: int, bare: bool) -> Value:
        """Return a word as a value. A star at its end makes it a prefix, unless the star is
        escaped."""
        prefix = self._query[self.position - 1] == "*" and not self._escaped_end
        if not prefix:
            return Value(text, position, bare=bare)
        if len(text) == 1:
            raise syntax_error("`*` needs the beginning of a word before it.", position, "a word")
        return Value(text[:-1], position, prefix=True, bare=False)

    def _characters(self, until_colon: bool) -> tuple[str, bool, bool]:
        """Return the characters of a word without the backslashes of escapes, whether it has no
        escapes, and whether it ends at a colon."""
        characters: list[str] = []
        bare = True
        self._escaped_end = False
        while not self.ends_word():
            character = self._query[self.position]
            if character == ":" and until_colon:
                return "".join(characters), bare, True
            self._escaped_end = character == "\\"
            if self._escaped_end:
                bare = False
                character = self._escape()
            characters.append(character)
            self.position += 1
        return "".join(characters), bare, False

    def _escape(self) -> str:
        """Return the character after a backslash. Raises Rejected at the end of the text."""
        self.position += 1
        if self.position >= len(self._query):
            message = (
                "A backslash must be followed by a character. Write `\\\\` to search for a "
                "backslash."
            )
            raise syntax_error(message, self.position - 1, "a character")
        return self._query[self.position]

    def _quoted(self) -> Value:
        start = self.position
        quote = self._query[start]
        characters: list[str] = []
        self.position += 1
        while self.position < len(self._query):
            character = self._query[self.position]
            if character == quote:
                break
            characters.append(self._escape() if character == "\\" else character)
            self.position += 1
        else:
            message = (
                f"Unclosed quote. Add {quote} at its end, or write \\{quote} to search for the "
                "character."
            )
            raise syntax_error(message, start, "a closing quote")
        self.position += 1
        prefix = self.take("*")
        if not self.ends_word():
            message = "A space is missing after the closing quote."
            raise syntax_error(message, self.position, "a space")
        return Value("".join(characters), start, prefix, bare=False)


def syntax_error(
    message: str, position: int, expected: str, suggestion: str | None = None
) -> Rejected:
    """Return the error of a query: the message, the position from 0, what is expected there, and
    the most similar valid word, if there is one."""
    return Rejected(InvalidQuery(message, position, expected, suggestion))
