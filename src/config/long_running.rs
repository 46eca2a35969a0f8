//! How a session lasts for hours: what a lane gives up when its window is full, which modes rest when the machine cannot keep
//! up, how readily the quiet gate opens.
//!
//! Data only; `mel`, `lane` and `engine` act on it.

use super::modes::{SOUNDS, TRANSCRIBE, TRANSLATE};

/// Everything about listening for hours that a user may choose.
#[derive(Clone, Debug, PartialEq)]
pub struct LongRunning {
    /// What a lane keeps in mind.
    pub context: ContextChoice,
    /// How readily the quiet gate opens.
    pub sensitivity: Sensitivity,
    /// Names of the modes that rest while the machine cannot keep up, the first one first. Others never do.
    pub rest_first: Vec<String>,
    /// Inputs, by id or name, that are never taken unless they are chosen by name.
    pub excluded_inputs: Vec<String>,
}

impl Default for LongRunning {
    fn default() -> Self {
        let rest_first = [SOUNDS, TRANSLATE, TRANSCRIBE].map(str::to_owned).to_vec();
        Self { context: ContextChoice::default(), sensitivity: Sensitivity::Normal, rest_first, excluded_inputs: Vec::new() }
    }
}

/// How readily the quiet gate opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sensitivity {
    /// Only at what stands out clearly.
    Low,
    /// At soft words; steady noise hardly ever opens it.
    #[default]
    Normal,
    /// At the softest; noise may open it now and then.
    High,
}

/// Positions of a lane's window when nothing else is said: as far as positions are exact and attention is cheap (MODEL.md 4.3).
pub const DEFAULT_POSITIONS: usize = 2_048;

/// What a lane keeps in mind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContextChoice {
    /// What goes first when the window is full.
    pub policy: &'static ContextPolicy,
    /// Positions of the window.
    pub positions: usize,
}

impl Default for ContextChoice {
    fn default() -> Self {
        Self { policy: &POLICIES[0], positions: DEFAULT_POSITIONS }
    }
}

/// What a lane gives up, and when it forgets everything but its opening.
#[derive(Debug, PartialEq, Eq)]
pub struct ContextPolicy {
    /// As it stands in the settings.
    pub name: &'static str,
    /// From what goes first to what goes last. What is not listed goes by age alone, before all of these.
    pub evict_first: &'static [Priority],
    /// When the lane goes back to its opening.
    pub resets: &'static [Reset],
}

/// What a chunk that was heard is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Nothing stood out from the noise of the room.
    Quiet,
    /// Something was heard and nothing was said to it.
    Heard,
    /// It was answered, or led to an answer.
    Turn,
    /// It belongs to the first seconds in which anything was heard: an instruction, or what a conversation is about.
    First,
}

/// When a lane goes back to its opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// When a reply has ended.
    AfterReply,
    /// When something is heard again after the quiet gate was closed.
    AfterQuiet,
    /// When a chunk comes and so many positions are held.
    AtPosition(usize),
}

/// The policies, the one that holds when nothing else is said first.
pub static POLICIES: [ContextPolicy; 4] = [
    ContextPolicy { name: "keep_replies", evict_first: &[Priority::Quiet, Priority::Heard, Priority::Turn, Priority::First], resets: &[] },
    ContextPolicy { name: "recent_only", evict_first: &[], resets: &[] },
    ContextPolicy {
        name: "reset_when_quiet",
        evict_first: &[Priority::Quiet, Priority::Heard, Priority::Turn],
        resets: &[Reset::AfterQuiet],
    },
    // What the reference's web server does (MODEL.md section 6), less the frame that it loses.
    ContextPolicy { name: "reference", evict_first: &[], resets: &[Reset::AfterReply, Reset::AtPosition(1_500)] },
];
