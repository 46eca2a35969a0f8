"""The rows of the table that flatter least: people, recordings and voices that training never met (`evaluate.py` calls this).

`people` composes with what real.py keeps, `natural` with the voices that neural.py keeps. Every clip stands alone in a stream of
its own or among its like, and each is counted once; what `hearken eval streams` heard is judged here.
"""

import numpy as np

import knowledge
import scenes
import streams
from scoring import errors, written

COMMANDS = "yes no up down left right on off stop go bed cat happy".split()
# A reply belongs to what ended at most this much before it.
LATE_SECS = 2.0
COUNTED = ["cough", "dog bark", "knock", "clap", "doorbell", "sneeze", "car horn", "cat meow"]


def alone(people, r, x, lead=2.0, after=2.4, peak_db=(-20, -4)):
    """Returns a clip in a quiet room, between microphone noise or, one time in four, digital zero."""
    n = int((lead + len(x) / knowledge.RATE + after) * knowledge.RATE) // knowledge.CHUNK * knowledge.CHUNK + knowledge.CHUNK
    audio = np.zeros(n, np.float32) if r.uniform() < 0.25 else people.noise_floor(r, n, r.uniform(-75, -55))
    at = int(lead * knowledge.RATE)
    audio[at : at + len(x)] += x * 10 ** (r.uniform(*peak_db) / 20)
    return audio


def clips_of(people, kind, r, most, wanted=lambda clip: True):
    clips = [clip for clip in people.by_kind.get(kind, []) if wanted(clip)]
    return [clips[i] for i in r.permutation(len(clips))[:most]]


def samples(people, clip):
    return people.samples[clip["at"] : clip["at"] + clip["len"]].astype(np.float32) / 32_000


def single_words(evaluation, people):
    """Hears one word a stream; the word is right if it is written and nothing else is."""
    group, r, due = evaluation.group("people-words"), evaluation.rng(), []
    by_word = {}
    for clip in clips_of(people, "people", r, 10**6):
        by_word.setdefault(clip["words"][0][0], []).append(clip)
    for word, clips in sorted(by_word.items()):
        for clip in clips[: len(evaluation.many(30))]:
            group.add(streams.Stream(alone(people, r, samples(people, clip))), "transcribe", words=[{"text": word}])
            due.append(word)

    def rows(table, _):
        right = [(word, written(said) == [word]) for word, said in zip(due, group.said())]
        for name, words in (("command words", COMMANDS), ("digits", knowledge.VOCABULARY[:10]), ("other words", None)):
            of = [ok for word, ok in right if (word in words if words else word not in COMMANDS and word not in knowledge.VOCABULARY[:10])]
            table.share(f"unseen people: single {name}", sum(of), len(of), {"command words": "≥ 92 %", "digits": "≥ 97 %"}.get(name, ""))
        for word in COMMANDS:
            of = [ok for own, ok in right if own == word]
            if of:
                table.share(f"  {word}", sum(of), len(of), "")

    evaluation.hear(group, rows)


def other_words(evaluation, people):
    group, r = evaluation.group("people-talk"), evaluation.rng()
    for clip in clips_of(people, "talk", r, len(evaluation.many(240))):
        group.add(streams.Stream(alone(people, r, samples(people, clip))), "transcribe", words=[])

    def rows(table, _):
        said = group.said()
        table.share("unseen people: words outside the vocabulary, … or nothing written", sum(not written(each) for each in said), len(said), "≥ 85 %")
        table.share("  of these, … written", sum(any(knowledge.UNKNOWN in text for _, text in each) for each in said), len(said), "")

    evaluation.hear(group, rows)


def sentences(evaluation, people):
    """Hears census answers; due are the words of the vocabulary in them, and no others."""
    group, r, due = evaluation.group("people-read"), evaluation.rng(), []
    def judged(clip):
        """Returns False where a letter sounds like a word, which may be written so or not."""
        words = [w for w, _, _ in clip["words"]]
        return streams.AMBIGUOUS not in words and any(w in knowledge.VOCABULARY for w in words)

    for clip in clips_of(people, "read", r, len(evaluation.many(120)), judged):
        group.add(streams.Stream(alone(people, r, samples(people, clip))), "transcribe", words=[])
        due.append([w for w, _, _ in clip["words"] if w in knowledge.VOCABULARY])

    def rows(table, _):
        wrong, total = sum(errors(written(said), words) for said, words in zip(group.said(), due)), sum(map(len, due))
        table.add("unseen people: census answers, word error rate", f"{100 * wrong / max(1, total):.1f} %", "≤ 10 %", f"{wrong} errors in {total} words of {len(due)} answers")

    evaluation.hear(group, rows)


def recordings(evaluation, people):
    """Hears each recording in mode sounds and in dialog, and recordings with none of the starter's sounds."""
    named, helped, r = evaluation.group("unseen-sounds"), evaluation.group("unseen-help"), evaluation.rng()
    due = []
    by_name = {kind.split(":", 1)[1]: clips for kind, clips in people.by_kind.items() if kind.startswith("sound:")} | {None: people.by_kind["background"]}
    for name, clips in by_name.items():
        for i in r.permutation(len(clips))[: len(evaluation.many(30 if name else 150))]:
            audio = alone(people, r, samples(people, clips[int(i)])[: 8 * knowledge.RATE])
            named.add(streams.Stream(audio), "sounds", replies=[])
            helped.add(streams.Stream(audio), "dialog", replies=[])
            due.append((name, clips[int(i)]["voice"], len(audio) / knowledge.RATE))

    def rows(table, _):
        said = [[text for _, text in each] for each in named.said()]
        recalls = []
        for name in knowledge.SOUND_NAMES:
            of = [name in texts for (own, _, _), texts in zip(due, said) if own == name]
            if of:
                given = [own == name for (own, _, _), texts in zip(due, said) for text in texts if text == name]
                sources = len({source for own, source, _ in due if own == name})
                table.share(f"  {name}: recall", sum(of), len(of), "")
                table.add(f"  {name}: precision", f"{100 * sum(given) / max(1, len(given)):.0f} %", "", f"{sum(given)}/{len(given)}, {sources} recordings")
                recalls.append(sum(of) / len(of))
        table.add("unseen recordings: sounds, mean recall over the classes", f"{100 * np.mean(recalls):.1f} %", "≥ 65 %", f"{len(recalls)} classes, {sum(1 for own, _, _ in due if own)} clips")
        names = [(text == own) for (own, _, _), texts in zip(due, said) for text in texts]
        table.share("unseen recordings: sounds, precision", sum(names), len(names), "≥ 85 %")
        unnamed = [not texts for (own, _, _), texts in zip(due, said) if own is None]
        table.share("unseen recordings: other sounds that are given no name", sum(unnamed), len(unnamed), "≥ 95 %")

    def help_rows(table, _):
        said = [bool(each) for each in helped.said()]
        calls = [ok for (own, _, _), ok in zip(due, said) if own in scenes.HELP_SOUNDS]
        rest = [ok for (own, _, _), ok in zip(due, said) if own not in scenes.HELP_SOUNDS]
        table.share("unseen recordings: help at a sound that calls for it", sum(calls), len(calls), "")
        table.share("unseen recordings: silence at the rest", len(rest) - sum(rest), len(rest), "")
        balanced = 50 * (sum(calls) / max(1, len(calls)) + 1 - sum(rest) / max(1, len(rest)))
        table.add("unseen recordings: help, balanced accuracy", f"{balanced:.1f} %", "≥ 75 %", f"{len(calls)} and {len(rest)} clips")
        hours = sum(secs for own, _, secs in due if own is None) / 3_600
        false = sum(ok for (own, _, _), ok in zip(due, said) if own is None)
        table.add("unseen recordings: false replies in an hour of background", f"{false / max(hours, 1e-9):.1f}", "≤ 4", f"{false} in {60 * hours:.0f} minutes")

    evaluation.hear(named, rows)
    evaluation.hear(helped, help_rows)


def counting(evaluation, people, natural):
    """Hears sounds to be counted; a voice learnt from people gives the instruction, before the stream or within it."""
    def script(scene, name, told):
        at = scene.pause(0.4, 1)
        if told:
            x = natural.instruction(scene.r, f"count {name}")
            scene.put(x, at, scene.r.uniform(-14, -4))
            at += len(x) + scene.pause(1, 2)
        begin = at
        with scene.composer.same_source(True):
            for _ in range(int(scene.r.integers(2, 7))):
                end = scene.sound(at, name)
                at = (end or at + knowledge.RATE) + scene.pause(0.8, 1.8)
        return begin

    def short(name):
        """Returns the recordings that can be told apart when they follow each other."""
        return [x for x in people.real.get(name, []) if len(x) < 2.5 * knowledge.RATE]

    kept = people.real
    for told in (False, True):
        group = evaluation.group("count-told" if told else "count-natural")
        kinds = []
        for real in (True, False):
            people.real = {name: short(name) for name in COUNTED} if real else {}
            people.recorded = dict.fromkeys(COUNTED, 1.0)
            for name in COUNTED:
                if real and not people.real[name] or f"count {name}" not in natural.instructions:
                    continue
                mode = "dialog" if told else group.add_mode(f"count {name}", natural, evaluation.rng(), f"{name.replace(' ', '-')}-{int(real)}")
                for _ in evaluation.many(5):
                    stream = scenes.make(people, evaluation.rng(), 26 if told else 22, lambda scene, name=name: script(scene, name, told))
                    group.add(stream, mode, sequence=knowledge.COUNTS[: len(stream.events)])
                    kinds.append((real, knowledge.COUNTS[: len(stream.events)]))

        def rows(table, _, group=group, kinds=kinds, told=told):
            right = [(real, [text for _, text in said] == due) for (real, due), said in zip(kinds, group.said())]
            where = "said in the stream" if told else "before the stream"
            for real in (True, False):
                of = [ok for kind, ok in right if kind == real]
                table.share(f"count, a natural voice {where}, {'unseen recordings' if real else 'synthesised'}", sum(of), len(of), "≥ 50 %" if real else "≥ 80 %")

        evaluation.hear(group, rows)
    people.real = kept


def persisting(evaluation, people, natural):
    """Hears an instruction to count in the first minute, then three minutes of talk and silence, then two to four of the sounds."""
    names = [name for name in COUNTED if f"count {name}" in natural.instructions]
    people.real, kept = {}, people.real
    group = evaluation.group("persisting")

    def script(scene, name):
        r, at = scene.r, scene.pause(0.5, 20)
        x = natural.instruction(r, f"count {name}")
        scene.put(x, at, r.uniform(-14, -4))
        at += len(x) + scene.pause(1, 3)
        while at < 200 * knowledge.RATE:
            end = scene.say(at, {"talk": 3, "read": 1}) if r.uniform() < 0.6 else at
            at = (end or at) + scene.pause(0.5, 15)
        for _ in range(int(r.integers(2, 5))):
            at = (scene.sound(at, name) or at) + scene.pause(0.8, 2)

    for i in evaluation.many(16):
        name = names[i % len(names)]
        stream = scenes.make(people, evaluation.rng(), 240, lambda scene, name=name: script(scene, name))
        group.add(stream, "dialog", sequence=knowledge.COUNTS[: len(stream.events)])
    evaluation.hear(group, evaluation.share_row("an instruction of minute 1 followed after three minutes", "≥ 90 %", "exact"))
    people.real = kept


def everything(evaluation, people, natural):
    single_words(evaluation, people)
    other_words(evaluation, people)
    sentences(evaluation, people)
    recordings(evaluation, people)
    if natural:
        evaluation.natural_translations(natural)
        counting(evaluation, people, natural)
        persisting(evaluation, people, natural)
