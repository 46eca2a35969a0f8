"""The starter's table of figures, heard by the product itself: `python evaluate.py WORK --model DIR --hearken BINARY`.

Audio comes from voices, speakers, recordings and seeds that training never used. This makes streams of it, labelled with what
is due in them; `hearken eval streams` hears them, a group at a time while the next is made, and the figures are its reports'.
"""

import argparse
import concurrent.futures
import json
import pathlib
import subprocess
import tempfile

import numpy as np
from scipy.io import wavfile

import knowledge
import scenes
import streams
import unseen
from scoring import Table, errors, share, written

HELP = ["cough", "knock", "doorbell"]
COUNTED = ["cough", "knock", "dog bark", "clap", "doorbell", "sneeze", "car horn", "cat meow"]


def chunk_end(chunk):
    """Returns the end of a chunk in seconds, the time of a reply in reports."""
    return round((chunk + 1) * knowledge.CHUNK / knowledge.RATE, 3)


def span(first, last):
    return [chunk_end(first), chunk_end(last)]


def words_due(stream):
    """Returns every word of the vocabulary, on time 0 to 3 chunks after its end; misses are told apart by the kind of utterance."""
    said = [(w, end // knowledge.CHUNK, kind) for words, kind, _, _ in stream.utterances for w, _, end in words if w in knowledge.TRANSLATIONS]
    return [{"text": w, "on_time": [span(end, end + 3)], "kind": kind} for w, end, kind in said]


def replies_due(sentences):
    """Returns the replies due to `sentences`, `(said, end, reply)`: a reply counts up to 6 chunks after the end, and is on time 0 to 3 after it."""
    at = lambda end: {"from_secs": chunk_end(end - 1), "to_secs": chunk_end(end + 6), "on_time": [span(end, end + 3)]}
    return [{"text": text, "kind": said, **at(end // knowledge.CHUNK)} for said, end, text in sentences]


def sounds_due(stream, name_of, wanted):
    """Returns the sounds due: on time up to 3 chunks after the end of a sound, or up to 5 after the onset of a long one."""
    due = []
    for name, onset, end in stream.events:
        if name in wanted:
            first, last = onset // knowledge.CHUNK, end // knowledge.CHUNK
            on_time = [span(last, last + 3)] + [span(first, first + 5)] * (end - onset > streams.LONG_SECS * knowledge.RATE)
            counts = {"from_secs": chunk_end(first), "to_secs": chunk_end(max(last + 3, first + 6))}
            due.append({"text": name_of(name), "kind": name, "on_time": on_time, **counts})
    return due


def phrase_replies(stream):
    for spoken, kind, _, _ in stream.utterances:
        if kind != "reply":
            for say, _, last in streams.find_phrases([w for w, _, _ in spoken]):
                yield say, spoken[last][2], knowledge.PHRASES[say]["reply"]


def translations(stream):
    for spoken, _, _, end in stream.utterances:
        said = " ".join(w for w, _, _ in spoken)
        yield said, end, knowledge.PHRASES[said]["zh"] if said in knowledge.PHRASES else knowledge.TRANSLATIONS[said]


class Group:
    """Labelled streams that are heard together, in a folder of their own with what `hearken` keeps beside them."""

    def __init__(self, folder):
        self.folder, self.rows = folder, []
        (folder / "streams").mkdir(parents=True)
        (folder / "home" / "config" / "instructions").mkdir(parents=True)

    def add_mode(self, name, composer, r, slug=None):
        """Adds a user's mode that a spoken instruction opens, and returns its name."""
        clips = composer.instructions[name]
        x, _, _ = composer.clip(r, clips[int(r.integers(len(clips)))], 1.0)
        slug = slug or name.replace(" ", "-")
        config = self.folder / "home" / "config"
        wavfile.write(config / "instructions" / f"{slug}.wav", knowledge.RATE, (x * 20_000).astype(np.int16))
        instruction = knowledge.count_instruction(name.split(" ", 1)[1])
        with open(config / "modes.toml", "a") as file:
            file.write(f'[[mode]]\nname = "{slug}"\ninstruction = "{instruction}"\npanel = "conversation"\ncatch_up = "every_chunk"\n\n')
        return slug

    def add(self, stream, mode, **due):
        """Adds a stream for `mode` with the `words`, `replies` or `sequence` that are due in it."""
        name = f"{len(self.rows):03}.wav"
        wavfile.write(self.folder / "streams" / name, knowledge.RATE, (stream.audio * 32_767).astype(np.int16))
        self.rows.append({"id": name, "path": name, "mode": mode, **due})

    def heard(self, hearken, model):
        """Returns the figures of the report by their keys, none without streams."""
        if not self.rows:
            return {}
        with open(self.folder / "streams" / "manifest.jsonl", "w") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)
        command = [hearken, "eval", "streams", "--data", self.folder / "streams", "--model", model, "--gap-secs", "2", "--threads", "1", "--out", self.folder / "report"]  # fmt: skip
        run = subprocess.run(command, capture_output=True, text=True, env={"HEARKEN_HOME": str(self.folder / "home"), "PATH": "/usr/bin:/bin"})
        if run.returncode:
            raise RuntimeError(f"{self.folder.name}: {run.stderr or run.stdout}")
        report = json.loads((self.folder / "report" / "report.json").read_text())
        return {figure["key"]: figure for figure in report["figures"]}

    def said(self):
        """Returns the replies to each stream in order, `[[(seconds, text)]]`."""
        if not self.rows:
            return []
        with open(self.folder / "report" / "predictions.jsonl") as file:
            next(file)  # what was run
            heard = {row["id"]: row for row in map(json.loads, file)}
        return [[(reply["at_secs"], reply["text"].strip()) for reply in heard[row["id"]]["replies"]] for row in self.rows]


class Evaluation:
    """Makes groups of streams one after the other; each is heard as soon as it is made, and its rows go into the table."""

    def __init__(self, composer, a, folder, pool):
        self.composer, self.folder, self.pool = composer, folder, pool
        self.hearken, self.model, self.seed, self.scale = str(pathlib.Path(a.hearken).resolve()), a.model.resolve(), a.seed, a.scale
        self.seeds, self.waiting = iter(range(10**6)), []

    def rng(self):
        return np.random.default_rng([self.seed, next(self.seeds)])

    def many(self, n):
        return range(max(2, int(n * self.scale)))

    def group(self, name):
        return Group(self.folder / name)

    def stream(self, script, secs=24):
        return scenes.make(self.composer, self.rng(), secs, script)

    def hear(self, group, rows):
        """Hears a group in the background; `rows(table, figures)` puts the result into the table."""
        self.waiting.append((self.pool.submit(group.heard, self.hearken, self.model), rows))

    def finish(self, table):
        timing = [0, 0]
        for future, rows in self.waiting:
            figures = future.result()
            rows(table, figures)
            timing = [a + b for a, b in zip(timing, share(figures.get("on_time")))]
        if timing[1]:
            table.share("timing: within 0–3 chunks (5 after the onset of a long sound)", *timing, "≥ 95 %")

    def share_row(self, name, target, key="recall"):
        return lambda table, figures: table.share(name, *share(figures.get(key)), target)

    def speech(self, kinds, gap):
        """Returns a stream of utterances of the given kinds in a room."""
        def script(scene):
            at = scene.pause(0.2, 1)
            while at < scene.n:
                end = scene.say(at, kinds)
                at = (end or at + knowledge.RATE) + scene.pause(*gap)

        return self.stream(script)

    def words(self, folder, name, kinds, n, target):
        group, due = self.group(folder), []
        for _ in self.many(n):
            stream = self.speech(kinds, (0.5, 1.6))
            group.add(stream, "transcribe", words=words_due(stream))
            due.append([word["text"] for word in group.rows[-1]["words"]])

        def rows(table, figures):
            wrong, total = sum(errors(written(said), words) for said, words in zip(group.said(), due)), sum(map(len, due))
            table.add(name, f"{100 * wrong / max(1, total):.1f} %", target, f"{wrong} errors in {total} words")

        self.hear(group, rows)

    def sentences(self, folder, name, mode, kinds, n, target, expected):
        group = self.group(folder)
        for _ in self.many(n):
            stream = self.speech(kinds, (0.8, 2.0))
            group.add(stream, mode, replies=replies_due(expected(stream)))
        self.hear(group, self.share_row(name, target))

    def natural_translations(self, natural):
        kept, self.composer = self.composer, natural
        self.sentences("natural-phrases", "translate: exact phrases, voices learnt from people", "translate", {"phrase": 1}, 24, "≥ 90 %", translations)
        self.composer = kept

    def sounds(self):
        def script(scene):
            at = scene.pause(0.3, 1.5)
            while at < scene.n:
                end = scene.sound(at, str(scene.r.choice(knowledge.SOUND_NAMES)))
                at = (end or at + knowledge.RATE) + scene.pause(0.8, 2.5)

        group = self.group("sounds")
        for _ in self.many(40):
            stream = self.stream(script)
            group.add(stream, "sounds", replies=sounds_due(stream, lambda n: n, knowledge.SOUND_NAMES))

        def rows(table, figures):
            self.share_row("sounds: recall, held-out synthetic", "≥ 95 %")(table, figures)
            self.share_row("sounds: precision, held-out synthetic", "≥ 95 %", "precision")(table, figures)

        self.hear(group, rows)

    def recordings(self, real):
        """Hears each kept recording in five quiet rooms, nearer and farther; the time of the name does not matter."""
        group, rooms = self.group("recordings"), 5
        for name, clips in real.items():
            for x in clips:
                r = self.rng()
                for _ in range(rooms):
                    audio = self.composer.noise_floor(r, 20 * knowledge.CHUNK, r.uniform(-72, -52))
                    heard = x[: 14 * knowledge.CHUNK] * 10 ** (r.uniform(-18, -4) / 20)
                    audio[3 * knowledge.CHUNK : 3 * knowledge.CHUNK + len(heard)] += heard
                    group.add(streams.Stream(audio), "sounds", replies=[{"text": name}], group=name)

        def rows(table, figures):
            shares = {name: share(figures.get("recall_" + name.replace(" ", "_"))) for name in real}
            for name, (hits, n) in shares.items():
                table.share(f"  real recordings: {name}", hits, n, "", rooms)
            hits, n = (sum(both[i] for both in shares.values()) for i in (0, 1))
            table.share("sounds: recall on real recordings never trained on", hits, n, "≥ 85 %", rooms)

        self.hear(group, rows)

    def over_speech(self):
        def script(scene):
            at = scene.pause(0, 0.5)
            while at < scene.n:
                end = scene.say(at, {"talk": 1, "text": 1})
                at = (end or at + knowledge.RATE) + scene.pause(0.02, 0.4)
            at = scene.pause(1, 3)
            while at < scene.n:
                end = scene.sound(at, str(scene.r.choice(HELP)), scene.r.uniform(-12, -2))
                at = (end or at + knowledge.RATE) + scene.pause(3, 6)

        group = self.group("over-speech")
        for _ in self.many(24):
            stream = self.stream(script)
            group.add(stream, "dialog", replies=sounds_due(stream, lambda n: knowledge.SOUNDS[n]["reply"], HELP))
        self.hear(group, self.share_row("dialog: a cough, knock or doorbell over running speech", "≥ 80 %"))

    def counting(self):
        """Hears counting as a user's own mode, opened with the instruction by a voice never trained on."""
        group = self.group("counting")
        # A small bank may lack the instruction for a sound.
        for name in (name for name in COUNTED if f"count {name}" in self.composer.instructions):
            mode = group.add_mode("count " + name, self.composer, self.rng())

            def script(scene, name=name):
                at = scene.pause(0.4, 1.5)
                for _ in range(int(scene.r.integers(2, 7))):
                    end = scene.sound(at, name)
                    at = (end or at + knowledge.RATE) + scene.pause(0.8, 1.8)

            for _ in self.many(12):
                stream = self.stream(script, 22)
                group.add(stream, mode, sequence=knowledge.COUNTS[: len(stream.events)])
        self.hear(group, self.share_row("count: 2 to 6 repeated sounds exactly right", "≥ 85 %", "exact"))

    def background(self):
        def script(scene):
            r, at = scene.r, 0
            while at < scene.n:
                what = r.uniform()
                if what < 0.4:
                    end = scene.nuisance(at)
                elif what < 0.85:
                    end = scene.say(at, {"talk": 3, "foreign": 1, "reply": 1})
                else:
                    end = scene.sound(at, str(r.choice(scenes.SILENT_SOUNDS)))
                at = (end or at + knowledge.RATE) + int(r.exponential(1.0) * knowledge.RATE)

        group = self.group("background")
        minutes = max(4, int(60 * self.scale))
        for _ in range(minutes):
            group.add(self.stream(script, 60), "dialog", replies=[])

        def rows(table, figures):
            false, _ = share(figures["stray_an_hour"])
            table.add("dialog: false responses in an hour of background", f"{false * 60 / minutes:.1f}", "≤ 6", f"{false} in {minutes} minutes")

        self.hear(group, rows)

    def everything(self, natural, people):
        """Hears all groups; their order decides the seed of each stream.

        `natural` composes with the voices that neural.py keeps, `people` with the speakers and recordings that real.py keeps.
        """
        composer = self.composer
        self.words("words", "transcribe: word error rate, unseen synthetic voices", {"word": 2, "text": 3, "phrase": 2}, 30, "≤ 10 %")
        self.words("digits", "transcribe: word error rate, real digits of an unseen speaker", {"digits": 1}, 20, "≤ 10 %")
        self.sentences("phrases", "translate: exact phrases", "translate", {"phrase": 1}, 24, "≥ 90 %", translations)
        self.sentences("single-words", "translate: exact single words", "translate", {"word": 1}, 12, "", translations)
        self.sentences("questions", "dialog: right reply to a listed phrase, unseen voice", "dialog", {"phrase": 1}, 24, "≥ 92 %", phrase_replies)
        self.sentences("in-the-middle", "dialog: a listed question in the middle of other speech", "dialog", {"middle": 1}, 24, "≥ 80 %", phrase_replies)
        real, composer.real = composer.real, {}
        self.sounds()
        self.recordings(real)
        self.over_speech()
        self.counting()
        composer.real = real
        self.background()
        if natural:
            self.composer = natural
            name = "transcribe: word error rate, unseen voices learnt from people"
            self.words("natural-words", name, {"word": 2, "text": 3, "phrase": 2}, 32, "")
            self.sentences("natural-questions", "dialog: right reply to a listed phrase, such a voice", "dialog", {"phrase": 1}, 24, "", phrase_replies)
        # Silence is due for the words around the phrases: what is guessed there counts as an error.
        self.composer = composer
        self.words("unknown-words", "transcribe: word error rate amid words outside the vocabulary", {"middle": 1}, 16, "")
        if people:
            unseen.everything(self, people, natural)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("work", type=pathlib.Path)
    a.add_argument("--model", type=pathlib.Path, default=knowledge.STARTER)
    a.add_argument("--hearken", default="hearken")
    a.add_argument("--data", default=str(knowledge.HERE.parents[2] / "shared" / "data"))
    a.add_argument("--seed", type=int, default=20_261_123)
    a.add_argument("--scale", type=float, default=1.0, help="more or fewer streams")
    a.add_argument("--jobs", type=int, default=2, help="groups that are heard at the same time")
    a.add_argument("--keep", type=pathlib.Path, help="a new folder that keeps the streams, their labels and the reports")
    a.add_argument("--only-unseen", action="store_true", help="only the rows of unseen.py")
    a.add_argument("--json", type=pathlib.Path)
    a = a.parse_args()
    if a.keep and a.keep.exists():
        raise SystemExit(f"{a.keep} is there already; name a new folder with --keep")
    composer = streams.Composer(a.work / "bank", "held-out", a.data, held=True)
    kept = a.work / "bank" / "natural.0.json"
    natural = streams.Composer(a.work / "bank", "natural", a.data, held=True) if kept.exists() else None
    people = streams.Composer(a.work / "bank", "real-held", a.data, held=True) if (a.work / "bank" / "real-held.speech.json").exists() else None
    table = Table()
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
        evaluation = Evaluation(composer, a, a.keep or pathlib.Path(folder), pool)
        if a.only_unseen:
            evaluation.composer = people
            unseen.everything(evaluation, people, natural)
        else:
            evaluation.everything(natural, people)
        evaluation.finish(table)
    if a.json:
        a.json.write_text(json.dumps({"seed": a.seed, "scale": a.scale, "rows": table.rows}, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
