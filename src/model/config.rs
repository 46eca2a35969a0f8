//! The sizes of a checkpoint, read and checked before its weights (`src/model/README.md` sections 1, 4 and 7).
//!
//! A configuration that this decoder or encoder does not implement is refused by the name of its field.

use std::path::Path;

use serde::Deserialize;

use super::kv_cache::KvShape;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::mel::N_MELS;
use crate::time::BLOCK_FRAMES;

/// Name of the file of the language model's sizes in a checkpoint folder: a litgpt `Config`.
pub const LM_CONFIG: &str = "model_config.yaml";
/// Path of the file of the audio encoder's sizes in a checkpoint folder; they lie at `thinker_config.audio_config`.
pub const AUDIO_CONFIG: &str = "qwen25OmniConfig/config.json";
/// The largest value of a size field that is accepted; the smallest is 1.
const MAX_SIZE: usize = 1 << 24;

/// The sizes of both parts of a model: language model and audio encoder.
#[derive(Clone, Copy, Debug)]
pub struct ModelSizes<'a> {
    /// Sizes of the language model.
    pub lm: &'a LmConfig,
    /// Sizes of the audio encoder.
    pub audio: &'a AudioConfig,
}

/// The sizes of the language model (litgpt 0.5.8 `config.py`; absent fields take its defaults).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are litgpt's own")]
pub struct LmConfig {
    /// Largest number of positions.
    pub block_size: usize,
    /// Number of layers.
    pub n_layer: usize,
    /// Number of query heads.
    pub n_head: usize,
    /// Number of values of an embedding and of a hidden state.
    pub n_embd: usize,
    /// Number of key/value heads; absent: that of the query heads.
    pub n_query_groups: Option<usize>,
    /// Number of values of a head; absent: `n_embd / n_head`.
    pub head_size: Option<usize>,
    /// Inner size of the MLP; absent: `4 * n_embd`.
    pub intermediate_size: Option<usize>,
    /// Number of token ids, with padding.
    pub padded_vocab_size: usize,
    /// Epsilon of the RMS norms.
    pub norm_eps: f64,
    /// Base of the rotation frequencies.
    pub rope_base: f64,
    /// True if queries, keys and values have a bias.
    pub attn_bias: bool,
    /// Fields that change the architecture.
    #[serde(flatten)]
    pub(super) switches: Switches,
}

/// The fields of litgpt's `Config` that change the architecture; only one value of each is implemented, and the others are refused.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Switches {
    /// Biases of all linear layers; only none is implemented.
    bias: bool,
    /// Bias of the output layer; only none is implemented.
    lm_head_bias: bool,
    /// Kind of norm; only `RMSNorm` is implemented.
    norm_class_name: String,
    /// Kind of MLP; only `LLaMAMLP` (gated by SiLU) is implemented.
    mlp_class_name: String,
    /// Norm of queries and keys; only none is implemented.
    norm_qk: bool,
    /// Norm after attention; only none is implemented.
    post_attention_norm: bool,
    /// Norm after the MLP; only none is implemented.
    post_mlp_norm: bool,
    /// Attention and MLP side by side; only one after the other is implemented.
    parallel_residual: bool,
    /// One norm for attention and MLP; only two are implemented.
    shared_attention_norm: bool,
    /// Scaling of the embeddings; only none is implemented.
    scale_embeddings: bool,
    /// Share of a head's values that is rotated by position; only 1 is implemented.
    rotary_percentage: f64,
    /// Divisor of positions; only 1 is implemented.
    rope_condense_ratio: f64,
    /// Changes to the rotation frequencies; only none are implemented.
    rope_adjustments: Option<yaml_serde::Value>,
    /// Rotation of neighbouring values of a head; only of its two halves is implemented.
    rope_interleave: bool,
    /// Choice of the layers with rotations; only all are implemented.
    rope_indices: Option<yaml_serde::Value>,
    /// Limit of the attention scores; only none is implemented.
    attention_logit_softcapping: Option<f64>,
    /// Limit of the logits; only none is implemented.
    final_logit_softcapping: Option<f64>,
    /// Divisor of the attention scores in place of the head size; only the head size is implemented.
    attention_scores_scalar: Option<f64>,
    /// Number of positions that attention sees; only all are implemented.
    sliding_window_size: Option<i64>,
    /// Number of experts of the MLP; only 0 (no experts) is implemented.
    n_expert: usize,
    /// Attention over compressed keys and values; only full ones are implemented.
    latent_attention: Option<yaml_serde::Value>,
}

impl Default for LmConfig {
    fn default() -> Self {
        Self {
            block_size: 0,
            n_layer: 0,
            n_head: 0,
            n_embd: 0,
            n_query_groups: None,
            head_size: None,
            intermediate_size: None,
            padded_vocab_size: 0,
            norm_eps: 1e-5,
            rope_base: 10_000.0,
            attn_bias: false,
            switches: Switches::default(),
        }
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            bias: true,
            lm_head_bias: false,
            norm_class_name: "LayerNorm".into(),
            mlp_class_name: "GptNeoxMLP".into(),
            norm_qk: false,
            post_attention_norm: false,
            post_mlp_norm: false,
            parallel_residual: true,
            shared_attention_norm: false,
            scale_embeddings: false,
            rotary_percentage: 0.25,
            rope_condense_ratio: 1.0,
            rope_adjustments: None,
            rope_interleave: false,
            rope_indices: None,
            attention_logit_softcapping: None,
            final_logit_softcapping: None,
            attention_scores_scalar: None,
            sliding_window_size: None,
            n_expert: 0,
            latent_attention: None,
        }
    }
}

impl LmConfig {
    /// Reads the language model's sizes from `model_config.yaml` of the checkpoint folder `dir`.
    ///
    /// # Errors
    /// When the file is missing, malformed, holds an impossible size, or asks for something that is not implemented; names the
    /// file, and a refused field.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(LM_CONFIG);
        let text = read_text(&path)?;
        let config: Self = yaml_serde::from_str(&text).map_err(|e| Error::model_file(&path, format!("not a model configuration ({e})")))?;
        config.check().map_err(|(kind, why)| Error::at(kind, &path, why).with_remedy(Remedy::ChooseOtherModel))?;
        Ok(config)
    }

    /// Returns the sizes of the released 3B model (litgpt entry "Qwen2.5-3B"; `src/model/README.md` section 7).
    #[must_use]
    pub fn released_3b() -> Self {
        Self {
            block_size: 32_768,
            n_layer: 36,
            n_head: 16,
            n_embd: 2_048,
            n_query_groups: Some(2),
            head_size: Some(128),
            intermediate_size: Some(11_008),
            padded_vocab_size: 151_936,
            norm_eps: 1e-6,
            rope_base: 1_000_000.0,
            attn_bias: true,
            switches: Switches::default(),
        }
    }

    /// Returns the number of key/value heads, `n_query_groups`; by default that of the query heads.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.n_query_groups.unwrap_or(self.n_head)
    }

    /// Returns the size of one head, `head_size`; by default `n_embd / n_head`.
    #[must_use]
    pub fn head(&self) -> usize {
        self.head_size.unwrap_or(self.n_embd / self.n_head.max(1))
    }

    /// Returns the inner size of the MLP, `intermediate_size`; by default `4 * n_embd`.
    #[must_use]
    pub fn intermediate(&self) -> usize {
        self.intermediate_size.unwrap_or(4 * self.n_embd)
    }

    /// Returns the shape of the keys and of the values of a position in one layer's cache.
    #[must_use]
    pub fn kv_shape(&self) -> KvShape {
        KvShape { groups: self.groups(), head_size: self.head() }
    }

    /// Returns the number of weights in the matrices of all layers, the embedding table and `lm_head`; norms and biases are not
    /// counted.
    #[must_use]
    pub fn weights(&self) -> u64 {
        (self.n_layer as u64).saturating_mul(self.layer_weights()).saturating_add(self.table_weights().saturating_mul(2))
    }

    /// Returns the number of weights in the matrices of one layer.
    #[must_use]
    pub fn layer_weights(&self) -> u64 {
        let wide = |n: usize| n as u64;
        let (hidden, q_size, kv_size) = (wide(self.n_embd), wide(self.n_head * self.head()), wide(self.groups() * self.head()));
        // No field is above MAX_SIZE, so only the first product can overflow.
        hidden.saturating_mul(2 * q_size + 2 * kv_size).saturating_add(3 * hidden * wide(self.intermediate()))
    }

    /// Returns the number of weights in the embedding table; `lm_head` has as many.
    #[must_use]
    pub const fn table_weights(&self) -> u64 {
        (self.n_embd as u64).saturating_mul(self.padded_vocab_size as u64)
    }

    /// Checks that every switch and size is implemented; the error is the kind and text of the first that is not.
    fn check(&self) -> std::result::Result<(), (ErrorKind, String)> {
        let s = &self.switches;
        let refused = [
            ("parallel_residual", s.parallel_residual),
            ("bias", s.bias),
            ("lm_head_bias", s.lm_head_bias),
            ("norm_class_name", s.norm_class_name != "RMSNorm"),
            ("mlp_class_name", s.mlp_class_name != "LLaMAMLP"),
            ("norm_qk", s.norm_qk),
            ("post_attention_norm", s.post_attention_norm),
            ("post_mlp_norm", s.post_mlp_norm),
            ("shared_attention_norm", s.shared_attention_norm),
            ("scale_embeddings", s.scale_embeddings),
            ("rotary_percentage", s.rotary_percentage != 1.0),
            ("rope_condense_ratio", s.rope_condense_ratio != 1.0),
            ("rope_adjustments", is_set(s.rope_adjustments.as_ref())),
            ("rope_interleave", s.rope_interleave),
            ("rope_indices", is_set(s.rope_indices.as_ref())),
            ("attention_logit_softcapping", s.attention_logit_softcapping.is_some()),
            ("final_logit_softcapping", s.final_logit_softcapping.is_some()),
            ("attention_scores_scalar", s.attention_scores_scalar.is_some()),
            ("sliding_window_size", s.sliding_window_size.is_some()),
            ("n_expert", s.n_expert != 0),
            ("latent_attention", is_set(s.latent_attention.as_ref())),
        ];
        if let Some((field, _)) = refused.iter().find(|(_, set)| *set) {
            return Err((ErrorKind::UnsupportedModel, format!("`{field}` has a value that Hearken does not implement")));
        }
        let sizes = [
            ("block_size", self.block_size),
            ("n_layer", self.n_layer),
            ("n_head", self.n_head),
            ("n_embd", self.n_embd),
            ("n_query_groups", self.groups()),
            ("head_size", self.head()),
            ("intermediate_size", self.intermediate()),
            ("padded_vocab_size", self.padded_vocab_size),
        ];
        check_sizes(&sizes)?;
        if !self.n_head.is_multiple_of(self.groups()) {
            return Err((ErrorKind::Model, "`n_head` is not a multiple of `n_query_groups`".into()));
        }
        if !self.head().is_multiple_of(2) {
            return Err((ErrorKind::Model, "`head_size` is odd".into()));
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0 && self.rope_base >= 1.0 && self.rope_base.is_finite()) {
            return Err((ErrorKind::Model, "`norm_eps` or `rope_base` is out of range".into()));
        }
        Ok(())
    }
}

/// Checks that every size lies between 1 and [`MAX_SIZE`]; the error names the first that does not.
fn check_sizes(sizes: &[(&str, usize)]) -> std::result::Result<(), (ErrorKind, String)> {
    match sizes.iter().find(|(_, size)| !(1..=MAX_SIZE).contains(size)) {
        Some((field, size)) => Err((ErrorKind::Model, format!("`{field}` is {size}, which is no possible size"))),
        None => Ok(()),
    }
}

/// Returns true if the field `value` is there and not null.
fn is_set(value: Option<&yaml_serde::Value>) -> bool {
    value.is_some_and(|v| !v.is_null())
}

/// The sizes of the audio encoder (transformers 4.57.6 `Qwen2_5OmniAudioEncoderConfig`; absent fields take its defaults).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are the checkpoint's own")]
pub struct AudioConfig {
    /// Number of values of a hidden state.
    pub d_model: usize,
    /// Number of layers.
    pub encoder_layers: usize,
    /// Number of attention heads.
    pub encoder_attention_heads: usize,
    /// Inner size of the MLP.
    pub encoder_ffn_dim: usize,
    /// Number of mel bins of the log-mel.
    pub num_mel_bins: usize,
    /// Number of values of a feature vector.
    pub output_dim: usize,
    /// Half the log-mel frames of a full block of a recording; only 100 is implemented.
    pub n_window: usize,
    /// Name of the activation function; only `gelu` is implemented.
    pub activation_function: String,
}

impl Default for AudioConfig {
    fn default() -> Self {
        Self {
            d_model: 1_280,
            encoder_layers: 32,
            encoder_attention_heads: 20,
            encoder_ffn_dim: 5_120,
            num_mel_bins: N_MELS,
            output_dim: 3_584,
            n_window: BLOCK_FRAMES / 2,
            activation_function: "gelu".into(),
        }
    }
}

impl AudioConfig {
    /// Reads the encoder's sizes from `qwen25OmniConfig/config.json` of the checkpoint folder `dir`.
    ///
    /// # Errors
    /// When the file is missing, malformed, holds an impossible size, or asks for something that is not implemented; names the
    /// file, and a refused field.
    pub fn read(dir: &Path) -> Result<Self> {
        /// The content of `qwen25OmniConfig/config.json`, as far as it is read.
        #[derive(Deserialize)]
        struct EncoderConfigFile {
            thinker_config: ThinkerConfig,
        }
        /// The part of the configuration that holds the encoder's sizes.
        #[derive(Deserialize)]
        struct ThinkerConfig {
            audio_config: AudioConfig,
        }
        let path = dir.join(AUDIO_CONFIG);
        let file: EncoderConfigFile = serde_json::from_str(&read_text(&path)?)
            .map_err(|e| Error::model_file(&path, format!("not an encoder configuration ({e})")))?;
        let config = file.thinker_config.audio_config;
        config.check().map_err(|(kind, why)| Error::at(kind, &path, why).with_remedy(Remedy::ChooseOtherModel))?;
        Ok(config)
    }

    /// Returns the sizes of the encoder of the released 3B model (`src/model/README.md` section 7).
    #[must_use]
    pub fn released_3b() -> Self {
        Self { output_dim: 2_048, ..Self::default() }
    }

    /// Returns the number of weights in the matrices of all layers, the convolutions and `proj`; norms and biases are not counted.
    #[must_use]
    pub fn weights(&self) -> u64 {
        let wide = |n: usize| n as u128;
        let (d, layers) = (wide(self.d_model), wide(self.encoder_layers) * u128::from(self.layer_weights()));
        let convolutions = 3 * d * (wide(self.num_mel_bins) + d);
        u64::try_from(layers + convolutions + d * wide(self.output_dim)).unwrap_or(u64::MAX)
    }

    /// Returns the number of weights in the matrices of one layer.
    #[must_use]
    pub const fn layer_weights(&self) -> u64 {
        let (d, ffn) = (self.d_model as u64, self.encoder_ffn_dim as u64);
        d.saturating_mul(d).saturating_mul(4).saturating_add(d.saturating_mul(ffn).saturating_mul(2))
    }

    /// Checks that every field is implemented and every size possible; the error is the kind and text of the first that is not.
    fn check(&self) -> std::result::Result<(), (ErrorKind, String)> {
        if self.activation_function != "gelu" {
            return Err((ErrorKind::UnsupportedModel, "`activation_function` has a value that Hearken does not implement".into()));
        }
        if self.num_mel_bins != N_MELS {
            return Err((ErrorKind::UnsupportedModel, format!("`num_mel_bins` is {}, Hearken computes {N_MELS}", self.num_mel_bins)));
        }
        if self.n_window != BLOCK_FRAMES / 2 {
            return Err((ErrorKind::UnsupportedModel, format!("`n_window` is {}, Hearken computes {}", self.n_window, BLOCK_FRAMES / 2)));
        }
        let sizes = [
            ("d_model", self.d_model),
            ("encoder_layers", self.encoder_layers),
            ("encoder_attention_heads", self.encoder_attention_heads),
            ("encoder_ffn_dim", self.encoder_ffn_dim),
            ("output_dim", self.output_dim),
        ];
        check_sizes(&sizes)?;
        if !self.d_model.is_multiple_of(self.encoder_attention_heads) || self.d_model < 4 || !self.d_model.is_multiple_of(2) {
            return Err((ErrorKind::Model, "`d_model` does not divide into `encoder_attention_heads`".into()));
        }
        Ok(())
    }
}

/// Returns the contents of a text file of a checkpoint; fails if the file is missing, unreadable or not UTF-8, naming the file.
pub(super) fn read_text(path: &Path) -> Result<String> {
    crate::files::read_text(path).map_err(|e| {
        let why = match e.kind() {
            std::io::ErrorKind::NotFound => "this file of the checkpoint is missing".to_owned(),
            std::io::ErrorKind::InvalidData => "not a text file".to_owned(),
            _ => e.to_string(),
        };
        Error::model_file(path, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_yaml(extra: &str) -> std::result::Result<(), String> {
        let base = std::fs::read_to_string("models/fixture/model_config.yaml").unwrap();
        let kept: String =
            base.lines().filter(|l| !extra.lines().any(|e| e.split(':').next() == l.split(':').next())).map(|l| format!("{l}\n")).collect();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(LM_CONFIG), kept + extra).unwrap();
        LmConfig::read(dir.path()).map(|_| ()).map_err(|e| e.to_string())
    }

    #[test]
    fn unimplemented_settings_are_refused_by_field_name() {
        assert_eq!(read_yaml("norm_eps: 1.0e-6\n"), Ok(()));
        for line in [
            "parallel_residual: true",
            "attention_logit_softcapping: 50.0",
            "final_logit_softcapping: 30.0",
            "sliding_window_size: 4096",
            "norm_class_name: LayerNorm",
            "mlp_class_name: GemmaMLP",
            "rope_adjustments: {factor: 8.0}",
            "n_expert: 8",
            "bias: true",
            "rotary_percentage: 0.5",
            "n_embd: 0",
            "n_layer: 99999999999",
        ] {
            let field = line.split(':').next().unwrap();
            let error = read_yaml(line).unwrap_err();
            assert!(error.contains(field) && error.contains(LM_CONFIG), "{line}: {error}");
        }
    }

    #[test]
    fn encoder_with_another_block_length_is_refused_by_field_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("qwen25OmniConfig")).unwrap();
        let base = std::fs::read_to_string(Path::new("models/fixture").join(AUDIO_CONFIG)).unwrap();
        let read = |text: &str| {
            std::fs::write(dir.path().join(AUDIO_CONFIG), text).unwrap();
            AudioConfig::read(dir.path()).map(|config| config.n_window).map_err(|e| e.to_string())
        };
        assert_eq!(read(&base), Ok(100));
        assert_eq!(read(&base.replace("\"n_window\": 100,", "")), Ok(100), "an absent field takes transformers' default");
        let refused = read(&base.replace("\"n_window\": 100", "\"n_window\": 50")).unwrap_err();
        assert!(refused.contains("n_window") && refused.contains(AUDIO_CONFIG), "{refused}");
    }
}
