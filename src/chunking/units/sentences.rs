//! Where sentences end in a stretch of prose without line breaks.
//!
//! The stops are those of UAX 29 as ICU finds them, which looks at no text twice, and a few marks
//! that it leaves out. Guards then take away the stops that end nothing: abbreviations, initials,
//! ordinals, enumerators, quotations that go on. Where the next sentence starts is decided here
//! too, for UAX 29 counts any quote or bracket to the sentence before, and knows neither
//! references nor Markdown's emphasis. Invariant: whatever a guard reads is bounded or belongs to
//! one stop alone, so that time is linear in the prose.

use icu_segmenter::SentenceSegmenter;
use icu_segmenter::options::SentenceBreakInvariantOptions;

use super::case::Case;
use super::words::{
    Next, ORDINAL_DIGITS, is_bracket, is_closing_bracket, is_dash, is_letter, is_phrase_letter,
    is_quote, is_short_form, is_wide,
};

/// Bytes of what can be an enumerator.
const ENUMERATOR_BYTES: usize = 16;
/// Characters of a note in brackets: "[12]", "[citation needed]".
const NOTE_CHARS: usize = 24;
/// A stop and the quotes and brackets after it.
const CLOSING_CHARS: usize = 8;
/// Of so many sentences that begin with a small letter, one may begin with a capital.
const LOWER_STARTS: usize = 9;

/// What the beginnings of the sentences of `text` say: where nearly all are small letters, nobody
/// wrote capitals. A small letter after an abbreviation says nothing.
pub(super) fn case_of(text: &str) -> Case {
    let (mut lower, mut upper) = (0, 0);
    let mut count = |next: &Next| {
        lower += usize::from(next.is_lower() && !next.has_own_case());
        upper += usize::from(next.first.is_some_and(char::is_uppercase));
    };
    count(&Next::of(text.trim_start()));
    for (at, mark) in text.match_indices(['.', '!', '?']) {
        let (before, after) = (&text[..at], &text[at + mark.len()..]);
        let next = Next::of(after.trim_start());
        let goes_on = || before.ends_with('.') || is_short_form(before, &next, Case::Lower);
        if after.starts_with(char::is_whitespace) && !(next.is_lower() && goes_on()) {
            count(&next);
        }
    }
    if lower > 0 && upper * LOWER_STARTS <= lower { Case::Lower } else { Case::Capitals }
}

/// Bytes of `prose`, of a text of such a case, at which the sentences after the first one start.
pub(super) fn sentence_starts(prose: &str, case: Case) -> Vec<usize> {
    let mut sentences = Sentences { prose, case, start: 0, starts: Vec::new() };
    let segmenter = SentenceSegmenter::new(SentenceBreakInvariantOptions::default());
    let mut from = 0;
    for boundary in segmenter.segment_str(prose).skip(1) {
        sentences.other_marks(from, boundary);
        sentences.boundary(boundary);
        from = boundary;
    }
    sentences.starts
}

struct Sentences<'a> {
    prose: &'a str,
    case: Case,
    /// Of the sentence that has not ended yet.
    start: usize,
    starts: Vec<usize>,
}

impl Sentences<'_> {
    fn start_at(&mut self, byte: usize) {
        if byte > self.start && byte < self.prose.len() {
            self.starts.push(byte);
            self.start = byte;
        }
    }

    /// A boundary of UAX 29: its stop is before the spaces, quotes and brackets that precede it.
    fn boundary(&mut self, boundary: usize) {
        if let Some(sentence) = self.prose.get(self.start..boundary) {
            let behind = |c: char| c.is_whitespace() || is_quote(c) || is_bracket(c);
            self.stop(self.start + sentence.trim_end_matches(behind).len());
        }
    }

    /// The character before `end` may end the sentence.
    fn stop(&mut self, end: usize) {
        if let Some(sentence) = self.prose.get(self.start..end)
            && let Some(mark) = sentence.chars().next_back()
        {
            let before = &sentence[..sentence.len() - mark.len_utf8()];
            let tail = Tail::of(&self.prose[end..], mark);
            let start = end + tail.length;
            if ends(before, mark, &tail, &Next::of(&self.prose[start..]), self.case) {
                self.start_at(start);
            }
        }
    }

    /// Whether a small letter is the first after the full stop before `end`, and a space between
    /// them. UAX 29 (SB8) has no boundary there.
    fn precedes_lower(&self, end: usize) -> bool {
        let tail = Tail::of(&self.prose[end..], '.');
        tail.spaced && Next::of(&self.prose[end + tail.length..]).is_lower()
    }

    /// What ends a sentence or phrase in `from..to` and is no stop in UAX 29: the ellipsis, the
    /// Greek question mark, the colon of Armenian, a stop before a note, and spaces in scripts that
    /// use them between phrases alone.
    fn other_marks(&mut self, from: usize, to: usize) {
        let (mut last, mut visible) = (' ', ' ');
        for (index, c) in self.prose[from..to].char_indices() {
            let end = from + index + c.len_utf8();
            match c {
                '…' => self.stop(end),
                '.' if self.precedes_lower(end) => self.stop(end),
                // A note; UAX 29 looks into it for the next sentence's first letter.
                '[' if matches!(last, '.' | '!' | '?') => self.stop(from + index),
                ';' | '\u{37e}' if ('\u{370}'..'\u{400}').contains(&last) => self.stop(end),
                ':' if ('\u{530}'..'\u{590}').contains(&last) => self.stop(end),
                _ if last.is_whitespace() && is_phrase_letter(c) && is_phrase_letter(visible) => {
                    self.start_at(from + index);
                }
                _ => {}
            }
            last = c;
            if !c.is_whitespace() {
                visible = c;
            }
        }
    }
}

/// What follows a stop and still belongs to its sentence: quotes, brackets, notes, spaces.
struct Tail {
    length: usize,
    /// It has a quote or bracket.
    closed: bool,
    spaced: bool,
}

impl Tail {
    fn of(text: &str, mark: char) -> Self {
        let mut length = 0;
        let mut closed = false;
        while let Some(c) = text[length..].chars().next() {
            // Closing in German, where a stop of ASCII is before it, and opening in Chinese.
            let closing = is_quote(c) && (mark.is_ascii() || !matches!(c, '“' | '‘' | '«' | '‹'))
                || is_closing_bracket(c);
            let emphasis = matches!(c, '*' | '_' | '`' | '~');
            let note = if c == '[' { note_length(&text[length..]) } else { 0 };
            let superscript = matches!(c, '¹' | '²' | '³' | '⁰' | '⁴'..='⁹');
            if closing || emphasis || superscript {
                length += c.len_utf8();
            } else if note > 0 {
                length += note;
            } else {
                break;
            }
            closed |= closing;
        }
        let spaces = leading_spaces(&text[length..]);
        length += spaces;
        // French: "Quoi ? » Il", with any kind of space before the quote.
        let rest = &text[length..];
        if spaces > 0
            && let Some(after) = rest.strip_prefix(['»', '”', ')', ']'])
            && after.starts_with(char::is_whitespace)
        {
            length += rest.len() - after.len() + leading_spaces(after);
            closed = true;
        }
        Self { length, closed, spaced: spaces > 0 }
    }
}

fn leading_spaces(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// The length of "[12]" or the like at the start of `text`, 0 where there is none.
fn note_length(text: &str) -> usize {
    let inside = text.char_indices().skip(1).take(NOTE_CHARS);
    let mut inside =
        inside.skip_while(|(_, c)| c.is_alphanumeric() || matches!(c, ' ' | ',' | '-' | '–'));
    inside.next().filter(|&(at, c)| c == ']' && at > 1).map_or(0, |(at, _)| at + 1)
}

/// Whether a full stop or the like is before `at`, and a sentence may begin there, whatever its case.
pub(super) fn follows_stop(text: &str, at: usize) -> bool {
    if text[at..].starts_with(char::is_whitespace) {
        return false;
    }
    let ended = text[..at].trim_end();
    let closing = |c: char| is_quote(c) || is_closing_bracket(c);
    let mut chars = ended.char_indices().rev().take(CLOSING_CHARS).skip_while(|&(_, c)| closing(c));
    let spaced = ended.len() < at;
    match chars.next() {
        Some((_, '。' | '！' | '？')) => true,
        Some((_, '!' | '?' | '…' | '।' | '۔' | '؟')) => spaced,
        Some((stop, '.')) => {
            spaced && !is_short_form(&ended[..stop], &Next::of(&text[at..]), Case::Lower)
        }
        _ => false,
    }
}

/// Whether `mark` ends the sentence that begins with `before`.
fn ends(before: &str, mark: char, tail: &Tail, next: &Next, case: Case) -> bool {
    match mark {
        '.' if !tail.spaced => {
            // "v2.1", "a.txt", "U.S.A", "พ.ศ.": only where nobody writes a space is it an end.
            next.raw.is_some_and(is_wide) && !before.ends_with(|c: char| c.is_ascii_digit())
        }
        '!' | '?' if !tail.spaced => {
            // "a != b", "?q=1", "Halt!—rief".
            next.raw.is_some_and(|c| !c.is_ascii() && !is_cased(c) && !is_dash(c))
        }
        '.' if is_enumerator(before) => false,
        '.' if next.is_lower() => {
            // An ellipsis, and what is said after a dash, more often go on.
            (case == Case::Lower || next.has_own_case())
                && !(next.dash || before.ends_with('.') || is_short_form(before, next, case))
        }
        '.' if tail.closed => !is_omission(before),
        '.' => before.ends_with('.') || !is_short_form(before, next, case),
        '!' | '?' => !(next.is_lower() && (tail.closed || next.dash)),
        '…' | ';' | '\u{37e}' | ':' => tail.spaced && !next.is_lower(),
        // Japanese: the quotation is what somebody said.
        _ => !(tail.closed && next.raw == Some('と')),
    }
}

/// Whether a sentence so far is the label of an item, as "1.2", "b" or "IV".
fn is_enumerator(before: &str) -> bool {
    if before.len() > ENUMERATOR_BYTES {
        return false;
    }
    let label = before.trim_start_matches(|c: char| !c.is_alphanumeric());
    let number = |part: &str| {
        (1..=ORDINAL_DIGITS).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let roman = |numerals: &[u8]| {
        (1..=4).contains(&label.len()) && label.bytes().all(|byte| numerals.contains(&byte))
    };
    label.split('.').all(number) || roman(b"ivx") || roman(b"IVX") || is_letter(label)
}

/// Whether the stop after `before` is the last of "[...]".
fn is_omission(before: &str) -> bool {
    before.strip_suffix("..").is_some_and(|before| before.ends_with(['[', '(']))
}

fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase()
}

#[cfg(test)]
mod tests {
    use super::{case_of, sentence_starts};

    /// Sentences of `text`, which is one line, must be `expected`, bars at their ends.
    fn check(cases: &[&str]) {
        let mut wrong = Vec::new();
        for expected in cases {
            let text = expected.replace('|', "");
            let mut found = String::new();
            let mut start = 0;
            for end in sentence_starts(&text, case_of(&text)) {
                found.extend([&text[start..end], "|"]);
                start = end;
            }
            found.push_str(&text[start..]);
            if found != *expected {
                wrong.push(format!("expected {expected}\n   found {found}"));
            }
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    }

    #[test]
    fn sentences_keep_their_trailing_space() {
        check(&[
            "One two. |Three!  |Four?",
            "No stop at all",
            "Really?! |Yes. ",
            "Wait... |What?",
            "It was... strange.",
            "So long… |And then? |Who knows … |He did.",
            "We left… and came back.",
        ]);
    }

    #[test]
    fn abbreviations_end_no_sentence() {
        check(&[
            "Mr. Smith met Dr. Jones and Mrs. Brown. |They left.",
            "He is Prof. Müller's friend, i.e. Anna, e.g. Bob. |Right.",
            "See Fig. 3 and No. 5, pp. 10-12. |Then go on.",
            "No. |I said no. |Nothing.",
            "Smith et al. (2001) and Jones et al. Nature found it. |The rest is old.",
            "He works at Apple Inc. |The company is large.",
            "On Nov. 13, 2009, he left. |In Sept. |We came.",
            "Apples, pears, etc. |Bananas too.",
            "Das gilt z. B. für Hr. Meier, d. h. nicht immer. |Vgl. Kap. Eins.",
            "Das ist ca. 3 m lang bzw. Breite. |Usw. und so fort.",
            "M. Dupont a vu Mme. Curie, p. ex. Marie. |Elle est là.",
            "El Sr. García y la Sra. López viven en la Av. Central. |Pero no hoy.",
            "Il dott. Rossi e il sig. Bianchi. |Poi basta.",
            "В 1990 г. Москва, т. е. столица, и т. д. |Он ушёл.",
            "Dit is bijv. Jan, d.w.z. Piet. |Klaar.",
            "Det är t.ex. Anna, bl.a. Kalle. |Hon kom.",
            "Jest np. Jan, m.in. Anna. |Ona wie.",
            "डॉ. राम यहाँ हैं। |वे जाएँगे।",
            "I don't. |Peter does.",
            "Sono l'Ing. Rossi e l'Avv. Verdi. |Basta.",
        ]);
    }

    #[test]
    fn small_letters_begin_sentences_where_nobody_wrote_capitals() {
        check(&[
            "we left at noon. |it was late! |who knew? |nobody did.",
            "dr. smith met mrs. brown of apple inc. at 5 p.m. today. |they left.",
            "see fig. 3 and no. 5, pp. 10-12, vol. 2. |then go on.",
            "he said no. |we said yes.",
            "pi is 3.14 and v1.2 of it is out. |look at example.com. |mail a.b@c.org now. |done.",
            "in 1990. |then 25. |we left.",
            "apples, pears, etc. are sold, e.g. here, i.e. there, cf. smith et al. for more. |right.",
            "it was... strange. |so long… and then more. |we left.",
            "he said \"go.\" |then he left. |(it was late.) |we slept.",
            "\"what?\" he asked. |“no!” she said. |“yes.” |fine.",
            "george w. bush met john f. kennedy jr. yesterday in the u.s. senate. |fine.",
            "1. first one. |second one.",
            "that is it.[1] |next one.[12][citation needed] |last.",
            "i asked NASA. |they said it works. |ok.",
            "das gilt z. b. für hr. meier, d. h. nicht immer. |vgl. kap. eins.",
            "es gilt z.b. hier, d.h. dort usw. und so fort. |er ging. |ja.",
            "am 3. oktober kam der 2. weltkrieg im 20. jahrhundert. |es war kalt.",
            "das ist ca. 3 m lang bzw. breit, s. abb. 4. |er war da (vgl. s. 3). |gut.",
            "m. dupont a vu mme. curie, p. ex. marie. |elle est là. |« quoi ? » demanda-t-il. |il vint.",
            "el sr. garcía y la sra. lópez viven en la av. central. |hoy no. |¿qué? |¡no! |sí.",
            "в 1990 г. москва, т. е. столица, и т. д. стоит. |он ушёл на ул. ленина, д. 5. |там дом.",
            "il dott. rossi e il sig. bianchi. |poi basta. |ecco.",
            "dit is bijv. jan, d.w.z. piet. |hij is klaar. |ja.",
            "jest np. jan, m.in. anna. |ona wie. |tak.",
            "det är t.ex. anna, bl.a. kalle. |hon kom. |ja.",
        ]);
    }

    #[test]
    fn words_with_a_case_of_their_own_begin_sentences() {
        check(&[
            "We use Node. |npm is slow. |It hangs. |(git is not.) |Fine.",
            "Sales rose. |iPhone sales fell. |macOS did not. |“eBay did.” |Right.",
            "Run it. |`foo` prints. |Then stop.",
            "It has approx. pH 7, e.g. iPhone cases and mRNA, vs. npm. |Fine.",
        ]);
    }

    #[test]
    fn small_letters_go_on_with_a_sentence_where_capitals_are_written() {
        check(&[
            "The unkn. value of conf. rooms is low. |It is so.",
            "Es gilt die Verord. von 1990, Abschn. zwei. |Gut.",
            "See conf. proceedings. |They are old. |Anna Smith wrote them.",
            "Он жил в гор. саду. |Да.",
        ]);
        // One beginning of ten may be a capital.
        let lower = "it rained. ".repeat(9);
        check(
            &[&format!("Anna left. |{}", lower.replace(". ", ". |"))]
                .map(|case| case.trim_end_matches('|')),
        );
        let one_less = "it rained. ".repeat(8);
        check(&[&format!("Anna left. {one_less}")]);
    }

    #[test]
    fn initials_and_acronyms_end_no_sentence() {
        check(&[
            "J. R. R. Tolkien and J.R.R. Tolkien wrote. |He was old.",
            "George W. Bush met John F. Kennedy Jr. yesterday.",
            "The U.S.A. Army and the U.S. Senate. |The end.",
            "He lives in the U.S. |He likes it.",
            "She has a Ph.D. |Then she left at 5 p.m. |It was late.",
            "V. I. Lenin und A. Schmidt. |Ende.",
            "А. С. Пушкин родился. |Он писал.",
            "د. أحمد هنا. |هو طبيب.",
        ]);
    }

    #[test]
    fn numbers_versions_and_addresses_stay_whole() {
        check(&[
            "Pi is 3.14 and v1.2.3 is out. |Version 2.0. |Next.",
            "In 1990. |Then 25. |We left.",
            "See https://a.example.com/x.html?q=1&r=2. |Then mail a.b@c.org! |Done.",
            "Open main.rs or Cargo.Toml. |Look at a.Txt too.",
            "If a != b and c ?= dd. |Node.js is fine. |Use .NET now.",
            "It costs $5. |That is cheap.",
            "Node v2.Final is out.",
            "It ran at 100 km/h. |Paul saw 20 °C. |Fine.",
        ]);
    }

    #[test]
    fn ordinals_end_no_sentence() {
        check(&[
            "Am 3. Oktober kam der 2. Weltkrieg. |Ende.",
            "Vom 3. bis zum 14. Mai im 19. Jahrhundert. |Dann nicht.",
            "Es waren 12. |Der Rest kam 1990. |Ja.",
            "Am 3. |Er kam.",
        ]);
    }

    #[test]
    fn labels_belong_to_their_items() {
        check(&[
            "1. First one. |Second one.",
            "a. Alpha. |Beta.",
            "2.3. Methods are here.",
            "IV. Results.",
            "(1) One. |2. Two.",
            "- 1. One.",
        ]);
    }

    #[test]
    fn quotes_and_brackets_close_after_the_stop() {
        check(&[
            "He said \"Go.\" |Then he left.",
            "\"What?\" he asked. |“No!” she said. |“Yes.” |Fine.",
            "(It was late.) |We left.",
            "Er sagte: „Geh.“ |Dann ging er. |»Halt!« |Nein.",
            "« Quoi ? » demanda-t-il. |Il vint. |« Oui ! » |Non.",
            "“Halt!” — rief er. |Да.",
            "— Привет! — сказал он. |Да.",
            "That is it.[1] |Next one.[12][citation needed] |Last.",
            "It is so.¹² |Next.",
            "**Bold.** |Next *one.* |Then `xs.` |End.",
            "Er war da (vgl. S. 3). |Gut.",
            "¿Qué? |¡No! |Sí.",
            "(see J. Smith (2001).) |Right.",
            "“They [...] Smith said [...]” (Brown 5). |Then.",
        ]);
    }

    #[test]
    fn chinese_japanese_and_korean_need_no_space() {
        check(&[
            "今天天气很好。|我们去公园吧！|好吗？|好。",
            "他说：“你好！”|然后走了。|“再见。”|完",
            "これはペンです。|それは？|「はい。」|彼は帰った。",
            "「行こう。」と言った。|はい。",
            "안녕하세요. |저는 김입니다. |네. |좋아요?",
            "版本3.5很好。|Hello.|你好",
        ]);
    }

    #[test]
    fn other_scripts_have_their_own_stops() {
        check(&[
            "ما اسمك؟ |اسمي علي. |أهلا!",
            "آپ کا نام کیا ہے؟ |میرا نام علی ہے۔ |شکریہ۔",
            "यह घर है। |वह पेड़ है॥ |क्या?",
            "Բարեւ։ |Ինչպես ես։",
            "ሰላም ነው። |ደህና ነህ፧ |አዎ።",
            "Բարև: |Ես շտապում եմ:",
            "Τι κάνεις; |Είμαι καλά. |Ναι;",
            "שלום עולם. |מה שלומך?",
            "မင်္ဂလာပါ။ |နေကောင်းလား။",
        ]);
    }

    #[test]
    fn spaces_end_phrases_where_nothing_else_does() {
        check(&[
            "วันนี้อากาศดี |เราไปเที่ยวกัน |ราคา 100 บาท",
            "ของต่าง ๆ ที่นี่ |กรุงเทพฯ อยู่ไกล",
            "พ.ศ. 2540 ดร. สมชาย |มาแล้ว",
            "ສະບາຍດີ |ຂ້ອຍມາແລ້ວ",
            "ខ្ញុំទៅ |អ្នកមក",
        ]);
    }
}
