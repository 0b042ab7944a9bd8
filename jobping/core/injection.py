"""Whether a posting speaks to the model that is to judge it, instead of to people.

A posting that does is not sent to a model; the local ranking judges it as it judges all others. A
false alarm costs only the model's opinion of one posting, so the rules prefer alarm: texts are read
as they are, without tricks of script and spacing, backwards, and with whatever is encoded in them.
"""

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

_HIDDEN: Final = re.compile(
    "[\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff"
    "\ufe00-\ufe0f\U000e0000-\U000e01ef]"
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TAG_FIRST: Final = "\U000e0020"
_TAG_LAST: Final = "\U000e007e"
_ALIKE: Final = str.maketrans(
    "аеорсухіјѕԁһνωɡαοερτικηβ0134579@$",
    "aeopcyxijsdhvwgaoeptiknboieastgas",
)
"""Letters of other scripts that look Latin, and the figures that stand for letters."""
_MARKS: Final = re.compile("[\u0300-\u036f]")
_SPELLED: Final = re.compile(r"\b(?:\w[\s._*|-]{1,3}){11,}\w\b")
_BLOB: Final = re.compile(r"(?:[A-Za-z0-9+/_-]{4}){5,}[A-Za-z0-9+/_=-]{0,4}")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}[\s:\\x,]{0,3}){12,}")
_PERCENT: Final = re.compile(r"(?:\w*%[0-9a-fA-F]{2}){2,}\w*")
_ESCAPED: Final = re.compile(r"(?:\\u[0-9a-fA-F]{4}){8,}")
_CODE: Final = re.compile("[0-9a-fA-F]{4}")
_LINKS: Final = re.compile(r"https?://\S+")

_MACHINE: Final = (
    r"(?:\b(?:a\.?i\.?|ki|ia|llm|gpt|chatgpt|language model|sprachmodell|modele de langage"
    r"|modelo de lenguaje|assistants?|assistent|asistente|chatbot|ranker|ranking (?:system|model)"
    r"|screening (?:tool|system|bot)|scoring (?:system|model|engine|tool)|evaluator|grader"
    r"|recommender|matching (?:engine|system|tool|bot)|algorithm)\b"
    r"|人工智能|语言模型|評価者|人工知能|искусственн|модел|نموذج|मॉडल|인공지능)"
)
_GRADE: Final = (
    r"(?:\b(?:scor(?:e|es|ing|ed)|rat(?:e|ing|ed)|ranks?|ranked|ranking|points?|grade[sd]?|grading"
    r"|match(?:es)?|marks?|punkt\w*|bewert\w*|rang|note[rzs]?|noter|puntuaci\w+|puntos|puntua\w*"
    r"|califica\w*|punteggio|nota|pontua\w*|pontos|ocen\w*|puan\w*|beoordeel\w*|poeng|poang|betyg\w*"
    r"|hodnoc\w*|bod[uy]|pisteet|pontsz\w*)\b"
    r"|оцен|балл|рейтинг|评分|打分|分数|スコア|点数|得点|점수|평가"
    r"|نقطة|درجة|التقييم|स्कोर|अंक|คะแนน)"
)
_TOP: Final = (
    r"(?:\b(?:100|one hundred|a hundred|hundert|cien|cento|cem|sto|yuz|max(?:imum|imal\w*|imo|ima)?"
    r"|perfect\w*|parfait\w*|perfekt\w*|perfett\w*|highest|best(?:en)?|top|first|ideal|vollen?"
    r"|hochste\w*|beste\w*|full|ten out of ten|10/10|100/100|100 ?%|ioo|i00|ooi)\b"
    r"|最高|满分|満点|최고|максим|высш|\bсто\b)"
)
_FIRST_PLACE: Final = (
    r"(?:(?:first|top|number one|#1)\W+(?:place|position|spot|rank|match|choice|result|of the)"
    r"|ersten? (?:stelle|platz|rang)|premiere (?:position|place)|primer (?:lugar|puesto)"
    r"|primo posto|primeiro lugar|pierwsz\w+ miejsc\w+|перв\w+ мест\w+|第一|首位|一位|첫 번째|1위"
    r"|(?:at|on|to) the (?:very )?top|bottom of the|at the bottom|outrank\w*)"
)
_OTHERS: Final = (
    r"(?:(?:other|remaining|competing|rival|rest of|andere\w*|ubrige\w*|autres|otr[oa]s|altr[ei]"
    r"|outr[oa]s|every|all|next|following|previous|both)\W+(?:\w+\W+){0,3}?(?:postings?|jobs?"
    r"|listings?|vacanc(?:y|ies)|openings?|adverts?|ads|offers?|offres|annonces?|stellen\w*"
    r"|angebote?|vacantes?|ofertas?|annunci|vagas?|ids?|candidates?|entries|items|вакансии)"
    r"|remainder|其他职位|他の求人|другие вакансии|остальн)"
)
_DROP: Final = (
    r"(?:ignor\w*|disregard\w*|forget\w*|override\w*|bypass\w*|skip|discard\w*|vergiss\w*"
    r"|vergessen|missacht\w*|oublie[rz]?|olvid\w*|dimentic\w*|esque\w*|desconsider\w*|zignoruj"
    r"|zapomnij|negeer\w*|vergeet|yok say\w*|unut\w*|glom|bortse|проигнор\w*|игнорир\w*|забудь\w*"
    r"|stop following|do not follow|don'?t follow|no longer follow|cancel|supersed\w*|replac\w*)"
)
_ORDERS: Final = (
    r"(?:instru\w*|anweisung\w*|rules?|regeln?|regles?|reglas|regole|regras|prompts?|guidelines?"
    r"|directions?|directives?|commands?|orders?|istruzion\w*|consignes?|context|polecen\w*"
    r"|zasad\w*|talimat\w*|инструкц\w*|указан\w*|правил\w*|criteria|kriterien|task|aufgabe)"
)

_GIVE: Final = (
    r"\b(?:give|assign|award|set|put|return|output|answer|respond|reply|report|boost|treat|place"
    r"|rank|make|move|list|gib|geben|vergib|donnez?|attribue[rz]?|dale|asigna|assegna|atribua|ver"
    r"|przyznaj|дай\w*|постав\w*)\b"
)
_NEAR: Final = r"[^.!?\n]{0,60}?"
"""A few words more of the same sentence."""
_SHORT: Final = r"[^.!?\n]{0,25}?"
_WORDS: Final = r"\W+(?:\w+\W+){0,4}?"
_ROLES: Final = r"(?:system|assistant|developer)"

_RULES: Final = {
    "orders the model": (
        _DROP + _WORDS + _ORDERS,
        _ORDERS + _WORDS + _DROP,
        _DROP + _WORDS + r"(?:told|instructed|asked to|given|said|written)\b",
        "忽略|无视|無視し|무시하|지시를 무시|تجاهل|अनदेखा|เพิกเฉย|התעלם|αγνοησ",
    ),
    "sets a score": (
        _GRADE + _NEAR + _TOP,
        _TOP + _SHORT + _GRADE + _NEAR + _MACHINE,
        _MACHINE + _NEAR + _TOP + _SHORT + _GRADE,
        _GIVE + _NEAR + _TOP + _SHORT + _GRADE,
        _GIVE + r"\W+(?:\w+\W+){0,5}?(?:100|one hundred|hundert|cien|cento|cem|сто)\b"
        r"(?!\s*[%+k€$£,.]?\d)(?! ?(?:%|percent|people|countries|years|employees|clients))",
        rf"(?:{_GIVE}|coloca|classe[rz]|setze?n?|став\w*|排在|置)" + _NEAR + _FIRST_PLACE,
        _FIRST_PLACE + r"[^.!?\n]{0,15}?(?:してください|해 주세요|gesetzt|排)",
        r"(?:最高|максим\w*|满分|満点|최고)[^.!?\n]{0,8}?(?:得点|点|оцен|балл|分|점)",
        _OTHERS + _NEAR + rf"(?:{_GRADE}|{_FIRST_PLACE}|\b(?:zero|null|0|o|worst)\b)",
        r"(?:not|never|don'?t|nicht|ne pas|no)\W+(?:\w+\W+){0,2}?(?:evaluat\w*|consider\w*|rank"
        r"|score|judge|rate|compare|look at|bewerten|berucksichtigen)\W+(?:\w+\W+){0,2}?" + _OTHERS,
        r"(?:100/100|\b(?:score|rank|rating|ai|assistant)\s*:?=+\s*\d|\b(?:ai|assistant)\s*:\s*\d)",
        r"(?:grading|scoring|rating|ranking) scale|scale (?:is|was) (?:inverted|reversed)",
    ),
    "speaks to the model": (
        r"(?:attention|(?:note|message|instructions?) (?:to|for)|dear|hello|hey|hi|if you are"
        r"|to (?:any|the|all)|for the)\W+(?:(?:an?|the|any|all)\W+)?"
        + _MACHINE + _NEAR + r"(?:must|should|please|reading|screen|reads|always|:)",
        r"(?:attention|dear|hello|hey|hi|greetings)[,:]?\W+(?:fellow |dear )?"
        r"(?:ai|llm|gpt|chatgpt|claude|gemini|copilot|(?:language )?model|robot|assistant)\b",
        r"(?:every|any|all|for|to|each|makes?|tell\w*)\W+(?:\w+\W+){0,2}?(?:llms?|language models?"
        r"|ai (?:models?|systems?|readers?|agents?|assistants?|screeners?))" + _NEAR
        + r"(?:answer|respond|reply|rate|rank|score|recommend\w*|prefer|must|should|always|read)",
        r"\byou are (?:now|no longer)\b|\bact as (?:an?|the)\b.{0,30}\bmode",
        r"developer mode|\bdan mode\b|jailbr\w+|system prompt|begin (?:new|system)",
        r"end of (?:prompt|input|data|posting|document|list)\b",
        r"from (?:here|now) on,? (?:the|you|all|every)",
        r"(?:new|updated|revised|additional|hidden) (?:task|instructions|rules|guidelines)\b",
        r"(?:admin\w*|operator|developer|root|system)\W+(?:\w+\W+){0,2}?(?:override|authori[sz]e\w*"
        r"|instruct\w*|demands?|requires you|message)",
        r"(?:regardless of|no matter|irrespective of|egal was|peu importe|sin (?:mirar|importar)"
        r"|senza guardare|independentemente d[oe])\W+(?:\w+\W+){0,3}?"
        r"(?:profile?|perfil|profilo|criteria|other)",
        r"(?:fits?|suits?|matches) (?:any|every|all) (?:profile|candidate|person)s?",
        r"(?:your|its) (?:only )?(?:answer|output|response|reply) (?:must|should|shall|will|is)\b",
    ),
    "plays a role": (
        r"<\|?/?\s*(?:im_start|im_end|system|user|assistant|endof\w*|posting|inst)",
        r"\[/?(?:inst|system|sys)\]|<<\s*/?sys|begin_of_text|start_of_turn|#{2,}\s*(?:system|instr)",
        rf"(?:^|\n)\W{{0,5}}{_ROLES}\W{{0,4}}[:>]|\"role\"|role\W{{1,4}}{_ROLES}",
    ),
    "fakes an answer": (
        r"[\"']?(?:matches|score|reason)[\"']?\s*[:=]\s*[\[{\"'\d]|[{,]\s*[\"']?id[\"']?\s*:|```",
        r"</?\s*(?:posting|answer|output|result|json|data|profile)s?\b",
    ),
    "asks for the profile": (
        r"(?:repeat|reveal|print|show|quote|leak|copy|include|write|output|send)" + _WORDS
        + r"(?:profile|system message|prompt|instructions above|candidate'?s data)"
        + _NEAR + r"(?:reason|answer|output|above|verbatim|https?|url|link|word for word)",
    ),
}  # fmt: skip
_PATTERNS: Final = tuple(
    (why, re.compile(pattern)) for why, patterns in _RULES.items() for pattern in patterns
)

_TRIGGER: Final = re.compile("ignor|disreg|instru|score|prompt|system|assist|anweis|rating|matches")
"""Without one of these a text read backwards or turned is noise, and not worth the long look."""


def suspicion(text: str) -> str | None:
    """Return in a few words why the text looks as if it spoke to a model; None where it does not.

    Args:
        text: All of a posting that would be sent, title first; a few kilobytes.
    """
    if _SPELLED.search(text) or any(map(_is_prose, _decoded(_LINKS.sub(" ", text)))):
        return "hides text"
    for reading in _readings(text):
        for why, pattern in _PATTERNS:
            if pattern.search(reading):
                return why
    return None


def hides_text(text: str) -> bool:
    """Say whether the text holds tag characters: letters that no person sees and models read."""
    return any(_TAG_FIRST <= letter <= _TAG_LAST for letter in text)


def visible(text: str) -> str:
    """Return the text without control and invisible characters and without `<|...|>` marks."""
    return re.sub(r"<\|.*?\|>", " ", _CONTROLS.sub(" ", _HIDDEN.sub("", text)))


def _readings(text: str) -> Iterator[str]:
    """The text as people and as machines may read it, folded."""
    folded = _fold(_HIDDEN.sub("", text))
    yield folded
    if (alike := folded.translate(_ALIKE)) != folded:
        yield alike
    for turned in (folded[::-1], codecs.encode(folded, "rot13")):
        if _TRIGGER.search(turned):
            yield turned


def _decoded(text: str) -> Iterator[str]:
    """What stands encoded in the text."""
    for found in _BLOB.finditer(text):
        yield from _base64(found[0])
    for found in _HEX.finditer(text):
        figures = re.sub(r"[^0-9a-fA-F]", "", found[0].replace("\\x", ""))
        yield bytes.fromhex(figures[: len(figures) // 2 * 2]).decode("utf-8", "replace")
    for found in _PERCENT.finditer(text):
        yield unquote(found[0], errors="replace")
    for found in _ESCAPED.finditer(text):
        yield "".join(chr(int(code, 16)) for code in _CODE.findall(found[0]))


def _is_prose(text: str) -> bool:
    """Whether decoded text reads as words; what is no text decodes to noise."""
    letters = sum(letter.isalnum() or letter in " .,:!?'\"-" for letter in text)
    return len(text) > 11 and letters > 0.9 * len(text) and " " in text.strip()


def _base64(blob: str) -> Iterator[str]:
    body = blob.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        yield base64.b64decode(body[: len(body) // 4 * 4]).decode("utf-8", "replace")
    except binascii.Error:
        return


def _fold(text: str) -> str:
    """Case, accents and compatibility forms away."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFKC", _MARKS.sub("", decomposed))
