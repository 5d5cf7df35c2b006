"""Check the texts of Regulars against the word list in prose.toml, and their spelling.

Reads the docs, README.md, CHANGELOG.md, the messages, docstrings and comments in the code, the
texts of the pages and the descriptions of the schema. Prints every finding with its file and line,
and exits with 1 if there is one. Code blocks, inline code and links are not read.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tools" / "prose.toml"
SKIPPED = (
    "docs/contract/",
    "docs/benchmark/results.md",
)  # the contract is given, results are figures
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
TARGET = re.compile(r"(?<=\])\([^)\n]*\)")
SENTENCE_END = re.compile(r"(?<=[.!?:;])\s+")
GRAPHQL_DESCRIPTION = re.compile(r'"""(.*?)"""|"([^"\n]+)"', re.DOTALL)
JAVASCRIPT_TEXT = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|`(?:[^`\\]|\\.)*`")


@dataclass(frozen=True, slots=True)
class Rule:
    """A banned expression, what to write instead, and the paths where it counts (empty: all)."""

    pattern: re.Pattern[str]
    use: str
    only: tuple[str, ...]

    def applies_to(self, name: str) -> bool:
        return not self.only or name.startswith(self.only)


def load_rules() -> tuple[list[Rule], int]:
    """Return the rules, and the most words that a sentence of the docs may have."""
    config = tomllib.loads(LIST.read_text(encoding="utf-8"))
    rules = [
        Rule(
            re.compile(rf"(?<![\w-])(?:{word['find']})(?![\w-])", re.IGNORECASE),
            word["use"],
            tuple(word.get("only", ())),
        )
        for word in config["word"]
    ]
    return rules, config["limits"]["sentence_words"]


def blank(match: re.Match[str]) -> str:
    """Return as many line breaks as the match has, so that line numbers stay."""
    return "\n" * match[0].count("\n") or " x "


def markdown_texts(text: str) -> Iterator[tuple[int, str]]:
    for pattern in (FENCE, CODE, TARGET):
        text = pattern.sub(blank, text)
    line_number = 1
    for paragraph in re.split(r"(\n[ \t]*\n|\n(?=[ \t]*(?:[-*|#>]|\d+\.) ?))", text):
        yield line_number + len(paragraph) - len(paragraph.lstrip("\n")), paragraph.strip()
        line_number += paragraph.count("\n")


def python_texts(text: str) -> Iterator[tuple[int, str]]:
    """Yield the string literals that are sentences (three words or more), and the comments."""
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and len(re.findall(r"\b[a-z']+ ", node.value)) >= 2
        ):
            yield node.lineno, CODE.sub(" x ", node.value)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], CODE.sub(" x ", token.string)


def matched_texts(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, str]]:
    for match in pattern.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, CODE.sub(" x ", match[0].strip("`"))


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a file with their line numbers."""
    text = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".md":
            yield from markdown_texts(text)
        case ".py":
            yield from python_texts(text)
        case ".graphql":
            yield from matched_texts(GRAPHQL_DESCRIPTION, text)
        case ".js":
            yield from matched_texts(JAVASCRIPT_TEXT, text)


def default_paths() -> list[Path]:
    code = ROOT / "src" / "regulars"
    paths = [
        *(ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("*.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(path for path in code.rglob("*.py") if "migrations" not in path.parts),
        *code.rglob("*.graphql"),
        code / "web" / "texts.js",
    ]
    names = {path.relative_to(ROOT).as_posix(): path for path in paths if path.exists()}
    return [path for name, path in sorted(names.items()) if not name.startswith(SKIPPED)]


def findings(path: Path, rules: list[Rule], sentence_words: int) -> Iterator[str]:
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()
    active = [rule for rule in rules if rule.applies_to(name)]
    for line, text in texts(path):
        for rule in active:
            for match in rule.pattern.finditer(text):
                at = line + text.count("\n", 0, match.start())
                yield f"{name}:{at}: '{match[0]}': write {rule.use}."
        if path.suffix == ".md" and not text.startswith("|"):
            for sentence in SENTENCE_END.split(text):
                if (count := len(re.findall(r"\w[\w'’.,-]*", sentence))) > sentence_words:
                    start = " ".join(sentence.split()[:6])
                    yield f"{name}:{line}: {count} words in the sentence '{start} …': divide it."


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the texts of Regulars.")
    parser.add_argument("paths", nargs="*", type=Path, help="files to check; all texts by default")
    paths = [path.resolve() for path in parser.parse_args().paths] or default_paths()
    rules, sentence_words = load_rules()
    found = [text for path in paths for text in findings(path, rules, sentence_words)]
    for text in found:
        print(text)
    command = [sys.executable, "-m", "codespell_lib", "--toml", str(ROOT / "pyproject.toml")]
    spelling = subprocess.run([*command, *map(str, paths)], cwd=ROOT, check=False)
    return int(bool(found) or spelling.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
