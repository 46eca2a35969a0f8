"""Writes a checkpoint in the layout of the release: `python export.py WORK --from cool.pt --to DIR`, with a check for the Rust side.

`--check` names the file with a short recording and the first logits that this side computes for it, from the rounded weights in f32.
"""

import argparse
import collections
import json
import pathlib

import numpy as np
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import AveragedModel

import knowledge
import network
import scenes
import streams
import token_layout

DTYPE = torch.float16


def language_model(net):
    """Returns the decoder under litgpt's names (`src/model/README.md` section 4.1)."""
    out = {"transformer.wte.weight": net.decoder.embed_tokens.weight, "lm_head.weight": net.lm_head.weight, "transformer.ln_f.weight": net.decoder.norm.weight}
    for i, layer in enumerate(net.decoder.layers):
        a, m, p = layer.self_attn, layer.mlp, f"transformer.h.{i}."
        out[p + "norm_1.weight"] = layer.input_layernorm.weight
        out[p + "norm_2.weight"] = layer.post_attention_layernorm.weight
        out[p + "attn.qkv.weight"] = torch.cat([a.q_proj.weight, a.k_proj.weight, a.v_proj.weight])
        out[p + "attn.qkv.bias"] = torch.cat([a.q_proj.bias, a.k_proj.bias, a.v_proj.bias])
        out[p + "attn.proj.weight"] = a.o_proj.weight
        out[p + "mlp.fc_1.weight"], out[p + "mlp.fc_2.weight"], out[p + "mlp.proj.weight"] = m.gate_proj.weight, m.up_proj.weight, m.down_proj.weight
    return {name: t.detach().to(DTYPE).contiguous() for name, t in out.items()}


def read_checkpoint(net, folder, made_of=None):
    """Puts the weights of an exported checkpoint into `net`: training goes on where a published starter stopped.

    A token that the export lacks begins as the mean of the tokens that it is made of (`tokens.grown`).
    """
    lm = load_file(folder / "model-00001-of-00001.safetensors")
    for token, parts in sorted((made_of or {}).items()):
        for name in ("transformer.wte.weight", "lm_head.weight"):
            lm[name] = torch.cat([lm[name], lm[name][parts].float().mean(0, keepdim=True).to(lm[name].dtype)])
        assert len(lm["lm_head.weight"]) == token + 1
    heads, width = net.decoder.config.num_attention_heads, net.decoder.layers[0].self_attn.head_dim
    groups = net.decoder.config.num_key_value_heads
    parts = [heads * width, groups * width, groups * width]
    state = {"decoder.embed_tokens.weight": lm["transformer.wte.weight"], "lm_head.weight": lm["lm_head.weight"], "decoder.norm.weight": lm["transformer.ln_f.weight"]}
    for i in range(len(net.decoder.layers)):
        to, p = f"decoder.layers.{i}.", f"transformer.h.{i}."
        state[to + "input_layernorm.weight"] = lm[p + "norm_1.weight"]
        state[to + "post_attention_layernorm.weight"] = lm[p + "norm_2.weight"]
        for name in ("weight", "bias"):
            for which, part in zip("qkv", lm[p + "attn.qkv." + name].split(parts)):
                state[f"{to}self_attn.{which}_proj.{name}"] = part
        state[to + "self_attn.o_proj.weight"] = lm[p + "attn.proj.weight"]
        for ours, own in (("gate", "fc_1"), ("up", "fc_2"), ("down", "proj")):
            state[f"{to}mlp.{ours}_proj.weight"] = lm[f"{p}mlp.{own}.weight"]
    encoder = torch.load(folder / "audiointeraction_ChunkwisedEncoder.pth", weights_only=True)
    state |= {"encoder." + n: t for n, t in encoder.items()}
    missing, unexpected = net.load_state_dict({n: t.float() for n, t in state.items()}, strict=False)
    wrong = unexpected + [n for n in missing if "positional_embedding" not in n and "rotary" not in n]
    if wrong:
        raise SystemExit(f"{folder} does not fit the sizes of net.py: {wrong[:3]}")


def model_config(net, size):
    c = net.decoder.config
    return {
        "name": "starter", "hf_config": {"name": "starter", "org": "hearken"}, "block_size": 4096, "vocab_size": size, "padded_vocab_size": size,
        "padding_multiple": 1, "n_layer": c.num_hidden_layers, "n_head": c.num_attention_heads, "n_query_groups": c.num_key_value_heads,
        "n_embd": c.hidden_size, "head_size": c.hidden_size // c.num_attention_heads, "intermediate_size": c.intermediate_size, "rotary_percentage": 1.0,
        "parallel_residual": False, "shared_attention_norm": False, "bias": False, "attn_bias": True, "lm_head_bias": False, "norm_class_name": "RMSNorm",
        "norm_eps": 1.0e-6, "norm_qk": False, "post_attention_norm": False, "post_mlp_norm": False, "mlp_class_name": "LLaMAMLP", "gelu_approximate": "none",
        "rope_base": int(c.rope_theta), "rope_condense_ratio": 1, "rope_adjustments": None, "scale_embeddings": False, "sliding_window_size": None,
        "sliding_window_layer_placing": None, "attention_logit_softcapping": None, "attention_scores_scalar": None, "final_logit_softcapping": None,
        "n_expert": 0, "n_expert_per_token": 0,
    }  # fmt: skip


@torch.no_grad()
def listen(net, tokens, audio, limit=64):
    """Listens greedily as one dialog lane; returns `(logits, tokens)` of every model call, as `hearken trace --path live` has them."""
    features = net.encode(net.mel(torch.from_numpy(audio)[None])[0])
    ids, places, rows, chosen = list(tokens.prefix), [], [], []
    silent, respond, end, pad = (tokens.ids[n] for n in ("KEEP_SILENCE", "TEXT_BEGIN", "TEXT_END", "PAD"))

    def call(feature_blocks):
        row = torch.tensor(ids)[None]
        mask = torch.zeros_like(row, dtype=torch.bool)
        mask[0, places] = True
        hidden, _ = net.hidden(row, features[:feature_blocks].flatten(0, 1), mask, torch.arange(len(ids))[None])
        return net.lm_head(hidden[0, -1])

    for block in range(len(features)):
        ids.append(tokens.ids["AUDIO_BEGIN"])
        places += range(len(ids), len(ids) + 10)
        ids += [pad] * 10 + [tokens.ids["ASSISTANT"]]
        logits = call(block + 1)
        token = respond if logits[respond] > logits[silent] else silent
        rows.append(logits)
        chosen.append(token)
        ids.append(token)
        while token not in (silent, end) and len(chosen) < 512:
            logits = call(block + 1)
            token = int(logits.argmax())
            rows.append(logits)
            chosen.append(token)
            ids.append(token)
    return torch.stack(rows), chosen


def check_audio(work, data):
    """Returns two questions and two sounds in a quiet room."""
    composer = streams.Composer(work / "bank", "trained", data)
    r = np.random.default_rng(3)

    def script(scene):
        at = int(0.5 * knowledge.RATE)
        for _ in range(2):
            at = (scene.say(at, {"phrase": 1}) or at) + int(0.9 * knowledge.RATE)
            at = (scene.sound(at, str(r.choice(["knock", "glass breaking", "cough"]))) or at) + int(0.9 * knowledge.RATE)

    audio = scenes.make(composer, r, 5.2, script).audio
    return (np.round(audio * 32_767).astype(np.int16) / 32_768).astype(np.float32)


def weights_in(path, vocabulary_size):
    """Returns the weights of an exported folder, or the running mean of a checkpoint of training, and the number of tokens learnt."""
    mean, learnt = AveragedModel(network.Starter(vocabulary_size)), vocabulary_size
    if path.is_dir():
        tokens = token_layout.Tokens.load(path)
        learnt = tokens.size
        read_checkpoint(mean.module, path, token_layout.grown(tokens.tokenizer)[1])
    else:
        mean.load_state_dict(torch.load(path, weights_only=True, map_location="cpu")["mean"])
    return mean.module.state_dict(), learnt


def mean_weights(parts):
    """Returns the mean of `[(weights, number of tokens learnt)]`; the rows of a token count only where it was learnt."""
    most = max(learnt for _, learnt in parts)
    out = {name: torch.stack([weights[name] for weights, _ in parts]).mean(0) for name in parts[0][0]}
    for name in ("decoder.embed_tokens.weight", "lm_head.weight"):
        for token in range(min(learnt for _, learnt in parts), most):
            out[name][token] = torch.stack([weights[name][token] for weights, learnt in parts if token < learnt]).mean(0)
    return out


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("work", type=pathlib.Path)
    a.add_argument("--from", dest="start", nargs="+", default=["cool.pt"], help="checkpoints of training or exported folders, in WORK; of several the mean of their weights (model soup; Wortsman et al., 2022)")
    a.add_argument("--to", type=pathlib.Path, required=True)
    a.add_argument("--check", type=pathlib.Path, default=knowledge.HERE.parents[1] / "tests" / "golden" / "starter" / "check.safetensors")
    a.add_argument("--data", default=str(knowledge.HERE.parents[2] / "shared" / "data"))
    a = a.parse_args()
    tokens = token_layout.Tokens.load(a.work)
    net = network.Starter(tokens.size).eval()
    parts = [weights_in(a.work / name, tokens.size) for name in a.start]
    net.load_state_dict(mean_weights(parts))
    # From here on the weights are those that are written.
    net.load_state_dict({n: t.to(DTYPE).float() for n, t in net.state_dict().items()})
    a.to.mkdir(parents=True, exist_ok=True)
    a.check.parent.mkdir(parents=True, exist_ok=True)

    lm = language_model(net)
    name = "model-00001-of-00001.safetensors"
    save_file(lm, a.to / name, metadata={"format": "pt"})
    size = sum(t.numel() * t.element_size() for t in lm.values())
    index = {"metadata": {"total_size": size}, "weight_map": dict.fromkeys(sorted(lm), name)}
    (a.to / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    encoder = collections.OrderedDict((n, t.detach().to(DTYPE).contiguous().clone()) for n, t in net.encoder.state_dict().items() if "positional_embedding" not in n)
    torch.save(encoder, a.to / "audiointeraction_ChunkwisedEncoder.pth")
    (a.to / "model_config.yaml").write_text(yaml.safe_dump(model_config(net, tokens.size)))
    e = net.encoder.config
    audio_config = {
        "model_type": "qwen2_5_omni_audio_encoder", "num_mel_bins": 128, "d_model": e.d_model, "encoder_layers": e.encoder_layers, "num_hidden_layers": e.encoder_layers,
        "encoder_attention_heads": e.encoder_attention_heads, "encoder_ffn_dim": e.encoder_ffn_dim, "output_dim": e.output_dim, "activation_function": "gelu",
        "max_source_positions": 1500, "n_window": 100, "scale_embedding": False,
    }  # fmt: skip
    (a.to / "qwen25OmniConfig").mkdir(exist_ok=True)
    (a.to / "qwen25OmniConfig" / "config.json").write_text(json.dumps({"thinker_config": {"audio_config": audio_config}}, indent=2) + "\n")
    tokens.save(a.to)
    if a.to.resolve() != knowledge.STARTER:
        (a.to / "phrases.toml").write_text(knowledge.phrases_text())

    audio = check_audio(a.work, a.data)
    logits, chosen = listen(net, tokens, audio)
    check = {"samples": torch.from_numpy((audio * 32_768).astype("<i2").view(np.uint8)), "tokens": torch.tensor(chosen), "logits": logits[:20].contiguous()}
    save_file(check, a.check)
    print(f"{' + '.join(a.start)}: {sum(f.stat().st_size for f in a.to.rglob('*') if f.is_file() and f.name != 'check.safetensors') / 1e6:.2f} MB")
    print("the check says:", tokens.tokenizer.decode([t for t in chosen if t != tokens.ids["KEEP_SILENCE"]], skip_special_tokens=False))


if __name__ == "__main__":
    main()
