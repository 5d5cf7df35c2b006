"""The encoding of a file is recognised, or asked for. No text is stored as mojibake."""

from __future__ import annotations

import io
from functools import cache

import pytest
from faker import Faker
from hypothesis import given, settings
from hypothesis import strategies as st

from regulars.transfer.charsets import charset
from regulars.transfer.encoding_scan import EncodingScan
from regulars.transfer.errors import BadOption
from regulars.transfer.import_options import Options
from regulars.transfer.input_file import open_input
from regulars.transfer.preview import preview
from tests.support import example_count

LATIN = "Zoë,Lefèvre,Besançon|François,Müller,Köln|Núñez,José,Málaga|João,Conceição,São Paulo"
POLISH = "Łukasz,Wiśniewski,Kraków|Małgorzata,Dąbrowska,Łódź|Grażyna,Jabłońska,Gdańsk"
CZECH = "Jiří,Dvořák,Plzeň|Tomáš,Černý,České Budějovice|Božena,Růžičková,Příbram"
RUSSIAN = "Иван,Петров,Москва|Ольга,Кузнецова,Екатеринбург|Дмитрий,Соловьёв,Казань"
UKRAINIAN = "Олексій,Шевченко,Київ|Наталія,Ковальчук,Львів|Ігор,Їжакевич,Чернігів"
GREEK = "Γιώργος,Παπαδόπουλος,Αθήνα|Ελένη,Οικονόμου,Θεσσαλονίκη|Άννα,Νικολάου,Πάτρα"
TURKISH = "Ayşe,Yılmaz,İzmir|Gökhan,Öztürk,Beşiktaş|Çağla,Şahin,Muğla"
HEBREW = "יוסי,כהן,תל אביב|שרה,לוי,ירושלים|דוד,מזרחי,חיפה"
ARABIC = "محمد,الأحمد,القاهرة|فاطمة,العلي,الرياض|يوسف,حسن,دبي"
BALTIC = "Žydrūnas,Kazlauskas,Šiauliai|Jānis,Bērziņš,Rīga|Līga,Kļaviņa,Daugavpils"
THAI = "สมชาย,ใจดี,กรุงเทพมหานคร|สุดา,ทองคำ,เชียงใหม่"
JAPANESE = "太郎,山田,東京都|花子,佐藤,大阪市|さくら,高橋,横浜市|ケンジ,鈴木,札幌市"
SIMPLIFIED = "小明,王,北京市|伟,张,上海市|秀英,刘,广州市|丽,陈,深圳市"
TRADITIONAL = "小明,王,臺北市|志偉,陳,高雄市|淑芬,林,臺中市|雅婷,黃,新北市"
KOREAN = "민수,김,서울특별시|지영,이,부산광역시|현우,박,대구"
KAZAKH = "Нұрсұлтан,Әбішев,Алматы|Гүлнәр,Қасымова,Өскемен"
SERBIAN = "Ђорђе,Његош,Ниш|Љиљана,Јовановић,Београд"
ICELANDIC = "Þóra,Guðmundsdóttir,Reykjavík|Ægir,Þór,Ísafjörður"
PORTUGUESE = "João,Gonçalves,São Paulo|Inês,Conceição,Brasília|Antônio,Araújo,Goiânia"
ROMANIAN = "Ştefan,Ţîrlea,Iaşi|Mădălina,Ionescu,Bucureşti"

FILES = [
    *((encoding, LATIN) for encoding in ("cp1252", "iso8859-1", "iso8859-15", "mac-roman")),
    ("cp850", LATIN),
    *((e, POLISH) for e in ("cp1250", "iso8859-2", "cp852", "mac-latin2")),
    *((encoding, CZECH) for encoding in ("cp1250", "iso8859-2", "cp852", "mac-latin2")),
    *((e, RUSSIAN) for e in ("cp1251", "koi8-r", "cp866", "iso8859-5", "mac-cyrillic")),
    *((encoding, UKRAINIAN) for encoding in ("cp1251", "koi8-u", "mac-cyrillic")),
    *((encoding, GREEK) for encoding in ("cp1253", "iso8859-7", "cp737")),
    *((encoding, TURKISH) for encoding in ("cp1254", "iso8859-9", "cp857")),
    *((encoding, HEBREW) for encoding in ("cp1255", "iso8859-8", "cp862")),
    *((encoding, ARABIC) for encoding in ("cp1256", "iso8859-6")),
    *((encoding, BALTIC) for encoding in ("cp1257", "iso8859-13")),
    *((encoding, ROMANIAN) for encoding in ("cp1250", "iso8859-2", "cp852")),
    ("kz1048", KAZAKH),
    *((encoding, SERBIAN) for encoding in ("cp1251", "iso8859-5", "cp855")),
    ("cp1125", UKRAINIAN),
    ("cp860", PORTUGUESE),
    *((encoding, ICELANDIC) for encoding in ("cp1252", "cp861", "mac-iceland")),
    *((encoding, ARABIC) for encoding in ("cp720",)),
    ("cp869", GREEK),
    ("iso8859-4", BALTIC),
    ("cp874", THAI),
    *((e, JAPANESE) for e in ("shift_jis", "cp932", "euc_jp", "iso2022_jp")),
    *((encoding, SIMPLIFIED) for encoding in ("gbk", "gb2312", "gb18030", "hz")),
    ("big5", TRADITIONAL),
    *((encoding, KOREAN) for encoding in ("euc_kr", "cp949", "iso2022_kr")),
]
WIDE = ["utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-8-sig"]


def file_of(names: str) -> str:
    rows = [f"k{n}@example.com,{row}" for n, row in enumerate(names.split("|"))]
    return "\r\n".join(("email,first name,last name,city", *rows, ""))


def read(content: bytes) -> str:
    with open_input("a.csv", content=io.BytesIO(content)) as file:
        return file.stream.read().removeprefix("\ufeff")


@pytest.mark.parametrize(("encoding", "names"), FILES)
def test_a_small_file_is_read_in_its_encoding(encoding: str, names: str) -> None:
    text = file_of(names)
    assert read(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("names", [LATIN, RUSSIAN, JAPANESE, SIMPLIFIED, KOREAN, ARABIC, "Ana,B,C"])
def test_utf_16_and_32_are_recognised_in_every_script(encoding: str, names: str) -> None:
    text = file_of(names)
    assert read(text.encode(encoding)) == text


def test_a_zero_byte_is_not_utf_16() -> None:
    text = file_of(LATIN + "|A\0B,C,D")
    assert read(text.encode()) == text


def test_a_damaged_byte_does_not_change_the_encoding() -> None:
    utf8 = file_of(LATIN).encode() + b"x@example.com,Fran\xe7ois,X,Y\n"
    assert "Zoë" in read(utf8)
    windows = file_of("|".join([POLISH] * 5)).encode("cp1250") + b"x@example.com,A\x81b,X,Y\n"
    assert "Wiśniewski" in read(windows)


def test_utf_8_rows_within_another_encoding_need_a_choice() -> None:
    rows = "|".join(f"Zoë{n},Lefèvre,Nîmes" for n in range(60))
    content = file_of(rows).encode("cp1252") + "x@example.com,Amélie,X,Y\n".encode()
    with pytest.raises(BadOption, match="unclear"):
        read(content)


def test_encodings_with_the_same_result_are_not_ambiguous() -> None:
    content = file_of("Zoë,Lefèvre,Besançon|René,Côté,Orléans").encode("iso8859-1")
    with open_input("a.csv", content=io.BytesIO(content)) as file:
        assert file.encoding == "cp1252"
        assert file.summary == "Windows-1252 (“Zoë”, “Lefèvre”, “Besançon”)"


def test_a_rare_letter_does_not_make_an_encoding_with_controls_likely() -> None:
    names = "Éloïse,Lefèvre,Bât. C|Chloé,Noël,1 bis chemin des Œillets|Anaïs,Garçon,Nîmes"
    with open_input("a.csv", None, io.BytesIO(file_of(names).encode("cp1252"))) as file:
        assert file.encoding == "cp1252"


def test_an_ambiguous_encoding_needs_a_choice_with_samples() -> None:
    content = file_of("\xc0\xc9 \x80,Ana,B").encode("latin-1")
    with pytest.raises(BadOption) as caught:
        read(content)
    message = str(caught.value)
    assert "cp1252 (“ÀÉ €”)" in message
    assert "--encoding" in message
    assert "`encoding`" in message
    with open_input("a.csv", "cp1252", io.BytesIO(content)) as file:
        assert "ÀÉ €" in file.stream.read()


@pytest.mark.parametrize(
    ("encoding", "headings"),
    [
        ("cp932", "顧客番号,氏名(姓),氏名(名),フリガナ(セイ),会員ID,ポイント,郵便番号,番地,建物名"),
        # Full-width parentheses, of which the letters alone make another encoding sure.
        ("cp932", "会員番号,氏名（姓）,氏名（名）,郵便番号,住所（番地）,電話番号,メルマガ購読"),
        ("cp949", "아이디,이름,등급,휴대폰,이메일,우편번호,주소,상세주소,가입일"),
        ("cp1250", "Imię,Nazwisko,Województwo"),
        ("iso8859-2", "Imię,Nazwisko,Województwo"),
    ],
)
def test_known_headings_decide_about_the_encoding(encoding: str, headings: str) -> None:
    content = f"{headings},email\r\n{',' * headings.count(',')},a@x.test\r\n".encode(encoding)
    with open_input("a.csv", None, io.BytesIO(content)) as file:
        assert file.sample.startswith(headings)


def test_the_encoding_is_recognised_across_chunks() -> None:
    text = file_of("|".join([JAPANESE] * 30))
    scan = EncodingScan()
    data = text.encode("cp932")
    for start in range(0, len(data), 37):
        scan.add(data[start : start + 37])
    assert scan.guess().encoding == "cp932"


def test_encoding_names_of_other_programs_are_accepted() -> None:
    assert charset("x-sjis") == "cp932"
    assert charset("windows-936") == "gb18030"
    assert charset("Windows-1251") == "cp1251"


@settings(max_examples=example_count(30))
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_need_a_choice(content: bytes) -> None:
    scan = EncodingScan()
    scan.add(content)
    guess = scan.guess()
    assert guess.confidence in ("sure", "unsure")
    assert len(guess.samples) <= 3
    try:
        content.decode()
    except UnicodeDecodeError:
        return
    assert guess.encoding in ("utf-8", "iso2022_jp", "iso2022_kr", "hz")


LOCALES = {
    "cp1250": "pl_PL cs_CZ hu_HU",
    "cp1251": "ru_RU uk_UA",
    "cp1252": "fr_FR es_ES de_DE",
    "cp1253": "el_GR",
    "cp1254": "tr_TR",
    "cp1255": "he_IL",
    "cp1256": "fa_IR",
    "cp1257": "lt_LT lv_LV",
    "cp874": "th_TH",
    "cp866": "ru_RU",
    "koi8-r": "ru_RU",
    "iso8859-2": "pl_PL cs_CZ hu_HU",
    "iso8859-5": "ru_RU",
    "iso8859-7": "el_GR",
    "iso8859-9": "tr_TR",
    "iso8859-15": "fr_FR es_ES de_DE",
    "mac-roman": "fr_FR es_ES de_DE",
    "shift_jis": "ja_JP",
    "euc_jp": "ja_JP",
    "gbk": "zh_CN",
    "big5": "zh_TW",
    "euc_kr": "ko_KR",
}


@cache
def locale_faker(locale: str) -> Faker:
    return Faker(locale)


def generated(locale: str, rows: int, seed: int) -> str:
    """A file of customers with a name and a city, of a locale."""
    fake = locale_faker(locale)
    fake.seed_instance(seed)
    names = (f"{fake.first_name()},{fake.last_name()},{fake.city()}" for _ in range(rows))
    return file_of("|".join(names))


def judged(encoding: str, rows: int, files: int) -> tuple[int, int]:
    """Return how many generated files are read rightly, and how many there are. Fails if one is
    read wrongly."""
    right = total = 0
    for locale in LOCALES[encoding].split():
        for seed in range(files):
            data = generated(locale, rows, seed * 1_000 + rows).encode(encoding, "ignore")
            if data.isascii():
                continue
            total += 1
            try:
                text = read(data)
            except BadOption:
                continue
            assert text == data.decode(encoding), (encoding, locale, seed)
            right += 1
    return right, total


ONE_NAME = [
    ("cp1252", "Müller"), ("cp1252", "Muñoz"), ("cp1252", "Zoë Élodie"), ("cp1252", "O’Brien"),
    ("cp1250", "Łukasz"), ("cp1250", "Dvořák"), ("cp1251", "Иван"), ("koi8-r", "Иван Петров"),
    ("cp866", "Иван"), ("iso8859-5", "Иван"), ("cp1253", "Γιώργος"), ("cp1254", "Şahin"),
    ("cp1256", "محمد"), ("cp1257", "Jānis"), ("mac-roman", "François"), ("cp932", "太郎"),
    ("euc_kr", "김민수"), ("big5", "王小明"), ("gbk", "王小明"),
]  # fmt: skip


@pytest.mark.parametrize(("encoding", "name"), ONE_NAME)
def test_a_single_common_name_is_enough(encoding: str, name: str) -> None:
    text = f"email,name\na@example.com,{name}\n"
    assert read(text.encode(encoding)) == text


def test_a_fraction_after_a_letter_is_a_letter_of_latin_9() -> None:
    text = "E-mail;Prénom;Nom;Ville\na@example.fr;Chlœ;Lefèvre;Besançon\n"
    assert read(text.encode("iso8859-15")) == text
    text = "E-mail;Prénom;Note\na@example.fr;Hélène;2 ½ années\nb@example.fr;Zoé;à Besançon\n"
    assert read(text.encode("cp1252")) == text


@pytest.mark.parametrize("encoding", LOCALES)
def test_generated_files_are_never_read_in_a_wrong_encoding(encoding: str) -> None:
    judged(encoding, rows=2, files=1)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", LOCALES)
def test_most_generated_files_are_recognised(encoding: str) -> None:
    for rows, files, least in ((1, 30, 0.3), (5, 20, 0.6), (50, 5, 0.9), (1_000, 1, 0.9)):
        right, total = judged(encoding, rows, files)
        assert right >= least * total, (rows, right, total)


def test_a_preview_shows_the_likely_encodings() -> None:
    content = file_of("\xc0\xc9 \x80,Ana,B").encode("latin-1")
    shown = preview("a.csv", content, Options(), True)
    assert {"encoding": "cp1252", "samples": ("ÀÉ €",)} in shown["encodings"]
    assert "unclear" in shown["problem"]
    assert [column["field"] for column in shown["columns"]][:2] == ["email", "first_name"]
    chosen = preview("a.csv", content, Options(encoding="cp1252"), True)
    assert (chosen["encodings"], chosen["problem"]) == ([], None)
    assert "ÀÉ €" in [sample for column in chosen["columns"] for sample in column["samples"]]
