//! Settings of a session that runs for hours: the context policy, the modes that rest under overload, the sensitivity of the
//! quiet gate. Data only; `mel`, `lane` and `engine` act on it.

use super::modes::{SOUNDS, TRANSCRIBE, TRANSLATE};

/// The user's choices for a session that runs for hours.
#[derive(Clone, Debug, PartialEq)]
pub struct LongRunning {
    /// Size and policy of a lane's context window.
    pub context: ContextChoice,
    /// Sensitivity of the quiet gate.
    pub sensitivity: Sensitivity,
    /// Names of the modes that rest while the machine cannot keep up, the first to rest first. Other modes never rest.
    pub rest_first: Vec<String>,
    /// Inputs, by id or name, that are used only if they are chosen by name.
    pub excluded_inputs: Vec<String>,
}

impl Default for LongRunning {
    fn default() -> Self {
        let rest_first = [SOUNDS, TRANSLATE, TRANSCRIBE].map(str::to_owned).to_vec();
        Self { context: ContextChoice::default(), sensitivity: Sensitivity::Normal, rest_first, excluded_inputs: Vec::new() }
    }
}

/// The sensitivity of the quiet gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sensitivity {
    /// The gate opens only for sound that stands out clearly.
    Low,
    /// The gate opens for soft speech; steady noise hardly ever opens it.
    #[default]
    Normal,
    /// The gate opens for the softest speech; noise may open it now and then.
    High,
}

/// Default size of a lane's context window, in positions: positions are exact and attention is cheap up to here
/// (`src/model/README.md` section 4.3).
pub const DEFAULT_POSITIONS: usize = 2_048;

/// The size of a lane's context window and the policy for when it is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextChoice {
    /// The order of eviction and the triggers of a reset.
    pub policy: ContextPolicy,
    /// Size of the window, in positions.
    pub positions: usize,
}

impl Default for ContextChoice {
    fn default() -> Self {
        Self { policy: ContextPolicy::default(), positions: DEFAULT_POSITIONS }
    }
}

/// The policy for a full context window; `lane` defines its eviction order and its resets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContextPolicy {
    /// Keep answered chunks and the first seconds longest.
    #[default]
    KeepReplies,
    /// Drop the oldest chunks.
    RecentOnly,
    /// Keep replies longest, and start again after every quiet time.
    ResetWhenQuiet,
    /// Start again as the web server of the reference does.
    Reference,
}

impl ContextPolicy {
    /// Every policy, the default first.
    pub const ALL: [Self; 4] = [Self::KeepReplies, Self::RecentOnly, Self::ResetWhenQuiet, Self::Reference];

    /// Returns the name of the policy in settings and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeepReplies => "keep_replies",
            Self::RecentOnly => "recent_only",
            Self::ResetWhenQuiet => "reset_when_quiet",
            Self::Reference => "reference",
        }
    }
}
