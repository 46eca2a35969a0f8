//! The command line of `hearken eval`: what was typed, and what it means.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::long_running::{DEFAULT_POSITIONS, POLICIES, Reset};
use super::modes::Language;
use super::values;
use super::{ComputeDevice, ContextChoice, Precision};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::ModelChoice;

/// Sittings that advance together when nobody says otherwise.
const DEFAULT_LANES: usize = 8;
/// Silence after each sound, in seconds, as `listen` has it and the benchmark asks for.
const GAP_SECS: f64 = 1.0;
/// More items in one session than anybody publishes.
const MOST_ITEMS: usize = 1_000;

/// What `hearken eval` was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum EvalRequest {
    /// Score a model.
    Run(Box<EvalOptions>),
    /// Compare two runs.
    Compare {
        /// The folder of the one.
        before: PathBuf,
        /// The folder of the other.
        after: PathBuf,
        /// Where the comparison is kept as well.
        out: Option<PathBuf>,
    },
}

/// How a model is scored.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalOptions {
    /// On what.
    pub task: EvalTask,
    /// The data set: a folder or a manifest.
    pub data: PathBuf,
    /// Folder for the report and the predictions.
    pub out: PathBuf,
    /// Which model.
    pub model: ModelChoice,
    /// In which numbers it computes; what suits the model when absent.
    pub precision: Option<Precision>,
    /// On what it computes.
    pub device: ComputeDevice,
    /// Threads for computing; the number of physical cores when absent.
    pub threads: Option<usize>,
    /// So many items, spread evenly over the set.
    pub limit: Option<usize>,
    /// Whether predictions that are there are gone on with.
    pub resume: ResumePolicy,
    /// Items that are heard together.
    pub lanes: usize,
    /// Bias on the respond logit.
    pub eagerness: f32,
    /// Recordings without anything to respond to.
    pub background: Option<PathBuf>,
    /// What a session keeps in mind; streaming hears everything under each of them, all others have one.
    pub contexts: Vec<ContextChoice>,
    /// Silence after each sound, in seconds.
    pub gap_secs: f64,
    /// Whether the quiet gate keeps silence from the model.
    pub gate: bool,
}

/// Whether predictions that are there are gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumePolicy {
    /// They are.
    Yes,
    /// There must be none.
    No,
}

/// What is scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalTask {
    /// Whether sounds that call for a response get one, and others none.
    Proactive {
        /// How many clips a session hears.
        style: ProactiveStyle,
    },
    /// What is said, written down.
    Asr {
        /// In which language.
        language: Language,
    },
    /// What is said, translated.
    Translate {
        /// Into which language.
        to: Language,
    },
    /// Questions about sounds, and spoken questions.
    Qa {
        /// How a question about a sound is put.
        instruction: QuestionInput,
    },
    /// What is due in labelled streams, each in the mode that it names.
    Streams {
        /// Into which language the mode translate translates.
        to: Language,
    },
    /// One of the others, several items to a session.
    Streaming {
        /// Which.
        of: Box<Self>,
        /// How many items.
        counts: Vec<usize>,
        /// Names of the context policies; none stands for the usual one.
        #[serde(default)]
        contexts: Vec<String>,
    },
}

/// How many clips a session hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProactiveStyle {
    /// One.
    Single,
    /// Three of one class.
    Multi,
}

/// How a question about a sound is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionInput {
    /// Spoken, after the sound.
    Spoken,
    /// Typed, after it, in the layout that the model was trained with for typed questions.
    Typed,
}

impl EvalTask {
    /// Single clips.
    pub const PROACTIVE: Self = Self::Proactive { style: ProactiveStyle::Single };

    /// The task whose items and metrics these are.
    #[must_use]
    pub fn inner(&self) -> &Self {
        if let Self::Streaming { of, .. } = self { of } else { self }
    }

    /// The condition under which `count` items share a session with the policy `context`.
    #[must_use]
    pub fn condition(count: usize, context: &str) -> String {
        if context == POLICIES[0].name { count.to_string() } else { format!("{count} {context}") }
    }

    /// What it is called.
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

#[derive(Debug, Subcommand)]
pub(super) enum EvalArgs {
    /// Does it respond to sounds that call for it, and to no others? (Proactive-Sound-Bench, or folders RESPOND and IGNORE)
    Proactive {
        #[command(flatten)]
        run: RunArgs,
        /// Clips in a session: one, or three of a class
        #[arg(long, value_name = "single|multi", value_parser = style, default_value = "single")]
        style: ProactiveStyle,
        /// Recordings without anything to respond to, for false alarms an hour: a file or a folder
        #[arg(long, value_name = "PATH")]
        background: Option<PathBuf>,
    },
    /// Word error rate (LibriSpeech, or a manifest with `path` and `text`); character error rate for Chinese
    Asr {
        #[command(flatten)]
        run: RunArgs,
        /// Language that is spoken
        #[arg(long, value_name = "en|zh", value_parser = values::language, default_value = "en")]
        language: Language,
    },
    /// BLEU and chrF of translations (CoVoST 2)
    Translate {
        #[command(flatten)]
        run: RunArgs,
        /// Language that is translated into
        #[arg(long, value_name = "zh|en", value_parser = values::language, default_value = "zh")]
        translate_to: Language,
    },
    /// Multiple choice about sounds (MMAU), or spoken questions with known answers
    Qa {
        #[command(flatten)]
        run: RunArgs,
        /// How a question about a sound is put: spoken after it (`question_audio`), or typed
        #[arg(long, value_name = "audio|text", value_parser = instruction, default_value = "audio")]
        instruction: QuestionInput,
    },
    /// How a score changes when several items are heard in one session
    Streaming {
        #[command(flatten)]
        run: RunArgs,
        /// What is scored
        #[arg(long, value_name = "proactive|asr|translate|qa", value_parser = ["proactive", "asr", "translate", "qa"])]
        of: String,
        /// Items in a session, one run for each number
        #[arg(long, value_name = "N,…", value_parser = counts, default_value = "1,2,5,10,20,50")]
        items: Counts,
        /// Language that is spoken (asr)
        #[arg(long, value_name = "en|zh", value_parser = values::language, default_value = "en")]
        language: Language,
        /// Language that is translated into (translate)
        #[arg(long, value_name = "zh|en", value_parser = values::language, default_value = "zh")]
        translate_to: Language,
        /// How a question about a sound is put (qa)
        #[arg(long, value_name = "audio|text", value_parser = instruction, default_value = "audio")]
        instruction: QuestionInput,
        #[command(flatten)]
        quiet: QuietArgs,
    },
    /// Streams of your own, labelled with the words, replies or sequence that are due, and when (a manifest: see the README)
    Streams {
        #[command(flatten)]
        run: RunArgs,
        /// Language that the mode translate translates into
        #[arg(long, value_name = "zh|en", value_parser = values::language, default_value = "zh")]
        translate_to: Language,
        #[command(flatten)]
        quiet: QuietArgs,
    },
    /// Two runs side by side: what changed, and whether that is chance
    Compare {
        /// Folder of the one (its --out)
        before: PathBuf,
        /// Folder of the other
        after: PathBuf,
        /// Folder for the comparison as Markdown and JSON
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// How silence is heard.
#[derive(Debug, Args)]
pub(super) struct QuietArgs {
    /// Silence after each sound, in seconds
    #[arg(long, value_name = "S", value_parser = values::gap_secs, allow_negative_numbers = true, default_value_t = GAP_SECS)]
    gap_secs: f64,
    /// Quiet gate: keep silence from the model, as at a microphone
    #[arg(long, value_name = "on|off", value_parser = values::on_off, action = ArgAction::Set, default_value = "off")]
    gate: bool,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The data set: its folder, or its manifest (.jsonl, .json, .tsv)
    #[arg(long, value_name = "DIR|FILE")]
    data: PathBuf,
    /// Folder for report.json, report.md, predictions.jsonl and pictures
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The model: starter, 3b, or a checkpoint folder
    #[arg(long, value_name = "starter|3b|DIR", value_parser = values::model, default_value = "starter")]
    model: ModelChoice,
    /// Numbers that the model computes in [default: as for `listen`]
    #[arg(long, value_name = "f32|bf16|q8|q4", value_parser = values::precision)]
    precision: Option<Precision>,
    /// What the model computes on
    #[arg(long, value_name = "cpu|cuda|metal", value_parser = values::device, default_value = "cpu")]
    device: ComputeDevice,
    /// Threads for computing [default: the number of physical cores]
    #[arg(long, value_name = "N", value_parser = values::threads, allow_negative_numbers = true)]
    threads: Option<usize>,
    /// Score so many items only, spread evenly over the set
    #[arg(long, value_name = "N", value_parser = limit, allow_negative_numbers = true)]
    limit: Option<usize>,
    /// Go on with the predictions in the folder of --out
    #[arg(long)]
    resume: bool,
    /// Items that are heard together [default: 8; 1 for streaming, whose latency is measured]
    #[arg(long, value_name = "N", value_parser = values::lanes, allow_negative_numbers = true)]
    lanes: Option<usize>,
    /// Added to the respond logit; more is more talkative
    #[arg(long, value_name = "B", value_parser = values::one_eagerness, default_value = "0", allow_hyphen_values = true)]
    eagerness: f32,
    /// What a session gives up when its window is full: keep_replies, recent_only, reset_when_quiet or reference (streaming: one or several)
    #[arg(long, value_name = "POLICY,…", value_parser = contexts, default_value = "keep_replies")]
    context: Contexts,
    /// Positions of that window: 32.5 are a second
    #[arg(long, value_name = "N", value_parser = values::window, default_value_t = DEFAULT_POSITIONS, allow_negative_numbers = true)]
    context_positions: usize,
}

/// Policies of the context, the positions not yet known.
#[derive(Clone, Debug)]
pub(super) struct Contexts(Vec<ContextChoice>);

/// Numbers of items. A type of its own, because clap reads a bare `Vec` as an option that may be given many times.
#[derive(Clone, Debug)]
pub(super) struct Counts(Vec<usize>);

/// What was meant by `typed`.
///
/// # Errors
/// When the model cannot be had.
pub(super) fn request(typed: EvalArgs) -> Result<EvalRequest> {
    let (mut background, mut gap_secs, mut gate) = (None, GAP_SECS, false);
    let (run, task) = match typed {
        EvalArgs::Proactive { run, style, background: path } => {
            background = path;
            (run, EvalTask::Proactive { style })
        }
        EvalArgs::Asr { run, language } => (run, EvalTask::Asr { language }),
        EvalArgs::Translate { run, translate_to } => (run, EvalTask::Translate { to: translate_to }),
        EvalArgs::Qa { run, instruction } => (run, EvalTask::Qa { instruction }),
        EvalArgs::Streams { run, translate_to, quiet } => {
            (gap_secs, gate) = (quiet.gap_secs, quiet.gate);
            (run, EvalTask::Streams { to: translate_to })
        }
        EvalArgs::Streaming { run, of, items, language, translate_to, instruction, quiet } => {
            (gap_secs, gate) = (quiet.gap_secs, quiet.gate);
            let of = Box::new(match of.as_str() {
                "proactive" => EvalTask::PROACTIVE,
                "asr" => EvalTask::Asr { language },
                "translate" => EvalTask::Translate { to: translate_to },
                _ => EvalTask::Qa { instruction },
            });
            let contexts = run.context.0.iter().map(|context| context.policy.name.to_owned()).collect();
            (run, EvalTask::Streaming { of, counts: items.0, contexts })
        }
        EvalArgs::Compare { before, after, out } => return Ok(EvalRequest::Compare { before, after, out }),
    };
    if matches!(&task, EvalTask::Streaming { of, .. } if **of == EvalTask::Qa { instruction: QuestionInput::Typed }) {
        let why = "a typed question is about one recording, so several items in one session need spoken ones: --instruction audio";
        return Err(Error::new(ErrorKind::Arguments, why).with_remedy(Remedy::CheckCommandLine));
    }
    if run.eagerness != 0.0 && task == (EvalTask::Qa { instruction: QuestionInput::Typed }) {
        let why = "a typed question is always answered, so there is nothing that --eagerness could be added to";
        return Err(Error::new(ErrorKind::Arguments, why).with_remedy(Remedy::CheckCommandLine));
    }
    let streaming = matches!(task, EvalTask::Streaming { .. });
    let contexts = contexts_of(&run, streaming, gate)?;
    Ok(EvalRequest::Run(Box::new(EvalOptions {
        task,
        data: run.data,
        out: run.out,
        model: run.model,
        precision: run.precision,
        device: run.device,
        threads: run.threads,
        limit: run.limit,
        resume: if run.resume { ResumePolicy::Yes } else { ResumePolicy::No },
        lanes: run.lanes.unwrap_or(if streaming { 1 } else { DEFAULT_LANES }),
        eagerness: run.eagerness,
        background,
        contexts,
        gap_secs,
        gate,
    })))
}

/// What the sessions of a run keep in mind.
fn contexts_of(run: &RunArgs, streaming: bool, gate: bool) -> Result<Vec<ContextChoice>> {
    let wrong = |why: String| Err(Error::new(ErrorKind::Arguments, why).with_remedy(Remedy::CheckCommandLine));
    if run.context.0.len() > 1 && !streaming {
        return wrong("several context policies are compared by `eval streaming`; this task takes one --context".to_owned());
    }
    let resets = |context: &&ContextChoice| context.policy.resets.contains(&Reset::AfterQuiet);
    if let Some(context) = run.context.0.iter().find(resets).filter(|_| !gate) {
        let why =
            "forgets when something is heard after the quiet gate was closed: it needs `eval streaming --gate on` and --gap-secs above 6";
        return wrong(format!("--context {} {why}", context.policy.name));
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
        if all.iter().all(|context| context.policy.name != policy.name) {
            all.push(ContextChoice { policy, ..ContextChoice::default() });
        }
    }
    Ok(Contexts(all))
}

fn limit(text: &str) -> Result<usize, String> {
    text.trim().parse::<usize>().ok().filter(|n| *n > 0).ok_or_else(|| "expected a number of items, 1 or more".to_owned())
}

fn counts(text: &str) -> Result<Counts, String> {
    let one = |part: &str| part.trim().parse::<usize>().ok().filter(|n| (1..=MOST_ITEMS).contains(n));
    let mut all: Vec<usize> =
        text.split(',').map(one).collect::<Option<_>>().ok_or(format!("expected numbers from 1 to {MOST_ITEMS}, with commas"))?;
    all.sort_unstable();
    all.dedup();
    Ok(Counts(all))
}
