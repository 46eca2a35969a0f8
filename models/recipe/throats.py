"""More speakers of digits made of the few real ones, for the bank: `python throats.py BANK`.

WORLD (Morise, Yokomori and Ozawa 2016) takes a recording apart into pitch, spectral envelope and aperiodicity. Put together again
with another pitch, other formants and another rhythm it is another speaker; between two speakers who say the same word lies a third.
"""

import argparse
import multiprocessing
import pathlib

import numpy as np
import pyworld

import bank
import knowledge
import others

SPEAKERS = ["george", "jackson", "lucas"]  # those of training; nicolas is kept
HOP_MS = 5.0
HOP = int(knowledge.RATE * HOP_MS / 1_000)


class Voice:
    """The analysis of a recording by WORLD: `f0` [frames] in Hz, 0 where there is no voice; envelope and aperiodicity [frames, bins];
    `cepstra` of the whole, by which it is laid beside another."""

    def __init__(self, f0, envelope, aperiodicity, cepstra=None):
        self.f0, self.envelope, self.aperiodicity, self.cepstra = f0, envelope, aperiodicity, cepstra

    @staticmethod
    def of(x):
        x = np.asarray(x, np.float64) / 32_000
        f0, at = pyworld.dio(x, knowledge.RATE, frame_period=HOP_MS)
        f0 = pyworld.stonemask(x, f0, at, knowledge.RATE)
        envelope = pyworld.cheaptrick(x, f0, at, knowledge.RATE)
        aperiodicity = pyworld.d4c(x, f0, at, knowledge.RATE)
        return Voice(f0, envelope, aperiodicity, bank.Patterns.cepstra(x))

    def towards(self, other, share):
        """The voice that lies so far on the way to another that says the same word, at this one's pace."""
        _, _, at = bank.warped(self.cepstra, [other.cepstra])
        frames = np.arange(len(self.f0))
        there = np.interp(frames * HOP / bank.Patterns.HOP, np.arange(len(at)), at) * bank.Patterns.HOP / HOP
        there = np.clip(np.round(there).astype(int), 0, len(other.f0) - 1)
        both = (self.f0 > 0) & (other.f0[there] > 0)
        mix = lambda a, b: np.exp((1 - share) * np.log(a) + share * np.log(b))
        # Where only one of them is voiced, this one's pitch is carried to where the mixture lies.
        ratio = np.exp(np.median(np.log(other.f0[there][both] / self.f0[both])) * share) if both.any() else 1.0
        f0 = np.where(both, mix(np.maximum(self.f0, 1), np.maximum(other.f0[there], 1)), self.f0 * ratio)
        aperiodicity = np.clip((1 - share) * self.aperiodicity + share * other.aperiodicity[there], 1e-4, 1 - 1e-9)
        return Voice(f0, mix(self.envelope + 1e-12, other.envelope[there] + 1e-12), aperiodicity)

    def said(self, pitch, formants, at):
        """Samples with so many times the pitch and the formants, and frame `at[i]` at the i-th."""
        low = np.clip(np.floor(at).astype(int), 0, len(self.f0) - 1)
        bins = self.envelope.shape[1]
        source = np.minimum(np.arange(bins) / formants, bins - 1)
        left = source.astype(int)
        part = source - left
        right = np.minimum(left + 1, bins - 1)
        bend = lambda m: (1 - part) * m[:, left] + part * m[:, right]
        envelope = np.exp(bend(np.log(self.envelope[low] + 1e-12)))
        f0 = np.where(self.f0[low] > 0, np.clip(self.f0[low] * pitch, 50, 600), 0)
        return pyworld.synthesize(f0, np.ascontiguousarray(envelope), np.ascontiguousarray(bend(self.aperiodicity[low])), knowledge.RATE, HOP_MS)


def rhythm(r, frames):
    """`[frame of the recording at each new frame]`: slower and faster in turns, so that sounds are longer or shorter each by itself."""
    speed = np.exp(np.interp(np.linspace(0, 1, frames), np.linspace(0, 1, 4), r.normal(0, 0.2, 4)) + r.normal(0, 0.1))
    when = np.concatenate([[0], np.cumsum(1 / speed)])
    return np.interp(np.arange(int(when[-1])), when[:-1], np.arange(frames))


# The recordings by speaker and word, `[(Voice, clip)]`, here for the processes that make speakers of them.
MADE_OF = {}


def speaker(r, name, one, other, times):
    """`(clips, samples)` of a new speaker, who lies between two where there is another."""
    share, pitch, formants = r.uniform(0.3, 0.7), np.exp(r.normal(0, 0.18)), np.exp(r.normal(0, 0.09))
    clips, samples = [], []
    for word in knowledge.VOCABULARY[:10]:
        said = MADE_OF.get((one, word), [])
        for voice, clip in (said[j] for j in r.permutation(len(said))[:times]):
            if other:
                near = MADE_OF[(other, word)]
                voice = voice.towards(near[int(r.integers(len(near)))][0], share)
            at = rhythm(r, len(voice.f0))
            x = voice.said(pitch * np.exp(r.normal(0, 0.03)), formants * np.exp(r.normal(0, 0.015)), at)
            if not np.isfinite(x).all() or np.abs(x).max() < 1e-3:
                continue
            phones = [(int(np.searchsorted(at, start / HOP)) * HOP, p) for start, p in clip["phones"]]
            others.add(clips, samples, "digit", word, x, [(0, len(x))], phones, name)
    return clips, samples


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("bank", type=pathlib.Path)
    a.add_argument("--data", type=pathlib.Path, default=knowledge.HERE.parents[2] / "shared" / "data")
    a.add_argument("--alone", type=int, default=4, help="speakers made of one")
    a.add_argument("--between", type=int, default=2, help="speakers made of each pair, from the first of it")
    a.add_argument("--times", type=int, default=30, help="that such a speaker says each digit")
    a.add_argument("--seed", type=int, default=4)
    a = a.parse_args()
    if not (a.data / "spoken-digits").exists():
        print(f"no recordings of digits in {a.data}")
        return
    recorded, parts = bank.digits(a.data / "spoken-digits", SPEAKERS, bank.Patterns())
    with multiprocessing.Pool() as pool:
        for clip, voice in zip(recorded, pool.map(Voice.of, parts, chunksize=16)):
            MADE_OF.setdefault((clip["voice"], clip["words"][0][0]), []).append((voice, clip))
    names = sorted({name for name, _ in MADE_OF})
    plan = [(name, None) for name in names for _ in range(a.alone)] + [(one, other) for one in names for other in names if one != other for _ in range(a.between)]
    with multiprocessing.Pool() as pool:
        made = pool.starmap(speaker, [(np.random.default_rng([a.seed, i]), f"made {i}", *pair, a.times) for i, pair in enumerate(plan)], chunksize=1)
    bank.save(a.bank, "trained.throats", *(sum(both, []) for both in zip(*made)))


if __name__ == "__main__":
    main()
