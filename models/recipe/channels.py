"""Rooms, microphones, lines and codecs between a sound and the model.

Every function takes a `numpy.random.Generator`; audio is mono f32 at 16 kHz.
"""

import numpy as np
from scipy.signal import butter, fftconvolve, lfilter, resample_poly, sosfilt

from synthesis import RATE, lowpass, noise, unit


def room(r, size=None):
    """Returns the impulse response of a room: the direct sound, a few early reflections, a diffuse tail that darkens."""
    rt = r.uniform(0.08, 0.7) if size is None else size
    n = int(min(rt * 1.1, 0.6) * RATE)
    t = np.arange(n) / RATE
    tail = r.standard_normal(n) * np.exp(-6.9 * t / rt)
    tail = lowpass(tail, r.uniform(2_000, 7_000), 1)
    h = tail * r.uniform(0.02, 0.25) * (t > 0.004)
    for _ in range(r.integers(2, 7)):
        h[int(r.uniform(0.001, 0.02) * RATE)] += r.uniform(-0.5, 0.5)
    h[0] += 1
    return h.astype(np.float32)


def reverberate(x, h):
    return fftconvolve(x, h)[: len(x) + len(h) // 2].astype(np.float32)


def colour(r, x):
    """Returns audio as a microphone or loudspeaker colours it: a tilt, a resonance, and now and then the band of a telephone."""
    choice = r.uniform()
    if choice < 0.3:
        return x
    x = lfilter([1, r.uniform(-0.75, 0.75)], [1], x)
    if choice > 0.8:
        x = lowpass(x, r.uniform(3_000, 5_000), 4)
    if choice > 0.9:
        x = sosfilt(butter(2, r.uniform(100, 350), "high", fs=RATE, output="sos"), x)
    return unit(x)


def muffled(r):
    """Returns the function `f(x)` of a dull microphone, a cloth or a pocket: all above the lowest formant lies far below it.

    Line noise is added behind it, so the rest of a vowel lies little above the noise.
    """
    corner, slope, most = r.uniform(300, 1_000), r.uniform(4, 14), r.uniform(12, 35)

    def of(x):
        f = np.fft.rfftfreq(len(x), 1 / RATE)
        gain = -np.minimum(slope * np.log2(np.maximum(f / corner, 1)), most)
        return unit(np.fft.irfft(np.fft.rfft(x) * 10 ** (gain / 20), len(x)))

    return of


def line_noise(r):
    """Returns the function `f(n)` of the noise that a recorder or line switches on with the voice; untrained, its onset is heard as an s."""
    level, tilt = 10 ** (r.uniform(-40, -15) / 20), r.uniform(-0.2, 0.8)

    def of(n):
        x = noise(r, n / RATE + 0.01, tilt)[:n]
        return level * x / (np.std(x) + 1e-9)

    return of


def voice_switch(r, x):
    """Returns `(first, end)` of the part of a voice that a voice switch lets through (of a radio, a headset, a recorder that trims).

    The switch opens late and closes early: a word may lose the hiss at its beginning or end. Many switches hear the low voice alone,
    remember a little of the sound before it and stay open for a little after it.
    """
    hop = RATE // 100
    low = r.uniform() < 0.5
    heard = lowpass(x, r.uniform(400, 1_500)) if low else x
    level = np.square(heard[: len(x) // hop * hop]).reshape(-1, hop).mean(1)
    if not level.any():
        return 0, len(x)
    level = 10 * np.log10(level / level.max() + 1e-9)
    first = int(np.flatnonzero(level > r.uniform(-35, -5))[0]) * hop
    end = (int(np.flatnonzero(level > r.uniform(-35, -12))[-1]) + 1) * hop
    before, after = (0.08, 0.12) if low else (0, 0.02)
    return max(0, first - int(r.uniform(0, before) * RATE)), min(len(x), end + int(r.uniform(0, after) * RATE))


def microphone(r, x):
    """Returns audio through a microphone, loudspeaker and line drawn anew: any smooth curve over the spectrum, often the band of a telephone."""
    if r.uniform() < 0.2:
        return x
    f = np.fft.rfftfreq(len(x), 1 / RATE)
    at = np.log(np.array([60, 150, 350, 800, 1_800, 3_500, 8_000]))
    gain = np.interp(np.log(np.maximum(f, 60)), at, r.normal(0, r.uniform(0, 7), len(at)))
    if r.uniform() < 0.2:  # held close to the mouth
        gain += r.uniform(4, 18) / (1 + (f / r.uniform(120, 400)) ** 2)
    if r.uniform() < 0.4:
        gain -= np.clip((f - r.uniform(3_200, 5_000)) / r.uniform(1, 12), 0, 60)
    if r.uniform() < 0.25:
        gain -= np.clip((r.uniform(80, 350) - f) / 3, 0, 40)
    return unit(np.fft.irfft(np.fft.rfft(x) * 10 ** (gain / 20), len(x)))


def codec(r, x):
    """Returns audio as a telephone or a low bit rate leaves it: companded 8 kHz, or bands of a short spectrum rounded and dropped."""
    n = len(x)
    if r.uniform() < 0.35:
        narrow = resample_poly(x, 1, 2)
        peak = np.abs(narrow).max() + 1e-9
        steps = np.round(127 * np.log1p(255 * np.abs(narrow) / peak) / np.log(256))
        narrow = np.sign(narrow) * peak * (np.exp(steps / 127 * np.log(256)) - 1) / 255
        return resample_poly(narrow, 2, 1)[:n].astype(np.float32)
    size = int(r.choice([256, 512, 1_024]))
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size)
    padded = np.pad(x, (size, size + -len(x) % (size // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 2] * window
    spectrum = np.fft.rfft(frames)
    # Each band has a step of its own; where it is silent beside the loudest one, nothing is sent.
    bands = np.add.reduceat(np.abs(spectrum) ** 2, np.arange(0, spectrum.shape[1], 8), axis=1)
    level = np.sqrt(np.repeat(bands, 8, axis=1)[:, : spectrum.shape[1]] / 8)
    step = level * 10 ** (r.uniform(-18, 0) / 20) + 1e-9
    sent = np.round(spectrum.real / step) * step + 1j * np.round(spectrum.imag / step) * step
    sent[level < level.max(1, keepdims=True) * 10 ** (r.uniform(-70, -35) / 20)] = 0
    if r.uniform() < 0.5:
        sent[:, int(r.uniform(3_400, 8_000) / RATE * size) :] = 0
    parts, out = np.fft.irfft(sent, size) * window, np.zeros(len(padded))
    for half in (0, 1):
        rows = parts[half::2]
        at = half * size // 2
        out[at : at + rows.size] += rows.ravel()[: len(out) - at]
    return out[size : size + n].astype(np.float32)
