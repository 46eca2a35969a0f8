"""The sixteen sounds, synthesised from simple physical models.

Every function takes a `numpy.random.Generator` and returns mono f32 samples at 16 kHz, peak about 1. The variety
(materials, sizes, rhythms, registers) is what lets a model that has hardly heard a recording know the real thing.
"""

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

RATE = 16_000


def t_axis(secs):
    return np.arange(int(secs * RATE)) / RATE


def noise(r, secs, tilt=0.0):
    """Returns noise whose power falls by `tilt` × 6 dB an octave (0 white, 1 pinkish to brown)."""
    n = max(int(secs * RATE), 16)
    spectrum = np.fft.rfft(r.standard_normal(n))
    f = np.fft.rfftfreq(n, 1 / RATE)
    spectrum *= 1 / np.maximum(f, 20) ** tilt
    x = np.fft.irfft(spectrum, n)
    return x / (np.abs(x).max() + 1e-9)


def band(x, low, high, order=2):
    low, high = max(low, 15), min(high, 7_900)
    return sosfilt(butter(order, [low, max(high, low * 1.1)], "band", fs=RATE, output="sos"), x)


def lowpass(x, f, order=2):
    return sosfilt(butter(order, min(f, 7_900), fs=RATE, output="sos"), x)


def resonance(x, f, q):
    """Returns `x` through a two-pole resonator."""
    radius = np.exp(-np.pi * f / q / RATE)
    return lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * f / RATE), radius * radius], x)


def sweep(freq):
    """Returns the phase of an oscillator with a frequency for each sample."""
    return 2 * np.pi * np.cumsum(freq) / RATE


def modes(r, secs, freqs, decays, amps):
    t = t_axis(secs)
    x = np.zeros(len(t))
    for f, d, a in zip(freqs, decays, amps):
        if f < 7_800:
            x += a * np.exp(-t / d) * np.sin(2 * np.pi * f * t + r.uniform(0, 6.28))
    return x


def place(parts, secs=None):
    """Returns the sum of `(start_secs, samples)`."""
    n = max(int(s * RATE) + len(x) for s, x in parts)
    out = np.zeros(n if secs is None else max(n, int(secs * RATE)))
    for s, x in parts:
        out[int(s * RATE) : int(s * RATE) + len(x)] += x
    return out


def fade(x, attack=0.005, release=0.02):
    a, b = min(int(attack * RATE), len(x) // 2), min(int(release * RATE), len(x) // 2)
    x = x.copy()
    if a:
        x[:a] *= np.linspace(0, 1, a)
    if b:
        x[-b:] *= np.linspace(1, 0, b)
    return x


def unit(x):
    return (x / (np.abs(x).max() + 1e-9)).astype(np.float32)


def wave(kind, phase, r):
    if kind == 0:
        return np.sin(phase)
    if kind == 1:
        return np.tanh(3 * np.sin(phase))
    if kind == 2:
        return sum(np.sin(k * phase) / k for k in range(1, 7))
    return np.sin(phase) + r.uniform(0.1, 0.6) * np.sin(2 * phase) + r.uniform(0.05, 0.4) * np.sin(3 * phase)


def voice(r, f0, formants, breath=0.1, rough=0.0):
    """Returns a source-filter voice: `f0` per sample, formants as `[(hz, q, gain)]` (hz may be an array for a glide)."""
    n = len(f0)
    jitter = 1 + 0.01 * lowpass(r.standard_normal(n), 30) * 10 * (0.3 + rough)
    phase = sweep(f0 * jitter)
    pulse = np.maximum(np.cos(phase), 0) ** r.integers(2, 9) - 0.3
    if rough:
        pulse = pulse * (1 + rough * lowpass(r.standard_normal(n), 120) * 4)
        pulse += rough * 0.5 * np.sin(phase / 2)
    source = pulse + breath * r.standard_normal(n)
    out = np.zeros(n)
    for hz, q, gain in formants:
        if np.ndim(hz):
            # A gliding formant: blocks of 10 ms, cross-faded.
            step, acc = 160, np.zeros(n)
            for i in range(0, n, step):
                j = min(n, i + 2 * step)
                part = resonance(source[max(0, i - 200) : j], float(hz[min(i, n - 1)]), q)[-(j - i) :]
                acc[i:j] += part * np.bartlett(len(part) + 2)[1:-1]
            out += gain * acc
        else:
            out += gain * resonance(source, hz, q)
    return out


# The sixteen.


def alarm(r):
    kind = r.integers(0, 8)
    shape = r.integers(0, 4)
    if kind <= 1:  # smoke or gas detector: three or four beeps, then a rest
        f, on = r.uniform(2_300, 3_700), r.choice([0.08, 0.12, 0.2, 0.35, 0.5])
        off = on * r.uniform(0.6, 1.2)
        beep = fade(wave(shape, sweep(np.full(int(on * RATE), f)), r), 0.004, 0.01)
        group, rest = r.integers(3, 5), r.uniform(0.4, 1.2)
        parts, at = [], 0.0
        for _ in range(r.integers(1, 4)):
            for _ in range(group):
                parts.append((at, beep))
                at += on + off
            at += rest
        return unit(place(parts))
    if kind <= 3:  # digital clock: quick beeps in groups or a plain row
        f, on = r.uniform(700, 3_200), r.uniform(0.04, 0.12)
        beep = fade(wave(shape, sweep(np.full(int(on * RATE), f)), r), 0.002, 0.006)
        group, parts, at = r.integers(2, 5), [], 0.0
        gap, rest = on * r.uniform(0.6, 1.3), r.uniform(0.15, 0.7)
        while at < r.uniform(1.2, 3.5):
            for _ in range(group):
                parts.append((at, beep))
                at += on + gap
            at += rest
        return unit(place(parts))
    secs = r.uniform(1.3, 4)
    t = t_axis(secs)
    if kind == 4:  # buzzer
        f, rate = r.uniform(250, 900), r.uniform(1, 3.5)
        x = np.tanh(4 * np.sin(sweep(np.full(len(t), f)))) * ((t * rate) % 1 < r.uniform(0.4, 0.7))
        return unit(lowpass(x, r.uniform(2_500, 7_000)))
    if kind == 5:  # two tones in quick alternation
        a = r.uniform(900, 2_800)
        b, rate = a * r.uniform(1.15, 1.6), r.uniform(3, 9)
        return unit(fade(wave(shape, sweep(np.where((t * rate) % 1 < 0.5, a, b)), r)))
    if kind == 6:  # quick rising sweeps
        low, high, rate = r.uniform(500, 1_500), r.uniform(1_900, 3_600), r.uniform(2.5, 8)
        ramp = (t * rate) % 1
        return unit(fade(wave(shape, sweep(low + (high - low) * ramp), r)))
    rate = r.uniform(14, 26)  # alarm clock with a hammer and two bells
    strike = modes(r, 0.25, r.uniform(1_500, 5_500, 7), r.uniform(0.02, 0.12, 7), r.uniform(0.2, 1, 7))
    return unit(place([(i / rate + r.normal(0, 0.001) ** 2, strike * r.uniform(0.7, 1)) for i in range(int(secs * rate))]))


def siren(r):
    secs = r.uniform(2.2, 5)
    t = t_axis(secs)
    kind = r.integers(0, 5)
    if kind == 0:  # wail
        period, low, high = r.uniform(2, 6), r.uniform(400, 750), r.uniform(1_100, 1_700)
        ramp = 0.5 - 0.5 * np.cos(2 * np.pi * (t / period + r.uniform()))
        f = low * (high / low) ** ramp
    elif kind == 1:  # yelp
        rate, low, high = r.uniform(1.8, 4.5), r.uniform(450, 800), r.uniform(1_100, 1_800)
        ramp = 1 - np.abs(2 * ((t * rate + r.uniform()) % 1) - 1)
        f = low * (high / low) ** ramp
    elif kind in (2, 3):  # hi-lo of Europe
        a, period = r.uniform(350, 700), r.uniform(0.7, 1.9)
        f = np.where(((t / period) + r.uniform()) % 1 < 0.5, a, a * r.uniform(1.2, 1.5))
    else:  # rotor of a civil defence siren
        top, rise = r.uniform(350, 900), r.uniform(1, 3)
        f = top * (1 - np.exp(-t / rise)) + 60
        f = np.where(t > secs * 0.7, f * np.exp(-(t - secs * 0.7) / 3), f)
    drift = 1 + r.uniform(-0.05, 0.05) * t / secs  # it drives past
    x = wave(r.integers(1, 4), sweep(f * drift), r)
    x = band(x, r.uniform(150, 500), r.uniform(2_500, 6_500))
    level = 1 + r.uniform(-0.8, 0.8) * np.sin(2 * np.pi * t / r.uniform(4, 10) + r.uniform(0, 6))
    x = unit(x * np.maximum(level, 0.15)) + r.uniform(0, 0.15) * lowpass(r.standard_normal(len(t)), 700)
    return unit(fade(x, 0.2, 0.3))


def glass_breaking(r):
    secs = r.uniform(0.6, 1.8)
    x = np.zeros(int(secs * RATE))
    hit = band(r.standard_normal(int(0.05 * RATE)), 800, 7_500) * np.exp(-np.arange(int(0.05 * RATE)) / RATE / r.uniform(0.006, 0.02))
    x[: len(hit)] += r.uniform(0.8, 2) * hit
    if r.uniform() < 0.5:  # the body that was hit
        thud = modes(r, 0.2, r.uniform(120, 700, 3), r.uniform(0.01, 0.05, 3), np.ones(3))
        x[: len(thud)] += thud * r.uniform(0.2, 0.8)
    pieces, spread = r.integers(15, 90), r.uniform(0.12, 0.5)
    base = r.uniform(1_500, 4_000)
    for _ in range(pieces):
        at = int(min(r.exponential(spread), secs - 0.1) * RATE)
        shard = modes(r, 0.12, base * r.uniform(0.7, 3, 3), r.uniform(0.006, 0.06, 3), r.uniform(0.2, 1, 3))
        shard *= r.uniform(0.05, 0.6) * np.exp(-at / RATE / (2 * spread))
        n = min(len(shard), len(x) - at)
        x[at : at + n] += shard[:n]
    return unit(fade(x, 0, 0.05))


def _call(r, secs, base, tract, tilt, hoarse):
    """Returns one call of a small throat, above all a baby's cry: harmonics up to the top of the band under a curve of formants, a pitch that
    leaps up and falls away, stretches where the folds swing in chaos (another register, subharmonics, noise)."""
    t = t_axis(secs)
    n, at = len(t), t / secs
    rise, fall = r.uniform(0.04, 0.3), r.uniform(0.08, 0.4)
    f0 = base * (1 - r.uniform(0.1, 0.45) * np.exp(-at / rise * 2) - r.uniform(0.05, 0.5) * np.exp(-(1 - at) / fall * 2))
    f0 *= 1 + r.uniform(-0.12, 0.12) * np.sin(np.pi * at * r.uniform(1, 3) + r.uniform(0, 3)) + r.uniform(0, 0.025) * np.sin(2 * np.pi * r.uniform(5, 9) * t + r.uniform(0, 6))
    if r.uniform() < 0.15:  # into another register
        first = r.integers(n)
        f0[first : first + r.integers(n)] *= r.uniform(1.4, 2.2)
    chaos = np.zeros(n)
    for _ in range(r.integers(0, 3)):
        first = r.integers(n)
        chaos[first : first + int(r.uniform(0.1, 0.8) * n)] = r.uniform(0.2, 1) * hoarse
    chaos = lowpass(chaos, 25, 1)
    drift = lowpass(r.standard_normal(n), 15, 1) * 4
    f0 = np.maximum(f0 * (1 + 0.008 * drift + 0.25 * chaos * lowpass(r.standard_normal(n), 300, 1) * 3), 80)
    phase = sweep(f0)

    def gain(f):
        peaks = sum(g / (1 + ((f - hz) / width) ** 2) for hz, width, g in tract)
        return (0.05 + peaks) * np.maximum(f / 400, 1) ** -tilt

    half = r.uniform() < 0.5
    out = np.zeros(n)
    for h in range(1, int(7_800 / f0.min()) + 1):
        f = h * f0
        out += np.where(f < 7_800, gain(f), 0) * np.sin(h * phase + r.uniform(0, 6.28))
        if half and h < 12:
            out += 0.7 * chaos * gain(f - f0 / 2) * np.sin((h - 0.5) * phase)
    breath = r.standard_normal(n) * (10 ** r.uniform(-2.2, -0.7) + 0.6 * chaos)
    hiss = sum(g * resonance(breath, hz, hz / width / 2) for hz, width, g in tract) * 4
    loud = np.minimum(1, at / r.uniform(0.02, 0.25)) * np.minimum(1, (1 - at) / r.uniform(0.02, 0.3)) ** r.uniform(0.5, 1.5)
    return unit(unit(out) + r.uniform(0.3, 1) * np.std(out / np.abs(out).max()) * hiss / (np.std(breath) + 1e-9) * (0.15 + 0.6 * chaos)) * loud


def baby_crying(r):
    parts, at = [], 0.0
    base = r.uniform(300, 680)
    tract = [(r.uniform(800, 1_700), r.uniform(150, 700), 1.0), (r.uniform(2_600, 4_300), r.uniform(250, 900), r.uniform(0.15, 1)), (r.uniform(5_200, 7_500), r.uniform(400, 1_200), r.uniform(0.05, 0.8))]
    long, tilt, hoarse = r.uniform(0.35, 1.8), r.uniform(0, 0.8), r.choice([0, 0.4, 1, 1.6])
    for _ in range(r.integers(2, 7)):
        secs = long * r.uniform(0.6, 1.4)
        parts.append((at, fade(_call(r, secs, base * r.uniform(0.88, 1.12), tract, tilt, hoarse)) * r.uniform(0.5, 1)))
        at += secs
        if r.uniform() < 0.7:  # it draws breath, often with its voice
            secs = r.uniform(0.08, 0.28)
            gasp = unit(band(r.standard_normal(int(secs * RATE)), r.uniform(400, 1_200), r.uniform(3_500, 7_500)))
            if r.uniform() < 0.5:
                gasp = 0.3 * gasp + unit(_call(r, secs, base * r.uniform(0.8, 1.8), tract, tilt, hoarse))[: len(gasp)]
            parts.append((at + r.uniform(0, 0.08), gasp * np.hanning(len(gasp)) * r.uniform(0.03, 0.35)))
            at += secs
        at += r.uniform(0.03, 0.4)
        if at > 6:
            break
    return unit(fade(place(parts)))


def cough(r):
    parts, at = [], 0.0
    tract = [(r.uniform(350, 900), 3, 1.0), (r.uniform(1_000, 1_900), 4, 0.8), (r.uniform(2_200, 3_600), 5, r.uniform(0.2, 0.7))]
    f = r.uniform(90, 330)
    for _ in range(r.choice([1, 1, 2, 2, 3])):
        secs = r.uniform(0.18, 0.45)
        t = t_axis(secs)
        burst = r.standard_normal(len(t)) * (np.exp(-t / r.uniform(0.02, 0.06)) + r.uniform(0.1, 0.35) * np.exp(-t / r.uniform(0.08, 0.2)))
        body = sum(g * resonance(burst, hz, q) for hz, q, g in tract)
        body = unit(body) + r.uniform(0.05, 0.35) * unit(band(burst, 2_000, 7_000))
        if r.uniform() < 0.75:  # the voice in it
            tail = voice(r, f * np.linspace(1.15, 0.8, len(t)), tract, 0.6, 0.8) * np.exp(-t / r.uniform(0.05, 0.14)) * np.minimum(1, t / 0.02)
            body = body + r.uniform(0.2, 0.9) * unit(tail)
        parts.append((at, unit(fade(body, 0.003, 0.04)) * r.uniform(0.6, 1)))
        at += secs + r.uniform(0.03, 0.25)
    return unit(place(parts))


def sneeze(r):
    parts, at = [], 0.0
    f = r.uniform(120, 420)
    vowel = [(r.uniform(600, 1_000), 5, 1), (r.uniform(1_100, 1_900), 6, 0.7), (r.uniform(2_400, 3_300), 6, 0.3)]
    for _ in range(r.integers(0, 3)):  # the breaths before it
        secs = r.uniform(0.12, 0.4)
        t = t_axis(secs)
        breath = r.uniform(0.3, 1) * unit(band(r.standard_normal(len(t)), 500, 5_000)) + r.uniform(0, 0.8) * unit(voice(r, f * np.linspace(0.9, 1.3, len(t)), vowel, 0.5))
        parts.append((at, fade(breath * np.linspace(0.2, 1, len(t)), 0.02, 0.03) * r.uniform(0.15, 0.5)))
        at += secs + r.uniform(0, 0.12)
    if r.uniform() < 0.6:
        secs = r.uniform(0.06, 0.15)
        t = t_axis(secs)
        parts.append((at, fade(unit(voice(r, f * np.linspace(1.4, 1, len(t)), vowel, 0.6, 0.4)), 0.005, 0.02) * r.uniform(0.5, 1)))
        at += secs * 0.9
    secs = r.uniform(0.18, 0.5)
    t = t_axis(secs)
    hiss = unit(band(r.standard_normal(len(t)), r.uniform(900, 2_400), r.uniform(5_000, 7_800)))
    hiss = hiss + r.uniform(0, 0.7) * unit(resonance(r.standard_normal(len(t)), r.uniform(1_200, 3_000), 4))
    parts.append((at, fade(hiss * (np.exp(-t / r.uniform(0.08, 0.25))), r.uniform(0.003, 0.03), 0.06)))
    if r.uniform() < 0.4:
        parts.append((at + 0.05, unit(voice(r, f * np.linspace(1.1, 0.8, len(t)), vowel, 0.3)) * np.exp(-t / 0.12) * r.uniform(0.2, 0.7)))
    return unit(place(parts))


def knock(r):
    kind = r.integers(0, 4)
    if kind == 0:
        freqs, decays = r.uniform(70, 320, 5), r.uniform(0.02, 0.09, 5)  # a hollow door
    elif kind == 1:
        freqs, decays = r.uniform(200, 1_200, 6), r.uniform(0.008, 0.035, 6)  # solid wood, a table
    elif kind == 2:
        freqs, decays = r.uniform(400, 3_200, 8), r.uniform(0.01, 0.06, 8)  # a window, metal
    else:
        freqs, decays = r.uniform(90, 900, 7), r.uniform(0.01, 0.06, 7)
    amps = r.uniform(0.2, 1, len(freqs)) / np.sqrt(freqs)
    rhythm, parts, at = r.uniform(0.12, 0.34), [], 0.0
    for _ in range(r.integers(2, 6)):
        hit = unit(modes(r, 0.22, freqs * r.uniform(0.98, 1.02), decays, amps))
        click = band(r.standard_normal(int(0.008 * RATE)), 600, r.uniform(2_500, 7_000)) * np.exp(-np.arange(int(0.008 * RATE)) / 40)
        hit[: len(click)] += r.uniform(0.05, 0.7) * unit(click)
        parts.append((at, hit * r.uniform(0.6, 1)))
        at += rhythm * r.uniform(0.9, 1.12)
    return unit(place(parts))


def _chime(r, f, decay, kind):
    if kind == 0:  # a struck bar
        ratios, amps = [1, 2.76, 5.4, 8.9], [1, 0.4, 0.15, 0.05]
    elif kind == 1:  # a bell
        ratios, amps = [0.5, 1, 1.19, 1.5, 2, 2.74, 4.1], [0.3, 1, 0.5, 0.3, 0.5, 0.25, 0.1]
    else:  # an electronic tone
        ratios, amps = [1, 2, 3, 4], [1, r.uniform(0.1, 0.5), r.uniform(0, 0.4), r.uniform(0, 0.2)]
    ratios = np.array(ratios) * r.normal(1, 0.003, len(ratios))
    return modes(r, decay * 3.2, f * ratios, decay / np.sqrt(ratios / ratios[0]), amps)


def doorbell(r):
    kind, decay = r.integers(0, 3), r.uniform(0.2, 0.7)
    high = r.uniform(480, 1_100)
    style = r.integers(0, 8)
    if style <= 4:  # ding-dong
        gap = r.uniform(0.3, 0.75)
        parts = [(0, _chime(r, high, decay, kind)), (gap, _chime(r, high / r.choice([1.189, 1.26, 1.26, 1.335]), decay * 1.2, kind))]
        if r.uniform() < 0.2:
            parts += [(s + 2 * gap, x) for s, x in parts]
    elif style == 5:  # one ding
        parts = [(0, _chime(r, high, decay * 1.3, kind)), (r.uniform(0.15, 0.25), 0.7 * _chime(r, high, decay, kind))]
    else:  # a small melody of a chime
        scale = high * 2 ** (np.array([0, -4, -2, -9, -5, -7, 3]) / 12)
        beat = r.uniform(0.22, 0.5)
        parts = [(i * beat, _chime(r, r.choice(scale), decay, kind)) for i in range(r.integers(4, 8))]
    x = place(parts)
    return unit(fade(x[: int(min(len(x), RATE * 3.2))], 0.002, 0.15))


def dog_bark(r):
    size = r.uniform()
    parts, at = [], 0.0
    base = 150 + 650 * size ** 1.5 * r.uniform(0.7, 1.3)
    tract = [(r.uniform(450, 900) * (1 + 0.5 * size), 3, 1), (r.uniform(1_000, 1_900) * (1 + 0.3 * size), 4, 0.7), (r.uniform(2_300, 3_800), 5, 0.3)]
    rough, tilt, hoarse = r.uniform() < 0.5, r.uniform(0.3, 1.3), r.uniform(0.2, 1.6)
    bright = [(hz, hz / r.uniform(2, 6), gain) for hz, _, gain in tract]
    for _ in range(r.choice([1, 1, 2, 2, 3, 4])):
        secs = r.uniform(0.09, 0.28)
        t = t_axis(secs) / secs
        f0 = base * (0.7 + r.uniform(0.3, 0.9) * np.sin(np.pi * np.minimum(1, t * r.uniform(0.8, 1.3) + 0.1)))
        bark = voice(r, f0, tract, r.uniform(0.2, 0.9), r.uniform(0.3, 1.4)) if rough else _call(r, secs, base, bright, tilt, hoarse)
        env = np.minimum(1, t / r.uniform(0.05, 0.25)) * np.exp(-np.maximum(0, t - 0.3) * r.uniform(1, 4))
        parts.append((at, unit(fade(bark * env, 0.004, 0.03)) * r.uniform(0.7, 1)))
        at += secs + r.uniform(0.08, 0.3)
    return unit(place(parts))


def cat_meow(r):
    secs = r.uniform(0.45, 1.2)
    t = t_axis(secs) / secs
    base = r.uniform(380, 800)
    peak = r.uniform(0.2, 0.6)
    f0 = base * (0.8 + r.uniform(0.2, 0.6) * np.exp(-(((t - peak) / r.uniform(0.25, 0.5)) ** 2)))
    openness = np.exp(-(((t - r.uniform(0.35, 0.55)) / r.uniform(0.2, 0.35)) ** 2))
    f1, f2 = 500 + 600 * openness, r.uniform(1_900, 2_400) - 700 * t
    x = voice(r, f0, [(f1, 6, 1), (f2, 8, 0.7), (r.uniform(3_300, 4_600), 8, 0.3)], r.uniform(0.02, 0.2), r.choice([0, 0, 0.2]))
    return unit(fade(x * (0.15 + openness), 0.04, 0.1))


def clap(r):
    def hands(centre):
        t = t_axis(0.09)
        x = band(r.standard_normal(len(t)), centre * 0.6, centre * r.uniform(1.8, 3.5)) * np.exp(-t / r.uniform(0.004, 0.018))
        x = unit(x) + 0.35 * unit(band(r.standard_normal(len(t)), 300, 6_000) * np.exp(-t / 0.03))
        return unit(x)

    centre = r.uniform(700, 2_000)
    if r.uniform() < 0.6:  # one person, one to six claps
        rhythm = r.uniform(0.16, 0.45)
        return unit(place([(i * rhythm * r.uniform(0.97, 1.03), hands(centre * r.uniform(0.93, 1.07)) * r.uniform(0.7, 1)) for i in range(r.integers(1, 7))]))
    secs, people = r.uniform(1.3, 4), r.integers(2, 40)  # applause
    parts = []
    for _ in range(people):
        centre, rate, at = r.uniform(600, 2_200), r.uniform(2.5, 5), r.uniform(0, 0.4)
        one, level = hands(centre), r.uniform(0.1, 1)
        while at < secs:
            parts.append((at, one * level * r.uniform(0.6, 1)))
            at += r.normal(1, 0.06) / rate
    return unit(fade(place(parts), 0.05, 0.2))


def phone_ringing(r):
    secs = r.uniform(1, 2.2)
    t = t_axis(secs)
    kind = r.integers(0, 5)
    if kind == 0:  # hammer between two gongs
        rate = r.uniform(18, 27)
        a = r.uniform(900, 1_700)
        gongs = [modes(r, 0.35, f * np.array([1, 2.1, 2.9, 4.3]), [0.12, 0.09, 0.06, 0.04], [1, 0.7, 0.4, 0.3]) for f in (a, a * r.uniform(1.1, 1.3))]
        ring = place([(i / rate, gongs[i % 2]) for i in range(int(secs * rate))])
        if r.uniform() < 0.4:  # twice, as in Britain
            half = ring[: int(0.45 * RATE)]
            ring = place([(0, fade(half, 0.001, 0.05)), (0.65, fade(half, 0.001, 0.05))])
        return unit(fade(ring, 0.001, 0.2))
    if kind <= 2:  # electronic warble
        a, rate = r.uniform(650, 2_000), r.uniform(12, 28)
        f = np.where((t * rate) % 1 < 0.5, a, a * r.choice([1.2, 1.25, 1.33]))
        x = fade(wave(r.integers(0, 4), sweep(f), r), 0.01, 0.03)
        if r.uniform() < 0.4:
            x = place([(0, x[: int(0.4 * RATE)]), (0.6, x[: int(0.4 * RATE)])])
        return unit(x)
    # a ringtone: a quick tune of bright notes, repeated
    root, beat = r.uniform(700, 1_500), r.uniform(0.08, 0.17)
    tune = r.choice([0, 2, 4, 5, 7, 9, 12], r.integers(4, 9))
    kind = r.integers(0, 3)
    parts, i = [], 0
    while i * beat < secs + 0.5:
        f = root * 2 ** (tune[i % len(tune)] / 12)
        if kind == 2:
            note = modes(r, 0.3, f * np.array([1, 4, 9.2]), [0.08, 0.03, 0.01], [1, 0.35, 0.1])
        else:
            note = fade(wave(1 + kind, sweep(np.full(int(beat * 0.9 * RATE), f)), r), 0.003, 0.02)
        parts.append((i * beat, note))
        i += 1
    return unit(place(parts))


def car_horn(r):
    a = r.uniform(320, 520)
    b = a * r.choice([1.189, 1.2, 1.25, 1.26, 1.33])
    parts, at = [], 0.0
    formants = [(r.uniform(700, 1_300), 2, 1), (r.uniform(1_700, 3_000), 3, 0.8)]
    for _ in range(r.choice([1, 1, 2, 3])):
        secs = r.choice([r.uniform(0.15, 0.4), r.uniform(0.4, 1.4)])
        n = int(secs * RATE)
        wob = 1 + 0.002 * np.cumsum(r.standard_normal(n)) / np.sqrt(n)
        x = sum(np.tanh(5 * np.sin(sweep(np.full(n, f) * wob))) for f in ((a, b) if r.uniform() < 0.85 else (a,)))
        x = unit(x) * 0.5 + unit(sum(g * resonance(x, f, q) for f, q, g in formants))
        parts.append((at, unit(fade(x, 0.015, 0.05))))
        at += secs + r.uniform(0.08, 0.35)
    return unit(place(parts))


def thunder(r):
    secs = r.uniform(2.2, 5)
    t = t_axis(secs)
    env = np.zeros(len(t))
    for _ in range(r.integers(2, 8)):
        at, length = r.uniform(0, secs * 0.6), r.uniform(0.2, 1.4)
        env += r.uniform(0.3, 1) * np.exp(-np.maximum(0, t - at) / length) * (1 / (1 + np.exp(-np.clip((t - at) * r.uniform(8, 60), -50, 50))))
    rumble = unit(lowpass(r.standard_normal(len(t)), r.uniform(60, 260), 2)) * env
    x = unit(rumble)
    if r.uniform() < 0.6:  # the crack of a near one
        crack = band(r.standard_normal(len(t)), 200, r.uniform(1_500, 6_000)) * np.exp(-t / r.uniform(0.1, 0.5))
        crack *= 1 + 2 * np.abs(lowpass(r.standard_normal(len(t)), 40)) * 5
        x = x + r.uniform(0.2, 1) * unit(crack)
    x = x + r.uniform(0.02, 0.3) * unit(lowpass(r.standard_normal(len(t)), 1_200)) * env / (env.max() + 1e-9)
    return unit(fade(x, 0.03, 0.5))


def rain(r):
    secs = r.uniform(3, 6)
    t = t_axis(secs)
    if r.uniform() < 0.5:
        hiss = band(r.standard_normal(len(t)), r.uniform(80, 1_500), r.uniform(3_000, 7_800), 1)
    else:  # from indoors, on leaves, on a street: any slope, often with a rumble below
        hiss = unit(band(noise(r, secs, r.uniform(-0.1, 0.8))[: len(t)], r.uniform(60, 400), 7_900, 1))
        hiss = hiss + r.choice([0, 0, 0.3, 1]) * unit(lowpass(r.standard_normal(len(t)), r.uniform(40, 150)))
    hiss = unit(hiss * (1 + r.uniform(0, 0.3) * lowpass(r.standard_normal(len(t)), 2) * 20))
    drops, clear = np.zeros(len(t)), r.uniform() < 0.6
    for _ in range(int(secs * r.choice([10, 40, 120, 250]))):
        at = r.integers(0, len(t) - 400)
        f = r.uniform(700, 6_500)
        k = np.arange(300) / RATE
        ring = np.sin(2 * np.pi * f * k) if clear else r.standard_normal(300)
        drops[at : at + 300] += r.exponential(0.4) * np.exp(-k / r.uniform(0.001, 0.005)) * ring
    x = hiss * r.uniform(0.15, 1) + unit(drops) * r.uniform(0.05, 1)
    if r.uniform() < 0.4:  # in gusts
        gusts = lowpass(r.standard_normal(len(t)), r.uniform(0.3, 1.5), 1)
        x = x * 10 ** (r.uniform(1, 4) * gusts / np.std(gusts) / 20)
    return unit(fade(x, 0.3, 0.3))


def music(r):
    secs, bpm = r.uniform(3, 6), r.uniform(70, 160)
    beat = 60 / bpm
    scale = np.array(r.choice([0, 1, 2]) * 0 + np.array([[0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 10], [0, 2, 4, 7, 9, 12, 14]])[r.integers(0, 3)])
    root = 110 * 2 ** (r.integers(0, 12) / 12)
    parts = []

    def note(f, secs_note, timbre):
        t = t_axis(secs_note)
        if timbre == 0:  # a plucked string
            n = int(RATE / f)
            buffer = r.uniform(-1, 1, n)
            out = lfilter([1], np.concatenate([[1], np.zeros(n - 1), [-0.498, -0.498]]), np.concatenate([buffer, np.zeros(max(0, len(t) - n))]))
            return unit(out[: len(t)])
        if timbre == 1:  # a piano of sorts
            return unit(sum(np.sin(2 * np.pi * f * k * t * (1 + 0.0004 * k * k)) * np.exp(-t * (1.5 + k)) / k for k in range(1, 7)))
        if timbre == 2:  # strings
            vibrato = f * (1 + 0.006 * np.sin(2 * np.pi * 5.5 * t))
            return fade(unit(lowpass(wave(2, sweep(vibrato), r), 2_800)), 0.08, 0.1)
        return fade(unit(wave(3, sweep(np.full(len(t), f)), r)), 0.02, 0.05)

    lead, chords = r.integers(0, 4), r.integers(0, 4)
    at = 0.0
    while at < secs and r.uniform() < 2:
        length = beat * r.choice([0.5, 0.5, 1, 1, 2])
        if r.uniform() < 0.85:
            f = root * r.choice([2, 4]) * 2 ** (r.choice(scale) / 12)
            parts.append((at, r.uniform(0.5, 1) * note(f, min(length * 1.1, 2), lead)))
        at += length
    if r.uniform() < 0.8:
        at = 0.0
        while at < secs:
            degree = r.integers(0, 5)
            for k in (0, 2, 4):
                step = degree + k
                f = root * 2 ** ((scale[step % 7] + 12 * (step // 7)) / 12) * 2
                parts.append((at, 0.4 * note(f, min(beat * 3.9, 3), chords)))
            parts.append((at, 0.6 * note(root * 2 ** (scale[degree] / 12), beat * 2, r.integers(0, 4))))
            at += beat * 4
    if r.uniform() < 0.6:
        kick = np.sin(sweep(np.linspace(140, 45, int(0.16 * RATE)))) * np.exp(-t_axis(0.16) / 0.06)
        hat = band(r.standard_normal(int(0.06 * RATE)), 4_500, 7_800) * np.exp(-t_axis(0.06) / 0.015)
        snare = r.standard_normal(int(0.15 * RATE)) * np.exp(-t_axis(0.15) / 0.04)
        i = 0
        while i * beat / 2 < secs:
            if i % 4 == 0:
                parts.append((i * beat / 2, unit(kick)))
            if i % 4 == 2:
                parts.append((i * beat / 2, 0.6 * unit(snare)))
            parts.append((i * beat / 2, 0.3 * unit(hat)))
            i += 1
    x = place(parts)[: int(secs * RATE)]
    return unit(fade(x, 0.05, 0.3))


MAKERS = {
    "alarm": alarm, "siren": siren, "glass breaking": glass_breaking, "baby crying": baby_crying, "cough": cough, "sneeze": sneeze,
    "knock": knock, "doorbell": doorbell, "dog bark": dog_bark, "cat meow": cat_meow, "clap": clap, "phone ringing": phone_ringing,
    "car horn": car_horn, "thunder": thunder, "rain": rain, "music": music,
}  # fmt: skip
