"""Trains the starter: `python train.py WORK [--hours H]`. Resumes from WORK/last.pt; `--cool` lets the rate fall to zero for an export."""

import argparse
import contextlib
import json
import math
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel

import batches
import export
import knowledge as k
import net as nets
import streams as st
import tokens as tk


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
                x = (x / (x.norm() + 1e-7)).to(torch.bfloat16 if losses.bf16 else torch.float32)
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


def losses(net, aux, batch, r, augment=True):
    audio, phones, active, ended, openings, rows = batch
    device = net.lm_head.weight.device
    here = lambda x: torch.from_numpy(x).to(device)
    mel = net.mel(here(audio))
    if augment:
        mel = warp(mel, r)
    blocks = [mel.flatten(0, 1)] + [net.mel(here(x)[None])[0] for x in openings]
    # bfloat16 in the matrix products, f32 elsewhere.
    with torch.autocast(device.type, torch.bfloat16, enabled=losses.bf16):
        features = net.encode(torch.cat(blocks))
        n = len(blocks[0])
        heard = features[:n]
        phone_logits = aux.phones(heard).float().view(-1, len(st.PHONE_CLASSES))
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
        mask = ids == losses.pad
        order = torch.tensor([b for row in rows for b in row.blocks], device=device)
        hidden, before_last = net.hidden(ids, features[order].flatten(0, 1), mask, positions)
        # What has just ended, at every 40 ms that a lane hears of the stream itself.
        of_stream = order < n
        at_features = before_last[mask].view(len(order), k.CHUNK // st.SOUND_HOP, -1)[of_stream].flatten(0, 1)
        at_features = F.rms_norm(at_features.float(), at_features.shape[-1:])
        wanted = here(ended).view(n, k.CHUNK // st.SOUND_HOP, -1)[order[of_stream]].flatten(0, 1)
        due = 0
        for column, head in enumerate(aux.ended):
            weight = torch.where(wanted[:, column] > 0, 1.0, 0.1)
            due = due + (F.cross_entropy(head(at_features).float(), wanted[:, column], reduction="none") * weight).sum() / weight.sum()
        # What the lane was asked to do, there too: without it counting came to nothing in streams whose first sound was missed.
        asked = torch.tensor([row.asked for row in rows for _ in row.blocks], device=device)[of_stream]
        asked = asked.repeat_interleave(k.CHUNK // st.SOUND_HOP)
        asked_loss = F.cross_entropy(aux.asked(at_features).float(), asked, ignore_index=batches.IGNORE, reduction="sum")
        due = due + asked_loss / (asked != batches.IGNORE).sum().clamp(min=1)
        at = targets != batches.IGNORE
        logits = net.lm_head(hidden[at]).float()
    text = (F.cross_entropy(logits, targets[at], reduction="none") * weights[at]).sum() / weights[at].sum()
    return text, phone, sound, due, logits, targets[at]


# It pays where there are units or instructions for it (a step takes half as long); without them half as long again as f32.
losses.bf16 = torch.cuda.is_available() or torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
losses.pad = 0

# An export has no training heads: new ones learn for so many steps before the network follows them.
HEADS_ALONE = 60
# Steps that the running mean of the weights reaches back: steps of twelve streams wander about the valley that they go down.
AVERAGED = 300


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("work", type=pathlib.Path)
    a.add_argument("--data", default=str(k.HERE.parents[2] / "shared" / "data"))
    a.add_argument("--bank", default="trained")
    a.add_argument("--hours", type=float, default=1.0)
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
    torch.set_num_threads(a.threads)
    a.work.mkdir(parents=True, exist_ok=True)
    if not (a.work / "tokenizer.json").exists():
        (tk.Tokens.load(a.export) if a.export else tk.Tokens(tk.train())).save(a.work)
    tokens = tk.Tokens.load(a.work)
    losses.pad = tokens.ids["PAD"]
    torch.manual_seed(0)
    net = nets.Starter(tokens.size)
    aux = nets.Auxiliary(net.lm_head.in_features, len(st.PHONE_CLASSES), len(k.SOUND_NAMES), [len(names) for names in st.ENDED], len(st.ASKED))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net, aux = net.to(device), aux.to(device)
    opts = optimizers(net, aux)
    base = [[g["lr"] * a.rate for g in o.param_groups] for o in opts]
    mean = AveragedModel(net, avg_fn=lambda mean, now, steps: mean.lerp(now, 1 / min(steps + 1, AVERAGED)))
    step = alone = 0
    if (a.work / a.start).exists():
        saved = torch.load(a.work / a.start, weights_only=True, map_location=device)
        net.load_state_dict(saved["net"])
        aux.load_state_dict(saved["aux"])
        for o, state in zip(opts, saved["opts"]):
            o.load_state_dict(state)
        step = saved["step"]
        mean.load_state_dict(saved["mean"])
        print(f"resumed at step {step}", flush=True)
    elif a.export:
        export.read_checkpoint(net, a.export)
        alone = HEADS_ALONE
        print(f"goes on from {a.export}", flush=True)
    feeder = batches.Feeder(
        lambda: st.Composer(a.work / "bank", a.bank, a.data), tokens, int(time.time()), {"streams": a.streams, "secs": a.secs, "lanes": a.lanes, "long_share": a.long, "ears": a.ears}, a.workers
    )
    r = np.random.default_rng(step)
    print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters, {tokens.size} tokens", flush=True)

    if mean.n_averaged == 0:
        mean.update_parameters(net)

    def save():
        state = {"net": net.state_dict(), "mean": mean.state_dict(), "aux": aux.state_dict(), "opts": [o.state_dict() for o in opts], "step": step}
        torch.save(state, a.work / (a.to + ".new"))
        (a.work / (a.to + ".new")).replace(a.work / a.to)

    begun = time.time()
    cool_from = cool_steps = None
    saved_at, sums, waited = begun, np.zeros(12), 0.0
    first_step = step
    while time.time() - begun < a.hours * 3600:
        done = (time.time() - begun) / (a.hours * 3600)
        factor = min(1, (step + 1 - alone * (step >= alone)) / 100) * (1 if done < 1 - a.cool else max(0.02, (1 - done) / max(a.cool, 1e-9)))
        for o, rates in zip(opts, base):
            for g, rate in zip(o.param_groups, rates):
                g["lr"] = rate * factor * (step >= alone or "heads" in g)
        t = time.time()
        batch = feeder.next()
        waited += time.time() - t
        with rounded(net) if r.uniform() < a.rounded else contextlib.nullcontext():
            text, phone, sound, due, logits, targets = losses(net, aux, batch, r)
            loss = a.phone_weight * phone + sound + (0 if a.ears else text + a.ended_weight * due)
            for o in opts:
                o.zero_grad(set_to_none=True)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for o in opts:
            o.step()
        step += 1
        mean.update_parameters(net)
        if a.ears:
            sums += [1, text.item(), phone.item(), sound.item(), 1, 0, 1, 0, 1, 0, batch[0].size / k.RATE, 0]
        else:
            best = logits.argmax(-1)
            silent, respond = tokens.ids["KEEP_SILENCE"], tokens.ids["TEXT_BEGIN"]
            s, p = targets == silent, targets == respond
            word = ~(s | p)
            sums += [1, text.item(), phone.item(), sound.item(), *(x.sum().item() for x in (s, (best == respond)[s], p, (best == respond)[p], word, (best == targets)[word])), batch[0].size / k.RATE, due.item()]  # fmt: skip
        if step % 20 == 0:
            n = sums[0]
            print(
                f"{step} {time.time() - begun:.0f}s text {sums[1] / n:.3f} phone {sums[2] / n:.3f} sound {sums[3] / n:.4f} ended {sums[11] / n:.3f} "
                f"false {sums[5] / sums[4]:.4f} recall {sums[7] / sums[6]:.3f} words {sums[9] / sums[8]:.3f} "
                f"{sums[10] / 3600:.2f} h waited {waited:.0f}s lr {factor:.2f}",
                flush=True,
            )
            sums[:], waited = 0, 0.0
        if time.time() - saved_at > 240:
            save()
            saved_at = time.time()
    save()
    print(f"stopped at step {step}, {step - first_step} steps")


if __name__ == "__main__":
    main()
