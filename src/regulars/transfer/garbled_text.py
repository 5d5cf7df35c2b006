"""Detect texts that were decoded with a wrong encoding."""

from __future__ import annotations

import re
from html.entities import name2codepoint

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|([A-Za-z]{2,8}[0-9]{0,2}));")


def _later_bytes(encoding: str) -> str:
    """Return the characters of an encoding for the later bytes of UTF-8, escaped for a set."""
    characters = [bytes([code]).decode(encoding, "ignore") for code in range(0x80, 0xC0)]
    return re.escape("".join(characters))


# ISO-8859-1 has control characters where Windows-1252 has signs.
_TAIL = "\x80-\xbf" + _later_bytes("cp1252")
_SEQUENCE = re.compile(f"[Â-ß][{_TAIL}]|[à-ï][{_TAIL}]{{2}}|[ð-ô][{_TAIL}]{{3}}")
# Characters that follow an accented letter in good text, too: café…, «É», É™, KŘÍŽ.
_AFTER_LETTERS = re.compile("[^\\W\\d_][\xa0«»¡¿ºª°·’‘”“„‚–—…™®¹²³‹›•€ŠšŽžŒœŸ]+")
# A quotation mark, and a capital that follows a small letter or stands before one: Itâ€™s, ZoÃ«,
# Ä°stanbul.
_CERTAIN = re.compile(
    "\ufffd|â€|ï»¿|[ÃÄÅ][ŠšŽžŒœŸ]|(?<![A-ZÀ-Þ])Â[\xa0-\xbf]"
    f"|(?<=[a-zà-ÿ])[Â-Þ][{_TAIL}]|[Â-Þ][\xa0«»¡¿ºª°·¹²³](?=[a-zà-ÿ])"
    "|[ÄÅ][…™›‚„](?=[a-zà-ÿ])|(?<![^\\W\\d_])Ã[–—“”…™](?=[a-zà-ÿ])"
)
_TAIL_1250 = _later_bytes("cp1250")
# Signs that follow no letter in good text.
_SIGNS_1250 = "\xad¤¦§¨©¬¶‰†‡µ±´¸˝ˇ"
# UTF-8 read as Windows-1250, Windows-1251, Mac Roman, CP437, Shift-JIS and GBK.
_CERTAIN_ELSEWHERE = re.compile(
    f"[ĂĹÄĐŃŘŮ][{_SIGNS_1250}]|[ĂĹ][łĽźş‚„›](?=[a-z])|(?<=[a-z])[ĂÄĹĆ][{_TAIL_1250}]"
    f"|(?:[ĐŃŘŮ][{_TAIL_1250}]){{2}}|(?:[РС][{_later_bytes('cp1251')}]){{2}}"
    f"|√[{_later_bytes('mac_roman')}]|[├┬][{_later_bytes('cp437')}]|[縺繧繝][^\\s]{{2}}|锟斤拷"
)
# One of these is in every garbled text, and in few others.
_CANDIDATE = re.compile(f"\ufffd|[Â-ô][{_TAIL}]|[√├┬ĂĹĐŃŘŮРС縺繧繝锟][^\\s\\d]")
_MAX_CHECKED_CHARACTERS = 4_096


def looks_garbled(text: str) -> bool:
    """Return whether a text was decoded with a wrong encoding (`ZoÃ«`), has a replacement
    character, or has entities of HTML (`&amp;`).

    Few good texts are taken for garbled. The first 4,096 characters are checked.
    Call it before control characters are removed.
    """
    if len(text) > _MAX_CHECKED_CHARACTERS:
        text = text[:_MAX_CHECKED_CHARACTERS]
    if "&" in text and _has_entity(text):
        return True
    if text.isascii() or not _CANDIDATE.search(text):
        return False
    if _CERTAIN.search(text) or _CERTAIN_ELSEWHERE.search(text):
        return True
    return not all(map(_AFTER_LETTERS.fullmatch, _SEQUENCE.findall(text)))


def _has_entity(text: str) -> bool:
    return any(
        not match[1] or match[1] in name2codepoint or match[1] == "apos"
        for match in _ENTITY.finditer(text)
    )
