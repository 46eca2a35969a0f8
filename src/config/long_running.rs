//! Settings of a session that runs for hours: the context policy, the modes that rest under overload, the sensitivity of the
//! quiet gate, inputs to avoid. Data only; `mel`, `lane`, `engine` and `audio` act on it.

use super::modes::{SOUNDS, TRANSCRIBE, TRANSLATE};

/// The user's choices for a session that runs for hours.
#[derive(Clone, Debug, PartialEq)]
pub struct LongRunning {
    /// Size of the context window of each mode, and policy for a full window.
    pub context: ContextChoice,
    /// Sensitivity of the quiet gate.
    pub sensitivity: Sensitivity,
    /// Names of the modes that may rest while the machine cannot keep up, the first to rest first. Other modes never rest, nor does
    /// the last mode that is on.
    pub rest_first: Vec<String>,
    /// Input devices, by id or name, that are never used as the default or as a stand-in, only if the user chooses them by name.
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

/// Default size of a mode's context window, in positions (62 s): positions are exact and attention is cheap up to here
/// (`src/model/README.md` section 4.3).
pub const DEFAULT_POSITIONS: usize = 2_048;

/// The size of the context window that each mode has, and the policy for a full window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextChoice {
    /// Order of eviction when the window is full, and triggers of a reset.
    pub policy: ContextPolicy,
    /// Size of the window, in positions (13 for each chunk of 0.4 s), 512 to 4,096.
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
    /// Drop quiet chunks first, then unanswered sound, then the oldest answers; keep the first 6 s of sound longest.
    #[default]
    KeepReplies,
    /// Drop the oldest chunks, whatever they hold.
    RecentOnly,
    /// Forget everything when sound returns after the quiet gate was closed; until then, drop as `KeepReplies` does, but without
    /// sparing the first 6 s.
    ResetWhenQuiet,
    /// Forget everything after each reply and at 1,500 positions, as the web server of the reference does.
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
