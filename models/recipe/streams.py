"""Streams of audio with their labels, and the composer of their clips and sounds.

A stream is a room: noise, voices, sounds, overlaps. Its contents decide the labels of every mode, `{chunk: (emotion, text)}` with all
other chunks silent (`src/model/README.md` section 5.3), and the frames of the auxiliary losses.
"""

import contextlib
import pathlib
from dataclasses import dataclass, field

import numpy as np
from scipy.io import wavfile

import backgrounds
import bank
import channels
import knowledge
import synthesis

CHUNK, RATE = knowledge.CHUNK, knowledge.RATE
# A sentence has ended, a word has ended, a short sound has ended when this much more has been heard.
SENTENCE_SECS, WORD_SECS, SOUND_SECS = 0.30, 0.12, 0.20
# A longer sound is named when this much of it has been heard.
LONG_SECS = 1.2
# Words outside the vocabulary that end farther apart than this belong to two stretches.
STRETCH_SECS = 2.5
# Stands for a word that sounds like one of the vocabulary but may not be meant (real.py).
AMBIGUOUS = "?"
PHONE_HOP, SOUND_HOP = 320, 640
DIGITS = knowledge.VOCABULARY[:10]
MODES = ["dialog", "transcribe", "translate", "sounds", "count"]
# Those of which there are few recordings are heard more often.
RARE_SOUNDS = ["baby crying", "rain"]
ESC = {"dog": "dog bark", "crying_baby": "baby crying", "sneezing": "sneeze", "rain": "rain"}


@dataclass
class Stream:
    audio: np.ndarray
    # [(words [(word, start, end)], kind, start, end)], samples
    utterances: list = field(default_factory=list)
    # [(name, onset, end)]
    events: list = field(default_factory=list)
    # [(mode, count target or None, end)]
    instructions: list = field(default_factory=list)
    phones: np.ndarray = None
    active: np.ndarray = None

    @property
    def chunks(self):
        return len(self.audio) // CHUNK

    @property
    def heard(self):
        """The chunks with speech or sounds, in order."""
        spans = [u[2:4] for u in self.utterances] + [e[1:3] for e in self.events] + [i[2:4] for i in self.instructions]
        return sorted({c for start, end in spans for c in range(start // CHUNK, min(end // CHUNK + 1, self.chunks))})


PHONE_CLASSES = (
    "_ t n s d I l k r m aI z E b V eI w a u: p 0 @ oU i: j f 3 g h v N D U T dZ aU A: tS 3: O: S e@ O@ i@ OI Z"
).split()
_ALIASES = {
    "_:": "_", "i": "i:", "I2": "I", "a#": "@", "@L": "l", "A@": "A:", "i@3": "i@", "t#": "t", "t2": "t", "t[": "t", "o@": "O@", "@2": "@", "r-": "r",
    "O2": "O:", "O": "O:", "aI@": "aI", "aa": "a", "I#": "I", "aI2": "aI", "aI3": "aI", "w#": "w", "U@": "u:", "IR": "3", "VR": "3", "u": "u:", "A": "A:", "e": "E",
    "0#": "0", "oU#": "oU", "E2": "E", "ei": "eI", "x": "k", "d#": "d", "U2": "U", "a2": "a", "V2": "V", "I": "I", "l#": "l", "m-": "m", "n-": "n", "3#": "3", "@-": "@", "?": "t", "*": "t", "L": "l",
}  # fmt: skip
_PHONE_ID = {p: i for i, p in enumerate(PHONE_CLASSES)}


def phone_id(mnemonic):
    return _PHONE_ID.get(_ALIASES.get(mnemonic, mnemonic), -1)


def find_phrases(words):
    """Returns `[(phrase, first, last)]` of the listed phrases in a row of words, longest first, not overlapping."""
    found, i = [], 0
    while i < len(words):
        for n in range(min(8, len(words) - i), 0, -1):
            said = " ".join(words[i : i + n])
            if said in knowledge.PHRASES:
                found.append((said, i, i + n - 1))
                i += n
                break
        else:
            i += 1
    return found


def label_chunk(sample, margin):
    return int((sample + margin * RATE) // CHUNK)


def place_label(labels, chunk, value, chunks):
    while chunk in labels:
        chunk += 1
    if chunk < chunks:
        labels[chunk] = value


def sound_chunk(onset, end):
    if end - onset > (LONG_SECS + 0.2) * RATE:
        return label_chunk(onset, LONG_SECS)
    return label_chunk(end, SOUND_SECS)


def transcribed(stream, vocabulary):
    """Yields `(end, text)` of all that transcription writes: the words of the vocabulary, and `UNKNOWN` where the first other
    word of a stretch has ended."""
    said = []
    for words, kind, start, end in stream.utterances:
        said += [(b, w) for w, _, b in words]
        if kind == "foreign":
            said.append((min(end, start + int(0.6 * RATE)), None))
    unknown_until = None
    for end, word in sorted(said, key=lambda piece: piece[0]):
        if word in vocabulary or word == AMBIGUOUS:
            unknown_until = None
            if word != AMBIGUOUS:
                yield end, word
        else:
            if unknown_until is None or end - unknown_until > STRETCH_SECS * RATE:
                yield end, knowledge.UNKNOWN
            unknown_until = end


def labels_of(stream, mode, target=None):
    """Returns `({chunk: (emotion, text)}, {chunks without a loss})` of one mode over the whole stream."""
    labels, unsure, n = {}, set(), stream.chunks
    vocabulary = set(knowledge.VOCABULARY)
    if mode == "transcribe":
        pieces = {}
        for end, word in transcribed(stream, vocabulary):
            pieces.setdefault(label_chunk(end, WORD_SECS), []).append((end, word))
        for words, kind, start, end in stream.utterances:
            if kind == "unheard":
                unsure.update(range(start // CHUNK, label_chunk(end, SENTENCE_SECS) + 1))
            unsure.update(c for w, a, b in words if w == AMBIGUOUS for c in range(a // CHUNK, label_chunk(b, WORD_SECS) + 1))
        for chunk, said in pieces.items():
            if chunk < n:
                labels[chunk] = ("normal", " ".join(w for _, w in sorted(said)))
    elif mode == "dialog":
        replies = []
        for words, kind, _, _ in stream.utterances:
            if kind != "reply":
                for say, _, last in find_phrases([w for w, _, _ in words]):
                    phrase = knowledge.PHRASES[say]
                    replies.append((label_chunk(words[last][2], SENTENCE_SECS), phrase["emotion"], phrase["reply"]))
        for name, onset, end in stream.events:
            sound = knowledge.SOUNDS[name]
            if sound["reply"]:
                replies.append((sound_chunk(onset, end), sound["emotion"], sound["reply"]))
        for chunk, emotion, text in sorted(replies):
            place_label(labels, chunk, (emotion, text), n)
    elif mode == "translate":
        said = []
        for words, kind, start, end in stream.utterances:
            names = [w for w, _, _ in words]
            phrases = find_phrases(names)
            known = sum(w in vocabulary for w in names)
            whole = known == len(names) and kind != "reply"
            units, i = [], 0
            while i < len(names):
                match = next((p for p in phrases if p[1] == i), None)
                units.append(knowledge.PHRASES[match[0]]["zh"] if match else knowledge.TRANSLATIONS.get(names[i], ""))
                i = match[2] + 1 if match else i + 1
            if whole and names and len(units) <= 3:
                said.append((label_chunk(end, SENTENCE_SECS), "".join(units)))
            elif not whole and kind != "reply" and phrases and known == sum(p[2] - p[1] + 1 for p in phrases):
                # A phrase among words that are not known.
                said += [(label_chunk(words[last][2], SENTENCE_SECS), knowledge.PHRASES[say]["zh"]) for say, _, last in phrases]
            elif known or kind == "unheard" or AMBIGUOUS in names:
                unsure.update(range(start // CHUNK, label_chunk(end, SENTENCE_SECS) + 3))
        for chunk, text in sorted(said):
            place_label(labels, chunk, ("normal", text), n)
    elif mode == "sounds":
        for name, onset, end in sorted(stream.events, key=lambda e: sound_chunk(e[1], e[2])):
            place_label(labels, sound_chunk(onset, end), ("normal", name), n)
    else:
        counted = 0
        for name, onset, end in sorted(stream.events, key=lambda e: sound_chunk(e[1], e[2])):
            if name == target and counted < len(knowledge.COUNTS):
                place_label(labels, sound_chunk(onset, end), ("normal", knowledge.COUNTS[counted]), n)
                counted += 1
    return labels, unsure - set(labels)


# Words, phrases and sounds that have just ended, by number from 1: what the decoder is asked at every 40 ms in training.
ENDED = [[*knowledge.VOCABULARY, knowledge.UNKNOWN], list(knowledge.PHRASES), knowledge.SOUND_NAMES]
_NUMBERS = [{name: i + 1 for i, name in enumerate(names)} for names in ENDED]
ENDED_FRAMES = 7
# What a lane was asked to do at its opening: what the decoder is asked at every 40 ms as well.
ASKED = [*MODES[:-1], *(f"count {name}" for name in knowledge.SOUND_NAMES)]


def ended_in(stream):
    """Returns `[frames, 3]` of 40 ms: the word, phrase and sound that ended shortly before and are due."""
    out = np.zeros((len(stream.audio) // SOUND_HOP, 3), np.int64)

    def mark(column, name, sample):
        first = int(sample) // SOUND_HOP
        out[first : first + ENDED_FRAMES, column] = _NUMBERS[column][name]

    for words, kind, _, _ in stream.utterances:
        for word, _, end in words:
            if word != AMBIGUOUS:
                mark(0, word if word in _NUMBERS[0] else knowledge.UNKNOWN, end + 0.04 * RATE)
        if kind != "reply":
            for say, _, last in find_phrases([w for w, _, _ in words]):
                mark(1, say, words[last][2] + (SENTENCE_SECS - 0.12) * RATE)
    for name, onset, end in stream.events:
        due = onset + LONG_SECS * RATE if end - onset > (LONG_SECS + 0.2) * RATE else end + SOUND_SECS * RATE
        mark(2, name, due - 0.12 * RATE)
    return out


def family(voice):
    """Returns the family of voices that a voice belongs to: people's, those learnt from people, an accent's, a synthesiser's."""
    if voice.split("_")[0] in bank.NATURAL:
        return "learnt"
    return voice.split(" ")[0] if " " in voice else "espeak"


class Composer:
    """Makes streams. `held` chooses the clips that training never hears."""

    def __init__(self, folder, name, data, held=False):
        self.held = held
        # What is evaluated comes from tamer microphones, so that its figures can be compared from one time to the next.
        self.colour = channels.colour if held else channels.microphone
        self.clips, self.samples = bank.load(folder, name)
        self.by_kind, self.beds = {}, []
        for clip in self.clips:
            self.by_kind.setdefault(clip["kind"], []).append(clip)
            if clip["kind"] == "middle" and not held:
                self.by_kind.setdefault("text", []).append(clip)
        # Voices learnt from people are picked apart from all others.
        self.natural, self.by_word, self.by_person = {}, {}, {}
        # Who says single words in a row, as real digits come: `{voice: clips}` of voices learnt from people, of voices with an accent,
        # of speakers made of the real ones, of the real ones.
        self.speakers = {kind: {} for kind in self.SPEAKERS}
        if not held:
            for clip in self.clips:
                voice, learnt = clip["voice"], clip["voice"].split("_")[0] in bank.NATURAL
                if learnt:
                    self.natural.setdefault(clip["kind"], []).append(clip)
                if clip["kind"] == "people":
                    self.by_person.setdefault(clip["words"][0][0], []).append(clip)
                    self.speakers["people"].setdefault(voice, []).append(clip)
                    continue
                if clip["kind"] == "word":
                    self.by_word.setdefault(clip["words"][0][0], []).append(clip)
                    if voice.startswith("real ") and clip["words"][0][0] not in DIGITS:
                        continue
                    kind = "learnt" if learnt else voice.split(" ")[0]
                elif clip["kind"] == "digit":
                    kind = "made"
                else:
                    continue
                if kind in self.speakers:
                    self.speakers[kind].setdefault(voice, []).append(clip)
        speakers = ["nicolas"] if held else ["george", "jackson", "lucas"]
        data = pathlib.Path(data)
        spoken = data / "spoken-digits"
        clips, parts = bank.digits(spoken, speakers, None if held else bank.Patterns()) if spoken.exists() else ([], [])
        for clip, part in zip(clips, parts):
            clip["samples"] = part
            self.speakers["real"].setdefault(clip["voice"], []).append(clip)
        some = lambda rows: {voice: clips for voice, clips in rows.items() if len(clips) > 2}
        only = lambda clips: [c for c in clips if c["words"][0][0] in DIGITS]
        self.digit_speakers = {kind: some({voice: only(clips) for voice, clips in rows.items()}) for kind, rows in self.speakers.items()}
        # real.py brings the recordings of ESC-10 as well.
        self.real, self.real_background = ({}, []) if "people" in self.by_kind and not held else real_clips(data / "esc10", held)
        often = set(self.real)
        for kind, clips in self.by_kind.items():
            if kind == "background" or kind.startswith("sound:"):
                among = self.real_background if kind == "background" else self.real.setdefault(kind.split(":", 1)[1], [])
                among += [self.samples[c["at"] : c["at"] + c["len"]].astype(np.float32) / 32_000 for c in clips]
        # How often a sound is a recorded one; less often where the recordings are few.
        self.recorded = {name: 0.45 if name in often else min(0.7, 0.06 * len(parts)) for name, parts in self.real.items()}
        self.repeated = None
        self.instructions = {kind.split(":", 1)[1]: c for kind, c in self.by_kind.items() if kind.startswith("instruction:")}
        # The same by families of voices: each is heard as often as another, however many clips it has.
        self.told_by = {name: {} for name in self.instructions}
        for name, clips in self.instructions.items():
            for clip in clips:
                self.told_by[name].setdefault(family(clip["voice"]), []).append(clip)

    def clip(self, r, clip, factor=None):
        """Returns samples, words and phones of a clip, spoken `factor` times as fast; a little faster or slower where that is left out."""
        x = clip["samples"] if "samples" in clip else self.samples[clip["at"] : clip["at"] + clip["len"]]
        x = np.asarray(x, np.float32) / 32_000
        if clip["voice"].startswith("people ") and clip["words"]:
            x, clip = self.cropped(r, x, clip)
        f = factor or (r.uniform(0.88, 1.14) if self.held else r.uniform(0.82, 1.22))
        n = int(len(x) / f)
        x = np.interp(np.arange(n) * f, np.arange(len(x)), x).astype(np.float32)
        words = [(w, int(a / f), int(b / f)) for w, a, b in clip["words"]]
        phones = None if clip["phones"] is None else [(int(a / f), phone_id(p)) for a, p in clip["phones"]]
        return x, words, phones

    @staticmethod
    def cropped(r, x, clip):
        """Returns a recording of a person with all, some or little of the noise around the words."""
        first, last = clip["words"][0][1], clip["words"][-1][2]
        whole = r.uniform() < 0.4
        begin = 0 if whole else int(max(0, first - r.uniform(0, 0.12) * RATE))
        end = len(x) if whole else int(min(len(x), last + r.uniform(0.01, 0.15) * RATE))
        at = lambda sample: min(max(sample - begin, 0), end - begin)
        phones = clip["phones"]
        if phones:
            before = [p for p in phones if p[0] <= begin]
            phones = [(0, before[-1][1] if before else "_"), *((at(s), p) for s, p in phones if begin < s < end)]
        return x[begin:end], clip | {"words": [(w, at(a), at(b)) for w, a, b in clip["words"]], "phones": phones}

    # How many of the utterances, and of the rows of single words, in training come through a switch that cuts them.
    SWITCHED, SWITCHED_WORDS = 0.2, 0.55

    def switched(self, r, x, words, phones):
        """Returns a clip through a voice switch, unchanged where the switch would cut most of the first or last word."""
        first, end = channels.voice_switch(r, x)
        if end - first < 0.12 * RATE or any(first > (a + b) / 2 or end < (a + b) / 2 for _, a, b in words):
            return x, words, phones
        here = lambda at: min(max(at - first, 0), end - first)
        begun = phones and [(here(at), p) for at, p in phones if at < end]
        # Of those that were cut away, the last is still sounding.
        phones = begun and [phone for phone, after in zip(begun, [*begun[1:], (1, 0)]) if after[0] > 0]
        return x[first:end], [(w, here(a), here(b)) for w, a, b in words], phones

    # How often each kind of speaker says a row of single words.
    SPEAKERS = {"learnt": 0.2, "accent": 0.15, "made": 0.1, "real": 0.1, "people": 0.45}

    def speaker(self, r, numbers=False):
        """Returns `(clips of single words by one voice, its throat)`; in training with another throat each time, most of all where there are few
        speakers of a kind; digits alone with `numbers`."""
        kinds = self.digit_speakers if numbers else self.speakers
        share = {kind: self.SPEAKERS[kind] for kind, rows in kinds.items() if rows}
        kind = str(r.choice(list(share), p=np.array(list(share.values())) / sum(share.values()))) if len(share) > 1 else next(iter(share))
        rows = kinds[kind]
        if kind == "people" and not numbers:
            # Each word as often as any other, whoever says it; then more words by the same person.
            said = self.by_person[str(r.choice(list(self.by_person)))]
            clips = rows[said[int(r.integers(len(said)))]["voice"]]
            clips = [said[int(r.integers(len(said)))]] if r.uniform() < 0.5 else clips
        else:
            clips = rows[str(r.choice(list(rows)))]
        return clips, None if self.held else r.uniform(0.82, 1.22) if kind in ("real", "made") else r.uniform(0.9, 1.1)

    # How much of the speech in training comes with the noise of its recorder or line.
    NOISY_LINES = 0.55

    # How much is muffled before that noise: of the utterances, of the rows of single words.
    MUFFLED, MUFFLED_WORDS = 0.2, 0.4

    # How much of it is by voices that were learnt from people.
    NATURAL = 0.3

    def row(self, r, clips, throat):
        """Returns some single words in a row, spoken `throat` times as fast."""
        xs, words, phones, at = [], [], [], 0
        line = channels.line_noise(r) if not self.held and r.uniform() < self.NOISY_LINES else None
        dull = channels.muffled(r) if not self.held and r.uniform() < self.MUFFLED_WORDS else None
        switch = not self.held and r.uniform() < self.SWITCHED_WORDS
        for _ in range(r.choice([1, 1, 1, 2, 3, 4])):
            x, spans, own = self.clip(r, clips[int(r.integers(len(clips)))], factor=throat and throat * r.uniform(0.93, 1.07))
            if switch:
                x, spans, own = self.switched(r, x, spans, own)
            words += [(w, at + a, at + b) for w, a, b in spans]
            x = dull(x) if dull else x
            x = x + line(len(x)) if line else x
            gap = int(r.uniform(0.03, 0.5) * RATE)
            xs += [x * r.uniform(0.7, 1), np.zeros(gap, np.float32)]
            phones += [(at + a, p) for a, p in own or []] + [(at + len(x), 0)]
            at += len(x) + gap
        return np.concatenate(xs[:-1]), words, None if self.held else phones

    def topic(self, r):
        """Returns `(clips, throat)` of a topic, whose words tell something about the next: digits by one
        voice, or some words that stand together in the vocabulary."""
        if any(self.digit_speakers.values()) and r.uniform() < 0.6:
            return self.speaker(r, numbers=True)
        first = int(r.integers(len(knowledge.VOCABULARY) - 6))
        near = knowledge.VOCABULARY[first : first + int(r.integers(6, 13))]
        return [clip for word in near for clip in self.by_word.get(word, [])], None

    def utterance(self, r, kinds, topic=None):
        if topic:
            return ("text", *self.row(r, *topic))
        kinds = {kind: share for kind, share in kinds.items() if kind == "digits" or kind in self.by_kind or kind == "fragment" and not self.held}
        kind = str(r.choice(list(kinds), p=np.array(list(kinds.values())) / sum(kinds.values())))
        if kind == "digits":
            if any(self.speakers.values()):
                return ("text", *self.row(r, *self.speaker(r)))
            kind = "word"
        if kind == "fragment":
            return ("talk", *self.fragment(r))
        pool = self.natural[kind] if kind in self.natural and r.uniform() < self.NATURAL else self.by_kind[kind]
        x, words, phones = self.clip(r, pool[int(r.integers(len(pool)))])
        if not self.held and r.uniform() < self.SWITCHED:
            x, words, phones = self.switched(r, x, words, phones)
        if not self.held and r.uniform() < self.NOISY_LINES:
            lead, tail = (int(r.uniform(0, 0.08) * RATE) for _ in range(2))
            x = np.pad(channels.muffled(r)(x) if r.uniform() < self.MUFFLED / self.NOISY_LINES else x, (lead, tail))
            x = x + channels.line_noise(r)(len(x))
            words = [(w, a + lead, b + lead) for w, a, b in words]
            phones = phones and [(0, 0), *((a + lead, p) for a, p in phones), (len(x) - tail, 0)]
        return kind, x, words, phones

    def sound(self, r, name):
        if self.repeated is not None and name in self.repeated:
            return self.repeated[name]
        x = self.another_sound(r, name)
        if self.repeated is not None:
            self.repeated[name] = x
        return x

    def another_sound(self, r, name):
        real = self.real.get(name)
        if real and r.uniform() < self.recorded[name]:
            x = real[int(r.integers(len(real)))]
            if name in ("rain", "baby crying", "music") and len(x) > 3 * RATE:
                secs = r.uniform(2.2, min(8, len(x) / RATE))
                at = int(r.uniform(0, len(x) - secs * RATE))
                x = synthesis.fade(x[at : at + int(secs * RATE)], 0.05, 0.1)
            f = r.uniform(0.85, 1.18) if self.held else r.uniform(0.7, 1.4)
            x = np.interp(np.arange(int(len(x) / f)) * f, np.arange(len(x)), x)
        else:
            x = synthesis.MAKERS[name](r)
        return synthesis.unit(self.colour(r, x))

    def instruction(self, r, name):
        """Returns an instruction by any family of voices, through a microphone."""
        families = self.told_by[name]
        clips = families[str(r.choice(list(families)))]
        x, _, _ = self.clip(r, clips[int(r.integers(len(clips)))])
        if not self.held and r.uniform() < 0.4:
            x = channels.muffled(r)(x) if r.uniform() < 0.15 else x
            x = x + channels.line_noise(r)(len(x))
        return self.colour(r, x)

    def fragment(self, r):
        """Returns samples, words and phones of the first or the last words of an instruction, which ask for nothing."""
        families = self.told_by[str(r.choice(list(self.instructions)))]
        clips = families[str(r.choice(list(families)))]
        x, words, phones = self.clip(r, clips[int(r.integers(len(clips)))])
        kept = int(r.integers(1, len(words) // 2 + 1))
        words = words[:kept] if r.uniform() < 0.5 else words[-kept:]
        first, end = words[0][1], words[-1][2]
        before = [phone for at, phone in phones or [] if at <= first]
        phones = phones and [(0, before[-1] if before else 0), *((at - first, phone) for at, phone in phones if first < at < end)]
        return synthesis.fade(x[first:end], 0.01, 0.02), [(w, a - first, b - first) for w, a, b in words], phones

    @contextlib.contextmanager
    def same_source(self, alike):
        """Makes every sound of a name the same recording or synthesis within, if `alike`."""
        before, self.repeated = self.repeated, {} if alike else None
        try:
            yield
        finally:
            self.repeated = before

    def background(self, r):
        if self.real_background and r.uniform() < (0.3 if self.held else min(0.7, 0.45 + len(self.real_background) / 1_000)):
            x = self.real_background[int(r.integers(len(self.real_background)))]
            if not self.held:  # each is one of few of its kind
                f = r.uniform(0.75, 1.35)
                x = np.interp(np.arange(int(len(x) / f)) * f, np.arange(len(x)), x)
            return x
        return backgrounds.BACKGROUND[int(r.integers(len(backgrounds.BACKGROUND)))](r)

    def noise_floor(self, r, n, level_db):
        """Returns the steady noise of a room at an RMS level."""
        # Making noise is the dearest part of a stream: some of it is kept and heard again from elsewhere.
        if len(self.beds) < 40 or r.uniform() < 0.1:
            self.beds = self.beds[-39:] + [synthesis.noise(r, 24, r.uniform(0, 1.2)).astype(np.float32)]
        bed = np.roll(self.beds[int(r.integers(len(self.beds)))], int(r.integers(24 * RATE)))
        x = np.tile(bed, n // len(bed) + 1)[:n]
        if r.uniform() < 0.4:
            bed = self.background(r)
            bed = np.tile(bed, n // len(bed) + 1)[:n]
            x = x / (np.std(x) + 1e-9) + r.uniform(0.3, 2) * bed / (np.std(bed) + 1e-9)
        return (x / (np.std(x) + 1e-9) * 10 ** (level_db / 20)).astype(np.float32)


def told_labels(stream, mode, target):
    """Returns the labels of a stream in which each spoken instruction replaces the lane's own from its end on."""
    labels, unsure = labels_of(stream, mode, target)
    for new, new_target, start, end in stream.instructions:
        first = label_chunk(end, SENTENCE_SECS)
        # What began before the instruction is not answered after it.
        after = Stream(stream.audio, [u for u in stream.utterances if u[2] >= end], [e for e in stream.events if e[1] >= end])
        more, more_unsure = labels_of(after, new, new_target)
        labels = {c: v for c, v in labels.items() if c < first} | {c: v for c, v in more.items() if c >= first}
        unsure = {c for c in unsure if c < first} | {c for c in more_unsure if c >= first} | {first}
    return labels, unsure - set(labels)


def kept_recordings(folder):
    """Returns the recordings of ESC-10 that the evaluation keeps: those of the last source of each class."""
    by_class = {}
    for path in sorted(pathlib.Path(folder).glob("*.wav")):
        kind, rest = path.stem.split("__")
        by_class.setdefault(kind, {}).setdefault(rest.split("-")[1], []).append(path)
    return [path for sources in by_class.values() for path in sources[max(sources)]]


def real_clips(folder, held):
    """Returns `({sound: [samples]}, [background])` of the recordings of ESC-10, those that the evaluation keeps or the others."""
    named, background, kept = {}, [], set(kept_recordings(folder))
    for path in sorted(pathlib.Path(folder).glob("*.wav")):
        if (path in kept) != held:
            continue
        kind = path.stem.split("__")[0]
        x = wavfile.read(path)[1].astype(np.float32) / 32_768
        x = x / (np.abs(x).max() + 1e-9)
        if kind in ESC:
            named.setdefault(ESC[kind], []).extend(heard_parts(x, ESC[kind]))
        else:
            background.append(x)
    return named, background


def heard_parts(x, name):
    """Returns the occurrences in a recording: parts above -32 dB of its peak, nearer than 0.5 s joined."""
    if name in ("rain",):
        return [x]
    envelope = np.maximum.reduceat(np.abs(x), np.arange(0, len(x), 160))
    loud = np.flatnonzero(envelope > 0.025)
    gap = 50 if name != "baby crying" else 120
    parts, first, last = [], loud[0], loud[0]
    for frame in list(loud[1:]) + [10**9]:
        if frame - last > gap:
            a, b = max(0, first * 160 - 320), min(len(x), last * 160 + 480)
            if b - a > 0.08 * RATE and np.abs(x[a:b]).max() > 0.15:
                parts.append(x[a:b] / np.abs(x[a:b]).max())
            first = frame
        last = frame
    return parts
