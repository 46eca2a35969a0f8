"""Twenty kinds of background that deserve silence, synthesised from simple physical models."""

import numpy as np

from synthesis import t_axis, noise, band, lowpass, sweep, modes, place, fade, unit, wave, voice, RATE


def _hum(r):
    t = t_axis(r.uniform(3, 6))
    f = r.choice([50, 60, 100, 120])
    return unit(sum(np.sin(2 * np.pi * f * k * t + r.uniform(0, 6)) * r.uniform(0, 1) / k for k in range(1, 12)))


def _fan(r):
    secs = r.uniform(3, 6)
    x = lowpass(noise(r, secs, r.uniform(0.2, 1)), r.uniform(400, 5_000))
    t = np.arange(len(x)) / RATE
    return unit(unit(x) + r.uniform(0, 0.3) * np.sin(2 * np.pi * r.uniform(40, 400) * t))


def _typing(r):
    parts, at = [], 0.0
    while at < r.uniform(2, 5):
        n = int(0.03 * RATE)
        key = band(r.standard_normal(n), r.uniform(800, 2_000), r.uniform(3_500, 7_500)) * np.exp(-np.arange(n) / RATE / r.uniform(0.002, 0.008))
        parts.append((at, unit(key) * r.uniform(0.3, 1)))
        at += r.exponential(0.13) + 0.05
    return unit(place(parts))


def _steps(r):
    gap, parts = r.uniform(0.4, 0.8), []
    for i in range(r.integers(3, 8)):
        n = int(0.12 * RATE)
        step = lowpass(r.standard_normal(n), r.uniform(150, 900)) * np.exp(-np.arange(n) / RATE / r.uniform(0.015, 0.05))
        parts.append((i * gap * r.uniform(0.95, 1.05), unit(step) * r.uniform(0.5, 1)))
    return unit(place(parts))


def _fire(r):
    secs = r.uniform(3, 6)
    x = 0.1 * lowpass(r.standard_normal(int(secs * RATE)), 500)
    for _ in range(int(secs * r.uniform(4, 40))):
        at, n = r.integers(0, len(x) - 300), 300
        x[at : at + n] += r.exponential(0.4) * r.standard_normal(n) * np.exp(-np.arange(n) / r.uniform(8, 60))
    return unit(x)


def _waves(r):
    secs = r.uniform(4, 6)
    t = t_axis(secs)
    swell = 0.3 + np.maximum(0, np.sin(2 * np.pi * t / r.uniform(3, 7) + r.uniform(0, 6)))
    return unit(lowpass(r.standard_normal(len(t)), r.uniform(600, 3_500), 1) * swell)


def _clock(r):
    gap = r.choice([0.25, 0.5, 1.0])
    tick = modes(r, 0.03, r.uniform(1_000, 5_500, 4), r.uniform(0.001, 0.006, 4), r.uniform(0.3, 1, 4))
    return unit(place([(i * gap, tick * (1 if i % 2 else r.uniform(0.4, 1))) for i in range(int(4 / gap))]))


def _engine(r):
    secs = r.uniform(3, 6)
    n = int(secs * RATE)
    f = r.uniform(20, 120) * (1 + r.uniform(0, 0.4) * lowpass(r.standard_normal(n), 0.7) * 30)
    x = np.maximum(np.cos(sweep(np.abs(f))), 0) ** 6 * (1 + 0.5 * r.standard_normal(n))
    return unit(band(x, r.uniform(40, 300), r.uniform(1_000, 6_000), 1))


def _rooster(r):
    parts, at = [], 0.0
    base = r.uniform(450, 800)
    for length in (0.15, 0.2, 0.25, r.uniform(0.6, 1.1)):
        t = t_axis(length) / length
        x = voice(r, base * (1 + 0.5 * np.sin(np.pi * t)), [(1_100, 4, 1), (2_400, 5, 0.7)], 0.3, 0.5)
        parts.append((at, fade(unit(x), 0.02, 0.05)))
        at += length + r.uniform(0.02, 0.1)
    return unit(place(parts))


def _bird(r):
    parts, at = [], 0.0
    while at < r.uniform(1, 4):
        length = r.uniform(0.04, 0.2)
        t = t_axis(length) / length
        a, b = r.uniform(2_000, 6_500, 2)
        parts.append((at, fade(np.sin(sweep(a + (b - a) * t + r.uniform(0, 400) * np.sin(60 * t))), 0.01, 0.02) * r.uniform(0.3, 1)))
        at += length + r.exponential(0.25)
    return unit(place(parts))


def _rustle(r):
    secs = r.uniform(0.8, 3)
    n = int(secs * RATE)
    return unit(band(r.standard_normal(n), 1_200, 7_500) * np.abs(lowpass(r.standard_normal(n), r.uniform(3, 20))) ** 1.5)


def _plates(r):
    parts = []
    for _ in range(r.integers(1, 6)):
        parts.append((r.uniform(0, 2), modes(r, 0.3, r.uniform(1_500, 6_500, 6), r.uniform(0.01, 0.07, 6), r.uniform(0.2, 1, 6)) * r.uniform(0.3, 1)))
    return unit(place(parts))


def _thump(r):
    n = int(0.35 * RATE)
    x = lowpass(r.standard_normal(n), r.uniform(80, 400)) * np.exp(-np.arange(n) / RATE / r.uniform(0.03, 0.12))
    return unit(unit(x) + r.uniform(0, 0.4) * unit(band(r.standard_normal(n), 500, 4_000) * np.exp(-np.arange(n) / 200)))


def _breath(r):
    n = int(r.uniform(0.5, 1.4) * RATE)
    return unit(band(r.standard_normal(n), 300, r.uniform(2_000, 6_000), 1) * np.hanning(n))


def _water(r):
    secs = r.uniform(2, 5)
    t = t_axis(secs)
    x = band(r.standard_normal(len(t)), 300, r.uniform(2_500, 6_500), 1)
    for _ in range(int(secs * 25)):
        at, k = r.integers(0, len(t) - 800), np.arange(800) / RATE
        f = r.uniform(400, 2_500)
        x[at : at + 800] += r.uniform(0, 0.5) * np.sin(2 * np.pi * (f + r.uniform(0, 3_000) * k) * k) * np.exp(-k / 0.01)
    return unit(x)


def _cricket(r):
    t = t_axis(r.uniform(2, 5))
    return unit(np.sin(2 * np.pi * r.uniform(2_500, 5_000) * t) * (np.sin(2 * np.pi * r.uniform(15, 50) * t) > 0.2) * ((t * r.uniform(1, 3)) % 1 < r.uniform(0.3, 1)))


def _helicopter(r):
    t = t_axis(r.uniform(3, 6))
    return unit(lowpass(r.standard_normal(len(t)), r.uniform(300, 1_500)) * (0.2 + np.maximum(0, np.sin(2 * np.pi * r.uniform(8, 22) * t)) ** 3))


def _saw(r):
    n = int(r.uniform(2, 5) * RATE)
    f = r.uniform(70, 250) * (1 + 0.4 * np.abs(lowpass(r.standard_normal(n), 1) * 20))
    return unit(band(wave(2, sweep(f), r) * (1 + 0.6 * r.standard_normal(n)), 200, 7_000, 1))


def _wind(r):
    n = int(r.uniform(3, 6) * RATE)
    return unit(lowpass(r.standard_normal(n), r.uniform(200, 900), 1) * (0.3 + np.abs(lowpass(r.standard_normal(n), 0.6) * 30)))


def _tone(r):
    """Returns a beep of a device that is no alarm, a whistle, a note."""
    t = t_axis(r.uniform(0.08, 0.6))
    a = r.uniform(300, 3_000)
    return unit(fade(wave(r.integers(0, 4), sweep(a * (1 + r.choice([0, 0, 0.5, -0.3]) * t / t[-1])), r), 0.01, 0.05))


BACKGROUND = [_hum, _fan, _typing, _steps, _fire, _waves, _clock, _engine, _rooster, _bird, _rustle, _plates, _thump, _breath, _water, _cricket, _helicopter, _saw, _wind, _tone]  # fmt: skip
