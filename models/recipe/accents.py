"""English with the accents of other first languages, for the bank: `python accents.py BANK [--speakers N]`.

espeak-ng's voices of other languages, and its English ones with the same habits, speak phonemes that are put in place of the
English ones. Each speaker keeps to one voice and says the digits several times, so that they come in rows as a real speaker's do.
"""

import argparse
import multiprocessing
import pathlib

import numpy as np

import bank
import knowledge
import others
import voices

# What a continental voice makes of the vowels of English; what it has itself it says better.
_PLAIN = "aI=a|j eI=e|j/e oU=o 3:=E|r/e|r 3=E|r/e|r 0=o/O V=a i:=i u:=u aU=a|w A:=a O:=o OI=o|j U=u I=i e@=e|r i@=i|r O@=o|r o@=o|r A@=a|r U@=u|r aa=a i=i O=o @L=@|l"
# The voice, its vowels, and the habits of its speakers: every symbol may be said in several ways, "" is silence.
ACCENTS = {
    "roa/fr": _PLAIN + " T=s/t/f D=z/d h= dZ=Z tS=S/tS V=a/W 3:=W|r/E|r 3=W|r/@|r N=n|g/N @=W/@",
    "gmw/de": "eI=e: oU=o: V=a 3:=E|r/E 3=a/@ 0=O O:=o: OI=O|j e@=E|r i@=i:|r O@=o:|r o@=o:|r A@=A:|r U@=u:|r aa=a i=i: @L=@|l T=s D=z/d w=v dZ=tS/dZ a=E/a b.=p d.=t g.=k v.=f z.=s",
    "roa/es": _PLAIN + " T=t/T D=d z=s v=b h=x S=tS/S dZ=j/tS @=e/a I=i ^s=e|s N=n",
    "roa/it": _PLAIN + " T=t D=d h= N=n|g z=s/z @=a/e tS=tS",
    "zlw/pl": _PLAIN + " E=E e|r=E|r T=t/s/f D=d/z w=v h=x a=a/E oU=O 0=O O:=O o|r=O|r @=E/a N=n|k b.=p d.=t g.=k v.=f z.=s",
    "zle/ru": "aI=a|j eI=E|j V=a i:=i u:=u 0=o oU=o 3:=E|r 3=E|r U=u aU=a|u A:=a O:=o OI=o|j a=E/a e@=E|r i@=i|r O@=o|r o@=o|r A@=a|r U@=u|r aa=a O=o @L=@|l T=s/f/t D=z/d w=v h=x dZ=dZ N=n b.=p d.=t g.=k v.=f z.=s",
    "gmw/nl": "aI=a:|j V=Y/A eI=e: oU=o: u:=u 0=O i:=i 3:=Y|r 3=@|r U=u aU=A|u A:=a: OI=O|j a=E e@=E|r i@=i|r O@=o:|r o@=o:|r A@=A|r U@=u|r aa=a: @L=@|l T=t/s D=d/z w=v/w g=k/g dZ=j b.=p d.=t v.=f z.=s",
    "roa/pt": _PLAIN + " T=t/s D=d r=x/R h=x/ @=a/@ a=E/a N=n",
    "inc/hi": "eI=e: oU=o: 3:=V|r 3=V|r 0=a: OI=o:|j A:=a: e@=e:|r i@=i:|r O@=o:|r o@=o:|r A@=a:|r U@=u|r aa=a: O=o: @L=@|l O:=o: T=t/d D=d w=v v=w/v z=dZ/z Z=dZ a=E/a",
}  # fmt: skip
# Habits alone, for English voices.
HABITS = [
    "T=s/t/f D=z/d h= dZ=Z I=i: V=a/0 U=u: eI=E 3:=E|r",
    "T=s D=z/d w=v dZ=tS a=E V=a b.=p d.=t g.=k v.=f z.=s",
    "T=t D=d z=s v=b I=i: i:=I V=a @=E S=tS 3:=E|r eI=E oU=O: U=u:",
    "T=s/f D=z w=v I=i: a=E V=a 3:=E|r N=n b.=p d.=t g.=k v.=f z.=s",
    "T=s D=z v=w r=l l=r I=i: 3:=A: a=V/a oU=O:",
    "T=t D=d w=v v=w eI=E oU=O: 0=A: a=E",
    # Casual or regional English: ends that are not heard, other vowels.
    "k.= t.= d.= s.=/s v.=/f T=f D=v/d h= eI=aI aI=0|I/A: oU=aU i:=I|i:",
    "t.= v.= z.=s aI=a/A: oU=O: eI=E 3:=3: a=a N=n",
]


# Variants by context, which the English voices alone have.
PLAINER = {"t#": "t", "t2": "t", "?": "t", "*": "t", "a#": "@", "@2": "@", "@-": "@", "I2": "I", "I#": "I"}


def habits_of(text):
    """Returns `{symbol: [symbols that may replace it]}`; `x.` is an x at the end of a word, `^x` one before another consonant at its beginning."""
    return {own: said.split("/") for own, said in (pair.split("=", 1) for pair in text.split())}


def phonemes(espeak, text):
    """Returns `[[(mnemonic, stress mark)] of each word]` of General American; None where espeak-ng makes one word of two."""
    words = []
    for word in espeak.spelled(text):
        phones = [(p.strip("',%=|;"), "'" if "'" in p else "," if "," in p else "") for p in word]
        words.append([(PLAINER.get(p, p), mark) for p, mark in phones if p])
    return words if len(words) == len(text.split()) and all(words) else None


def accented(habits, words):
    """Returns `(text for espeak-ng, [phoneme meant by each of its symbols])`, `(None, None)` where a word is left without a sound."""
    spoken, meant = [], []
    for word in words:
        out = []
        for i, (p, mark) in enumerate(word):
            last, first = i == len(word) - 1, i == 0 and len(word) > 1 and word[1][0] in "t k p l m n".split()
            said = habits.get(p + "." if last and p + "." in habits else p, p)
            if first and "^" + p in habits:
                said = habits["^" + p]
            for j, symbol in enumerate(s for s in said.split("|") if s):
                out.append((mark if j == 0 else "") + symbol)
                meant.append(p)
        if not out:
            return None, None
        spoken.append("[[" + "|".join(out) + "]]")
    return " ".join(spoken), meant


def plan(r, talk):
    """Returns the texts of one speaker, `[(kind, text)]`."""
    pick = lambda source, low, high: [str(w) for w in r.choice(source, r.integers(low, high + 1))]
    items = [("word", w) for w in knowledge.VOCABULARY[:10]] * 3 + [("word", w) for w in pick(knowledge.VOCABULARY, 22, 22)]
    items += [("text", " ".join(pick(knowledge.VOCABULARY, 2, 6))) for _ in range(6)]
    items += [("text", " ".join(pick(knowledge.VOCABULARY[:10], 2, 5))) for _ in range(2)]
    items += [("phrase", p) for p in pick(list(knowledge.PHRASES), 8, 8)]
    items += [("middle", " ".join([*pick(talk, 0, 3), str(r.choice(list(knowledge.PHRASES))), *pick(talk, 0, 3)])) for _ in range(2)]
    items += [("talk", " ".join(pick(talk, 2, 8))) for _ in range(4)]
    items += [("instruction:" + name, text) for name, text in knowledge.INSTRUCTIONS.items()]
    return items + [("instruction:count " + sound, knowledge.count_instruction(sound)) for sound in pick(knowledge.SOUND_NAMES, 5, 5)]


def make_share(folder, name, index, count, seed, speakers, attempt):
    r = np.random.default_rng([seed, index, attempt])
    espeak = voices.Espeak()
    talk = bank.talk_words(espeak, np.random.default_rng(seed))
    samples, clips = [], []
    for speaker in range(index, speakers, count):
        if r.uniform() < 0.6:
            voice = str(r.choice(list(ACCENTS)))
            habits = habits_of(ACCENTS[voice])
            keep = 1.0  # an English vowel may be one that the voice does not have
        else:
            voice = str(r.choice(voices.ACCENTS))
            habits, keep = habits_of(HABITS[int(r.integers(len(HABITS)))]), 0.75
        habits = {own: str(r.choice(said)) for own, said in habits.items() if r.uniform() < keep}
        voice = f"{voice}+{r.choice(voices.TRAINED)}"
        speed, pitch = r.normal(155, 25), int(r.integers(15, 85))
        for kind, text in plan(r, talk):
            words = [w.strip(".,!?").lower() for w in text.split()]
            spelled = phonemes(espeak, " ".join(words))
            said, meant = accented(habits, spelled) if spelled else (None, None)
            if not said:
                continue
            x, spans, events = espeak.say(said, voice, int(np.clip(speed * r.uniform(0.88, 1.14), 85, 250)), pitch, int(r.integers(20, 90)), phonemes=True)
            # Where every phoneme was said as it was asked for, the ears learn which one was meant.
            at = [i for i, (_, p) in enumerate(events) if not p.startswith("_")]
            if len(at) == len(meant):
                for i, own in zip(at, meant):
                    events[i] = (events[i][0], own)
            others.add(clips, samples, kind, " ".join(words), x, spans, events, f"accent {speaker}")
    bank.save(folder, f"{name}.{index}", clips, samples)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("bank", type=pathlib.Path)
    a.add_argument("--speakers", type=int, default=240)
    a.add_argument("--shares", type=int, default=12)
    a.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    a.add_argument("--seed", type=int, default=3)
    a = a.parse_args()
    bank.run_shares(make_share, a.shares, a.processes, a.bank, "trained.accents", a.seed, a.speakers)


if __name__ == "__main__":
    main()
