import pytest

from genome.tasks import parse_task
from genome.tasks.extraction import find_answer
from genome.tasks.languages import ANSWERS
from genome.tasks.scoring import extract

NUMBER = {"category": "c", "source": {"path": "x"}, "prompt": "{{ q }}", "reference": "a", "kind": "number"}
NUMBER |= {"metric": "accuracy"}

SENTENCES = {
    "bn": ["উত্তর: ১২৩৪", "চূড়ান্ত উত্তর: 1,234", "সুতরাং উত্তর হলো ১,২৩৪টি।", "সঠিক উত্তর 1234"],
    "de": [
        "Antwort: 1.234",
        "Die endgültige Antwort lautet 1.234.",
        "**Endantwort:** 1234 Euro",
        "Das Ergebnis ist 1.234.",
    ],
    "en": ["Answer: 1,234", "So the answer must be 1234.", "**Final Answer** 1,234"],
    "es": ["Respuesta: 1.234", "La respuesta final es 1 234.", "La respuesta a la pregunta es **1234** euros."],
    "fr": ["Réponse : 1 234", "La réponse finale est donc 1\u202f234.", "### Réponse\n1234 €"],
    "ja": [
        "答え：１２３４",
        "したがって、答えは1,234個です。",
        "最終的な答えは **1234** 円です。",
        "答えは千二百三十四です",
    ],
    "ru": ["Ответ: 1 234", "Правильный ответ — 1234.", "Ответом является 1234 рубля", "Ответ 1234"],
    "sw": ["Jibu: 1,234", "Jibu ni 1234.", "Jibu la mwisho ni shilingi 1,234."],
    "te": ["సమాధానం: 1,234", "తుది సమాధానం: ౧౨౩౪", "కాబట్టి సమాధానం 1234."],
    "th": ["คำตอบ: ๑,๒๓๔", "ดังนั้นคำตอบคือ 1,234 บาท", "คำตอบสุดท้ายคือ 1234", "ตอบ 1234 บาท"],
    "zh": ["答案：1234", "最终答案是1,234元。", "所以答案为一千二百三十四。", "答：一共有1234个苹果。"],
}
"""Ways to say in the languages of MGSM that the answer is 1234."""


@pytest.mark.parametrize("sentence", [sentence for sentences in SENTENCES.values() for sentence in sentences])
def test_the_answer_is_read_in_the_languages_of_mgsm(sentence):
    task = parse_task("some", {**NUMBER, "integers": True})
    assert extract(task, {}, f"3 + 4 = 7\n{sentence}") == "1234"


@pytest.mark.parametrize(("language", "words"), ANSWERS.items())
def test_every_word_for_an_answer_is_read_with_a_colon_a_heading_and_its_links(language, words):
    for noun in words.answer:
        assert find_answer(f"1 + 1 = 2\n{noun.capitalize()}: 5") == "5"
        assert find_answer(f"## {noun.capitalize()}\n5") == "5"
        for link in words.link:
            assert find_answer(f"{noun} {link} 5") == "5", (noun, link)


def test_the_last_answer_counts_and_english_comes_first():
    assert find_answer("Antwort: 4\nNein.\nAntwort: 5") == "5"
    assert find_answer("Answer: 5\nAntwort: 4") == "5"


@pytest.mark.parametrize(
    "text",
    ["Antworten Sie bitte auf 5 Fragen.", "Ответьте на 5 вопросов", "答え方を5つ示す", "svart 5", '"svar wars": 5'],
)
def test_other_words_with_the_same_start_are_not_an_answer(text):
    assert find_answer(text) is None


def test_the_word_for_a_result_counts_on_the_last_line_only():
    task = parse_task("some", NUMBER)
    assert extract(task, {}, "16 - 3 = 13\nDas Ergebnis ist 5.") == "5"
    assert extract(task, {}, "Lösung: 16 - 3 = 13\nund weiter") is None
    assert extract(task, {}, "Ergebnis: 4\n#### 5") == "5"
