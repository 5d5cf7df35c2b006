"""Countries by their codes and names, for the import and the search.

The names are in `countries.txt`, which `tools/countries.py` writes from CLDR. It is read at the
first name that is no code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib.resources import files

import iso3166

from regulars.core.text import folded_letters, nearest

# The longest name of the table has 65 letters and digits.
_MAX_CHARACTERS = 200

# Names that CLDR does not have: old, short and colloquial ones, and parts of the United Kingdom.
# `Congo` and `Guinea` are the ISO names of CG and GN; `Korea` means KR in nearly all shops' files.
_OTHER_NAMES: Mapping[str, str] = {
    "AE": "Emirati|الإمارات|UAE|U A E|Emirates|Emirats arabes|BAE|ОАЭ|阿联酋"
    "|VAE|Emiratos Árabes|Emirati Arabi|Emirados Árabes"
    "|الإمارات العربية"
    "|United Arab Emirate",
    "AG": "Antigua",
    "AT": "A|Oesterreich|Austria Österreich",
    "AU": "호주|AUS",
    "BA": "Bosnia|BiH|Bosnia Herzegovina|Bosnia and Herz|Bosnia Herz|Bosnien|Bosnie",
    "BE": "B",
    "BF": "Upper Volta|Obervolta",
    "BG": "BUL",
    "BN": "Brunei Darussalam",
    "BO": "Plurinational State of Bolivia",
    "BY": "Byelorussia|Belorussia|Белоруссия"
    "|Weißrussland|Wit-Rusland|Biélorussie|Bielorrusia|Bielorrússia|Bielorussia|Респ Беларусь",
    "BZ": "British Honduras",
    "CA": "CDN",
    "CD": "Congo-Kinshasa|DR Congo|DRC|Congo DR|Democratic Republic of the Congo|Zaire"
    "|Congo Dem Rep|Dem Rep Congo"
    "|République démocratique du Congo",
    "CG": "Congo|Congo-Brazzaville|Republic of the Congo|Congo Republic",
    "CH": "SUI|Schweizerische Eidgenossenschaft|Confoederatio Helvetica|Confédération suisse",
    "CI": "Elfenbeinküste|Elfenbeinkueste|Ivory Coast|Republic of Ivory Coast"
    "|Costa de Marfil|Costa do Marfim|Costa d'Avorio|Ivoorkust|Wybrzeże Kości Słoniowej",
    "CN": "中华人民共和国|中華人民共和國|中國大陸|中国大陆"
    "|PRC|P R China|PR China|People's Republic of China|Mainland China|China Mainland",
    "CV": "Cape Verde|Cabo Verde",
    "CY": "Güney Kıbrıs|Southern Cyprus",
    "CZ": "Czech Republic|Czechia|Česká republika|République tchèque|Tschechische Republik"
    "|Czech Rep"
    "|República Checa|Repubblica Ceca|Tsjechische Republiek|Republika Czeska|Чешская Республика"
    "|Tschechei|Rep Checa|Tchéquie",
    "DE": "BRD|GER|Federal Republic of Germany|Bundesrepublik Deutschland|D"
    "|West Germany|East Germany|DDR|GDR",
    "DK": "DEN",
    "DO": "Dominican Rep|Rep Dominicana|República Dominicana|Rep Dom|Dom Rep",
    "EG": "جمهورية مصر العربية",
    "ES": "España peninsular|Canarias|Islas Canarias|Baleares|Islas Baleares",
    "FK": "Falklands|Malvinas|Islas Malvinas",
    "FM": "Federated States of Micronesia",
    "FR": "F|Metropolitan France|France métropolitaine|République française",
    "GB": "UK|U K|Great Britain|Britain|England|Scotland|Wales|Northern Ireland|United Kingdom of"
    " Great Britain and Northern Ireland|Großbritannien|Grande-Bretagne|Gran Bretaña|Gran Bretagna"
    "|Grã-Bretanha|Groot-Brittannië|Wielka Brytania|Büyük Britanya|İngiltere|Angleterre|Inglaterra"
    "|Inghilterra|Engeland|Anglia|Schottland|Écosse|Escocia|Великобритания|Англия|بريطانيا|إنجلترا"
    "|英格兰|イングランド|英国"
    "|不列颠|영국|大不列颠"
    "|G B|Irlanda del Norte|Irlande du Nord|Nordirland|Noord-Ierland|Schotland|Pays de Galles"
    "|Cymru",
    "GF": "Guyane",
    "GM": "The Gambia",
    "GN": "Guinea|Guinea-Conakry|Guinée Conakry",
    "GQ": "Equatorial Guinea",
    "GR": "EL|GRE|Ελλάς",
    "GW": "Guinea Bissau",
    "HK": "Hong Kong|Hongkong|Hong Kong SAR|Hong Kong China|China Hong Kong|中国香港"
    "|香港|홍콩|ホンコン",
    "HR": "CRO",
    "IE": "Republic of Ireland|Eire|Éire|Irish Republic|Rep of Ireland",
    "IN": "Bharat",
    "IR": "Islamic Republic of Iran|Persia",
    "IT": "I|Repubblica Italiana",
    "JO": "المملكة الأردنية الهاشمية",
    "JP": "Nippon|Nihon|日本国|日本國",
    "KG": "Kirghizia|Kirgizia",
    "KH": "Kampuchea|Kambodja",
    "KN": "St Kitts|Saint Kitts",
    "KP": "North Korea|DPRK|Korea North|Korea DPR|Democratic People's Republic of Korea|N Korea",
    "KR": "Южная Корея|Корея Южная"
    "|South Korea|Korea|Republic of Korea|Korea South|Korea Republic of|ROK|한국|남한"
    "|韓國|韩国|韓国|남조선"
    "|Corea|Corée"
    "|S Korea",
    "LA": "Lao|Lao PDR|Lao People's Democratic Republic",
    "LB": "الجمهورية اللبنانية",
    "LI": "FL|Fürstentum Liechtenstein",
    "LK": "Ceylon",
    "LU": "L",
    "LY": "Libyan Arab Jamahiriya",
    "MA": "المملكة المغربية",
    "MD": "Republic of Moldova|Moldavia|Moldawien|Moldavie",
    "MK": "Macedonia|FYROM|FYR Macedonia|Republic of Macedonia|Former Yugoslav Republic of"
    " Macedonia|Mazedonien|Macédoine|Македония",
    "MM": "Burma|Birma|Birmanie|Birmania|Birmânia",
    "MN": "Монгол Улс",
    "MO": "Macau|Macao|Macau SAR|Macao SAR|Macau China|Macao China|China Macau"
    "|China Macao|中国澳门"
    "|澳門|澳门|마카오",
    "MX": "Mejico|Estados Unidos Mexicanos",
    "MY": "大马",
    "NL": "Holland|Hollande|Holanda|Olanda|Hollanda|Голландия|هولندا|The Netherlands|荷蘭"
    "|Niderlandy|Pays Bas",
    "NZ": "Aotearoa|N Z|纽西兰|紐西蘭",
    "OM": "سلطنة عمان",
    "PL": "Rzeczpospolita Polska",
    "PS": "Palestine|State of Palestine|Palestinian Territory|Palestinian Territory Occupied"
    "|Occupied Palestinian Territory|Palestinian Territories|Palestina|فلسطين|Палестина|Palästina",
    "PH": "The Philippines",
    "PT": "POR|Portugal Continental|Açores|Madeira",
    "RE": "Reunion Island|Île de la Réunion",
    "RU": "Russian Federation|Россия|РФ|Российская Федерация",
    "SA": "KSA|Kingdom of Saudi Arabia|المملكة العربية السعودية|السعودية|Saudi|Saoedi Arabië",
    "SH": "Saint Helena",
    "SK": "Slovak Republic|Slovenská republika|Slowakische Republik",
    "ST": "Sao Tome",
    "SX": "St Maarten|Saint Maarten",
    "SY": "Syrian Arab Republic",
    "SZ": "Swaziland|Suazilandia|Swasiland|Swazilandia",
    "TL": "East Timor",
    "TN": "الجمهورية التونسية",
    "TR": "Turkey|Türkei|Türkiye|Turkiye Cumhuriyeti",
    "TH": "ประเทศไทย|Siam|泰國",
    "TT": "Trinidad",
    "TW": "中华民国|Taiwan ROC|Taiwan Province of China|Chinese Taipei|Republic of China"
    "|República de China|République de Chine|Republik China|Taiwan China|臺灣|中華民國"
    "|臺灣地區|台湾地区"
    "|ROC|Formosa",
    "TZ": "Tanganyika|United Republic of Tanzania",
    "US": "USA|U S|U S A|United States of America|America|US of A|The States|Estados Unidos de"
    " América|EE UU|EEUU|E U A|EUA|États-Unis d'Amérique|Vereinigte Staaten von Amerika|Verenigde"
    " Staten van Amerika|Stati Uniti d'America|Stany Zjednoczone Ameryki|ABD|Amerika|США|Америка"
    "|Соединённые Штаты Америки|Amerika Birleşik Devletleri|الولايات المتحدة الأمريكية|أمريكا"
    "|アメリカ|アメリカ|米国|미국|미합중국|美利坚合众国"
    "|VS|E E U U|Соединенные Штаты|USA United States",
    "VA": "Vatican|Holy See|Vatican City State|Holy See Vatican City State|Vatican City",
    "VE": "Bolivarian Republic of Venezuela",
    "VG": "British Virgin Islands|Virgin Islands British|BVI",
    "VI": "US Virgin Islands|Virgin Islands US|USVI",
    "VN": "Viet Nam|越南",
    "XK": "Kosovo|Kosova|Republic of Kosovo",
    "ZA": "RSA|Republic of South Africa|S Africa",
    "ZW": "Rhodesia|Southern Rhodesia",
}

_WITH_CODE = re.compile(r"(.+)\(\s*([A-Za-z]{2,3})\s*\)|([A-Za-z]{2,3})\s+[-–—:]\s+(.+)")
# ISO 3166-2, as in US-CA.
_REGION = re.compile(r"([A-Z]{2})-[A-Z0-9]{1,3}")
# The letters of which flags are composed.
_FLAG_LETTERS = {0x1F1E6 + n: chr(ord("A") + n) for n in range(26)}
_TWO_NAMES = re.compile(r"([^()/]+?) *(?:\(([^()]+)\)|/ *([^()/]+))")
# `中国 China`, and `ES-España`, in which both must name the same country.
_TWO_SCRIPTS = re.compile(r"([^\x00-\x7f]+) *([A-Za-z .]+)|([A-Za-z .]+?) *([^\x00-\x7f]+)")
_CODE_AND_NAME = re.compile(r"\[?([A-Z]{2,3})[\]:–-]? *(.+)|(.+) [-–] ([A-Z]{2,3})")
_ARABIC, _FINAL_HEH = re.compile(r"[\u0620-\u064a]"), re.compile(r"ه(?= |$)")
_INVERTED = re.compile(r"([^,()]+?) ?(?:, ?([^,()]+)|\(([^,()]+)\))")
# Only of countries that no other name begins with: `Republic of China` is in the table.
_GOVERNMENT = re.compile(
    r"(?:the )?(?:(?:islamic|federal|federative|arab|oriental|hashemite|co-?operative|united"
    r"|socialist|eastern) )*(?:republic|kingdom|state|states|commonwealth|principality|sultanate"
    r"|union|grand duchy|emirate) of |(?:la )?r[eé]publique (?:de la |de l |du |des |de |d )"
    r"|(?:el |la |a )?rep[uú]blica (?:(?:oriental|bolivariana|popular|federativa|federal"
    r"|isl[aá]mica|[aá]rabe) )?(?:de la |del |de |do |da )?"
    r"|reino (?:de |da |do )|royaume (?:de |du |d )"
    r"|(?:die )?republik |k[oö]nigreich (?:der )?|regno (?:di |del )"
    r"|repubblica (?:di |del |della )|республика |دولة |مملكة |جمهورية |سلطنة ",
    re.IGNORECASE,
)
_ARTICLES = (
    "the",
    "la",
    "le",
    "les",
    "los",
    "las",
    "die",
    "der",
    "de",
    "il",
    "o",
    "os",
    "l",
    "el",
    "a",
    "het",
    "i",
    "gli",
    "das",
)


def name_key(text: str) -> str:
    """Return the form by which names of countries are compared: folded letters and digits, with `&`
    as `and`."""
    return "".join(filter(str.isalnum, folded_letters(text.replace("&", " and "))))


@lru_cache(maxsize=16_384)
def find_country(text: str) -> str | None:
    """Return the ISO 3166-1 alpha-2 code of the country that a text names, or None.

    Knows codes (`DE`, `DEU`, `276`; three digits), the names of CLDR in `countries.txt`, names of
    ISO 3166-1, old and common names, a name with its code (`United States (US)`, `US - United
    States`), a region (`US-CA`), flags and a leading article. Case, accents and punctuation do not
    matter. `XK` is Kosovo. A name of several countries is None, unless one of them is nearly always
    meant (`Congo` is CG, `Korea` is KR, `Guinea` is GN). A name with the code of another country is
    None.
    """
    if len(text) > _MAX_CHARACTERS:
        return None
    if not text.isascii():
        text = text.translate(_FLAG_LETTERS)
    code = _codes().get(text.strip().upper())
    if code:
        return code
    if match := _REGION.fullmatch(text.strip()):
        return _codes().get(match[1])
    code = _by_name(text)
    if code:
        return code
    match = _WITH_CODE.fullmatch(text.strip())
    if match is None:
        return _by_two_names(text.strip())
    name, code = match[1] or match[4], _codes().get((match[2] or match[3]).upper())
    named = _by_name(name) or _codes().get(name.strip().upper())
    return code if named in (None, code) else None


def _by_two_names(text: str) -> str | None:
    """Return the code of a country that is named twice: in two scripts, or with its code."""
    for match in (_TWO_SCRIPTS.fullmatch(text), _CODE_AND_NAME.fullmatch(text)):
        if match is not None:
            codes = {_codes().get(n.upper()) or _by_name(n) for n in filter(None, match.groups())}
            if len(codes) == 1:
                return codes.pop()
    return None


def like_country(text: str) -> str | None:
    """Return the code of the country whose name is most like a mistyped one, if any is like it."""
    key = name_key(text[:_MAX_CHARACTERS])
    match = nearest(key, _iso_names())
    return _iso_names()[match] if match else None


def _by_name(text: str) -> str | None:
    key = name_key(text)
    if not key:
        return None
    names = _names()
    code = names.get(key)
    if code is None:
        code = next(filter(None, (names.get(name_key(name)) for name in _variants(text))), None)
    if code is None and (match := _TWO_NAMES.fullmatch(text.strip())):
        # `Swaziland (Eswatini)`, `Turkey / Türkiye`: two names of one country.
        code = names.get(name_key(match[1]))
        code = code if names.get(name_key(match[2] or match[3])) == code else None
    return code


def _variants(text: str) -> Iterator[str]:
    """Yield other forms of a name: without its article, with what follows a comma or is in
    parentheses at the beginning (`Korea, Republic of`), and without the form of government."""
    plain = " ".join(text.replace("'", " ").replace("’", " ").split())
    names = [plain]
    if match := _INVERTED.fullmatch(plain):
        name, addition = match[1], match[2] or match[3]
        # `Ireland (Republic)`, `Korea, Republic of`, `Bahamas, The`.
        names += [f"{addition} {name}", f"{addition} of {name}"]
    for name in names:
        yield name
        for shorter in (_without_article(name), _GOVERNMENT.sub("", name)):
            if shorter != name:
                yield shorter
                yield _without_article(shorter)
    if _ARABIC.search(plain):  # `السعوديه` for `السعودية`, `كويت` for `الكويت`
        marked = _FINAL_HEH.sub("ة", plain)
        yield from (marked, f"ال{marked}")


def _without_article(name: str) -> str:
    first, _, rest = name.partition(" ")
    return rest if rest and first.lower() in _ARTICLES else name


@cache
def _codes() -> dict[str, str]:
    """Return the codes of two letters, three letters and three digits, in upper case."""
    codes = {"XK": "XK", "XKX": "XK", "UK": "GB"}
    for country in iso3166.countries:
        codes |= dict.fromkeys(
            (country.alpha2, country.alpha3, country.numeric.zfill(3)), country.alpha2
        )
    return codes


@cache
def _iso_names() -> dict[str, str]:
    """Return the English names with which a mistyped name is compared."""
    names = {
        name_key(name): country.alpha2
        for country in iso3166.countries
        for name in (country.name, country.apolitical_name)
    }
    for code, other in _OTHER_NAMES.items():
        names |= {name_key(name): code for name in other.split("|")}
    return names


@cache
def _names() -> dict[str, str]:
    names: dict[str, str] = {}
    data = files("regulars.core").joinpath("countries.txt").read_text(encoding="utf-8")
    for line in data.splitlines():
        code, _, keys = line.partition(" ")
        names |= dict.fromkeys(keys.split(), code)
    return names | _iso_names()
