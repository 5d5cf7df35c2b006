"""The text encodings that a file may have.

Python's registry also has codecs that are no character sets (`base64`, `idna`, `unicode_escape`, …)
and imports a module for each name that it looks up. So a name is looked up here first.
"""

from __future__ import annotations

import codecs
from encodings import normalize_encoding
from encodings.aliases import aliases

from regulars.core.text import did_you_mean
from regulars.transfer.errors import BadOption

# The character sets among Python's codecs (docs.python.org, "Standard Encodings"), without utf_7.
CHARSETS = frozenset(
    "ascii big5 big5hkscs cp037 cp1006 cp1026 cp1125 cp1140 cp1250 cp1251 cp1252 cp1253 cp1254 "
    "cp1255 cp1256 cp1257 cp1258 cp273 cp424 cp437 cp500 cp720 cp737 cp775 cp850 cp852 cp855 cp856 "
    "cp857 cp858 cp860 cp861 cp862 cp863 cp864 cp865 cp866 cp869 cp874 cp875 cp932 cp949 cp950 "
    "euc_jis_2004 euc_jisx0213 euc_jp euc_kr gb18030 gb2312 gbk hp_roman8 hz iso2022_jp "
    "iso2022_jp_1 iso2022_jp_2 iso2022_jp_2004 iso2022_jp_3 iso2022_jp_ext iso2022_kr iso8859_1 "
    "iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15 iso8859_16 iso8859_2 iso8859_3 "
    "iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 johab koi8_r koi8_t koi8_u kz1048 "
    "latin_1 mac_arabic mac_croatian mac_cyrillic mac_farsi mac_greek mac_iceland mac_latin2 "
    "mac_roman mac_romanian mac_turkish palmos ptcp154 shift_jis shift_jis_2004 shift_jisx0213 "
    "tis_620 utf_16 utf_16_be utf_16_le utf_32 utf_32_be utf_32_le utf_8 utf_8_sig".split()
)
_LONGEST_NAME = 50
# Names that other programs use, with the supersets that they mean.
_OTHER_NAMES = {
    "x_sjis": "cp932",
    "windows_874": "cp874",
    "windows_932": "cp932",
    "windows_936": "gb18030",
    "windows_949": "cp949",
    "windows_950": "cp950",
    "x_mac_roman": "mac_roman",
    "x_mac_cyrillic": "mac_cyrillic",
    "x_mac_ce": "mac_latin2",
    "iso_8859_8_i": "iso8859_8",
}
_DISPLAY_NAMES = {
    "utf-8-sig": "UTF-8 with a BOM",
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 without a BOM",
    "utf-16-be": "UTF-16 without a BOM",
    "utf-32": "UTF-32",
    "utf-32-le": "UTF-32 without a BOM",
    "utf-32-be": "UTF-32 without a BOM",
    "cp874": "Windows-874",
    "cp932": "Shift-JIS (cp932)",
    "cp949": "EUC-KR (cp949)",
    "cp950": "Big5 (cp950)",
    "euc_jp": "EUC-JP",
    "gb18030": "GB18030",
    "iso2022_jp": "ISO-2022-JP",
    "koi8-r": "KOI8-R",
    "koi8-u": "KOI8-U",
    "mac-roman": "Mac Roman",
    "mac-cyrillic": "Mac Cyrillic",
    "mac-latin2": "Mac Central European",
}


def display_name(encoding: str) -> str:
    """Return the name of an encoding for the user."""
    if encoding.startswith("cp125"):
        return f"Windows-{encoding[2:]}"
    if encoding.startswith("iso8859-"):
        return encoding.replace("iso8859-", "ISO-8859-")
    return _DISPLAY_NAMES.get(encoding, encoding)


def charset(name: str) -> str:
    """Return Python's name of a character set. Raises BadOption if it is unknown."""
    usable = name.isascii() and name.isprintable() and len(name) <= _LONGEST_NAME
    plain = normalize_encoding(name).lower() if usable else ""
    key = plain if plain in CHARSETS else _OTHER_NAMES.get(plain) or aliases.get(plain, "")
    if key not in CHARSETS:
        hint = did_you_mean(plain, CHARSETS)
        excerpt = name[:_LONGEST_NAME]
        raise BadOption(
            f"There is no encoding {excerpt!r}.{hint} Examples are utf-8, utf-16-le, windows-1252, "
            "iso-8859-15 and shift_jis."
        )
    return codecs.lookup(key).name
