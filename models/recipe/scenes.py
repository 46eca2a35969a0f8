"""The scenarios of streams, one a function: speakers, sounds, instructions and the room.

`make` runs a scenario and returns the stream; `streams.labels_of` labels it.
"""

import numpy as np

import channels
import knowledge
import streams
import synthesis

CHUNK, RATE = knowledge.CHUNK, knowledge.RATE
# How many streams of training lie on digital silence instead of a room's noise, and how many went through a codec.
ZERO_FLOORS, CODECS = 0.12, 0.2
# The kinds of utterances of a stream of speech, by how often each is heard.
SPEECH = {"word": 2.5, "digits": 7, "phrase": 2, "middle": 2, "text": 7, "talk": 2, "read": 2.5, "unheard": 0.4, "reply": 0.5, "fragment": 0.5}
# How many of the streams of speech keep to a topic.
TOPICAL = 0.35
HELP_SOUNDS = [name for name, sound in knowledge.SOUNDS.items() if sound["reply"]]
SILENT_SOUNDS = [name for name, sound in knowledge.SOUNDS.items() if not sound["reply"]]


# From so many seconds on a stream is long.
LONG = 30


class Scene:
    """A stream in the making. Each method puts something at the sample `at` and returns the sample after it, None where it no longer fits."""

    def __init__(self, composer, r, secs, target, floor_db):
        self.composer, self.r, self.target, self.floor_db = composer, r, target, floor_db
        self.n = int(secs * RATE) // CHUNK * CHUNK
        self.out = streams.Stream(np.zeros(self.n, np.float32))
        self.out.phones = np.zeros(self.n // streams.PHONE_HOP, np.int16)
        self.out.active = np.zeros((self.n // streams.SOUND_HOP, len(knowledge.SOUND_NAMES)), np.float32)
        if composer.held or r.uniform() >= ZERO_FLOORS:
            self.out.audio += composer.noise_floor(r, self.n, floor_db)
        self.hall = channels.room(r) if r.uniform() < 0.5 else None

    def pause(self, low, high):
        return int(self.r.uniform(low, high) * RATE)

    def put(self, x, at, peak_db, hall=None):
        hall = self.hall if hall is None else hall
        x = x * 10 ** (peak_db / 20)
        if hall is not None:
            x = channels.reverberate(x, hall)
        m = min(len(x), self.n - at)
        self.out.audio[at : at + m] += x[:m]

    def say(self, at, kinds, topic=None):
        r, out = self.r, self.out
        kind, x, words, phones = self.composer.utterance(r, kinds, topic)
        if at + len(x) >= self.n:
            return None
        self.put(self.composer.colour(r, x), at, max(r.uniform(-26, -2), self.floor_db + 24))
        out.utterances.append(([(w, at + a, at + b) for w, a, b in words], kind, at, at + len(x)))
        out.phones[at // streams.PHONE_HOP : (at + len(x)) // streams.PHONE_HOP] = -1
        if phones:
            for (a, p), (b, _) in zip(phones, phones[1:] + [(len(x), 0)]):
                out.phones[(at + a) // streams.PHONE_HOP : (at + b) // streams.PHONE_HOP] = p
        return at + len(x)

    def sound(self, at, name, peak_db=None):
        r, out = self.r, self.out
        x = self.composer.sound(r, name)
        if at + RATE // 4 >= self.n:
            return None
        x = x[: self.n - at]
        self.put(x, at, max(r.uniform(-28, -2), self.floor_db + 22) if peak_db is None else peak_db)
        # What of it can be heard: up to where it has fallen by 34 dB.
        loud = np.flatnonzero(np.abs(x) > 0.02)
        if len(loud) == 0:  # cut off by the end of the stream before it is heard
            return self.n
        end = at + int(loud[-1]) + 1
        out.events.append((name, at, end))
        out.active[at // streams.SOUND_HOP : end // streams.SOUND_HOP + 1, knowledge.SOUND_NAMES.index(name)] = 1
        return end

    def nuisance(self, at):
        x = synthesis.unit(self.composer.colour(self.r, self.composer.background(self.r)))
        if at < self.n:
            self.put(x, at, self.r.uniform(-35, -6))
        return at + len(x)

    def instruct(self, at, name):
        """Puts an instruction by another voice, from elsewhere in the room."""
        r, out = self.r, self.out
        x = self.composer.instruction(r, name)
        if at + len(x) >= self.n:
            return None
        hall = channels.room(r) if r.uniform() < 0.4 else None
        self.put(x, at, max(r.uniform(-26, -2), self.floor_db + 16), hall)
        out.phones[at // streams.PHONE_HOP : (at + len(x)) // streams.PHONE_HOP] = -1
        mode, _, sound_name = name.partition(" ")
        out.instructions.append((mode, sound_name or None, at, at + len(x)))
        return at + len(x)


def make(composer, r, secs, script, target=None):
    """Returns the stream that `script(scene)` makes; a scenario of `SCENARIOS` may be named instead of a function."""
    floor_db = r.uniform(-85, -30) if script == "quiet" else r.uniform(-80, -38)
    scene = Scene(composer, r, secs, target, floor_db)
    (SCRIPTS[script] if isinstance(script, str) else script)(scene)
    audio = scene.out.audio
    if not composer.held and r.uniform() < CODECS:
        audio = channels.codec(r, audio)
    scene.out.audio = (audio / max(1, np.abs(audio).max())).astype(np.float32)
    return scene.out


def speech(scene):
    r, at = scene.r, scene.pause(0, 1.2)
    tight = r.uniform() < 0.3
    topic = scene.composer.topic(r) if r.uniform() < TOPICAL else None
    while at < scene.n:
        end = scene.say(at, SPEECH, topic if r.uniform() < 0.9 else None)
        at = (end or at + RATE) + (scene.pause(0.02, 0.4) if tight or r.uniform() < 0.2 else scene.pause(0.4, 2.2))
    if r.uniform() < 0.3:
        scene.nuisance(int(r.uniform(0, scene.n)))


def sounds(scene, at=None):
    r = scene.r
    at = scene.pause(0, 1.5) if at is None else at
    while at < scene.n:
        what = r.uniform()
        if what < 0.58:
            end = scene.sound(at, str(r.choice(streams.RARE_SOUNDS if r.uniform() < 0.1 else knowledge.SOUND_NAMES)))
        elif what < 0.86:
            end = scene.nuisance(at)
        else:
            end = scene.say(at, {"talk": 2, "text": 2, "phrase": 1, "foreign": 0.5, "unheard": 0.5, "fragment": 0.4})
        at = (end or at + RATE) + scene.pause(0.5, 2.2)


def count(scene, at=None, target=None):
    r, target = scene.r, target or scene.target
    at = scene.pause(0, 1.5) if at is None else at
    others = [name for name in knowledge.SOUND_NAMES if name != target]
    # The same source each time, mostly: a dog that barks five times.
    alike = r.uniform() < 0.4
    with scene.composer.same_source(alike):
        while at < scene.n:
            what = r.uniform()
            if what < 0.66:
                end = scene.sound(at, target)
            elif what < 0.80:
                end = scene.sound(at, str(r.choice(others)))
            elif what < 0.92:
                end = scene.nuisance(at)
            else:
                end = scene.say(at, {"talk": 1, "word": 1, "phrase": 0.5, "fragment": 0.3})
            at = (end or at + RATE) + scene.pause(0.6, 1.8)


def mixed(scene):
    r, at = scene.r, scene.pause(0, 0.8)
    while at < scene.n:
        end = scene.say(at, {"talk": 4, "text": 4, "phrase": 2, "word": 0.5, "foreign": 0.6, "unheard": 1, "fragment": 0.8})
        at = (end or at + RATE) + (scene.pause(0.02, 0.4) if r.uniform() < 0.6 else scene.pause(0.4, 1.2))
    at = scene.pause(0.3, 2.5)
    while at < scene.n:
        name = str(r.choice(["cough", "knock", "doorbell"] if r.uniform() < 0.45 else HELP_SOUNDS if r.uniform() < 0.5 else knowledge.SOUND_NAMES))
        end = scene.sound(at, name, r.uniform(-16, -1)) if r.uniform() < 0.7 else scene.nuisance(at)
        at = (end or at + RATE) + scene.pause(0.8, 4)


def quiet(scene):
    r, at = scene.r, scene.pause(0, 3)
    while at < scene.n:
        what = r.uniform()
        if what < 0.5:
            end = scene.nuisance(at)
        elif what < 0.85:
            end = scene.say(at, {"talk": 4, "foreign": 2, "reply": 3, "unheard": 2, "read": 1, "fragment": 2})
        elif what < 0.93:
            end = scene.sound(at, str(r.choice(SILENT_SOUNDS)))
        else:
            end = scene.say(at, {"word": 1, "text": 1})
        at = (end or at + RATE) + int(r.exponential(1.5) * RATE)


def told(scene):
    """Makes a stream with a spoken instruction: at once or after other things, sometimes twice, sometimes replaced by another.

    Mostly what the instruction asks for follows it, sometimes after a long silence.
    """
    r, at = scene.r, scene.pause(0, 1.5)
    # In a long stream what is not heard early may leave the context unanswered.
    if r.uniform() < (0.5 if scene.n < LONG * RATE else 0.3):
        for _ in range(r.integers(1, 3)):
            end = scene.say(at, SPEECH) if r.uniform() < 0.6 else scene.sound(at, str(r.choice(knowledge.SOUND_NAMES)))
            at = (end or at + RATE) + scene.pause(0.5, 1.5)
    names = list(scene.composer.instructions)
    counts = [name for name in names if name.startswith("count ")]
    name = None
    replaced = scene.n * r.uniform(0.35, 0.6) if r.uniform() < 0.25 else None
    while at < scene.n:
        again = name and r.uniform() < 0.3
        name = name if again else str(r.choice(counts if r.uniform() < 0.6 else names))
        end = scene.instruct(at, name)
        if end is None:
            return
        at = end + scene.pause(0.4, 1.5)
        if r.uniform() < 0.12:
            at += scene.pause(2, 8)
        elif scene.n >= LONG * RATE and r.uniform() < 0.6:
            at = chatter(scene, at, min(scene.n, at + scene.pause(15, 60)))
        until = replaced if replaced and replaced > at else scene.n
        obey(scene, name, at, until)
        at, replaced = max(int(until), at + RATE), None


def chatter(scene, at, until):
    """Puts talk and silence, which an instruction has to outlast."""
    while at < until:
        end = scene.say(at, {"talk": 3, "read": 1, "unheard": 0.5}) if scene.r.uniform() < 0.6 else at
        at = (end or at + RATE) + scene.pause(0.5, 12)
    return at


def obey(scene, name, at, until):
    """Puts sounds and speech that an instruction is about, up to the sample `until`."""
    r = scene.r
    mode, _, target = name.partition(" ")
    shares = {"count": (0.6, 0.15, 0.12), "sounds": (0, 0.65, 0.17)}.get(mode, (0, 0.12, 0.06))
    wanted, others, noises = np.cumsum(shares)
    with scene.composer.same_source(mode == "count" and r.uniform() < 0.4):
        while at < until:
            what = r.uniform()
            if what < wanted:
                end = scene.sound(at, target)
            elif what < others:
                end = scene.sound(at, str(r.choice(knowledge.SOUND_NAMES)))
            elif what < noises:
                end = scene.nuisance(at)
            else:
                end = scene.say(at, SPEECH)
            at = (end or at + RATE) + scene.pause(0.4, 2)


SCRIPTS = {script.__name__: script for script in (speech, sounds, count, mixed, quiet, told)}
# How often each comes; for the encoder alone, which has no lanes; and where a stream is long.
SCENARIOS = {"speech": 0.44, "sounds": 0.17, "count": 0.05, "mixed": 0.08, "quiet": 0.15, "told": 0.11}
LONG_SCENARIOS = {"speech": 0.1, "sounds": 0.1, "count": 0.1, "mixed": 0.1, "quiet": 0.15, "told": 0.45}
EAR_SCENARIOS = {"speech": 0.56, "sounds": 0.2, "mixed": 0.14, "quiet": 0.1}
# The modes that listen to each.
LANES = {
    "speech": {"dialog": 0.6, "transcribe": 3.0, "translate": 0.6, "sounds": 0.1, "count": 0.05},
    "sounds": {"dialog": 0.9, "transcribe": 0.2, "translate": 0.15, "sounds": 0.95, "count": 0.5},
    "count": {"dialog": 0.3, "transcribe": 0.1, "translate": 0.05, "sounds": 0.6, "count": 4.0},
    "mixed": {"dialog": 0.95, "transcribe": 0.6, "translate": 0.4, "sounds": 0.7, "count": 0.2},
    "quiet": {"dialog": 2.0, "transcribe": 0.6, "translate": 0.3, "sounds": 0.5, "count": 0.2},
    "told": {"dialog": 4.0, "transcribe": 0.4, "translate": 0.3, "sounds": 0.4, "count": 0.4},
}


def lanes_for(r, scenario, count):
    weights = LANES[scenario]
    p = np.array([weights[m] for m in streams.MODES])
    return [streams.MODES[i] for i in r.choice(len(streams.MODES), count, replace=False, p=p / p.sum())]
