"""The network: `transformers`' own Qwen2.5-Omni audio encoder and Qwen2 decoder, at the starter's sizes.

Training goes through the modules' own weights by a batched route (every block of 0.4 s is independent in the encoder);
`python net.py` checks that this route and the modules' own forward agree.
"""


import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import Qwen2Config, Qwen2Model
from transformers.models.qwen2.modeling_qwen2 import apply_rotary_pos_emb
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniAudioEncoderConfig
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder

import knowledge

SIZES = {
    "encoder": {"d_model": 192, "encoder_layers": 4, "encoder_attention_heads": 6, "encoder_ffn_dim": 768},
    "decoder": {"hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 512},
    "rope_base": 10_000.0,
}
BLOCK_FRAMES, BLOCK_POSITIONS, FEATURES = 40, 20, 10


def mel_filters():
    """Returns 128 triangles on Slaney's scale (`src/model/README.md` section 2, step 5)."""
    to_mel = lambda f: np.where(f < 1000, f * 3 / 200, 15 + np.log(np.maximum(f, 1e-9) / 1000) * 27 / np.log(6.4))
    to_hz = lambda m: np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))
    edges = to_hz(np.linspace(0, to_mel(np.array(8000.0)), 130))
    bins = np.arange(201) * 40.0
    rows = []
    for i in range(128):
        up = (bins - edges[i]) / (edges[i + 1] - edges[i])
        down = (edges[i + 2] - bins) / (edges[i + 2] - edges[i + 1])
        rows.append(np.maximum(0, np.minimum(up, down)) * 2 / (edges[i + 2] - edges[i]))
    return torch.tensor(np.stack(rows), dtype=torch.float32)


class LogMel(nn.Module):
    """The log-mel of the live path, `[B, samples]` to `[B, chunks, 128, 40]`: the newest frame of a chunk mirrors, the maximum runs."""

    def __init__(self):
        super().__init__()
        self.register_buffer("filters", mel_filters(), persistent=False)
        self.register_buffer("window", torch.hann_window(400), persistent=False)

    def forward(self, audio):
        batch, samples = audio.shape
        chunks = samples // knowledge.CHUNK
        # 360 samples before each chunk: half a frame, and one more hop to the last frame of the chunk before.
        left = torch.cat([audio.new_zeros(batch, 160), audio[:, 1:201].flip(1), audio], 1)
        parts = left.as_strided((batch, chunks, knowledge.CHUNK + 360), (left.stride(0), knowledge.CHUNK, 1))
        # The newest frame runs 40 samples over the end of the chunk, where it sees them mirrored.
        parts = torch.cat([parts, parts[..., -41:-1].flip(-1)], -1)
        frames = parts.unfold(-1, 400, 160) * self.window
        power = torch.fft.rfft(frames).abs().square()
        logs = torch.log10(torch.clamp(power @ self.filters.T, min=1e-10))
        # The frame before the chunk is what the mirrored one became: it counts from now on, the mirrored one never does.
        before, logs = logs[:, :, 0].amax(-1), logs[:, :, 1:]
        before[:, 0] = -10
        settled = torch.maximum(before, torch.cat([before[:, :1], logs[:, :-1, :-1].amax((-1, -2))], 1)).cummax(1).values
        loudest = torch.maximum(settled, logs.amax((-1, -2)))
        return ((torch.maximum(logs, loudest[..., None, None] - 8) + 4) / 4).transpose(-1, -2)


def attend(q, k, v):
    """Returns attention by plain products: on a CPU the backward pass of the fused kernel takes three times as long."""
    scores = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
    return scores.softmax(-1).to(v.dtype) @ v


def attend_to_past(q, k, v, block=128):
    """Returns causal attention, queries in blocks: no block looks at keys that lie wholly in its future."""
    length = q.shape[-2]
    if q.is_cuda or length > 1_000:  # long rows would take gigabytes
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    out, scale = [], q.shape[-1] ** -0.5
    for first in range(0, length, block):
        last = min(first + block, length)
        future = torch.full((last - first, last), -torch.inf).triu(first + 1)
        scores = (q[..., first:last, :] @ k[..., :last, :].transpose(-1, -2)).float() * scale + future
        out.append(scores.softmax(-1).to(v.dtype) @ v[..., :last, :])
    return torch.cat(out, -2)


class Starter(nn.Module):
    def __init__(self, vocabulary_size, sizes=SIZES):
        super().__init__()
        self.encoder = Qwen2_5OmniAudioEncoder._from_config(
            Qwen2_5OmniAudioEncoderConfig(num_mel_bins=128, n_window=BLOCK_POSITIONS, max_source_positions=1500, output_dim=sizes["decoder"]["hidden_size"], **sizes["encoder"]),
            attn_implementation="sdpa",
        )  # fmt: skip
        config = Qwen2Config(
            vocab_size=vocabulary_size, max_position_embeddings=4096, rope_theta=sizes["rope_base"], rms_norm_eps=1e-6, tie_word_embeddings=False,
            use_cache=False, attn_implementation="sdpa", **sizes["decoder"],
        )  # fmt: skip
        self.decoder = Qwen2Model(config)
        self.lm_head = nn.Linear(config.hidden_size, vocabulary_size, bias=False)
        self.mel = LogMel()
        nn.init.normal_(self.lm_head.weight, std=0.02)

    def encode(self, mel):
        """Returns the features `[blocks, 10, hidden]` of `[blocks, 128, 40]`."""
        e = self.encoder
        x = F.gelu(e.conv1(mel))
        x = F.gelu(e.conv2(x)).transpose(1, 2)
        x = x + e.positional_embedding.positional_embedding[:BLOCK_POSITIONS].to(x)
        for layer in e.layers:
            a = layer.self_attn
            y = layer.self_attn_layer_norm(x)
            heads = lambda z: z.view(z.shape[0], BLOCK_POSITIONS, a.num_heads, a.head_dim).transpose(1, 2)
            y = attend(heads(a.q_proj(y)), heads(a.k_proj(y)), heads(a.v_proj(y)))
            x = x + a.out_proj(y.transpose(1, 2).reshape(x.shape))
            x = x + layer.fc2(F.gelu(layer.fc1(layer.final_layer_norm(x))))
        x = F.avg_pool1d(x.transpose(1, 2), 2).transpose(1, 2)
        return e.proj(e.ln_post(x))

    def hidden(self, ids, features, feature_mask, positions):
        """Returns the hidden states of whole sequences, the last and the input of the last layer; `features` stand where `feature_mask` is set."""
        x = self.decoder.embed_tokens(ids)
        x = x.masked_scatter(feature_mask.unsqueeze(-1), features.to(x.dtype))
        # Layer by layer through the modules' weights: their own forward takes a jump in the positions for a border
        # between two packed texts, and its grouped attention misses the fast kernel of a CPU.
        cos, sin = self.decoder.rotary_emb(x, positions)
        for layer in self.decoder.layers:
            before_last = x
            a = layer.self_attn
            y = layer.input_layernorm(x)
            heads = lambda z: z.view(*z.shape[:2], -1, a.head_dim).transpose(1, 2)
            q, key = apply_rotary_pos_emb(heads(a.q_proj(y)), heads(a.k_proj(y)), cos, sin)
            groups = a.num_key_value_groups
            key, value = key.repeat_interleave(groups, 1), heads(a.v_proj(y)).repeat_interleave(groups, 1)
            y = attend_to_past(q.to(value), key.to(value), value)
            x = x + a.o_proj(y.transpose(1, 2).flatten(2))
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.decoder.norm(x), before_last


class Auxiliary(nn.Module):
    """Heads that exist only in training: the phoneme of every 20 ms and the sounds of every 40 ms in the encoder; in the
    decoder, what has just ended at every 40 ms (a word, a phrase, a sound), and what the lane was asked to do."""

    def __init__(self, hidden, phones, sounds, ended, asked):
        super().__init__()
        self.phones = nn.Linear(hidden, 2 * phones)
        self.sounds = nn.Linear(hidden, sounds)
        self.ended = nn.ModuleList(nn.Linear(hidden, n + 1) for n in ended)
        self.asked = nn.Linear(hidden, asked)


def _check():
    torch.manual_seed(0)
    net = Starter(300).eval()
    print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters")
    mel = torch.randn(5, 128, 40)
    with torch.no_grad():
        ours = net.encode(mel)
        own = net.encoder(mel.transpose(0, 1).reshape(128, 200), feature_lens=torch.tensor([200]), aftercnn_lens=torch.tensor([100])).last_hidden_state
        ids, at = torch.randint(0, 300, (2, 30)), torch.arange(30).expand(2, 30)
        none = torch.zeros(2, 30, dtype=torch.bool)
        decoded, _ = net.hidden(ids, torch.zeros(0), none, at)
        own_decoded = net.decoder(input_ids=ids, position_ids=at).last_hidden_state
    print("decoder, ours against transformers:", (decoded - own_decoded).abs().max().item())
    print("encoder, ours against transformers:", (ours.reshape(-1, ours.shape[-1]) - own).abs().max().item())


if __name__ == "__main__":
    _check()
