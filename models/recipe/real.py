"""Recordings of people and of sounds, for the bank: `python real.py BANK [--data FOLDER]`.

The recordings of `shared/data/real` (its README names sets and licences), in two parts: `trained.real-*` for training and
`real-held.*` for evaluation. A speaker, and a recording that several files were cut from, is in one part only; which part
follows from a hash of the name, so the split is the same on every machine.

Clips of speech keep the noise around the words. Single words lie where the energy says, sentences where warping in time lays
an espeak-ng reading of them.
"""

import argparse
import csv
import hashlib
import multiprocessing
import pathlib
import re

import numpy as np
import soundfile
from scipy.signal import resample_poly

import bank
import knowledge
import others
import streams
import voices

DATA = knowledge.HERE.parents[2] / "shared" / "data"
# The share of the speakers, and of the source recordings of each class of sounds, that evaluation keeps.
HELD_SPEAKERS, HELD_SOURCES = 0.13, 0.2
HOP = 160

# Folders of sounds whose name differs from the sound's.
SOUND_OF = {name.replace(" ", "_"): name for name in knowledge.SOUND_NAMES}
# Words that sets spell otherwise than the vocabulary does.
SPELLED = {"color": "colour", "gray": "grey", "orange-color": "orange"}
# Kinds of clips: words known and timed; speech whose words nobody has written down.
UNHEARD = "unheard"
# A word of a sentence that sounds like one of the vocabulary but is not (the letter B for "be"): no loss at its place.
AMBIGUOUS = "?"


def is_held(name, share):
    """Returns True for the given share of all names, always the same ones."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 16**8 < share


def read(path):
    try:
        x, rate = soundfile.read(path, dtype="float32")
    except soundfile.LibsndfileError:  # a few very short files
        x, rate = others.decoded(path).astype(np.float32) / 32_768, knowledge.RATE
    x = x if x.ndim == 1 else x.mean(1)
    return x if rate == knowledge.RATE else resample_poly(x, knowledge.RATE, rate).astype(np.float32)


def levels(x):
    """Returns the level of every 10 ms in dB."""
    frames = x[: len(x) // HOP * HOP].reshape(-1, HOP)
    return 10 * np.log10(np.square(frames).mean(1) + 1e-10)


def spoken_part(x):
    """Returns `(start, end)` of the speech in a short recording, None where it hardly rises above the noise."""
    level = np.convolve(levels(x), np.ones(3) / 3, "same")
    floor, peak = np.percentile(level, 12), level.max()
    if peak - floor < 14:
        return None
    active = level > max(floor + 0.3 * (peak - floor), peak - 32)
    # Stretches of at least 50 ms; a click away from the word belongs to nobody.
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(int), [0]])))
    parts = [(a, b) for a, b in edges.reshape(-1, 2) if b - a >= 5]
    if not parts:
        return None
    loudest = max(parts, key=lambda part: (10 ** (level[part[0] : part[1]] / 10)).sum())
    near = [part for part in parts if part[0] - loudest[1] < 25 and loudest[0] - part[1] < 25]
    return max(0, int(near[0][0]) * HOP - 240), min(len(x), int(near[-1][1]) * HOP + 320)


def written(x):
    return (np.clip(x / (np.abs(x).max() + 1e-9), -1, 1) * 32_000).astype(np.int16)


class Sounding:
    """The pronunciation of words: those of the vocabulary by their sound, and readings of sentences to lay recordings beside."""

    VOICES = ("gmw/en-US", "gmw/en-US+f3", "gmw/en-GB-x-rp")
    # Letters that espeak-ng would read as words.
    LETTERS = {"a": "ay", "o": "oh", "i": "eye"}

    def __init__(self):
        self.espeak = voices.Espeak()
        self.known = {tuple(self.espeak.phonemes(word)): word for word in knowledge.VOCABULARY}
        self.patterns = bank.Patterns(self.espeak)

    def in_vocabulary(self, word):
        """Returns the word of the vocabulary that is spelled so, `AMBIGUOUS` for a word that only sounds like one, None for others."""
        word = SPELLED.get(word, word)
        if word in knowledge.VOCABULARY:
            return word
        return AMBIGUOUS if tuple(self.espeak.phonemes(word)) in self.known else None

    def laid_beside(self, x, words):
        """Returns `([(start, end)] of the words, phonemes)` by the reading that warps best onto the recording, None without one."""
        text = " ".join(self.LETTERS.get(word, word) for word in words)
        readings = [self.espeak.say(text, voice, 150, word_gap=8) for voice in self.VOICES]
        if any(len(spans) != len(words) for _, spans, _ in readings):
            return None
        best, _, at = bank.warped(self.patterns.cepstra(x), [self.patterns.cepstra(y) for y, _, _ in readings])
        _, spans, phones = readings[best]
        here = lambda sample: int(np.searchsorted(at, sample / bank.Patterns.HOP)) * bank.Patterns.HOP
        # A word ends where the pause after it begins.
        pauses = [sample for sample, phone in phones if phone.startswith("_")]
        ends = [min([end, *(p for p in pauses if start + 480 < p < end)]) for start, end in spans]
        return [(here(a), here(b)) for (a, _), b in zip(spans, ends)], [(here(s), p) for s, p in phones]


def word_clip(sounding, path, word, voice):
    """Returns `(clip, samples)` of a recording of a single word, None where there is nothing to be heard."""
    x = read(path)
    found = spoken_part(x) if len(x) > 4_000 else None
    if found is None:
        return None
    start, end = found
    known = sounding.in_vocabulary(word)
    if known == AMBIGUOUS:
        return None
    phones = None
    if known:
        phones = [(0, "_"), *((start + at, p) for at, p in sounding.patterns.align(x[start:end], known)), (end, "_")]
    clip = {"kind": "people" if known else "talk", "words": [(known or word, start, end)], "phones": phones, "voice": voice, "len": len(x)}
    return clip, written(x)


def sentence_clip(sounding, path, text, voice):
    x = read(path)
    level = levels(x)
    loud = np.flatnonzero(level > max(level.max() - 35, np.percentile(level, 8) + 8))
    first, end = max(0, int(loud[0]) * HOP - 320), min(len(x), int(loud[-1]) * HOP + 640)
    words = text.split()
    laid = sounding.laid_beside(x[first:end], words)
    if laid is None:
        return None
    spans, phones = laid
    # Spelled letters sound like words ("b" and "be"): their names are no words of the vocabulary, but nothing wrong either.
    names = [AMBIGUOUS if len(word) == 1 or word == "oh" else sounding.in_vocabulary(word) or word for word in words]
    clip = {
        "kind": "read",
        "words": [(name, first + a, first + b) for name, (a, b) in zip(names, spans)],
        "phones": [(0, "_"), *((first + at, p) for at, p in phones), (end, "_")],
        "voice": voice,
        "len": len(x),
    }
    return clip, written(x)


def unheard_clip(path, voice):
    x = read(path)
    return {"kind": UNHEARD, "words": [], "phones": None, "voice": voice, "len": len(x)}, written(x)


def speech_plan(folder):
    """Yields `(speaker, maker, arguments)` of every recording of speech."""
    for path in sorted((folder / "commands").glob("*/*.ogg")):
        person = path.stem.split("_")[0]
        yield person, "word", (path, path.parent.name, f"people {person}")
    for path in sorted((folder / "wakewords").glob("*/*.ogg")):
        # Their speakers are not told apart.
        yield path.stem, "word", (path, path.parent.name.replace("_", "-"), f"people {path.stem}")
    for i, path in enumerate(sorted((folder / "gcompris-words").glob("*.ogg"))):
        # One speaker with many words; in training as many as eight words each would be.
        yield f"gcompris {path.stem}", "word", (path, path.stem, f"people gcompris{i % 70}")
    with open(folder / "an4" / "transcripts.tsv") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            yield row["speaker"], "sentence", (folder / "an4" / row["file"], row["text"], f"people {row['speaker']}")
    for name in ("coffee", "ljspeech", "mycroft"):
        for path in sorted((folder / name).glob("*.ogg")):
            yield f"{name} {path.stem}", UNHEARD, (path, f"people {name}")


def make_speech(index, count, data):
    """Returns `{held: (clips, samples)}` of one share of the recordings of speech."""
    sounding, out = Sounding(), {True: ([], []), False: ([], [])}
    makers = {"word": word_clip, "sentence": sentence_clip}
    for speaker, maker, rest in list(speech_plan(data / "real" / "speech"))[index::count]:
        made = unheard_clip(*rest) if maker == UNHEARD else makers[maker](sounding, *rest)
        if made:
            clips, samples = out[is_held(speaker, HELD_SPEAKERS)]
            clips.append(made[0])
            samples.append(made[1])
    return out


def source_of(path):
    """Returns the recording that a file of sounds was cut from."""
    stem = path.stem
    if esc := re.search(r"_\d-(\d+)-[A-Z]", stem):
        return esc[1]
    if stem.startswith("donateacry_"):
        return stem.rsplit("-", 6)[0]
    if stem.startswith("fx_"):
        return stem.split("__")[0]
    return stem


# Sources that `others.py` reads as well, which puts them into training.
ALSO_IN_DEBIAN = re.compile("scratch|lugaru|homedecor|plee|ardentryst|flare|megaglest")


def held_sources(folder, esc10):
    """Returns the sources that evaluation keeps: of each class those with the least hashes, and those of `kept_recordings`."""
    held = {path.stem.split("-")[1] for path in streams.kept_recordings(esc10)}
    for kind in sorted(folder.iterdir()):
        if kind.is_dir():
            sources = sorted({s for p in kind.glob("*.ogg") if not ALSO_IN_DEBIAN.search(s := source_of(p))}, key=lambda s: hashlib.sha256(s.encode()).hexdigest())
            held.update(sources[: max(2, round(HELD_SOURCES * len(sources)))])
    return held


# Long sounds that are heard as a whole.
WHOLE = {"rain", "music", "thunder", "siren", "alarm", "phone ringing"}


def parts_of(x, name):
    """Returns the sounds of a recording, each on its own where there are pauses between."""
    if name in WHOLE:
        level = levels(x)
        loud = np.flatnonzero(level > level.max() - 30)
        x = x[int(loud[0]) * HOP : (int(loud[-1]) + 1) * HOP]
        return [x[at : at + 8 * knowledge.RATE] for at in range(0, min(len(x), 32 * knowledge.RATE), 8 * knowledge.RATE) if len(x) - at > 0.3 * knowledge.RATE]
    most = 8 if name == "baby crying" else 4
    return [part for part in streams.heard_parts(x, name) if len(part) < most * knowledge.RATE][:8]


def make_sounds(index, count, data):
    """Returns `{held: (clips, samples)}` of one share of the recordings of sounds."""
    folder, out = data / "real" / "sounds", {True: ([], []), False: ([], [])}
    held = held_sources(folder, data / "esc10")
    paths = sorted(folder.glob("*/*.ogg"))
    for path in paths[index::count]:
        name = SOUND_OF.get(path.parent.name)
        x = read(path)
        if len(x) < 800 or np.abs(x).max() < 1e-3:
            continue
        x = x[: 32 * knowledge.RATE] / np.abs(x).max()
        for part in parts_of(x, name) if name else [x[: 12 * knowledge.RATE]]:
            if len(part) < 800 or np.abs(part).max() < 0.02:
                continue
            clips, samples = out[source_of(path) in held]
            clips.append({"kind": f"sound:{name}" if name else "background", "words": [], "phones": None, "voice": path.stem, "len": len(part)})
            samples.append(written(part))
    return out


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("bank", type=pathlib.Path)
    a.add_argument("--data", type=pathlib.Path, default=DATA)
    a.add_argument("--only", choices=["sounds", "speech"])
    a.add_argument("--shares", type=int, default=8)
    a.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    a = a.parse_args()
    for name, make in (("sounds", make_sounds), ("speech", make_speech)):
        if a.only and name != a.only:
            continue
        with multiprocessing.Pool(a.processes, maxtasksperchild=1) as pool:
            made = pool.starmap(make, [(i, a.shares, a.data) for i in range(a.shares)], chunksize=1)
        for held, part in ((False, "trained.real-"), (True, "real-held.")):
            bank.save(a.bank, part + name, *(sum((share[held][i] for share in made), []) for i in (0, 1)))


if __name__ == "__main__":
    main()
