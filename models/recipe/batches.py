"""Batches: streams, the lanes that listen to them, and the token rows of `src/model/README.md` section 5.3 with their targets."""

import multiprocessing
import os
import queue as queues
from dataclasses import dataclass

import numpy as np

import channels
import knowledge
import scenes
import streams

IGNORE = -100
BLOCK = 13  # positions of a silent block
# What a lane keeps of long ago: the first chunks with a sound, and the chunks before each reply (`src/lane/context.rs`).
FIRST_CHUNKS, LEADING_CHUNKS = 15, 15
# What a silent chunk counts beside a reply. A reply that nobody asked for costs more than one that is missed: in dialog 1 gave 13
# false ones in an hour, 2.5 gave 2 but took a tenth of the right ones. A word that is missed costs more than one too many, or
# words are learnt late; 0.5 wrote down too many in the end.
SILENCE = {"dialog": 1.8, "transcribe": 0.7, "translate": 0.8}


@dataclass
class Row:
    """One lane: token ids, targets, weights, positions; `blocks` = the encoder blocks its features come from, in order;
    `asked` = the number of what it was asked, `IGNORE` where somebody asks for another thing in the stream."""

    ids: list
    targets: list
    weights: list
    positions: list
    blocks: list
    asked: int = IGNORE


def opening_audio(composer, r, name):
    """Returns a spoken instruction padded to whole chunks, with a silent chunk behind it."""
    x = composer.instruction(r, name) * 10 ** (r.uniform(-22, -2) / 20)
    if r.uniform() < 0.3:
        x = channels.reverberate(x, channels.room(r))
    lead = int(r.uniform(0, 0.1) * knowledge.RATE)
    chunks = -(-(len(x) + lead) // knowledge.CHUNK) + 1
    out = np.zeros(chunks * knowledge.CHUNK, np.float32)
    out[lead : lead + len(x)] = x[: len(out) - lead]
    if r.uniform() < 0.6:
        out += r.standard_normal(len(out)).astype(np.float32) * 10 ** r.uniform(-5, -2.5)
    return out


def lay_out(tokens, opening_blocks, stream_blocks, labels, unsure, heard, r, silence=1.0, limit=2_048):
    """Returns the row of one lane. Silent chunks weigh `silence`; a row longer than `limit` is trimmed as the product trims."""
    ids = tokens.ids
    row = Row([], [], [], [], [])
    keep = list(range(len(stream_blocks)))
    loss_from = 0
    head = len(tokens.prefix) + BLOCK * len(opening_blocks)
    reply_cost = {c: 2 + len(tokens.reply(*labels[c])) - 1 for c in labels}
    total = head + BLOCK * len(keep) + sum(reply_cost.values())
    if total > limit:
        recent = 75
        room = limit - head - BLOCK * recent - sum(reply_cost.get(c, 0) for c in keep[-recent:])
        # The first that was heard stays, then the latest turns: each reply with what led to it (src/README.md "Endless listening").
        old = set()
        turns = [range(max(0, c - LEADING_CHUNKS), c + 1) for c in sorted(labels, reverse=True)]
        for chunks in [heard[:FIRST_CHUNKS], *turns]:
            more = {c for c in chunks if c < len(keep) - recent} - old
            cost = sum(BLOCK + reply_cost.get(c, 0) for c in more)
            if cost > room:
                break
            room -= cost
            old |= more
        old = sorted(old)
        loss_from = len(keep) - recent
        keep = old + keep[loss_from:]
        total = head + BLOCK * len(keep) + sum(reply_cost.get(c, 0) for c in keep)

    def add(token, target=IGNORE, weight=1.0):
        row.ids.append(token)
        row.targets.append(target)
        row.weights.append(weight)

    def block(index):
        add(ids["AUDIO_BEGIN"])
        for _ in range(10):
            add(ids["PAD"])
        row.blocks.append(index)

    for token in tokens.prefix:
        add(token)
    for index in opening_blocks:
        block(index)
        add(ids["ASSISTANT"])
        add(ids["KEEP_SILENCE"])
    for chunk in keep:
        block(stream_blocks[chunk])
        counts = chunk >= loss_from and chunk not in unsure
        if chunk in labels:
            reply = tokens.reply(*labels[chunk])
            add(ids["ASSISTANT"], ids["TEXT_BEGIN"] if counts else IGNORE)
            for token, target in zip([ids["TEXT_BEGIN"], *reply[:-1]], reply):
                add(token, target if counts else IGNORE)
            add(reply[-1])
        else:
            add(ids["ASSISTANT"], ids["KEEP_SILENCE"] if counts else IGNORE, silence)
            add(ids["KEEP_SILENCE"])
    # The stream may have begun long ago: what lies between has been trimmed away, positions have moved on.
    jump = int(r.integers(0, max(1, limit - len(row.ids)))) if r.uniform() < 0.5 else 0
    row.positions = list(range(head)) + [p + jump for p in range(head, len(row.ids))]
    return row


def make_batch(composer, tokens, r, n_streams, secs, lanes_each):
    """Returns `(audio [n, samples], phones, active, ended, openings [audio], rows)`; block numbers count streams first, then openings."""
    audio, phones, active, ended, rows, openings = [], [], [], [], [], {}
    scenarios = scenes.EAR_SCENARIOS if not lanes_each else scenes.SCENARIOS if secs < scenes.LONG else scenes.LONG_SCENARIOS
    opening_list, at = [], n_streams * int(secs * knowledge.RATE) // knowledge.CHUNK
    chunks = int(secs * knowledge.RATE) // knowledge.CHUNK
    for i in range(n_streams):
        scenario = str(r.choice(list(scenarios), p=np.array(list(scenarios.values())) / sum(scenarios.values())))
        target = str(r.choice([n for n in knowledge.SOUND_NAMES if n not in ("rain", "music", "thunder")] if r.uniform() < 0.85 else knowledge.SOUND_NAMES))
        stream = scenes.make(composer, r, secs, scenario, target)
        audio.append(stream.audio)
        phones.append(stream.phones)
        active.append(stream.active)
        ended.append(streams.ended_in(stream))
        for mode in scenes.lanes_for(r, scenario, lanes_each) if lanes_each else []:
            labels, unsure = streams.told_labels(stream, mode, target)
            name = None if mode == "dialog" else f"count {target}" if mode == "count" else mode
            if name and name not in openings:
                x = opening_audio(composer, r, name)
                openings[name] = list(range(at, at + len(x) // knowledge.CHUNK))
                opening_list.append(x)
                at += len(x) // knowledge.CHUNK
            row = lay_out(tokens, openings.get(name, []), list(range(i * chunks, (i + 1) * chunks)), labels, unsure, stream.heard, r, SILENCE.get(mode, 1.0))
            row.asked = IGNORE if stream.instructions else streams.ASKED.index(name or mode)
            rows.append(row)
    return np.stack(audio), np.stack(phones), np.stack(active), np.stack(ended), opening_list, rows


def _work(queue, make_composer, tokens, seed, shape):
    os.nice(1)
    composer = make_composer()
    r = np.random.default_rng(seed)
    while True:
        long = r.uniform() < shape["long_share"]
        n = shape["streams"]
        if shape["ears"]:
            batch = make_batch(composer, tokens, r, n, shape["secs"], 0)
        elif long:
            batch = make_batch(composer, tokens, r, max(1, n // 5), float(r.choice([56.0, 80.0, 100.0])), shape["lanes"])
        else:
            batch = make_batch(composer, tokens, r, n, shape["secs"], shape["lanes"])
        queue.put(batch)


class Feeder:
    """The queue of batches that worker processes fill."""

    def __init__(self, make_composer, tokens, seed, shape, workers=1):
        context = multiprocessing.get_context("fork")
        self.queue = context.Queue(maxsize=6)
        self.workers = [
            context.Process(target=_work, args=(self.queue, make_composer, tokens, [seed, i], shape), daemon=True) for i in range(workers)
        ]
        for worker in self.workers:
            worker.start()

    def next(self):
        while True:
            try:
                return self.queue.get(timeout=20)
            except queues.Empty:
                if not any(worker.is_alive() for worker in self.workers):
                    raise RuntimeError("every worker that makes streams has died; what it said stands above") from None
