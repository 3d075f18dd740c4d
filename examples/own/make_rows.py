"""Write rows.jsonl: 360 questions to a till, in the words that the micro base knows.

A third asks for sums, a third for change, a third for prices spelt in Spanish: no single expert knows all three.
No question was in a corpus that the base or the experts were trained on.
"""

import json
from pathlib import Path

from genome.micro.skills import FORMS, SKILLS
from genome.micro.world import held_out, phrase
from genome.rng import stream

ASKED = ("sum", "difference", "spanish_number")


def rows(count: int) -> list[dict[str, str]]:
    """Return `count` distinct rows of {question, answer}."""
    rng = stream(0, "till")
    found: dict[str, str] = {}
    while len(found) < count:
        form = FORMS[ASKED[len(found) % len(ASKED)]]
        question = form.draw(rng)
        text = phrase(rng, [SKILLS[name].dialect for name in form.skills], question.body)
        if held_out(text):
            found[text] = question.answer
    return [{"question": text, "answer": answer} for text, answer in found.items()]


if __name__ == "__main__":
    lines = [json.dumps(row) + "\n" for row in rows(360)]
    Path(__file__).with_name("rows.jsonl").write_text("".join(lines), encoding="utf-8")
