//! Splits a reply into sentences while it is generated, so that the first one is spoken before the last one is known. Pure.

/// Length from which a sentence is split at the next comma, semicolon, colon or dash, in characters, so that speech begins soon.
const LONG: usize = 160;
/// Length at which a sentence is split at its last space, or anywhere, in characters: the most that a voice program gets at a time.
const LONGEST: usize = 280;
/// Abbreviations whose dot does not end a sentence, in lower case.
const ABBREVIATIONS: [&str; 22] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "no", "e.g", "i.e", "approx", "fig", "vol", "dept", "est", "inc", "ltd", "co",
    "u.s", "cf",
];

/// The splitter of one reply: collects pieces of text and returns whole sentences.
#[derive(Clone, Debug, Default)]
pub struct SentenceSplitter {
    /// Text that is not returned yet.
    rest: String,
    /// Length of the start of `rest` that contains no end of a sentence, in bytes.
    seen: usize,
    /// Length of the start of `rest` that contains no end of a sentence, in characters.
    length: usize,
    /// Byte position in `rest` behind the last space or Chinese comma, semicolon or colon seen; None without one.
    pause: Option<usize>,
}

impl SentenceSplitter {
    /// Adds a piece of the reply's text and returns the sentences that it completes, without white space around them.
    pub fn push(&mut self, piece: &str) -> Vec<String> {
        self.rest.push_str(piece);
        let mut done = Vec::new();
        let mut begin = 0;
        while let Some(end) = self.next_end(begin) {
            take(&self.rest[begin..end], &mut done);
            (begin, self.seen, self.length, self.pause) = (end, end, 0, None);
        }
        self.rest.drain(..begin);
        self.seen -= begin;
        self.pause = self.pause.map(|at| at - begin);
        done
    }

    /// Ends the reply and returns its last, unfinished sentence; None if no text is left.
    pub fn finish(&mut self) -> Option<String> {
        let mut done = Vec::new();
        take(&std::mem::take(self).rest, &mut done);
        done.pop()
    }

    /// Returns the byte position of the end of the sentence that begins at `begin`; None while more text is needed to know the end.
    fn next_end(&mut self, begin: usize) -> Option<usize> {
        loop {
            let c = self.rest[self.seen..].chars().next()?;
            let after = self.seen + c.len_utf8();
            if ends_sentence(c) {
                let end = self.end_with_closing(after)?;
                let follower = self.rest[end..].chars().next();
                let certain = matches!(c, '。' | '！' | '？' | '\n') || follower?.is_whitespace();
                if certain && !(c == '.' && self.is_abbreviation(begin)) {
                    return Some(end);
                }
            }
            self.seen = after;
            self.length += 1;
            if c.is_whitespace() || matches!(c, '，' | '、' | '；' | '：') {
                self.pause = Some(after);
            }
            if self.length >= LONGEST || self.length >= LONG && matches!(c, ',' | ';' | ':' | '，' | '；' | '：' | '—') {
                return Some(if self.length >= LONGEST { self.pause.filter(|at| *at > begin).unwrap_or(after) } else { after });
            }
        }
    }

    /// Returns the byte position of the end of a sentence, moved from `end` behind closing quotation marks and brackets; None if more of
    /// them may follow.
    fn end_with_closing(&self, mut end: usize) -> Option<usize> {
        if self.rest[..end].ends_with('\n') {
            return Some(end);
        }
        loop {
            match self.rest[end..].chars().next() {
                Some(c) if ends_sentence(c) && c != '\n' || matches!(c, '"' | '\'' | ')' | ']' | '”' | '’' | '」' | '』' | '）' | '*') =>
                {
                    end += c.len_utf8();
                }
                Some(_) => return Some(end),
                // Chinese punctuation ends a sentence also without a following character.
                None if self.rest[..end].ends_with(['。', '！', '？']) => return Some(end),
                None => return None,
            }
        }
    }

    /// Returns true if the dot at the position `seen` belongs to an abbreviation, an initial or the number of a list item; the sentence
    /// begins at `begin`.
    fn is_abbreviation(&self, begin: usize) -> bool {
        let word =
            self.rest[begin..self.seen].rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '"' | '“')).next().unwrap_or_default();
        let lower = word.to_lowercase();
        let initial = word.chars().count() == 1 && word.chars().all(|c| c.is_uppercase() && c != 'I');
        // The start of a list item, such as "1. First".
        let item =
            !word.is_empty() && word.len() <= 2 && word.chars().all(|c| c.is_ascii_digit()) && self.rest[begin..self.seen].trim() == word;
        initial || item || ABBREVIATIONS.contains(&lower.as_str())
    }
}

/// Returns true if `c` may end a sentence.
const fn ends_sentence(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？' | '\n')
}

/// Appends a sentence to `done` unless it is blank.
fn take(sentence: &str, done: &mut Vec<String>) {
    let sentence = sentence.trim();
    if sentence.chars().any(|c| !c.is_whitespace()) {
        done.push(sentence.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<String> {
        let mut sentences = SentenceSplitter::default();
        let mut all = sentences.push(text);
        all.extend(sentences.finish());
        all
    }

    #[test]
    fn sentence_is_complete_when_the_next_one_begins() {
        let mut sentences = SentenceSplitter::default();
        assert!(sentences.push(" It is").is_empty());
        assert!(sentences.push(" 3.5 degrees.").is_empty(), "the dot may be within a number");
        assert_eq!(sentences.push(" Take"), ["It is 3.5 degrees."]);
        assert_eq!(sentences.push(" a coat! Bye"), ["Take a coat!"]);
        assert_eq!(sentences.finish(), Some("Bye".into()));
        assert_eq!(sentences.push("你好。"), ["你好。"]);
    }

    #[test]
    fn dots_of_abbreviations_and_numbers_do_not_end_a_sentence() {
        assert_eq!(cut("Dr. Smith, e.g. Mr. J. Smith, paid 3.50. Good."), ["Dr. Smith, e.g. Mr. J. Smith, paid 3.50.", "Good."]);
        assert_eq!(cut("1. Wait. 2. Go."), ["1. Wait.", "2. Go."]);
        assert_eq!(cut("See example.com now. Fine"), ["See example.com now.", "Fine"]);
    }

    #[test]
    fn closing_quotation_marks_and_repeated_punctuation_stay_with_their_sentence() {
        assert_eq!(
            cut("He said “no!” Then he left... Really?! (Yes.) Ok"),
            ["He said “no!”", "Then he left...", "Really?!", "(Yes.)", "Ok"]
        );
        assert_eq!(cut("他说：“不！”然后走了。好"), ["他说：“不！”", "然后走了。", "好"]);
    }

    #[test]
    fn sentences_do_not_depend_on_the_sizes_of_the_pieces() {
        let text = "One two. Three, e.g. four! 你好。再见！ Five\nSix 3.14 is pi. ".repeat(5);
        let whole = cut(&text);
        for size in [1, 2, 7, 50] {
            let (mut sentences, mut got, mut piece) = (SentenceSplitter::default(), Vec::new(), String::new());
            for (n, c) in text.chars().enumerate() {
                piece.push(c);
                if n % size == 0 {
                    got.extend(sentences.push(&std::mem::take(&mut piece)));
                }
            }
            got.extend(sentences.push(&piece));
            got.extend(sentences.finish());
            assert_eq!(got, whole, "{size}");
        }
    }

    #[test]
    fn hundred_thousand_characters_are_split_into_short_sentences_without_loss() {
        let begun = std::time::Instant::now();
        for text in ["word ".repeat(20_000), "字".repeat(100_000), "x".repeat(100_000), "a, b; ".repeat(17_000), ".".repeat(100_000)] {
            let all = cut(&text);
            assert!(all.iter().all(|s| s.chars().count() <= 400 || s.chars().all(|c| c == '.')), "{}", all[0]);
            let kept = |s: &str| s.chars().filter(|c| !c.is_whitespace()).count();
            assert_eq!(all.iter().map(|s| kept(s)).sum::<usize>(), kept(&text), "no character is lost");
        }
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }
}
