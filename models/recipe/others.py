"""More voices for the bank than espeak-ng's: `python others.py BANK`. Each is optional; what is not installed is passed over.

* festival with the diphone voice ked (Debian: `festival festvox-kdlpc16k`): words, phrases and rows of words, with times;
* gnuspeech, an articulatory synthesiser (`npm i @echogarden/gnuspeech-wasm`; `--gnuspeech FOLDER/node_modules`): a man, a woman and three
  children; it tells no times, so those of espeak-ng are stretched over the clip;
* a real speaker (Debian: `asterisk-core-sounds-en-g722`, CC BY-SA 3.0; ffmpeg reads it): digits, tens, weekdays, months and a few more
  words as they were recorded; Spanish and French speakers of the same series are background;
* real music (Debian: `asterisk-moh-opsound-g722`, CC BY-SA);
* recordings of rain, barks, a baby, coughs, sneezes, cats, a clap, a doorbell and of what is none of the sixteen (`--debian FOLDER`, where
  Debian's `scratch lugaru-data minetest-mod-homedecor plee-the-bear-data ardentryst flare-game megaglest-data` are unpacked:
  `apt-get download …`, `dpkg-deb -x` each; all CC BY-SA).
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

import bank
import knowledge
import streams
import voices

# Festival's phonemes under espeak-ng's mnemonics.
RADIO = dict(
    pair.split("=")
    for pair in "aa=0 ae=a ah=V ao=O: aw=aU ax=@ axr=3 ay=aI b=b ch=tS d=d dh=D dx=t eh=E el=l em=m en=n er=3 ey=eI f=f g=g hh=h hv=h ih=I iy=i: jh=dZ "
    "k=k l=l m=m n=n ng=N nx=n ow=oU oy=OI p=p r=r s=s sh=S t=t th=T uh=U uw=u: v=v w=w y=j z=z zh=Z pau=_".split()
)
# What lies where in Debian's packages, under usr/share; BACKGROUND deserves silence.
SCRATCH = "scratch/Media/Sounds/"
BACKGROUND = "background"
RECORDINGS = {
    "baby crying": [SCRATCH + "Human/BabyCry.mp3"],
    "cat meow": [SCRATCH + f"Animal/{name}" for name in ("Cat.mp3", "Kitten.wav", "Meow.wav")],
    "clap": [SCRATCH + "Percussion/HandClap.wav"],
    "cough": [SCRATCH + f"Human/Cough-{who}.wav" for who in ("female", "male")],
    "dog bark": [SCRATCH + f"Animal/Dog{i}.wav" for i in (1, 2)] + [f"games/lugaru/Sounds/Bark{i}.ogg" for i in ("", 2, 3)],
    "doorbell": ["games/minetest/mods/homedecor/homedecor_electrical/sounds/homedecor_doorbell.ogg"],
    "rain": [
        "games/plee-the-bear/sound/weather/rain.ogg",
        "games/ardentryst/Sounds/Rain_Loop.ogg",
        "games/flare/mods/empyrean_campaign/soundfx/environment/rain.ogg",
        *(f"games/megaglest/tilesets/{where}/sounds/rain.ogg" for where in ("autumn", "dark_forest")),
    ],
    "sneeze": [SCRATCH + f"Human/Sneeze-{who}.wav" for who in ("female", "male")],
    BACKGROUND: [
        SCRATCH + f"{name}.{form}"
        for form, names in {
            "wav": "Animal/Bird Animal/Crickets Animal/Duck Animal/Goose Animal/Horse Animal/HorseGallop Animal/Owl Animal/Rooster Animal/WolfHowl "
            "Effects/Bubbles Effects/CarPassing Effects/DoorCreak Effects/MotorcyclePassing Effects/Plunge Effects/Rattle Effects/Ripples "
            "Human/Footsteps-1 Human/Laugh-female Human/Laugh-male1 Human/Laugh-male2 Human/PartyNoise Human/Scream-female "
            "Human/Scream-male1 Percussion/Shaker",
            "mp3": "Effects/BalloonScratch Effects/DoorClose Effects/SewingMachine Effects/Typing Effects/WaterDrop "
            "Effects/WaterRunning Human/Footsteps-2 Human/Laugh-male3 Human/Scream-male2 Human/Slurp",
        }.items()
        for name in names.split()
    ],
}
ASTERISK = pathlib.Path("/usr/share/asterisk/sounds")
WEEKDAYS = "sunday monday tuesday wednesday thursday friday saturday".split()
MONTHS = "january february march april may june july august september october november december".split()


def ready(x, rate):
    """Returns `(samples, first sample)` at 16 kHz, without the silence at both ends."""
    x = x.astype(np.float32) / (np.abs(x).max() + 1e-9)
    if rate != knowledge.RATE:
        x = resample_poly(x, knowledge.RATE, rate).astype(np.float32)
    loud = np.flatnonzero(np.abs(x) > 0.02 * np.abs(x).max())
    first = max(0, loud[0] - 160)
    return x[first : loud[-1] + 320], first


def texts(r, words, phrases, rows):
    for word in knowledge.VOCABULARY:
        yield from [("word", word)] * words
    for phrase in knowledge.PHRASES:
        yield from [("phrase", phrase)] * phrases
    for name, text in knowledge.INSTRUCTIONS.items():
        yield from [("instruction:" + name, text)] * phrases
    for sound in knowledge.SOUND_NAMES:
        yield from [("instruction:count " + sound, knowledge.count_instruction(sound))] * (phrases // 2)
    for _ in range(rows):
        yield "text", " ".join(str(w) for w in r.choice(knowledge.VOCABULARY, r.integers(2, 6)))


def add(clips, samples, kind, text, x, spans, phones, voice):
    words = [word.strip(".,!?").lower() for word in text.split()]
    if len(x) < 800 or len(spans) != len(words):
        return
    samples.append((np.clip(x / np.abs(x).max(), -1, 1) * 32_000).astype(np.int16))
    clips.append({"kind": kind, "words": [(w, int(a), int(b)) for w, (a, b) in zip(words, spans)], "phones": phones, "voice": voice, "len": len(x)})


def festival(r, folder):
    """Returns `(clips, samples)` of the voice ked at many speeds and pitches."""
    plan = list(texts(r, 10, 14, 900))
    script = ["(voice_ked_diphone)"]
    for i, (_, text) in enumerate(plan):
        f0 = r.uniform(75, 210)
        script += [
            f"(Parameter.set 'Duration_Stretch {r.uniform(0.75, 1.5):.3f})",
            f"(set! int_lr_params '((target_f0_mean {f0:.0f}) (target_f0_std {r.uniform(5, 30):.0f}) (model_f0_mean 170) (model_f0_std 34)))",
            f'(set! u (utt.synth (Utterance Text "{text}")))',
            f'(utt.save.wave u "{folder}/{i}.wav")',
            f'(format t "U {i}\\n")',
            "(mapcar (lambda (w) (format t \"W %f %f\\n\" (item.feat w 'word_start) (item.feat w 'word_end))) (utt.relation.items u 'Word))",
            "(mapcar (lambda (s) (format t \"S %s %f\\n\" (item.name s) (item.feat s 'end))) (utt.relation.items u 'Segment))",
        ]
    (folder / "all.scm").write_text("\n".join(script))
    told = subprocess.run(["festival", "-b", str(folder / "all.scm")], capture_output=True, text=True).stdout
    spoken, times = [], None
    for line in told.splitlines():
        kind, *rest = line.split()
        if kind == "U":
            times = ([], [])
            spoken.append((int(rest[0]), times))
        elif kind in "WS":
            times[kind == "S"].append(rest)
    clips, samples = [], []
    for i, (words, segments) in spoken:
        rate, x = wavfile.read(folder / f"{i}.wav")
        x, first = ready(x, rate)
        at = lambda s: int(np.clip(float(s) * knowledge.RATE - first, 0, len(x)))
        starts = [0.0] + [float(end) for _, end in segments[:-1]]
        phones = [(at(s), RADIO.get(name, "_")) for s, (name, _) in zip(starts, segments)]
        add(clips, samples, *plan[i], x, [(at(a), at(b)) for a, b in words], phones, "festival ked")
    return clips, samples


GNUSPEECH = """
import { synthesize } from '%s/@echogarden/gnuspeech-wasm/dist/exports/GnuSpeech.js';
import { readFileSync, writeFileSync } from 'fs';
for (const [i, text, voice, tempo] of JSON.parse(readFileSync('plan.json'))) {
    const said = await synthesize(text, { voice, tempo, controlRate: 250 });
    writeFileSync(`${i}.wav`, said.audioData);
}
"""


def gnuspeech(r, folder, modules, espeak):
    plan = list(texts(r, 5, 10, 300))
    said = [(i, text, str(r.choice(["male", "female", "large_child", "small_child"])), round(float(r.uniform(0.7, 1.35)), 2)) for i, (_, text) in enumerate(plan)]
    (folder / "plan.json").write_text(json.dumps(said))
    (folder / "all.mjs").write_text(GNUSPEECH % modules.resolve())
    subprocess.run(["node", "all.mjs"], cwd=folder, check=True)
    clips, samples = [], []
    for i, text, voice, _ in said:
        rate, x = wavfile.read(folder / f"{i}.wav")
        x, _ = ready(x if x.ndim == 1 else x[:, 0], rate)
        own, spans, _ = espeak.say(text, "gmw/en-US")
        scale = len(x) / max(1, len(own))
        add(clips, samples, *plan[i], x, [(a * scale, b * scale) for a, b in spans], None, "gnuspeech " + voice)
    return clips, samples


def decoded(path, *form):
    raw = subprocess.run(["ffmpeg", "-v", "error", *form, "-i", str(path), "-f", "s16le", "-ac", "1", "-ar", "16000", "-"], capture_output=True).stdout
    return np.frombuffer(raw, np.int16)


def g722(path):
    return decoded(path, "-f", "g722")


def asterisk(r, espeak):
    """Returns single words by a real speaker, each many times: they are few among thousands of synthetic ones."""
    english = ASTERISK / "en_US_f_Allison"
    words = {str(n): w for n, w in zip([*range(13), *range(20, 100, 10)], knowledge.VOCABULARY)}
    words |= {f"day-{i}": w for i, w in enumerate(WEEKDAYS)} | {f"mon-{i}": w for i, w in enumerate(MONTHS)}
    words |= {w: w for w in ("hundred", "today", "tomorrow", "yesterday")}
    named = [(english / "digits" / f"{name}.g722", word) for name, word in words.items()]
    named += [(english / f"{name}.g722", name) for name in ("hello", "goodbye", "sorry", "time", "is", "your")]
    clips, samples, patterns = [], [], bank.Patterns(espeak)
    for path, word in named:
        if path.exists() and word in knowledge.VOCABULARY:
            x, _ = ready(g722(path), knowledge.RATE)
            phones = patterns.align(x, word)
            for _ in range(24):
                add(clips, samples, "word", word, x, [(0, len(x))], phones, "real allison")
    for path in [p for voice in ("es_MX_f_Allison", "fr_CA_f_June") for p in sorted((ASTERISK / voice).glob("*.g722"))][::4]:
        x = g722(path)
        if len(x) > knowledge.RATE:
            x, _ = ready(x[: 6 * knowledge.RATE], knowledge.RATE)
            add(clips, samples, "foreign", "", x, [], None, "real foreign")
    return clips, samples


def music(r):
    clips, samples = [], []
    for path in sorted(pathlib.Path("/usr/share/asterisk/moh").glob("*.g722")):
        x = g722(path)
        for _ in range(20):
            at = int(r.uniform(0, len(x) - 8 * knowledge.RATE))
            part = x[at : at + 8 * knowledge.RATE]
            if np.abs(part).max() > 1_000:
                add(clips, samples, "sound:music", "", part.astype(np.float32), [], None, path.stem)
    return clips, samples


def recordings(folder):
    clips, samples = [], []
    for name, paths in RECORDINGS.items():
        for path in paths:
            x = decoded(folder / "usr" / "share" / path).astype(np.float32)
            if len(x) == 0:
                print(f"{path} is not in {folder}")
                continue
            x = x[: 30 * knowledge.RATE] / np.abs(x).max()
            for part in [x] if name in (BACKGROUND, "doorbell") else streams.heard_parts(x, name):
                add(clips, samples, BACKGROUND if name == BACKGROUND else f"sound:{name}", "", part, [], None, path)
    return clips, samples


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("bank", type=pathlib.Path)
    a.add_argument("--gnuspeech", type=pathlib.Path, help="the node_modules folder that holds @echogarden/gnuspeech-wasm")
    a.add_argument("--debian", type=pathlib.Path, help="the folder where Debian's packages with recordings are unpacked")
    a.add_argument("--seed", type=int, default=5)
    a = a.parse_args()
    # A second one in a process would wait for the first for ever.
    r, espeak = np.random.default_rng(a.seed), voices.Espeak()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if ASTERISK.exists() and shutil.which("ffmpeg"):
            bank.save(a.bank, "trained.asterisk", *asterisk(r, espeak))
            bank.save(a.bank, "trained.music", *music(r))
        if shutil.which("festival"):
            bank.save(a.bank, "trained.festival", *festival(r, folder))
        if a.gnuspeech:
            bank.save(a.bank, "trained.gnuspeech", *gnuspeech(r, folder, a.gnuspeech, espeak))
        if a.debian and a.debian.is_dir():
            bank.save(a.bank, "trained.recordings", *recordings(a.debian))


if __name__ == "__main__":
    main()
