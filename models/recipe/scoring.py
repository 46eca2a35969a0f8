"""The rows of the table of figures, and how words and shares are counted in them."""

import numpy as np

import bank
import knowledge


def written(said):
    """Returns the words of what was transcribed, `[(seconds, text)]`, without the marks for speech outside the vocabulary."""
    return [word for _, text in said for word in text.split() if word != knowledge.UNKNOWN]


def errors(heard, due):
    """Returns the least number of words to change, add and take away."""
    return bank.distance(heard, due)


def share(figure):
    """Returns `(count, total)` of a figure, `(0, 0)` without one."""
    return (round(figure["counted"]), round(figure["of"])) if figure else (0, 0)


class Table:
    def __init__(self):
        self.rows = []

    def add(self, name, value, target, detail):
        self.rows.append((name, value, target, detail))
        print(f"{name:64} {value:>8}   {target:>8}   {detail}", flush=True)

    def share(self, name, hits, n, target, times=1):
        """Adds the share of `hits` among `n` tries; with `times` tries of each thing, the interval is the wider one of the things."""
        low, high = wilson(hits / times, n / times)
        each = f" ({round(n / times)}, {times} times each)" if times > 1 else ""
        self.add(name, f"{100 * hits / max(n, 1):.1f} %", target, f"{hits}/{n}{each}, 95 % interval {100 * low:.0f}–{100 * high:.0f}")


def wilson(hits, n, z=1.96):
    if n == 0:
        return 0.0, 1.0
    p = hits / n
    middle, spread = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)
