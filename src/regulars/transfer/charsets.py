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


def charset(name: str) -> str:
    """Return Python's name of a character set. Raises BadOption if it is unknown."""
    usable = name.isascii() and name.isprintable() and len(name) <= _LONGEST_NAME
    plain = normalize_encoding(name).lower() if usable else ""
    key = plain if plain in CHARSETS else aliases.get(plain, "")
    if key not in CHARSETS:
        hint = did_you_mean(plain, CHARSETS)
        excerpt = name[:_LONGEST_NAME]
        raise BadOption(
            f"There is no encoding {excerpt!r}.{hint} Examples are utf-8, utf-16-le, windows-1252, "
            "iso-8859-15 and shift_jis."
        )
    return codecs.lookup(key).name
