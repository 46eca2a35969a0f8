"""The starter's table of figures, heard by the product itself: `python evaluate.py WORK --model DIR --hearken BINARY`.

Audio comes from voices, speakers, recordings and seeds that training never used. Every stream is one run of
`hearken listen`; the figures are computed from its events.
"""

import argparse
import concurrent.futures
import json
import pathlib
import subprocess
import tempfile

import numpy as np
from scipy.io import wavfile

import knowledge as k
import streams as st


def wilson(hits, n, z=1.96):
    if n == 0:
        return 0.0, 1.0
    p = hits / n
    middle, spread = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


class Runner:
    def __init__(self, hearken, model, folder, jobs):
        self.hearken, self.model, self.folder, self.jobs = hearken, model, pathlib.Path(folder), jobs
        self.home = self.folder / "home"
        (self.home / "config").mkdir(parents=True)

    def add_mode(self, name, composer, r):
        """A user's mode that is opened with the instruction `name`, spoken."""
        clips = composer.instructions[name]
        x, _, _ = composer.clip(r, clips[int(r.integers(len(clips)))], stretch=False)
        slug = name.replace(" ", "-")
        folder = self.home / "config" / "instructions"
        folder.mkdir(exist_ok=True)
        wavfile.write(folder / f"{slug}.wav", k.RATE, (x * 20_000).astype(np.int16))
        instruction = k.count_instruction(name.split(" ", 1)[1])
        with open(self.home / "config" / "modes.toml", "a") as file:
            file.write(f'[[mode]]\nname = "{slug}"\ninstruction = "{instruction}"\npanel = "conversation"\ncatch_up = "every_chunk"\n\n')

    def listen(self, streams, mode):
        """The replies of one mode to each stream: `[(chunk, emotion, text)]`."""
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(lambda s: self._one(s, mode), streams))

    def _one(self, stream, mode):
        with tempfile.NamedTemporaryFile(suffix=".wav", dir=self.folder) as file:
            wavfile.write(file.name, k.RATE, (stream.audio * 32_767).astype(np.int16))
            command = [self.hearken, "listen", file.name, "--model", str(self.model), "--modes", mode, "--format", "jsonl", "--threads", "1", "--no-decisions", "--gate", "off", "--gap-secs", "2"]  # fmt: skip
            run = subprocess.run(command, capture_output=True, text=True, env={"HEARKEN_HOME": str(self.home), "PATH": "/usr/bin:/bin"})
        replies, chunks = [], {}
        for line in run.stdout.splitlines():
            event = json.loads(line)
            if event["type"] == "reply_started":
                chunks[event["reply"]] = (event["chunk"], event.get("emotion"))
            elif event["type"] == "reply_finished":
                replies.append((*chunks[event["reply"]], event["text"]))
        if '"session_finished"' not in run.stdout:
            raise RuntimeError(run.stderr)
        return sorted(replies, key=lambda x: x[0])


def align(reference, heard):
    """`(substitutions, insertions, deletions, [(i, j)] of equal words)`."""
    n, m = len(reference), len(heard)
    cost = np.zeros((n + 1, m + 1), int)
    cost[:, 0], cost[0, :] = range(n + 1), range(m + 1)
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            cost[i, j] = min(cost[i - 1, j] + 1, cost[i, j - 1] + 1, cost[i - 1, j - 1] + (reference[i - 1] != heard[j - 1]))
    i, j, s, ins, dele, same = n, m, 0, 0, 0, []
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (reference[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            if reference[i] == heard[j]:
                same.append((i, j))
            else:
                s += 1
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i, dele = i - 1, dele + 1
        else:
            j, ins = j - 1, ins + 1
    return s, ins, dele, same


class Table:
    def __init__(self):
        self.rows, self.json = [], {}

    def add(self, name, value, target, detail):
        self.rows.append((name, value, target, detail))
        self.json[name] = value
        print(f"{name:64} {value:>8}   {target:>8}   {detail}", flush=True)

    def share(self, name, hits, n, target):
        low, high = wilson(hits, n)
        self.add(name, f"{100 * hits / max(n, 1):.1f} %", target, f"{hits}/{n}, 95 % interval {100 * low:.0f}–{100 * high:.0f}")


def speech(composer, r, secs, kinds, gap=(0.5, 1.6)):
    """A stream of utterances of the given kinds in a room."""
    def script(r, n, say, sound, nuisance, instruct, target):
        at = int(r.uniform(0.2, 1) * k.RATE)
        while at < n:
            end = say(at, kinds)
            at = (end or at + k.RATE) + int(r.uniform(*gap) * k.RATE)

    composer._script = script
    return composer.stream(r, secs, "script")


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("work", type=pathlib.Path)
    a.add_argument("--model", type=pathlib.Path, default=k.STARTER)
    a.add_argument("--hearken", default="hearken")
    a.add_argument("--data", default=str(k.HERE.parents[2] / "shared" / "data"))
    a.add_argument("--seed", type=int, default=20_261_123)
    a.add_argument("--scale", type=float, default=1.0, help="more or fewer streams")
    a.add_argument("--jobs", type=int, default=2)
    a.add_argument("--json", type=pathlib.Path)
    a = a.parse_args()
    composer = st.Composer(a.work / "bank", "held-out", a.data, held=True)
    table, timing = Table(), [0, 0]
    many = lambda n: max(2, int(n * a.scale))
    seeds = iter(range(10**6))
    rng = lambda: np.random.default_rng([a.seed, next(seeds)])

    def on_time(chunk, end, onset=None):
        timing[1] += 1
        late = chunk - end // k.CHUNK
        early_enough = onset is not None and end - onset > st.LONG_SECS * k.RATE and chunk - onset // k.CHUNK <= 5
        timing[0] += 0 <= late <= 3 or early_enough

    with tempfile.TemporaryDirectory() as folder:
        run = Runner(str(pathlib.Path(a.hearken).resolve()), a.model.resolve(), folder, a.jobs)

        def words(name, kinds, n, target):
            streams = [speech(composer, rng(), 24, kinds) for _ in range(many(n))]
            wrong = total = 0
            for stream, replies in zip(streams, run.listen(streams, "transcribe")):
                reference = [(w, e) for u in stream.utterances for w, _, e in u[0] if w in k.TRANSLATIONS]
                heard = [(w, c) for c, _, text in replies for w in text.split()]
                s, ins, dele, same = align([w for w, _ in reference], [w for w, _ in heard])
                wrong, total = wrong + s + ins + dele, total + len(reference)
                for i, j in same:
                    on_time(heard[j][1], reference[i][1])
            table.add(name, f"{100 * wrong / max(1, total):.1f} %", target, f"{wrong} errors in {total} words")

        words("transcribe: word error rate, unseen synthetic voices", {"word": 2, "text": 3, "phrase": 2}, 30, "≤ 10 %")
        words("transcribe: word error rate, real digits of an unseen speaker", {"digits": 1}, 20, "≤ 10 %")

        def sentences(name, mode, kinds, n, target, expected, gap=(0.8, 2.0)):
            streams = [speech(composer, rng(), 24, kinds, gap) for _ in range(many(n))]
            hits = total = 0
            for stream, replies in zip(streams, run.listen(streams, mode)):
                free = list(replies)
                for end, text in expected(stream):
                    total += 1
                    match = next((x for x in free if x[2] == text and -1 <= x[0] - end // k.CHUNK <= 6), None)
                    if match:
                        free.remove(match)
                        hits += 1
                        on_time(match[0], end)
            table.share(name, hits, total, target)

        def phrase_ends(stream, field):
            for spoken, kind, _, _ in stream.utterances:
                if kind != "reply":
                    for say, _, last in st.find_phrases([w for w, _, _ in spoken]):
                        yield spoken[last][2], k.PHRASES[say][field]

        def word_or_phrase(stream):
            for spoken, _, _, end in stream.utterances:
                said = " ".join(w for w, _, _ in spoken)
                yield end, k.PHRASES[said]["zh"] if said in k.PHRASES else k.TRANSLATIONS[said]

        sentences("translate: exact phrases", "translate", {"phrase": 1}, 24, "≥ 90 %", word_or_phrase)
        sentences("translate: exact single words", "translate", {"word": 1}, 12, "", word_or_phrase)
        sentences("dialog: right reply to a listed phrase, unseen voice", "dialog", {"phrase": 1}, 24, "≥ 92 %", lambda s: phrase_ends(s, "reply"))
        sentences("dialog: a listed question in the middle of other speech", "dialog", {"middle": 1}, 24, "≥ 80 %", lambda s: phrase_ends(s, "reply"))

        def found(stream, replies, name_of, wanted):
            """`(hits, expected, good replies, replies)` of sounds."""
            hits, good, free = 0, 0, list(replies)
            events = [e for e in stream.events if e[0] in wanted]
            for name, onset, end in events:
                match = next((x for x in free if x[2] == name_of(name) and onset // k.CHUNK <= x[0] <= max(end // k.CHUNK + 3, onset // k.CHUNK + 6)), None)
                if match:
                    free.remove(match)
                    hits += 1
                    on_time(match[0], end, onset)
            return hits, len(events), len(replies) - len(free), len(replies)

        def sound_script(names):
            def script(r, n, say, sound, nuisance, instruct, target):
                at = int(r.uniform(0.3, 1.5) * k.RATE)
                while at < n:
                    end = sound(at, str(r.choice(names)))
                    at = (end or at + k.RATE) + int(r.uniform(0.8, 2.5) * k.RATE)

            return script

        def stream(script, secs=24):
            composer._script = script
            return composer.stream(rng(), secs, "script")

        real = composer.real
        composer.real = {}
        streams = [stream(sound_script(k.SOUND_NAMES)) for _ in range(many(40))]
        sums = np.zeros(4, int)
        for s, replies in zip(streams, run.listen(streams, "sounds")):
            sums += found(s, replies, lambda n: n, k.SOUND_NAMES)
        table.share("sounds: recall, held-out synthetic", sums[0], sums[1], "≥ 95 %")
        table.share("sounds: precision, held-out synthetic", sums[2], sums[3], "≥ 95 %")

        # Each kept recording once, as it is, in a quiet room.
        hits = total = 0
        for name, clips in real.items():
            streams = []
            for x in clips:
                r = rng()
                audio = composer.noise_floor(r, 20 * k.CHUNK, -62)
                x = x[: 14 * k.CHUNK] * 0.4
                audio[3 * k.CHUNK : 3 * k.CHUNK + len(x)] += x
                streams.append(st.Stream(audio))
            named = [any(t == name for _, _, t in replies) for replies in run.listen(streams, "sounds")]
            table.share(f"  real recordings: {name}", sum(named), len(named), "")
            hits, total = hits + sum(named), total + len(named)
        table.share("sounds: recall on real recordings never trained on", hits, total, "≥ 85 %")

        def over_speech(r, n, say, sound, nuisance, instruct, target):
            at = int(r.uniform(0, 0.5) * k.RATE)
            while at < n:
                end = say(at, {"talk": 1, "text": 1})
                at = (end or at + k.RATE) + int(r.uniform(0.02, 0.4) * k.RATE)
            at = int(r.uniform(1, 3) * k.RATE)
            while at < n:
                end = sound(at, str(r.choice(["cough", "knock", "doorbell"])), r.uniform(-12, -2))
                at = (end or at + k.RATE) + int(r.uniform(3, 6) * k.RATE)

        streams = [stream(over_speech) for _ in range(many(24))]
        sums = np.zeros(4, int)
        for s, replies in zip(streams, run.listen(streams, "dialog")):
            sums += found(s, replies, lambda n: k.SOUNDS[n]["reply"], ["cough", "knock", "doorbell"])
        table.share("dialog: a cough, knock or doorbell over running speech", sums[0], sums[1], "≥ 80 %")

        silent_sounds = [n for n, v in k.SOUNDS.items() if not v["reply"]]

        def background(r, n, say, sound, nuisance, instruct, target):
            at = 0
            while at < n:
                what = r.uniform()
                end = nuisance(at) if what < 0.4 else say(at, {"talk": 3, "foreign": 1, "reply": 1}) if what < 0.85 else sound(at, str(r.choice(silent_sounds)))
                at = (end or at + k.RATE) + int(r.exponential(1.0) * k.RATE)

        # Counting is a mode of the user's own, opened with the instruction as a voice never heard says it.
        composer.real = {}
        hits = total = 0
        for sound in ["cough", "knock", "dog bark", "clap", "doorbell", "sneeze", "car horn", "cat meow"]:
            run.add_mode("count " + sound, composer, rng())

            def repeats(r, n, say, sound_at, nuisance, instruct, target, sound=sound):
                at = int(r.uniform(0.4, 1.5) * k.RATE)
                for _ in range(int(r.integers(2, 7))):
                    end = sound_at(at, sound)
                    at = (end or at + k.RATE) + int(r.uniform(0.8, 1.8) * k.RATE)

            streams = [stream(repeats, 22) for _ in range(many(5))]
            for s, replies in zip(streams, run.listen(streams, "count-" + sound.replace(" ", "-"))):
                total += 1
                hits += [text for _, _, text in replies] == k.COUNTS[: len(s.events)]
        table.share("count: 2 to 6 repeated sounds exactly right", hits, total, "≥ 85 %")

        composer.real = real
        minutes = max(4, int(60 * a.scale))
        streams = [stream(background, 60) for _ in range(minutes)]
        false = sum(len(replies) for replies in run.listen(streams, "dialog"))
        table.add("dialog: false responses in an hour of background", f"{false * 60 / minutes:.1f}", "≤ 6", f"{false} in {minutes} minutes")

        table.share("timing: within 0–3 chunks (5 after the onset of a long sound)", *timing, "≥ 95 %")
    if a.json:
        a.json.write_text(json.dumps({"seed": a.seed, "scale": a.scale, "rows": table.rows}, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
