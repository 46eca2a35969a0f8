"""Speech for training: espeak-ng through its library, with the time of every word and phoneme.

One process may hold one espeak-ng; the makers of the bank run several processes.
"""

import ctypes
import ctypes.util

import numpy as np
from scipy.signal import resample_poly

RATE = 16_000

# Accents of English, and the voice variants that sound like a person (robots, whisperers and jokes are left out).
ACCENTS = [
    f"gmw/{name}"
    for name in ("en-US", "en", "en-GB-scotland", "en-GB-x-gbclan", "en-GB-x-rp", "en-GB-x-gbcwmd", "en-029", "en-US-nyc")
]
# Other languages: talk in the background that deserves silence.
FOREIGN = ["gmw/de", "roa/fr", "roa/es", "roa/it", "zlw/pl", "zle/ru", "gmw/nl", "gmq/sv", "trk/tr", "urj/fi", "roa/pt"]
VARIANTS = (
    "Alex Alicia Andrea Andy Annie Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen Storm "
    "adam anika announcer antonio aunty belinda benjamin boris caleb david ed edward edward2 f1 f2 f3 f4 f5 grandma grandpa "
    "gustave iven iven2 iven3 iven4 john kaukovalta klatt klatt2 klatt3 klatt4 klatt5 klatt6 linda m1 m2 m3 m4 m5 m6 m7 m8 "
    "marcelo max michel miguel norbert pablo paul pedro quincy rob robert sandro shelby steph steph2 steph3 travis victor zac"
).split()
# Never trained on: the evaluation speaks with these.
HELD_OUT = "Andy Annie Michael adam belinda f2 grandpa klatt3 linda m5 pablo steph2 zac".split()
TRAINED = [v for v in VARIANTS if v not in HELD_OUT]


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
_WORD, _PHONEME = 1, 7
_UTF8, _PHONEMES = 1, 0x100
_RATE, _PITCH, _RANGE, _WORDGAP = 1, 3, 4, 7


class Espeak:
    """espeak-ng in this process."""

    def __init__(self):
        self.lib = ctypes.CDLL(ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1")
        # Retrieval of samples, with phoneme events as mnemonics.
        self.native_rate = self.lib.espeak_Initialize(1, 0, None, 1)
        self._samples, self._words, self._phones = [], [], []
        self._callback = _CALLBACK(self._collect)
        self.lib.espeak_SetSynthCallback(self._callback)

    def _collect(self, wav, count, events):
        if wav and count > 0:
            self._samples.append(np.ctypeslib.as_array(wav, (count,)).copy())
        i = 0
        while events[i].type:
            event = events[i]
            if event.type == _WORD:
                self._words.append((event.text_position - 1, event.sample))
            elif event.type == _PHONEME:
                self._phones.append((event.sample, bytes(event.id.string).split(b"\0")[0].decode("utf-8", "ignore")))
            i += 1
        return 0

    def spelled(self, text, voice="gmw/en-US"):
        """`[[mnemonic with its stress mark] of each word]`, as espeak-ng makes words of a text."""
        self.lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.lib.espeak_SetVoiceByName(voice.encode())
        pointer = ctypes.c_char_p(text.encode())
        said = self.lib.espeak_TextToPhonemes(ctypes.byref(pointer), 1, ord("_") << 8) or b""
        return [word.split("_") for word in said.decode().split()]

    def phonemes(self, text, voice="gmw/en-US"):
        """The phoneme mnemonics of a text, without stress marks."""
        bare = (p.translate({ord(c): None for c in "',%=|"}) for word in self.spelled(text, voice) for p in word)
        return [p for p in bare if p]

    def say(self, text, voice, speed=160, pitch=50, pitch_range=50, word_gap=0, phonemes=False):
        """`(samples at 16 kHz f32, [(start, end)] of each word, [(start, mnemonic)] of each phoneme)`, in samples; with
        `phonemes`, what stands in `[[ ]]` is said as it is spelled there."""
        self._samples, self._words, self._phones = [], [], []
        if self.lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice}")
        for parameter, value in ((_RATE, speed), (_PITCH, pitch), (_RANGE, pitch_range), (_WORDGAP, word_gap)):
            self.lib.espeak_SetParameter(parameter, int(value), 0)
        data = text.encode()
        self.lib.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8 | _PHONEMES * phonemes, None, None)
        self.lib.espeak_Synchronize()
        if not self._samples:
            return np.zeros(0, np.float32), [], []
        x = np.concatenate(self._samples).astype(np.float32) / 32768
        scale = RATE / self.native_rate
        x = resample_poly(x, 320, 441).astype(np.float32) if self.native_rate == 22_050 else x
        loud = np.flatnonzero(np.abs(x) > 0.01 * max(np.abs(x).max(), 1e-6))
        if len(loud) == 0:
            return np.zeros(0, np.float32), [], []
        begin, end = max(0, loud[0] - 160), min(len(x), loud[-1] + 320)
        x = x[begin:end]
        at = lambda s: int(min(max(s * scale - begin, 0), len(x)))
        phones = [(at(s), m) for s, m in self._phones]
        starts = [at(s) for _, s in self._words]
        # A word lasts until the next one; the silence that espeak-ng puts between clauses does not belong to it.
        ends = starts[1:] + [len(x)]
        return x, list(zip(starts, ends)), phones
