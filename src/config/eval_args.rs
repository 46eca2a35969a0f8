//! The command line of `hearken eval`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::long_running::{ContextPolicy, DEFAULT_POSITIONS};
use super::values::{self, arguments_error};
use super::{ComputeDevice, ContextChoice, Precision};
use crate::error::Result;
use crate::protocol::{Language, ModelChoice};

/// Default number of items (recordings of the data set) processed in one batch.
const DEFAULT_LANES: usize = 8;
/// Default silence after each item in seconds, as in `listen` and in the published benchmark.
const GAP_SECS: f64 = 1.0;
/// Largest number of items in one session of `eval streaming`.
const MAX_ITEMS: usize = 1_000;

/// A parsed `hearken eval` command.
#[derive(Clone, Debug, PartialEq)]
pub enum EvalRequest {
    /// Score a model on a data set.
    Run(Box<EvalOptions>),
    /// Compare the reports of two earlier runs.
    Compare {
        /// Result folder (`--out`) of the first run.
        before: PathBuf,
        /// Result folder (`--out`) of the second run.
        after: PathBuf,
        /// Folder for the comparison as Markdown and JSON; None: printed only.
        out: Option<PathBuf>,
    },
}

/// The checked options of an evaluation run (`hearken eval TASK`).
#[derive(Clone, Debug, PartialEq)]
pub struct EvalOptions {
    /// Task whose outputs are scored.
    pub task: EvalTask,
    /// Data set: its folder, or its manifest (`.jsonl`, `.json`, `.tsv`).
    pub data: PathBuf,
    /// Folder to which the report and the predictions are written.
    pub out: PathBuf,
    /// Model that is scored.
    pub model: ModelChoice,
    /// Numeric precision; None: chosen for the model by fixed rules when it is loaded.
    pub precision: Option<Precision>,
    /// Compute device.
    pub device: ComputeDevice,
    /// Number of compute threads; None: the number of physical cores.
    pub threads: Option<usize>,
    /// Number of items to score, spread evenly over the data set; None: all.
    pub limit: Option<usize>,
    /// Treatment of predictions that an earlier run left in `out`.
    pub resume: ResumePolicy,
    /// Number of items processed in one batch.
    pub lanes: usize,
    /// Bias added to the respond logit; larger values respond more often.
    pub eagerness: f32,
    /// File or folder of background recordings, in which every response is a false alarm; None: none. Only for `proactive`.
    pub background: Option<PathBuf>,
    /// Context policies; `streaming` runs all items under each of them, other tasks have one.
    pub contexts: Vec<ContextChoice>,
    /// Silence after each item, in seconds.
    pub gap_secs: f64,
    /// True if the quiet gate withholds silence from the model.
    pub gate: bool,
}

/// The treatment of predictions that an earlier run left in the result folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumePolicy {
    /// Keep them and score only the items that they lack.
    Continue,
    /// Refuse to run if there are any.
    Refuse,
}

/// The task of an evaluation run: the kind of items in the data set and of their scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalTask {
    /// Responses to sounds that call for one, and silence to others.
    Proactive {
        /// Number of clips in a session.
        style: ProactiveStyle,
    },
    /// Transcription of speech: word or character error rate.
    Asr {
        /// Spoken language.
        language: Language,
    },
    /// Translation of speech: BLEU and chrF.
    Translate {
        /// Target language.
        to: Language,
    },
    /// Multiple-choice questions about sounds, and spoken questions with known answers.
    Qa {
        /// Form in which the question about a sound is put to the model.
        instruction: QuestionInput,
    },
    /// Long recordings labelled with outputs (words, replies, sound names) that are due at certain times, each in a named mode.
    Streams {
        /// Target language of the mode `translate`.
        to: Language,
    },
    /// Another task with several items heard in one session, to see the effect of a growing context.
    Streaming {
        /// Task that each item is scored as; any but `streams` and `streaming`.
        of: Box<Self>,
        /// Numbers of items in a session; the whole data set is run for each number.
        counts: Vec<usize>,
        /// Names of the context policies; the data set is run under each. Empty: the default policy.
        #[serde(default)]
        contexts: Vec<String>,
    },
}

/// The number of clips in one session of the proactive benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProactiveStyle {
    /// One clip.
    Single,
    /// Three clips of one class.
    Multi,
}

/// The form in which a question about a sound is put to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionInput {
    /// Spoken after the sound.
    Spoken,
    /// Typed, in the prompt layout of typed questions.
    Typed,
}

impl EvalTask {
    /// The proactive task with one clip in a session.
    pub const PROACTIVE: Self = Self::Proactive { style: ProactiveStyle::Single };

    /// Returns the task that items are scored as: the inner task of `streaming`, else the task itself.
    #[must_use]
    pub fn inner(&self) -> &Self {
        if let Self::Streaming { of, .. } = self { of } else { self }
    }

    /// Returns the name, in reports of `streaming`, of `count` items in a session under the policy named `context`: `10`, or
    /// `10 recent_only` for another than the default policy.
    #[must_use]
    pub fn condition(count: usize, context: &str) -> String {
        if context == ContextPolicy::default().name() { count.to_string() } else { format!("{count} {context}") }
    }

    /// Returns the title of the task in reports, for example `asr, en`.
    #[must_use]
    pub fn title(&self) -> String {
        let code = |language: &Language| if *language == Language::Chinese { "zh" } else { "en" };
        match self {
            Self::Proactive { style: ProactiveStyle::Single } => "proactive, single".to_owned(),
            Self::Proactive { style: ProactiveStyle::Multi } => "proactive, multi".to_owned(),
            Self::Asr { language } => format!("asr, {}", code(language)),
            Self::Translate { to } => format!("translate into {}", code(to)),
            Self::Qa { instruction: QuestionInput::Spoken } => "qa, spoken questions".to_owned(),
            Self::Qa { instruction: QuestionInput::Typed } => "qa, typed questions".to_owned(),
            Self::Streams { .. } => "labelled streams".to_owned(),
            Self::Streaming { of, .. } => format!("streaming, {}", of.title()),
        }
    }
}

/// The subcommands of `hearken eval`.
#[derive(Debug, Subcommand)]
pub(super) enum EvalArgs {
    /// Score responses to sounds that call for one, and silence to others (Proactive-Sound-Bench, or folders RESPOND and IGNORE)
    Proactive {
        #[command(flatten)]
        run: RunArgs,
        /// Clips in a session: one, or three of the same class
        #[arg(long, value_name = "single|multi", value_parser = style, default_value = "single")]
        style: ProactiveStyle,
        /// Background recordings (a file or a folder), to count false alarms per hour
        #[arg(long, value_name = "PATH")]
        background: Option<PathBuf>,
    },
    /// Score transcripts: word error rate (LibriSpeech, or a manifest with `path` and `text`), or character error rate for Chinese
    Asr {
        #[command(flatten)]
        run: RunArgs,
        /// Spoken language
        #[arg(long, value_name = "en|zh", value_parser = values::language, default_value = "en")]
        language: Language,
    },
    /// Score translations: BLEU and chrF (CoVoST 2)
    Translate {
        #[command(flatten)]
        run: RunArgs,
        /// Target language
        #[arg(long, value_name = "zh|en", value_parser = values::language, default_value = "zh")]
        translate_to: Language,
    },
    /// Score answers: multiple choice about sounds (MMAU), or spoken questions with known answers
    Qa {
        #[command(flatten)]
        run: RunArgs,
        /// Form of a question about a sound: spoken after it (`question_audio`), or typed
        #[arg(long, value_name = "audio|text", value_parser = instruction, default_value = "audio")]
        instruction: QuestionInput,
    },
    /// Score another task with several items in one session
    Streaming {
        #[command(flatten)]
        run: RunArgs,
        /// Task that each item is scored as
        #[arg(long, value_name = "proactive|asr|translate|qa", value_parser = ["proactive", "asr", "translate", "qa"])]
        of: String,
        /// Numbers of items in a session; the whole data set is run for each
        #[arg(long, value_name = "N,…", value_parser = counts, default_value = "1,2,5,10,20,50")]
        items: Counts,
        /// Spoken language (asr)
        #[arg(long, value_name = "en|zh", value_parser = values::language, default_value = "en")]
        language: Language,
        /// Target language (translate)
        #[arg(long, value_name = "zh|en", value_parser = values::language, default_value = "zh")]
        translate_to: Language,
        /// Form of a question about a sound (qa)
        #[arg(long, value_name = "audio|text", value_parser = instruction, default_value = "audio")]
        instruction: QuestionInput,
        #[command(flatten)]
        quiet: QuietArgs,
    },
    /// Score streams of your own, labelled with the words, replies or sequence that are due (a manifest: see `src/eval/README.md`)
    Streams {
        #[command(flatten)]
        run: RunArgs,
        /// Target language of the mode translate
        #[arg(long, value_name = "zh|en", value_parser = values::language, default_value = "zh")]
        translate_to: Language,
        #[command(flatten)]
        quiet: QuietArgs,
    },
    /// Compare two runs, with the significance of each difference
    Compare {
        /// Folder of the first run (its --out)
        before: PathBuf,
        /// Folder of the second run
        after: PathBuf,
        /// Folder for the comparison as Markdown and JSON
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// The options of `eval streaming` and `eval streams` on silence.
#[derive(Debug, Args)]
pub(super) struct QuietArgs {
    /// Silence after each item, in seconds
    #[arg(long, value_name = "S", value_parser = values::gap_secs, allow_negative_numbers = true, default_value_t = GAP_SECS)]
    gap_secs: f64,
    /// Quiet gate: withhold silence from the model, as with a microphone
    #[arg(long, value_name = "on|off", value_parser = values::on_off, action = ArgAction::Set, default_value = "off")]
    gate: bool,
}

/// The options of every scoring command.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Data set: its folder, or its manifest (.jsonl, .json, .tsv)
    #[arg(long, value_name = "DIR|FILE")]
    data: PathBuf,
    /// Folder for report.json, report.md, predictions.jsonl and pictures
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Model: starter, 3b, or a checkpoint folder
    #[arg(long, value_name = "starter|3b|DIR", value_parser = values::model, default_value = "starter")]
    model: ModelChoice,
    /// Numeric precision [default: as for `listen`]
    #[arg(long, value_name = "f32|bf16|q8|q4", value_parser = values::precision)]
    precision: Option<Precision>,
    /// Compute device
    #[arg(long, value_name = "cpu|cuda|metal", value_parser = values::device, default_value = "cpu")]
    device: ComputeDevice,
    /// Compute threads [default: the number of physical cores]
    #[arg(long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    threads: Option<usize>,
    /// Number of items to score, spread evenly over the data set [default: all]
    #[arg(long, value_name = "N", value_parser = limit, allow_negative_numbers = true)]
    limit: Option<usize>,
    /// Continue the run whose predictions are in the folder of --out
    #[arg(long)]
    resume: bool,
    /// Items processed in one batch [default: 8; 1 for streaming, which measures latency]
    #[arg(long, value_name = "N", value_parser = values::lanes, allow_negative_numbers = true)]
    lanes: Option<usize>,
    /// Bias on the respond logit: larger values respond more often
    #[arg(long, value_name = "B", value_parser = values::one_eagerness, default_value = "0", allow_hyphen_values = true)]
    eagerness: f32,
    /// Context policy when the window is full: keep_replies, recent_only, reset_when_quiet or reference (streaming: one or several)
    #[arg(long, value_name = "POLICY,…", value_parser = contexts, default_value = "keep_replies")]
    context: Contexts,
    /// Context window in tokens (32.5 per second of audio)
    #[arg(long, value_name = "N", value_parser = values::window, default_value_t = DEFAULT_POSITIONS, allow_negative_numbers = true)]
    context_positions: usize,
}

/// The parsed value of `--context`, without window sizes.
#[derive(Clone, Debug)]
pub(super) struct Contexts(Vec<ContextChoice>);

/// The parsed value of `--items`. A type of its own, because clap reads a `Vec` as a repeatable option.
#[derive(Clone, Debug)]
pub(super) struct Counts(Vec<usize>);

/// Checks the parsed arguments and converts them to a request.
///
/// # Errors
/// `Arguments` when options contradict each other, or have no effect on the task.
pub(super) fn request(typed: EvalArgs) -> Result<EvalRequest> {
    let (mut background, mut quiet) = (None, QuietArgs { gap_secs: GAP_SECS, gate: false });
    let (run, task) = match typed {
        EvalArgs::Proactive { run, style, background: path } => {
            background = path;
            (run, EvalTask::Proactive { style })
        }
        EvalArgs::Asr { run, language } => (run, EvalTask::Asr { language }),
        EvalArgs::Translate { run, translate_to } => (run, EvalTask::Translate { to: translate_to }),
        EvalArgs::Qa { run, instruction } => (run, EvalTask::Qa { instruction }),
        EvalArgs::Streams { run, translate_to, quiet: given } => {
            quiet = given;
            (run, EvalTask::Streams { to: translate_to })
        }
        EvalArgs::Streaming { run, of, items, language, translate_to, instruction, quiet: given } => {
            quiet = given;
            let of = Box::new(match of.as_str() {
                "proactive" => EvalTask::PROACTIVE,
                "asr" => EvalTask::Asr { language },
                "translate" => EvalTask::Translate { to: translate_to },
                _ => EvalTask::Qa { instruction },
            });
            let contexts = run.context.0.iter().map(|context| context.policy.name().to_owned()).collect();
            (run, EvalTask::Streaming { of, counts: items.0, contexts })
        }
        EvalArgs::Compare { before, after, out } => return Ok(EvalRequest::Compare { before, after, out }),
    };
    if matches!(&task, EvalTask::Streaming { of, .. } if **of == EvalTask::Qa { instruction: QuestionInput::Typed }) {
        let why = "a typed question is about one recording; several items in one session need --instruction audio";
        return Err(arguments_error(why));
    }
    if run.eagerness != 0.0 && task == (EvalTask::Qa { instruction: QuestionInput::Typed }) {
        let why = "a typed question is always answered, so --eagerness has no effect on it";
        return Err(arguments_error(why));
    }
    let streaming = matches!(task, EvalTask::Streaming { .. });
    let contexts = contexts_of(&run, &task, &quiet)?;
    Ok(EvalRequest::Run(Box::new(EvalOptions {
        task,
        data: run.data,
        out: run.out,
        model: run.model,
        precision: run.precision,
        device: run.device,
        threads: run.threads,
        limit: run.limit,
        resume: if run.resume { ResumePolicy::Continue } else { ResumePolicy::Refuse },
        lanes: run.lanes.unwrap_or(if streaming { 1 } else { DEFAULT_LANES }),
        eagerness: run.eagerness,
        background,
        contexts,
        gap_secs: quiet.gap_secs,
        gate: quiet.gate,
    })))
}

/// Returns the context policies of `run`, each with its window size.
///
/// # Errors
/// If several are given for another task than `streaming`, or `reset_when_quiet` without the quiet gate.
fn contexts_of(run: &RunArgs, task: &EvalTask, quiet: &QuietArgs) -> Result<Vec<ContextChoice>> {
    if run.context.0.len() > 1 && !matches!(task, EvalTask::Streaming { .. }) {
        return Err(arguments_error("this task takes one --context; `eval streaming` compares several"));
    }
    let resets = |context: &&ContextChoice| context.policy == ContextPolicy::ResetWhenQuiet;
    if let Some(context) = run.context.0.iter().find(resets).filter(|_| !quiet.gate) {
        let why = "resets the context after the quiet gate was closed: it needs `eval streaming --gate on` and --gap-secs above 6";
        return Err(arguments_error(format!("--context {} {why}", context.policy.name())));
    }
    Ok(run.context.0.iter().map(|context| ContextChoice { positions: run.context_positions, ..*context }).collect())
}

fn style(text: &str) -> Result<ProactiveStyle, String> {
    match text {
        "single" => Ok(ProactiveStyle::Single),
        "multi" => Ok(ProactiveStyle::Multi),
        _ => Err("expected single or multi".to_owned()),
    }
}

fn instruction(text: &str) -> Result<QuestionInput, String> {
    match text {
        "audio" => Ok(QuestionInput::Spoken),
        "text" => Ok(QuestionInput::Typed),
        _ => Err("expected audio or text".to_owned()),
    }
}

fn contexts(text: &str) -> Result<Contexts, String> {
    let mut all: Vec<ContextChoice> = Vec::new();
    for name in text.split(',') {
        let policy = values::context(name.trim())?;
        if all.iter().all(|context| context.policy != policy) {
            all.push(ContextChoice { policy, ..ContextChoice::default() });
        }
    }
    Ok(Contexts(all))
}

fn limit(text: &str) -> Result<usize, String> {
    values::count(text, usize::MAX, "items")
}

fn counts(text: &str) -> Result<Counts, String> {
    let one = |part: &str| part.trim().parse::<usize>().ok().filter(|n| (1..=MAX_ITEMS).contains(n));
    let mut all: Vec<usize> =
        text.split(',').map(one).collect::<Option<_>>().ok_or(format!("expected numbers from 1 to {MAX_ITEMS}, with commas"))?;
    all.sort_unstable();
    all.dedup();
    Ok(Counts(all))
}
