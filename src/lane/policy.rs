//! The eviction order and the reset triggers of each context policy.

use crate::config::ContextPolicy;

/// The priority of a heard chunk when the context is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Nothing in the chunk was louder than the noise of the room.
    Quiet,
    /// A sound was heard and not answered.
    Heard,
    /// The chunk was answered, or led to an answer.
    Turn,
    /// The chunk is one of the first 15 (6 s) with sound: an instruction, or the topic of a conversation.
    First,
}

/// The moment at which a lane drops its context and starts again from its prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTrigger {
    /// A reply has ended.
    AfterReply,
    /// Sound is heard again after the quiet gate was closed.
    AfterQuiet,
    /// A chunk arrives while the context holds at least this many positions.
    AtPosition(usize),
}

impl ContextPolicy {
    /// Returns the priorities in the order in which the policy evicts chunks. A chunk of a priority that is not listed goes before all
    /// others, by age.
    #[must_use]
    pub const fn evict_first(self) -> &'static [Priority] {
        match self {
            Self::KeepReplies => &[Priority::Quiet, Priority::Heard, Priority::Turn, Priority::First],
            Self::ResetWhenQuiet => &[Priority::Quiet, Priority::Heard, Priority::Turn],
            Self::RecentOnly | Self::Reference => &[],
        }
    }

    /// Returns the triggers by which the policy resets a lane; none if the policy only trims.
    #[must_use]
    pub const fn resets(self) -> &'static [ResetTrigger] {
        match self {
            Self::KeepReplies | Self::RecentOnly => &[],
            Self::ResetWhenQuiet => &[ResetTrigger::AfterQuiet],
            // The reference's web server (`src/model/README.md` section 6), less the frame that it loses.
            Self::Reference => &[ResetTrigger::AfterReply, ResetTrigger::AtPosition(1_500)],
        }
    }
}
