"""Trains the starter: `python train.py WORK [--hours H]`. Resumes from WORK/last.pt; `--cool` lets the rate fall to zero for an export."""

import argparse
import contextlib
import datetime
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel

import batches
import export
import knowledge
import network
import streams
import token_layout


# bfloat16 in the matrix products pays where there are units or instructions for it (a step takes half as long); without them it
# takes half as long again as f32.
BF16 = torch.cuda.is_available() or torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
# An export has no training heads: new ones learn for this many steps before the network follows them.
HEADS_ALONE = 80
# The rate at which the heads alone learn, from the first step on: they are linear, and the features stay as they are.
HEADS_RATE = 1e-2
# Steps that the running mean of the weights reaches back: steps of a few streams wander about the valley that they go down.
AVERAGED = 300
# Seconds between two checkpoints.
SAVED_EVERY = 240


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised by five Newton-Schulz steps (Keller Jordan, 2024), for the matrices inside."""

    def __init__(self, params, lr=0.02, momentum=0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = p.grad.view(p.shape[0], -1)
                buffer = self.state[p].setdefault("buffer", torch.zeros_like(g))
                buffer.lerp_(g, 1 - group["momentum"])
                u = g.lerp(buffer, group["momentum"])
                tall = u.shape[0] > u.shape[1]
                x = u.T if tall else u
                x = (x / (x.norm() + 1e-7)).to(torch.bfloat16 if BF16 else torch.float32)
                for _ in range(5):
                    a = x @ x.T
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
                u = (x.T if tall else x).float() * max(1, p.shape[0] / g.shape[1]) ** 0.5
                p.mul_(1 - group["lr"] * 0.01).add_(u.view(p.shape), alpha=-group["lr"])


def optimizers(net, aux):
    matrices = [p for n, p in net.named_parameters() if p.ndim >= 2 and ("layers." in n or "conv2" in n or "encoder.proj" in n)]
    inside = {id(p) for p in matrices}
    rest = [p for p in net.parameters() if id(p) not in inside and p.requires_grad]
    groups = [{"params": rest}, {"params": list(aux.parameters()), "heads": True}]
    return [Muon(matrices, lr=0.02), torch.optim.AdamW(groups, lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)]


# Inputs that share a scale in 4 bits (`GROUP` of src/model/kernels.rs).
GROUP = 64


def in_four_bits(w):
    """A matrix as `hearken model quantize` rounds it to 4 bits: whole numbers from -8 to 7 of the best of nine scales a group."""
    groups = F.pad(w, (0, -w.shape[1] % GROUP)).unflatten(1, (-1, GROUP))
    whole = lambda scale: (groups / scale).round().clamp(-8, 7).nan_to_num(0)
    extreme = groups.gather(2, groups.abs().argmax(2, keepdim=True))
    best, scale = torch.full_like(extreme, -1), extreme
    for i in range(9):
        q = whole(extreme / -8 * (1 - 0.04 * i))
        product, square = (groups * q).sum(2, keepdim=True), q.square().sum(2, keepdim=True).clamp(min=1)
        explained = product.square() / square
        scale = torch.where(explained > best, product / square, scale)
        best = torch.maximum(best, explained)
    scale = scale.half().float()
    return (whole(scale) * scale).flatten(1)[:, : w.shape[1]]


@contextlib.contextmanager
def rounded(net):
    """The matrices that a 4-bit file rounds (weights.rs; of lm_head it spares the few rows that decide), rounded within; what is
    learnt then moves those that are not."""
    matrices = [p for n, p in net.named_parameters() if p.ndim == 2 and (n.startswith(("decoder.layers.2.", "decoder.layers.3.", "lm_head.")))]
    kept = [p.data for p in matrices]
    for p in matrices:
        p.data = in_four_bits(p.data)
    try:
        yield
    finally:
        for p, data in zip(matrices, kept):
            p.data = data


def warp(mel, r):
    """Another vocal tract: the mel axis of each stream stretched a little, and now and then a band hidden."""
    batch = mel.shape[0]
    bins = torch.arange(128.0)
    matrices = []
    for _ in range(batch):
        factor = r.uniform(0.87, 1.15) if r.uniform() < 0.7 else 1.0
        at = (bins * factor).clamp(max=126.999)
        low = at.long()
        m = torch.zeros(128, 128)
        m[torch.arange(128), low] = 1 - (at - low)
        m[torch.arange(128), low + 1] = at - low
        matrices.append(m)
    out = torch.einsum("boi,bcif->bcof", torch.stack(matrices).to(mel), mel)
    for i in range(batch):
        if r.uniform() < 0.25:
            width = int(r.integers(4, 14))
            low = int(r.integers(0, 128 - width))
            out[i, :, low : low + width] = out[i].amin()
    return out


def losses(net, aux, batch, r, pad, augment=True):
    audio, phones, active, ended, openings, rows = batch
    device = net.lm_head.weight.device
    here = lambda x: torch.from_numpy(x).to(device)
    mel = net.mel(here(audio))
    if augment:
        mel = warp(mel, r)
    blocks = [mel.flatten(0, 1)] + [net.mel(here(x)[None])[0] for x in openings]
    with torch.autocast(device.type, torch.bfloat16, enabled=BF16):
        features = net.encode(torch.cat(blocks))
        n = len(blocks[0])
        heard = features[:n]
        phone_logits = aux.phones(heard).float().view(-1, len(streams.PHONE_CLASSES))
        sound_logits = aux.sounds(heard).float()
        phone_targets = here(phones.astype(np.int64)).flatten()
        phone_weight = torch.where(phone_targets == 0, 0.3, 1.0) * (phone_targets >= 0)
        phone = F.cross_entropy(phone_logits, phone_targets.clamp(min=0), reduction="none")
        phone = (phone * phone_weight).sum() / phone_weight.sum().clamp(min=1)
        sound = F.binary_cross_entropy_with_logits(sound_logits.flatten(0, 1), here(active).flatten(0, 1))
        if not rows:
            right = (phone_logits.argmax(-1) == phone_targets)[phone_targets > 0].float().mean()
            return right, phone, sound, None, None, None
        length = max(len(row.ids) for row in rows)
        ids = torch.zeros(len(rows), length, dtype=torch.long)
        positions = torch.zeros(len(rows), length, dtype=torch.long)
        targets = torch.full((len(rows), length), batches.IGNORE)
        weights = torch.zeros(len(rows), length)
        for i, row in enumerate(rows):
            m = len(row.ids)
            ids[i, :m], targets[i, :m] = torch.tensor(row.ids), torch.tensor(row.targets)
            weights[i, :m], positions[i, :m] = torch.tensor(row.weights), torch.tensor(row.positions)
            positions[i, m:] = row.positions[-1]
        ids, positions, targets, weights = (x.to(device) for x in (ids, positions, targets, weights))
        mask = ids == pad
        order = torch.tensor([b for row in rows for b in row.blocks], device=device)
        hidden, before_last = net.hidden(ids, features[order].flatten(0, 1), mask, positions)
        # What has just ended, at every 40 ms that a lane hears of the stream itself.
        of_stream = order < n
        at_features = before_last[mask].view(len(order), knowledge.CHUNK // streams.SOUND_HOP, -1)[of_stream].flatten(0, 1)
        at_features = F.rms_norm(at_features.float(), at_features.shape[-1:])
        wanted = here(ended).view(n, knowledge.CHUNK // streams.SOUND_HOP, -1)[order[of_stream]].flatten(0, 1)
        due = 0
        for column, head in enumerate(aux.ended):
            weight = torch.where(wanted[:, column] > 0, 1.0, 0.1)
            due = due + (F.cross_entropy(head(at_features).float(), wanted[:, column], reduction="none") * weight).sum() / weight.sum()
        # What the lane was asked to do, there too: without it counting came to nothing in streams whose first sound was missed.
        asked = torch.tensor([row.asked for row in rows for _ in row.blocks], device=device)[of_stream]
        asked = asked.repeat_interleave(knowledge.CHUNK // streams.SOUND_HOP)
        asked_loss = F.cross_entropy(aux.asked(at_features).float(), asked, ignore_index=batches.IGNORE, reduction="sum")
        due = due + asked_loss / (asked != batches.IGNORE).sum().clamp(min=1)
        at = targets != batches.IGNORE
        logits = net.lm_head(hidden[at]).float()
    text = (F.cross_entropy(logits, targets[at], reduction="none") * weights[at]).sum() / weights[at].sum()
    return text, phone, sound, due, logits, targets[at]


def arguments():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("work", type=pathlib.Path)
    a.add_argument("--data", default=str(knowledge.HERE.parents[2] / "shared" / "data"))
    a.add_argument("--bank", default="trained")
    a.add_argument("--hours", type=float, default=1.0)
    a.add_argument("--until", help="the time of day (HH:MM) at which it ends, instead of --hours")
    a.add_argument("--cool", type=float, default=0.0, help="share of the time in which the rate falls to zero")
    a.add_argument("--threads", type=int, default=torch.get_num_threads())
    a.add_argument("--workers", type=int, default=1)
    a.add_argument("--streams", type=int, default=8)
    a.add_argument("--lanes", type=int, default=2, help="modes that listen to each stream")
    a.add_argument("--secs", type=float, default=20.0)
    a.add_argument("--long", type=float, default=0.12)
    a.add_argument("--ears", action="store_true", help="train the encoder alone, on phonemes and sounds: a quick start")
    a.add_argument("--phone-weight", type=float, default=0.5)
    a.add_argument("--ended-weight", type=float, default=0.15)
    a.add_argument("--rate", type=float, default=0.28, help="scales the rates of both optimisers; at 1 the phoneme loss stood still at 0.95, at 0.25 it fell to 0.70 in 10 minutes")
    a.add_argument("--rounded", type=float, default=0.0, help="share of the steps that see the decoder as a 4-bit file rounds it")
    a.add_argument("--export", type=pathlib.Path, help="an exported checkpoint to begin with, where there is no --from")
    a.add_argument("--from", dest="start", default="last.pt")
    a.add_argument("--to", default="last.pt")
    a = a.parse_args()
    if a.until:
        now, (hour, minute) = datetime.datetime.now(), map(int, a.until.split(":"))
        end = now.replace(hour=hour, minute=minute, second=0)
        a.hours = ((end - now).total_seconds() % 86_400) / 3_600
    return a


class Progress:
    """Sums of what the steps since the last line came to."""

    def __init__(self, tokens):
        self.silent, self.respond = tokens.ids["KEEP_SILENCE"], tokens.ids["TEXT_BEGIN"]
        self.begun = time.time()
        self.clear()

    def clear(self):
        self.steps = self.audio = self.waited = 0.0
        self.loss = {"text": 0.0, "phone": 0.0, "sound": 0.0, "ended": 0.0}
        self.right = {"false": [0, 0], "recall": [0, 0], "words": [0, 0]}

    def add(self, text, phone, sound, due, logits, targets, seconds, waited):
        self.steps += 1
        self.audio += seconds / 3_600
        self.waited += waited
        for name, value in (("text", text), ("phone", phone), ("sound", sound), ("ended", due)):
            self.loss[name] += 0 if value is None else value.item()
        if logits is None:
            return
        best = logits.argmax(-1)
        silent, respond = targets == self.silent, targets == self.respond
        word = ~(silent | respond)
        for name, ok, of in (("false", best == self.respond, silent), ("recall", best == self.respond, respond), ("words", best == targets, word)):
            self.right[name][0] += int(ok[of].sum())
            self.right[name][1] += int(of.sum())

    def line(self, step, factor):
        losses_of = " ".join(f"{name} {value / self.steps:.3f}" for name, value in self.loss.items())
        shares = " ".join(f"{name} {ok / max(1, of):.4f}" for name, (ok, of) in self.right.items())
        print(f"{step} {time.time() - self.begun:.0f}s {losses_of} {shares} {self.audio:.2f} h waited {self.waited:.0f}s lr {factor:.2f}", flush=True)
        self.clear()


class Trainer:
    """The network with its training heads, optimisers and running mean; made anew, from an export or from a checkpoint."""

    def __init__(self, a):
        self.a, self.step, self.alone = a, 0, 0
        a.work.mkdir(parents=True, exist_ok=True)
        if not (a.work / "tokenizer.json").exists():
            token_layout.Tokens(token_layout.grown(token_layout.Tokens.load(a.export).tokenizer)[0] if a.export else token_layout.train()).save(a.work)
        self.tokens = token_layout.Tokens.load(a.work)
        torch.manual_seed(0)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.net = network.Starter(self.tokens.size).to(device)
        ended = [len(names) for names in streams.ENDED]
        self.aux = network.Auxiliary(self.net.lm_head.in_features, len(streams.PHONE_CLASSES), len(knowledge.SOUND_NAMES), ended, len(streams.ASKED)).to(device)
        self.optimizers = optimizers(self.net, self.aux)
        self.rates = [[group["lr"] * a.rate for group in o.param_groups] for o in self.optimizers]
        self.mean = AveragedModel(self.net, avg_fn=lambda mean, now, steps: mean.lerp(now, 1 / min(steps + 1, AVERAGED)))
        if (a.work / a.start).exists():
            self.resume(torch.load(a.work / a.start, weights_only=True, map_location=device))
        elif a.export:
            export.read_checkpoint(self.net, a.export, token_layout.grown(token_layout.Tokens.load(a.export).tokenizer)[1])
            self.alone = HEADS_ALONE
            print(f"goes on from {a.export}", flush=True)
        if self.mean.n_averaged == 0:
            self.mean.update_parameters(self.net)
        self.r = np.random.default_rng(self.step)
        print(f"{sum(p.numel() for p in self.net.parameters()) / 1e6:.2f} M parameters, {self.tokens.size} tokens", flush=True)

    def resume(self, saved):
        self.net.load_state_dict(saved["net"])
        self.aux.load_state_dict(saved["aux"])
        for o, state in zip(self.optimizers, saved["opts"]):
            o.load_state_dict(state)
        self.mean.load_state_dict(saved["mean"])
        self.step = saved["step"]
        self.alone = HEADS_ALONE if self.step < HEADS_ALONE else 0
        print(f"resumed at step {self.step}", flush=True)

    def save(self):
        state = {
            "net": self.net.state_dict(), "mean": self.mean.state_dict(), "aux": self.aux.state_dict(),
            "opts": [o.state_dict() for o in self.optimizers], "step": self.step,
        }  # fmt: skip
        torch.save(state, self.a.work / (self.a.to + ".new"))
        (self.a.work / (self.a.to + ".new")).replace(self.a.work / self.a.to)

    def set_rates(self, factor):
        alone = self.step < self.alone
        self.net.requires_grad_(not alone)
        for o, rates in zip(self.optimizers, self.rates):
            for group, rate in zip(o.param_groups, rates):
                group["lr"] = rate * factor if not alone else HEADS_RATE if "heads" in group else 0.0

    def train_on(self, batch):
        """One step; returns what `losses` returns."""
        a = self.a
        with rounded(self.net) if self.r.uniform() < a.rounded else contextlib.nullcontext():
            text, phone, sound, due, logits, targets = losses(self.net, self.aux, batch, self.r, self.tokens.ids["PAD"])
            loss = a.phone_weight * phone + sound + (0 if a.ears else text + a.ended_weight * due)
            for o in self.optimizers:
                o.zero_grad(set_to_none=True)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        for o in self.optimizers:
            o.step()
        self.step += 1
        if self.step == self.alone:  # what the mean holds so far is the export itself
            self.mean.n_averaged.zero_()
        self.mean.update_parameters(self.net)
        return text, phone, sound, due, logits, targets

    def factor(self, done):
        """The rates, of what `--rate` says: they rise over 100 steps and fall at the end where `--cool` says so."""
        rise = min(1, (self.step + 1 - self.alone * (self.step >= self.alone)) / 100)
        return rise * (1 if done < 1 - self.a.cool else max(0.02, (1 - done) / max(self.a.cool, 1e-9)))


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    trainer = Trainer(a)
    shape = {"streams": a.streams, "secs": a.secs, "lanes": a.lanes, "long_share": a.long, "ears": a.ears}
    feeder = batches.Feeder(lambda: streams.Composer(a.work / "bank", a.bank, a.data), trainer.tokens, int(time.time()), shape, a.workers)
    progress, begun, saved_at, first_step = Progress(trainer.tokens), time.time(), time.time(), trainer.step
    while (done := (time.time() - begun) / (a.hours * 3600)) < 1:
        factor = trainer.factor(done)
        trainer.set_rates(factor)
        asked_at = time.time()
        batch = feeder.next()
        waited = time.time() - asked_at
        progress.add(*trainer.train_on(batch), batch[0].size / knowledge.RATE, waited)
        if trainer.step % 20 == 0:
            progress.line(trainer.step, factor)
        if time.time() - saved_at > SAVED_EVERY:
            trainer.save()
            saved_at = time.time()
    trainer.save()
    print(f"stopped at step {trainer.step}, {trainer.step - first_step} steps")


if __name__ == "__main__":
    main()
