"""The bank of spoken clips, made once and kept on disk: `python bank.py DIR [--part trained|held-out] [--seed N]`.

A clip is a dict: `kind` (word, phrase, text, middle: a phrase within other speech, talk, foreign, reply, instruction), `words` [(word, start, end)] in samples,
`phones` [(start, mnemonic)] or None, `voice`, and where its samples lie in the bank's one file.
"""

import argparse
import json
import multiprocessing
import pathlib
import wave

import numpy as np
from scipy.fft import dct
from scipy.signal import resample_poly

import knowledge
import voices

# How the names of the voices begin that were learnt from people (neural.py: language and sex).
NATURAL = {language + sex for language in "abefhijpz" for sex in "fm"}
WORDS = pathlib.Path("/usr/share/dict/words")  # Debian: wamerican


def talk_words(espeak, r, count=4_000):
    """Returns words outside the vocabulary, none of which sounds like a word of it."""
    known = [tuple(espeak.phonemes(w)) for w in knowledge.VOCABULARY]
    long_known = [p for p in known if len(p) >= 3]
    everyday = [w for w in WORDS.read_text().split() if w.isascii() and w.isalpha() and w.islower() and 3 <= len(w) <= 9]
    picked = []
    for word in r.permutation(everyday):
        p = tuple(espeak.phonemes(str(word)))
        near = any(abs(len(p) - len(q)) <= 1 and distance(p, q) <= 1 for q in known)
        inside = any(p[: len(q)] == q or p[-len(q) :] == q for q in long_known)
        if not near and not inside:
            picked.append(str(word))
        if len(picked) == count:
            break
    return picked


def distance(a, b):
    """Returns the edit distance of two sequences."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def texts(r, talk, per):
    """Returns the texts of the bank, `[(kind, text)]`; `per` scales their number."""
    vocabulary, phrases = knowledge.VOCABULARY, list(knowledge.PHRASES)
    out = []
    for word in vocabulary:
        out += [("word", word)] * int(60 * per)
    for phrase in phrases:
        out += [("phrase", phrase)] * int(90 * per)
    pick = lambda source, low, high: [str(w) for w in r.choice(source, r.integers(low, high + 1))]
    for _ in range(int(5_000 * per)):  # words of the vocabulary in a row
        out.append(("text", " ".join(pick(vocabulary, 2, 7))))
    for _ in range(int(1_500 * per)):  # nearly a phrase
        words = str(r.choice(phrases)).split()
        if r.uniform() < 0.5 and len(words) > 2:
            words = words[: int(r.integers(1, len(words)))]
        else:
            words[int(r.integers(0, len(words)))] = str(r.choice(vocabulary))
        out.append(("text", " ".join(words)))
    for _ in range(int(2_500 * per)):  # a phrase in the middle of other speech
        comma = ", " if r.uniform() < 0.5 else " "
        source = talk if r.uniform() < 0.7 else vocabulary
        before, after = pick(source, 0, 4), pick(source, 0, 4)
        out.append(("middle", comma.join(filter(None, [" ".join(before), str(r.choice(phrases)), " ".join(after)]))))
    for _ in range(int(2_500 * per)):
        out.append(("talk", " ".join(pick(talk, 1, 8))))
    for _ in range(int(300 * per)):
        out.append(("foreign", " ".join(pick(talk, 4, 9))))
    replies = [p["reply"] for p in knowledge.PHRASES.values()] + [s["reply"] for s in knowledge.SOUNDS.values() if s["reply"]]
    for reply in replies:
        out += [("reply", reply)] * max(1, int(6 * per))
    for name, text in knowledge.INSTRUCTIONS.items():
        out += [("instruction:" + name, text)] * int(120 * per)
    for sound in knowledge.SOUND_NAMES:
        out += [("instruction:count " + sound, knowledge.count_instruction(sound))] * int(25 * per)
    return out


def make_share(folder, name, index, count, seed, part, per, attempt):
    """Speaks one share of the texts and saves it."""
    r = np.random.default_rng([seed, index, attempt])
    espeak = voices.Espeak()
    variants = voices.TRAINED if part == "trained" else voices.HELD_OUT
    # Every process draws the same texts in the same order and takes its share.
    shared = np.random.default_rng(seed)
    mine = texts(shared, talk_words(espeak, shared), per)[index::count]
    samples, clips = [], []
    for kind, text in mine:
        accent = str(r.choice(voices.FOREIGN if kind == "foreign" else voices.ACCENTS))
        # The plain accent is a voice as well; the evaluation has only variants never heard.
        voice = accent if part == "trained" and r.uniform() < 0.06 else f"{accent}+{r.choice(variants)}"
        if kind == "reply":  # Hearken's own voice, mostly
            voice = str(r.choice(["gmw/en-US", "gmw/en", "gmw/en-US+f3"]))
        speed = int(np.clip(r.normal(150, 28), 85, 240))
        x, spans, phones = espeak.say(text, voice, speed, int(r.integers(15, 85)), int(r.integers(20, 90)), int(r.choice([0, 0, 0, 2, 5])))
        words = [w.strip(".,!?").lower() for w in text.split()]
        if len(x) < 800 or (kind not in ("foreign", "reply") and len(spans) != len(words)):
            continue  # espeak-ng read two words as one: no times for them
        if kind == "foreign":
            words, phones = [], None
        samples.append((np.clip(x / np.abs(x).max(), -1, 1) * 32_000).astype(np.int16))
        clips.append({"kind": kind, "words": [(w, *s) for w, s in zip(words, spans)], "phones": phones, "voice": voice, "len": len(x)})
    save(folder, f"{name}.{index}", clips, samples)


def run_shares(make, shares, at_once, *rest):
    """Runs `make`, which takes the arguments of `make_share`, for each share in its own process.

    espeak-ng crashes on a few of its own voices: a share that fails is spoken again with other voices.
    """
    waiting, running = [(i, 0) for i in range(shares)], []
    while waiting or running:
        while waiting and len(running) < at_once:
            index, attempt = waiting.pop(0)
            process = multiprocessing.Process(target=make, args=(*rest[:2], index, shares, *rest[2:], attempt))
            process.start()
            running.append((process, index, attempt))
        for process, index, attempt in list(running):
            process.join(0.2)
            if process.exitcode is None:
                continue
            running.remove((process, index, attempt))
            if process.exitcode:
                print(f"share {index} failed with {process.exitcode}", flush=True)
                if attempt < 8:
                    waiting.append((index, attempt + 1))


def digits(folder, speakers, patterns=None):
    """Returns `(clips, samples)` of the recordings of spoken digits, trimmed; with `patterns` also their phonemes."""
    clips, samples = [], []
    for path in sorted(pathlib.Path(folder).glob("*.wav")):
        digit, speaker, _ = path.stem.split("_")
        if speaker not in speakers:
            continue
        with wave.open(str(path)) as file:
            x = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32)
            x = resample_poly(x, knowledge.RATE, file.getframerate())
        loud = np.flatnonzero(np.abs(x) > 0.04 * np.abs(x).max())
        x = x[max(0, loud[0] - 320) : loud[-1] + 320]
        samples.append((x / np.abs(x).max() * 32_000).astype(np.int16))
        word = knowledge.VOCABULARY[int(digit)]
        phones = patterns.align(x, word) if patterns else None
        clips.append({"kind": "word", "words": [(word, 0, len(x))], "phones": phones, "voice": "real " + speaker, "len": len(x)})
    return clips, samples


class Patterns:
    """Readings of words by espeak-ng, laid onto recordings by dynamic time warping (Sakoe and Chiba 1978) to find their phonemes."""

    HOP = 160

    def __init__(self, espeak=None):
        self.espeak, self.of = espeak or voices.Espeak(), {}

    @staticmethod
    def cepstra(x):
        """Returns the cepstra `[frames, 13]` of the telephone band, without their mean."""
        frames = np.lib.stride_tricks.sliding_window_view(np.pad(x / (np.abs(x).max() + 1e-9), 200), 400)[:: Patterns.HOP]
        power = np.abs(np.fft.rfft(frames * np.hanning(400), 512)) ** 2
        edges = (np.geomspace(200, 3_800, 25) / knowledge.RATE * 512).astype(int)
        bands = np.log(np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1) + 1e-4)
        out = dct(bands, norm="ortho")[:, :13]
        return out - out.mean(0)

    def align(self, x, word):
        """Returns the phonemes `[(start, mnemonic)]` of the nearest reading."""
        if word not in self.of:
            spoken = [
                self.espeak.say(word, voice, speed)
                for voice in ("gmw/en-US", "gmw/en-US+f3", "gmw/en-GB-x-rp", "gmw/en+m3")
                for speed in (120, 170)
            ]
            self.of[word] = [(self.cepstra(y), phones) for y, _, phones in spoken]
        best, _, at = warped(self.cepstra(x), [pattern for pattern, _ in self.of[word]])
        return [(int(np.searchsorted(at, start / self.HOP)) * self.HOP, phone) for start, phone in self.of[word][best][1]]


def warped(heard, patterns):
    """Returns `(index of the nearest pattern, its distance, [its frame at each frame of heard])` along the best path."""
    rows, columns = len(heard), max(map(len, patterns))
    apart = np.zeros((rows, columns, len(patterns)), np.float32)
    for p, pattern in enumerate(patterns):
        square = (heard**2).sum(1)[:, None] + (pattern**2).sum(1) - 2 * heard @ pattern.T
        apart[:, : len(pattern), p] = np.sqrt(np.maximum(square, 0))
    # All cells of a diagonal at once, for all patterns; what lies behind the end of a pattern leads nowhere back into it.
    total = np.full((rows + 1, columns + 1, len(patterns)), np.inf, np.float32)
    total[0, 0] = 0
    for diagonal in range(rows + columns - 1):
        i = np.arange(max(0, diagonal - columns + 1), min(diagonal, rows - 1) + 1)
        j = diagonal - i
        total[i + 1, j + 1] = apart[i, j] + np.minimum(np.minimum(total[i, j], total[i, j + 1]), total[i + 1, j])
    distance, best = min((total[rows, len(pattern), p] / (rows + len(pattern)), p) for p, pattern in enumerate(patterns))
    total = total[..., best]
    i, j, at = rows, len(patterns[best]), np.zeros(rows)
    while i and j:
        at[i - 1] = j - 1
        i, j = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda cell: total[cell])
    return best, float(distance), at


def save(folder, name, clips, samples):
    at = 0
    for clip in clips:
        clip["at"] = at
        at += clip["len"]
    folder.mkdir(parents=True, exist_ok=True)
    np.concatenate(samples).tofile(folder / f"{name}.i16")
    (folder / f"{name}.json").write_text(json.dumps(clips))
    print(f"{name}: {len(clips)} clips, {at / knowledge.RATE / 60:.0f} minutes", flush=True)


def load(folder, name):
    """Returns `(clips, samples)` of all shares."""
    clips, samples, at = [], [], 0
    for path in sorted(pathlib.Path(folder).glob(f"{name}.*.json")):
        part = np.fromfile(path.with_suffix(".i16"), np.int16)
        for clip in json.loads(path.read_text()):
            clip["at"] += at
            clips.append(clip)
        samples.append(part)
        at += len(part)
    return clips, np.concatenate(samples)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("folder", type=pathlib.Path)
    a.add_argument("--part", default="trained", choices=["trained", "held-out"])
    a.add_argument("--name")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--per", type=float, default=1.0, help="scales the number of clips")
    a.add_argument("--shares", type=int, default=24)
    a.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    a = a.parse_args()
    run_shares(make_share, a.shares, a.processes, a.folder, a.name or a.part, a.seed, a.part, a.per)


if __name__ == "__main__":
    main()
