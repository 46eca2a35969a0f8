"""The words, phrases and sounds of the starter (../starter/phrases.toml), and the places of files."""

import pathlib
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
STARTER = HERE.parent / "starter"

# Words that the next starter learns beside those of the published one, with their translations.
NEXT_WORDS = {"down": "下面", "left": "左边", "right": "右边"}
# How transcription writes a stretch of speech outside the vocabulary.
UNKNOWN = "…"


def phrases_text() -> str:
    """Returns the text of `phrases.toml` with the words of `NEXT_WORDS` in it, as an export carries it."""
    text = (STARTER / "phrases.toml").read_text()
    known = tomllib.loads(text)["vocabulary"]
    new = [word for word in NEXT_WORDS if word not in known]
    if not new:
        return text
    head, tail = text.split("\n]\n", 1)
    quoted = [f'"{word}"' for word in new]
    lines = "".join(f'\n[[translation]]\nen = "{word}"\nzh = "{NEXT_WORDS[word]}"\n' for word in new)
    return f"{head}\n    {', '.join(quoted)},\n]\n{tail.rstrip()}\n{lines}"


_toml = tomllib.loads(phrases_text())

VOCABULARY = list(_toml["vocabulary"])
PHRASES = {p["say"]: p for p in _toml["phrase"]}
TRANSLATIONS = {t["en"]: t["zh"] for t in _toml["translation"]}
SOUNDS = {s["name"]: s for s in _toml["sound"]}
SOUND_NAMES = list(SOUNDS)

INSTRUCTIONS = {
    "transcribe": "Transcribe what you hear.",
    "translate": "Translate the conversation into Chinese.",
    "sounds": "Describe what you hear.",
}
COUNTS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def count_instruction(sound: str) -> str:
    """Returns the spoken instruction of the counting task, with the article that the sound's name asks for."""
    article = "" if sound in ("glass breaking", "thunder", "rain", "music") else ("an " if sound[0] in "aeiou" else "a ")
    return f"Count when you hear {article}{sound}."


# The system prompt (`src/model/README.md` section 5.2).
PROMPT = (
    "You are a helpful assistant. When there is no user text, if the audio contains a question, please answer it. "
    "If it is a sound effect, determine based on the sound whether help is needed."
)

RATE = 16_000
CHUNK = 6_400
