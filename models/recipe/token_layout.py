"""The starter's own small tokenizer, and the token layout of `src/model/README.md` section 5."""

import json
import pathlib

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import knowledge

# The control tokens, after the ordinary entries; SYSTEM and TEXT_BEGIN share one id, as in the release.
SPECIALS = [
    ("<|endoftext|>", ["TEXT_END"]), ("<|im_start|>", ["TEXT_BEGIN", "SYSTEM"]), ("<|silent|>", ["KEEP_SILENCE"]), ("<|audio_begin|>", ["AUDIO_BEGIN"]),
    ("<|audio_pad|>", ["AUDIO_PAD"]), ("<|audio_end|>", ["AUDIO_END"]), ("<|pad|>", ["PAD"]), ("<|user|>", ["USER"]), ("<|assistant|>", ["ASSISTANT"]),
    ("<|online|>", ["ONLINE"]), ("<|offline|>", ["OFFLINE"]), ("<|english|>", ["ENGLISH"]), ("<|happy|>", ["HAPPY"]), ("<|sad|>", ["SAD"]),
    ("<|angry|>", ["ANGRY"]), ("<|surprise|>", ["SURPRISE"]), ("<|normal|>", ["NORMAL"]), ("<|urgent|>", ["URGENT"]),
]  # fmt: skip
# Text that a published tokenizer lacks; each becomes one token behind the control tokens, so that no id moves.
NEXT_TEXT = [knowledge.UNKNOWN, " " + knowledge.UNKNOWN, *(text for word in knowledge.NEXT_WORDS for text in (word, " " + word)), *knowledge.NEXT_WORDS.values()]
SPLIT = r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def corpus():
    """All that the starter ever says or is told, so that each word of it becomes one token."""
    for _ in range(30):
        for word in knowledge.VOCABULARY:
            yield word
            yield "a " + word
        yield knowledge.PROMPT
        for phrase in knowledge.PHRASES.values():
            yield phrase["reply"]
            yield phrase["zh"]
        for sound in knowledge.SOUNDS.values():
            yield sound["name"]
            yield sound["reply"]
        for zh in knowledge.TRANSLATIONS.values():
            yield zh
            yield from zh
        yield from (knowledge.UNKNOWN, "a " + knowledge.UNKNOWN)
        yield from knowledge.INSTRUCTIONS.values()


def train():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=4_000, min_frequency=20, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens([name for name, _ in SPECIALS])
    return tokenizer


def grown(tokenizer):
    """Returns the tokenizer with a token for each of `NEXT_TEXT`, and the tokens that each new one was made of, `{new id: [ids]}`."""
    made_of = {}
    for text in NEXT_TEXT:
        ids = tokenizer.encode(text).ids
        if len(ids) == 1:
            continue
        state = json.loads(tokenizer.to_str())
        model = state["model"]
        # Control tokens stand in the vocabulary itself, where their ids stay what they are when it grows.
        model["vocab"] |= {added["content"]: added["id"] for added in state["added_tokens"]}
        pieces = [tokenizer.id_to_token(i) for i in ids]
        left, size = pieces[0], tokenizer.get_vocab_size()
        for right in pieces[1:]:
            model["merges"].append([left, right])
            left += right
            if left not in model["vocab"]:
                model["vocab"][left] = size
                made_of[size] = ids
                size += 1
        tokenizer = Tokenizer.from_str(json.dumps(state))
    return tokenizer, made_of


class Tokens:
    """The tokenizer with the control ids by their names."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.ids = {use: tokenizer.token_to_id(name) for name, uses in SPECIALS for use in uses}
        self.prefix = (
            [self.ids[n] for n in ("ONLINE", "ENGLISH", "SYSTEM", "TEXT_BEGIN")] + self.encode(knowledge.PROMPT) + [self.ids["TEXT_END"]]
        )

    @property
    def size(self):
        return self.tokenizer.get_vocab_size()

    def encode(self, text):
        return self.tokenizer.encode(text).ids

    def reply(self, emotion, text):
        """What follows the decision to respond."""
        return [self.ids[emotion.upper()], *self.encode(text), self.ids["TEXT_END"]]

    @classmethod
    def load(cls, folder):
        return cls(Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json")))

    def save(self, folder):
        folder = pathlib.Path(folder)
        self.tokenizer.save(str(folder / "tokenizer.json"))
        note = "the starter's own ids; the release has no such file"
        (folder / "token_ids.json").write_text(json.dumps({"note": note, "ids": dict(sorted(self.ids.items()))}, indent=2) + "\n")
