//! Whether somebody asks for silence, in what was written down of the room. Pure.
//!
//! Who speaks over a reply cuts it anyway, whatever is said ([`crate::audio::echo`]); where a reply is let finish, or where
//! the words were too short to be noticed as such, this is how it is stopped by voice: in the modes that write down what is
//! said, a chunk after the word.

/// What is said to make it stop, in small letters: an utterance that is this and nothing else.
const SAID: [&str; 16] = [
    "stop",
    "stop it",
    "stop please",
    "please stop",
    "stop talking",
    "quiet",
    "be quiet",
    "be quiet please",
    "please be quiet",
    "silence",
    "shut up",
    "停",
    "停下",
    "安静",
    "别说了",
    "闭嘴",
];

/// Pieces of what is said that follow each other within this are one utterance, as in [`crate::transcript`].
const PIECES_SECS: f64 = 1.2;
/// Characters after which an utterance is no request.
const LONGEST: usize = 40;

/// Follows what is written down.
#[derive(Debug, Default)]
pub(super) struct Room {
    said: String,
    until_secs: f64,
}

impl Room {
    /// Takes the next piece, heard from one second to another; whether with it somebody asks for silence.
    pub(super) fn says(&mut self, piece: &str, (from_secs, to_secs): (f64, f64)) -> bool {
        if from_secs - self.until_secs > PIECES_SECS {
            self.said.clear();
        }
        self.until_secs = to_secs;
        if self.said.len() <= LONGEST {
            self.said.push(' ');
            self.said.push_str(piece);
        }
        is_asked_for(&self.said)
    }
}

/// Whether `text` asks for silence.
fn is_asked_for(text: &str) -> bool {
    let letters = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
    let plain: String = text.chars().map(letters).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    SAID.contains(&words.join(" ").as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_pieces_is_taken_together() {
        let mut room = Room::default();
        assert!(!room.says("be", (10.0, 10.4)) && room.says("quiet", (10.4, 10.8)));
        assert!(!room.says("the bus", (20.0, 20.4)) && !room.says("stop", (20.4, 20.8)), "a place");
        assert!(room.says("stop", (23.0, 23.4)), "a request");
        assert!(!(0..1_000).any(|n| room.says("word", (24.0 + f64::from(n) * 0.4, 24.4 + f64::from(n) * 0.4))));
        assert!(room.said.len() < 2 * LONGEST);
    }

    #[test]
    fn a_plain_request_is_one_and_a_sentence_with_the_word_is_none() {
        for text in ["Stop.", " be quiet", "Please be quiet!", "STOP", "安静。", "别说了！"] {
            assert!(is_asked_for(text), "{text}");
        }
        for text in ["the bus stop", "a quiet room", "do not stop", "", "…", "stop the music"] {
            assert!(!is_asked_for(text), "{text}");
        }
    }
}
