"""Words by which responses in other languages than English introduce an answer, join numbers and scale them.

The languages are those of MGSM (Shi et al. 2023) and others that models often answer in. Words are in lower case.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """A language's words.

    answer: nouns that mean "answer"
    link: what a sentence may have between such a noun and the answer, besides a colon; "" if a number may follow it
    result: nouns that mean "answer" on the last line, but often head the working
    """

    answer: tuple[str, ...]
    link: tuple[str, ...]
    result: tuple[str, ...] = ()


ANSWERS: Mapping[str, Words] = {
    "ar": Words(("الإجابة", "الاجابة", "إجابة", "الجواب", "جواب"), ("هي", "هو", "تساوي", "")),
    "bn": Words(("উত্তর", "উত্তরটি", "উত্তরঃ"), ("হল", "হলো", "হচ্ছে", "হবে", "হয়", "")),
    "cs": Words(("odpověď",), ("je", "zní"), ("výsledek",)),
    "da": Words(("svaret", "svar"), ("er",)),
    "de": Words(
        ("antwort", "endantwort"),
        ("ist", "lautet", "beträgt", "wäre", "ist also", "ist somit", "lautet also", "lautet daher"),
        ("ergebnis", "lösung"),
    ),
    "el": Words(("απάντηση",), ("είναι",)),
    "es": Words(
        ("respuesta",),
        ("es", "sería", "será", "es igual a", "es de", "es por lo tanto", "son"),
        ("resultado", "solución"),
    ),
    "fa": Words(("پاسخ", "جواب"), ("برابر است با", "")),
    "fi": Words(("vastaus", "lopullinen vastaus"), ("on",)),
    "fr": Words(
        ("réponse", "reponse"),
        ("est", "serait", "sera", "est donc", "est de", "est égale à", "est égal à"),
        ("résultat", "solution"),
    ),
    "gu": Words(("જવાબ", "ઉત્તર"), ("છે", "")),
    "he": Words(("תשובה", "התשובה"), ("היא", "")),
    "hi": Words(("उत्तर", "जवाब"), ("है", "होगा", "")),
    "hu": Words(("válasz",), ("az", ""), ("végeredmény",)),
    "id": Words(("jawaban", "jawabannya", "jawapan"), ("adalah", "ialah", "yaitu")),
    "it": Words(("risposta",), ("è", "sarebbe", "sarà", "è quindi", "è pari a"), ("risultato", "soluzione")),
    "ja": Words(("答え", "こたえ", "回答", "正解"), ("は", "は、", "が", "となり"), ("解答", "結果")),
    "ko": Words(("정답", "답변", "대답", "답"), ("은", "는", "이")),
    "mr": Words(("उत्तर",), ("आहे", "")),
    "nl": Words(("antwoord", "eindantwoord"), ("is", "luidt", "bedraagt", "is dus"), ("uitkomst", "resultaat")),
    "pl": Words(("odpowiedź", "odpowiedz"), ("to", "wynosi", "brzmi", "jest"), ("wynik",)),
    "pt": Words(("resposta",), ("é", "é de", "será", "seria", "é igual a", "é portanto"), ("resultado", "solução")),
    "ro": Words(("răspuns",), ("este", "e"), ("rezultat",)),
    "ru": Words(
        ("ответ",),
        ("равен", "будет", "составляет", "составит", "является", "это", "таков", ""),
        ("результат", "итого"),
    ),
    "sv": Words(("svaret", "svar"), ("är",)),
    "sw": Words(("jibu", "majibu", "jawabu"), ("ni", "litakuwa", "lake ni", "hapa ni", "litakuwa ni", "")),
    "ta": Words(("பதில்", "விடை"), ("ஆகும்", "")),
    "te": Words(("సమాధానం", "జవాబు", "సమాధానము"), ("ఏమిటంటే", "అవుతుంది", ""), ("ఫలితం",)),
    "th": Words(("คำตอบ", "ตอบ"), ("คือ", "เท่ากับ", "เป็น", "ที่ได้คือ", "ก็คือ", "จึงเป็น", ""), ("เฉลย", "ผลลัพธ์")),
    "tr": Words(("cevap", "yanıt", "cevabı", "cevabımız", "yanıtı"), ("olarak", "")),
    "uk": Words(("відповідь",), ("дорівнює", "буде", "становить", "це", ""), ("результат",)),
    "ur": Words(("جواب",), ("ہے", "")),
    "vi": Words(("đáp án", "đáp số", "câu trả lời"), ("là", "bằng", "sẽ là"), ("trả lời", "kết quả")),
    "zh": Words(
        ("答案", "答"),
        ("是", "为", "為", "等于", "等於", "应该是", "應該是", "应为", "就是", "即", "即为"),
        ("解答", "结果", "結果"),
    ),
}

UNSPACED = ("ja", "ko", "th", "zh")
"""Languages whose words follow each other without a space, or in which a noun has its particle at its end."""

JOINS = (
    "or", "and", "to", "plus", "minus", "times", "until", "through", "versus", "vs", "oder", "und", "bis", "ou", "et",
    "à", "o", "u", "y", "e",
    "a", "или", "и", "до", "або", "і", "lub", "albo", "i", "of", "en", "tot", "ve", "veya", "au", "na", "hadi", "atau",
    "dan", "hoặc", "và", "đến", "หรือ", "และ", "ถึง", "বা", "এবং", "থেকে", "అథవా", "లేదా", "మరియు", "నుండి", "या",
    "और", "से", "أو", "و", "إلى", "または", "もしくは", "か", "と", "から",
    "或", "或者", "和", "到", "至", "또는", "와", "과",
)  # fmt: skip
"""Words between two numbers that make a range, a list or a doubt of them: "18 or 20"."""

SCALES: Mapping[str, int] = {
    "hundred": 2,
    **dict.fromkeys(("thousand", "tausend", "mille", "mil", "duizend", "mila", "elfu", "bin", "ribu", "nghìn"), 3),
    **dict.fromkeys(("тысяч", "тысячи", "тысяча", "тыс", "тис", "হাজার", "వేల", "వేలు", "พัน", "हज़ार", "हजार", "ألف"), 3),
    **dict.fromkeys(("lakh", "lakhs", "লাখ", "লক্ষ", "లక్ష", "లక్షలు", "लाख", "แสน"), 5),
    **dict.fromkeys(("million", "millions", "millionen", "millón", "millones", "milhão", "milhões", "milioni"), 6),
    **dict.fromkeys(("milione", "miljoen", "milion", "mln", "mn", "миллион", "миллиона", "миллионов", "млн"), 6),
    **dict.fromkeys(("milyon", "juta", "triệu", "ล้าน", "মিলিয়ন", "మిలియన్", "مليون"), 6),
    **dict.fromkeys(("crore", "crores", "কোটি", "కోటి", "करोड़"), 7),
    **dict.fromkeys(("billion", "billions", "bn", "milliarden", "milliarde", "milliard", "milliards", "млрд"), 9),
    **dict.fromkeys(("миллиард", "миллиарда", "миллиардов"), 9),
    "trillion": 12,
    "trillions": 12,
}
"""Words behind a number that multiply it, with their power of ten."""
