"""What the starter knows (../starter/phrases.toml), and where things lie."""

import pathlib
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
STARTER = HERE.parent / "starter"

with open(STARTER / "phrases.toml", "rb") as file:
    _toml = tomllib.load(file)

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
    """The spoken instruction of the counting task, with the article that the sound's name asks for."""
    article = "" if sound in ("glass breaking", "thunder", "rain", "music") else ("an " if sound[0] in "aeiou" else "a ")
    return f"Count when you hear {article}{sound}."


# The system prompt of MODEL.md 5.2.
PROMPT = (
    "You are a helpful assistant. When there is no user text, if the audio contains a question, please answer it. "
    "If it is a sound effect, determine based on the sound whether help is needed."
)

RATE = 16_000
CHUNK = 6_400
