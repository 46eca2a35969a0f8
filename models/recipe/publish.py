"""Puts WORK/export into ../starter: `python publish.py WORK [--worse]`. Refuses a model that scores below the one that is there."""

import argparse
import json
import pathlib
import re
import shutil

import knowledge

CHECK = knowledge.HERE.parents[1] / "tests" / "golden" / "starter" / "check.safetensors"
MOST_BYTES = 10_000_000


def score(figures, other):
    """Returns the mean share of right answers over the rows that `other` has as well; an error rate counts as the rest to 100 %."""
    common, values = {row[0] for row in other["rows"]}, []
    for name, value, _, _ in figures["rows"]:
        if name not in common:
            continue
        number = float(re.match(r"[\d.]+", value)[0])
        if "false re" in name or "error rate" in name:
            values.append(max(0.0, 100 - number))
        elif not name.startswith("  "):
            values.append(number)
    return sum(values) / len(values)


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("work", type=pathlib.Path)
    a.add_argument("--worse", action="store_true", help="also a model that scores below the last one")
    a = a.parse_args()
    new = json.loads((a.work / "figures.json").read_text())
    last = knowledge.STARTER / "figures.json"
    if last.exists():
        old = json.loads(last.read_text())
        before, now = score(old, new), score(new, old)
        print(f"scores {now:.1f}, the last one {before:.1f}")
        if now < before and not a.worse:
            raise SystemExit("this model scores below the one that is there; --worse takes it all the same")
    files = [f for f in (a.work / "export").rglob("*") if f.is_file()]
    size = sum(f.stat().st_size for f in files)
    if size > MOST_BYTES:
        raise SystemExit(f"the export has {size / 1e6:.1f} MB; at most {MOST_BYTES / 1e6:.0f} MB are allowed")
    for file in files:
        to = knowledge.STARTER / file.relative_to(a.work / "export")
        to.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, to)
    CHECK.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(a.work / "check.safetensors", CHECK)
    shutil.copyfile(a.work / "figures.json", last)
    print(f"{size / 1e6:.2f} MB in {knowledge.STARTER}; put the table of figures.txt into its README.md")


if __name__ == "__main__":
    main()
