"""Answers typed questions in the offline task layout with transformers, for `tests/offline.rs`.

    pip install torch==2.8.0 transformers==4.57.6 safetensors==0.6.2 tokenizers pyyaml numpy
    python make.py

WhisperFeatureExtractor computes the log-mel, Qwen2_5OmniAudioEncoder the features (with one length, so in blocks of 200 mel frames) and
Qwen2ForCausalLM the reply, all in float32 on the small random checkpoint models/fixture. The token layout is that of the model's training data:
[OFFLINE, ENGLISH, SYSTEM, TEXT_BEGIN] P [TEXT_END], [AUDIO_BEGIN, features, AUDIO_END], [USER, TEXT_BEGIN] question [TEXT_END], [ASSISTANT, TEXT_BEGIN].
"""

import json
import wave
from pathlib import Path

import numpy as np
import torch
import transformers
import yaml
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import Qwen2Config, Qwen2ForCausalLM, WhisperFeatureExtractor
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniAudioEncoderConfig
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder

HERE = Path(__file__).resolve().parent
CHECKPOINT = HERE.parents[2] / "models" / "fixture"
PROMPT = (
    "You are a helpful assistant. When there is no user text, if the audio contains a question, please answer it. "
    "If it is a sound effect, determine based on the sound whether help is needed."
)
# Name, recording, its number of samples, the step of the stored features (0: none), and the question. The first case ends between two hops, in a
# block of 97 frames whose 49th position has no partner; the second has the longest recording of the layout.
CASES = [
    ("odd", "d1_speech_7p3s", 111_444, 1, "What does the speaker want?"),
    ("longest", "d3_mixed_60s", 320_000, 5, "What is said?"),
    ("unasked", "d1_speech_7p3s", 111_444, 0, None),
]
# The most tokens of a reply.
REPLY = 64


def samples(name, count):
    with wave.open(str(HERE.parent / "wav" / f"{name}.wav")) as file:
        heard = np.frombuffer(file.readframes(count), dtype="<i2").astype(np.float32) / 32768
    return np.pad(heard, (0, -len(heard) % 160))


def load_encoder():
    sizes = json.loads((CHECKPOINT / "qwen25OmniConfig" / "config.json").read_text())["thinker_config"]["audio_config"]
    encoder = Qwen2_5OmniAudioEncoder._from_config(Qwen2_5OmniAudioEncoderConfig(**sizes), attn_implementation="eager").eval()
    encoder.load_state_dict(torch.load(CHECKPOINT / "audiointeraction_ChunkwisedEncoder.pth", weights_only=True), strict=True)
    return encoder


def load_decoder():
    """Loads the decoder, with litgpt's names and joint q, k and v converted to Qwen2's."""
    sizes = yaml.safe_load((CHECKPOINT / "model_config.yaml").read_text())
    weights = {}
    for shard in sorted(CHECKPOINT.glob("model-*.safetensors")):
        weights |= load_file(shard)
    heads, groups, size = sizes["n_head"], sizes["n_query_groups"], sizes["head_size"]
    named = {"model.embed_tokens.weight": weights["transformer.wte.weight"], "model.norm.weight": weights["transformer.ln_f.weight"], "lm_head.weight": weights["lm_head.weight"]}
    for i in range(sizes["n_layer"]):
        old, new = f"transformer.h.{i}.", f"model.layers.{i}."
        for kind in ("weight", "bias"):
            parts = weights[f"{old}attn.qkv.{kind}"].split([heads * size, groups * size, groups * size])
            named |= {f"{new}self_attn.{to}_proj.{kind}": part for to, part in zip("qkv", parts)}
        for ours, theirs in [("norm_1", "input_layernorm"), ("norm_2", "post_attention_layernorm"), ("attn.proj", "self_attn.o_proj"), ("mlp.fc_1", "mlp.gate_proj"), ("mlp.fc_2", "mlp.up_proj"), ("mlp.proj", "mlp.down_proj")]:
            named[f"{new}{theirs}.weight"] = weights[f"{old}{ours}.weight"]
    config = Qwen2Config(
        vocab_size=sizes["padded_vocab_size"], hidden_size=sizes["n_embd"], intermediate_size=sizes["intermediate_size"], num_hidden_layers=sizes["n_layer"],
        num_attention_heads=heads, num_key_value_heads=groups, rms_norm_eps=sizes["norm_eps"], rope_theta=sizes["rope_base"], tie_word_embeddings=False,
    )
    decoder = Qwen2ForCausalLM._from_config(config, attn_implementation="eager").eval()
    decoder.load_state_dict(named, strict=True)
    return decoder


def features_of(encoder, heard):
    mel = WhisperFeatureExtractor(feature_size=128)(heard, sampling_rate=16_000, padding=False, truncation=False, return_tensors="pt").input_features[0]
    frames = torch.tensor([mel.shape[1]])
    positions, features = encoder._get_feat_extract_output_lengths(frames)
    out = encoder(mel, feature_lens=frames, aftercnn_lens=positions).last_hidden_state
    assert len(out) == features.item()
    return mel.shape[1], out


def reply(decoder, ids, prompt):
    """Replies greedily until TEXT_END or REPLY tokens.

    Returns the tokens, the smallest margin of a chosen logit over the next, the logits of the first token, and True if TEXT_END ended the reply.
    """
    said, margin, first, cache, fed = [], float("inf"), None, None, prompt
    while len(said) < REPLY:
        out = decoder(inputs_embeds=fed[None], past_key_values=cache, use_cache=True)
        cache, best = out.past_key_values, out.logits[0, -1].topk(2)
        margin = min(margin, (best.values[0] - best.values[1]).item())
        first = out.logits[0, -1] if first is None else first
        if best.indices[0].item() == ids["TEXT_END"]:
            return said, margin, first, True
        said.append(best.indices[0].item())
        fed = decoder.model.embed_tokens(best.indices[:1])
    return said, margin, first, False


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    ids = json.loads((CHECKPOINT / "token_ids.json").read_text())["ids"]
    tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
    encoder, decoder = load_encoder(), load_decoder()
    cases, kept = [], {}
    for name, recording, count, every, question in CASES:
        frames, features = features_of(encoder, samples(recording, count))
        before = [ids[n] for n in ("OFFLINE", "ENGLISH", "SYSTEM", "TEXT_BEGIN")] + tokenizer.encode(PROMPT).ids + [ids["TEXT_END"], ids["AUDIO_BEGIN"]]
        asked = [] if question is None else [ids["USER"], ids["TEXT_BEGIN"], *tokenizer.encode(question).ids, ids["TEXT_END"]]
        after = [ids["AUDIO_END"], *asked, ids["ASSISTANT"], ids["TEXT_BEGIN"]]
        embed = lambda tokens: decoder.model.embed_tokens(torch.tensor(tokens))
        said, margin, first, ended = reply(decoder, ids, torch.cat([embed(before), features, embed(after)]))
        cases.append({
            "name": name, "recording": recording, "samples": count, "question": question, "frames": frames, "features": len(features), "every": every,
            "positions": len(before) + len(features) + len(after), "reply": said, "ended": ended, "margin": round(margin, 5),
        })
        kept[f"logits.{name}"] = first
        if every:
            kept[f"features.{name}"] = features[::every].contiguous()
    origin = f"make.py with torch {torch.__version__}, transformers {transformers.__version__}"
    (HERE / "typed.json").write_text(json.dumps({"origin": origin, "cases": cases}, indent=1) + "\n")
    save_file(kept, HERE / "typed.safetensors")


main()
