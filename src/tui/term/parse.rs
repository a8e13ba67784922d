//! Bytes of a terminal to keys.
//!
//! What is no key never becomes one: late answers of the terminal, sequences nobody knows and the ends of those that were
//! cut are swallowed whole. A key that acts can't come out of noise.

use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

/// A pasted text is cut after this.
const PASTE: usize = 1 << 20;
/// Longer control sequences are noise.
const SEQUENCE: usize = 64;
const ESC: u8 = 0x1b;
const PASTE_ENDS: &[u8] = b"\x1b[201~";

/// What is being read.
#[derive(Debug, Default, PartialEq)]
enum Within {
    /// Keys.
    #[default]
    Keys,
    /// Pasted text.
    Paste,
    /// A string from the terminal (OSC, DCS, APC, PM): an answer that nobody asked for.
    Answer,
}

/// Bytes that are not events yet.
#[derive(Debug, Default)]
pub struct Parser {
    bytes: Vec<u8>,
    within: Within,
    pasted: Vec<u8>,
}

/// What the bytes at hand are.
enum Read {
    /// An event of so many bytes.
    Event(Event, usize),
    /// So many bytes of nothing.
    Nothing(usize),
    /// The beginning of something.
    More,
}

impl Parser {
    /// Takes bytes in.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether something has begun that is not whole: an Esc may be a key or the beginning of one.
    pub fn waits(&self) -> bool {
        self.within == Within::Keys && !self.bytes.is_empty()
    }

    /// The next event. `late`: nothing came for a while, so what is not whole never will be.
    pub fn next(&mut self, late: bool) -> Option<Event> {
        loop {
            if self.bytes.is_empty() {
                return None;
            }
            match self.within {
                Within::Paste => return self.paste(),
                Within::Answer => {
                    if !self.answer() {
                        return None;
                    }
                }
                Within::Keys => match read(&self.bytes) {
                    Read::Event(event, n) => {
                        self.bytes.drain(..n);
                        return Some(event);
                    }
                    Read::Nothing(n) => {
                        let skipped = self.bytes.drain(..n);
                        let begins: Vec<u8> = skipped.collect();
                        match begins.as_slice() {
                            b"\x1b[200~" => self.within = Within::Paste,
                            [ESC, b']' | b'P' | b'_' | b'^' | b'X'] => self.within = Within::Answer,
                            _ => {}
                        }
                    }
                    Read::More if late => {
                        // Only Esc itself is a key without more; the beginning of anything else is noise.
                        let alone = self.bytes == [ESC];
                        self.bytes.clear();
                        return alone.then(|| key(KeyCode::Esc));
                    }
                    Read::More => return None,
                },
            }
        }
    }

    /// Pasted text up to its end; none while that is not here.
    fn paste(&mut self) -> Option<Event> {
        let end = self
            .bytes
            .windows(PASTE_ENDS.len())
            .position(|w| w == PASTE_ENDS);
        // Without an end in sight, what might be the beginning of one stays.
        let upto = end.unwrap_or(self.bytes.len().saturating_sub(PASTE_ENDS.len() - 1));
        let room = PASTE.saturating_sub(self.pasted.len());
        self.pasted.extend(self.bytes.drain(..upto).take(room));
        end?;
        self.bytes.drain(..PASTE_ENDS.len());
        self.within = Within::Keys;
        let text = std::mem::take(&mut self.pasted);
        Some(Event::Paste(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Swallows an answer; true once its end was there.
    fn answer(&mut self) -> bool {
        let bell = self.bytes.iter().position(|b| *b == 0x07);
        let string = self.bytes.windows(2).position(|w| w == [ESC, b'\\']);
        let end = match (bell, string) {
            (Some(b), Some(s)) => Some(if b < s { b + 1 } else { s + 2 }),
            (Some(b), None) => Some(b + 1),
            (None, Some(s)) => Some(s + 2),
            (None, None) => None,
        };
        match end {
            Some(n) => {
                self.bytes.drain(..n);
                self.within = Within::Keys;
                true
            }
            None => {
                let keep = usize::from(self.bytes.last() == Some(&ESC));
                self.bytes.drain(..self.bytes.len() - keep);
                false
            }
        }
    }
}

fn key(code: KeyCode) -> Event {
    with(code, KeyModifiers::NONE)
}

fn with(code: KeyCode, mods: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, mods))
}

fn read(bytes: &[u8]) -> Read {
    match bytes[0] {
        ESC => escape(bytes),
        b'\r' => Read::Event(key(KeyCode::Enter), 1),
        b'\t' => Read::Event(key(KeyCode::Tab), 1),
        0x7f => Read::Event(key(KeyCode::Backspace), 1),
        0 => Read::Event(with(KeyCode::Char(' '), KeyModifiers::CONTROL), 1),
        c @ 1..=0x1a => Read::Event(
            with(KeyCode::Char((c - 1 + b'a') as char), KeyModifiers::CONTROL),
            1,
        ),
        c @ 0x1c..=0x1f => Read::Event(
            with(
                KeyCode::Char((c - 0x1c + b'4') as char),
                KeyModifiers::CONTROL,
            ),
            1,
        ),
        _ => letter(bytes, KeyModifiers::NONE, 0),
    }
}

/// A letter of UTF-8, after `skip` bytes that said how it was pressed.
fn letter(bytes: &[u8], mods: KeyModifiers, skip: usize) -> Read {
    let text = &bytes[skip..];
    let long = match text[0] {
        0x00..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Read::Nothing(skip + 1),
    };
    let have = &text[..text.len().min(long)];
    match std::str::from_utf8(have) {
        Ok(text) => match text.chars().next() {
            Some(c) if !c.is_control() => Read::Event(with(KeyCode::Char(c), mods), skip + long),
            _ => Read::Nothing(skip + long),
        },
        Err(e) if e.error_len().is_none() => Read::More,
        Err(_) => Read::Nothing(skip + 1),
    }
}

fn escape(bytes: &[u8]) -> Read {
    match bytes.get(1) {
        None => Read::More,
        Some(b'[') => sequence(bytes),
        Some(b'O') => match bytes.get(2) {
            None => Read::More,
            Some(last) => match named(*last) {
                Some(code) => Read::Event(key(code), 3),
                None => Read::Nothing(3),
            },
        },
        Some(b']' | b'P' | b'_' | b'^' | b'X') => Read::Nothing(2),
        // Esc, and then another sequence.
        Some(&ESC) => Read::Event(key(KeyCode::Esc), 1),
        Some(b'\r') => Read::Event(with(KeyCode::Enter, KeyModifiers::ALT), 2),
        Some(0x7f) => Read::Event(with(KeyCode::Backspace, KeyModifiers::ALT), 2),
        // Esc, and then a key with Ctrl: two keys, typed fast.
        Some(0..=0x1f) => Read::Event(key(KeyCode::Esc), 1),
        Some(_) => letter(bytes, KeyModifiers::ALT, 1),
    }
}

/// `ESC [` parameters, and the byte that says what they are of.
fn sequence(bytes: &[u8]) -> Read {
    let body = &bytes[2..];
    // The old mouse report has three raw bytes behind it.
    if body.first() == Some(&b'M') {
        return if bytes.len() < 6 {
            Read::More
        } else {
            Read::Nothing(6)
        };
    }
    let Some(end) = body.iter().position(|b| (0x40..=0x7e).contains(b)) else {
        return match body.iter().position(|b| !(0x20..=0x3f).contains(b)) {
            // Something else began in the middle of it.
            Some(at) => Read::Nothing(2 + at.max(1)),
            None if body.len() > SEQUENCE => Read::Nothing(bytes.len()),
            None => Read::More,
        };
    };
    // A byte that belongs into no sequence ends this one: what follows is read anew.
    if let Some(at) = body[..end].iter().position(|b| !(0x20..=0x3f).contains(b)) {
        return Read::Nothing(2 + at.max(1));
    }
    let whole = 2 + end + 1;
    let params = &body[..end];
    match meaning(params, body[end]) {
        Some(event) => Read::Event(event, whole),
        None => Read::Nothing(whole),
    }
}

fn meaning(params: &[u8], last: u8) -> Option<Event> {
    let text = std::str::from_utf8(params).ok()?;
    match last {
        b'I' if text.is_empty() => return Some(Event::FocusGained),
        b'O' if text.is_empty() => return Some(Event::FocusLost),
        b'M' | b'm' => return mouse(text.strip_prefix('<')?, last == b'm'),
        b'Z' => return Some(key(KeyCode::BackTab)),
        _ => {}
    }
    // `1;5A`: the number, then one more than the sum of the modifiers, then what happened to the key.
    let mut numbers = text.split(';');
    let first = numbers.next().unwrap_or("");
    let code: u32 = first.split(':').next()?.parse().unwrap_or(1);
    let mut how = numbers.next().unwrap_or("1").split(':');
    let mask = how.next()?.parse::<u8>().unwrap_or(1).saturating_sub(1);
    let kind = match how.next() {
        Some("3") => KeyEventKind::Release,
        Some("2") => KeyEventKind::Repeat,
        _ => KeyEventKind::Press,
    };
    let code = match last {
        b'~' => numbered(code)?,
        b'u' => match code {
            13 => KeyCode::Enter,
            27 => KeyCode::Esc,
            9 => KeyCode::Tab,
            127 => KeyCode::Backspace,
            code => KeyCode::Char(char::from_u32(code).filter(|c| !c.is_control())?),
        },
        // With another number it is no key but an answer: where the cursor is ends like F3.
        _ if code != 1 => return None,
        other => named(other)?,
    };
    let mut mods = KeyModifiers::NONE;
    for (bit, modifier) in [
        (1, KeyModifiers::SHIFT),
        (2, KeyModifiers::ALT),
        (4, KeyModifiers::CONTROL),
    ] {
        if mask & bit != 0 {
            mods |= modifier;
        }
    }
    Some(Event::Key(KeyEvent::new_with_kind(code, mods, kind)))
}

fn named(last: u8) -> Option<KeyCode> {
    Some(match last {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        b'P' => KeyCode::F(1),
        b'Q' => KeyCode::F(2),
        b'R' => KeyCode::F(3),
        b'S' => KeyCode::F(4),
        _ => return None,
    })
}

fn numbered(code: u32) -> Option<KeyCode> {
    Some(match code {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => KeyCode::F((code - 10) as u8),
        17..=21 => KeyCode::F((code - 11) as u8),
        23..=24 => KeyCode::F((code - 12) as u8),
        _ => return None,
    })
}

/// `b;x;y`: the wheel, and buttons pressed and let go.
fn mouse(text: &str, up: bool) -> Option<Event> {
    let mut numbers = text.split(';').map(str::parse::<u16>);
    let mut next = || numbers.next()?.ok();
    let (button, x, y) = (next()?, next()?, next()?);
    let kind = match (button & 0b1100_0011, up) {
        (64, _) => MouseEventKind::ScrollUp,
        (65, _) => MouseEventKind::ScrollDown,
        (0, false) if button & 32 == 0 => MouseEventKind::Down(MouseButton::Left),
        (0, true) => MouseEventKind::Up(MouseButton::Left),
        _ => return None,
    };
    Some(Event::Mouse(MouseEvent {
        kind,
        column: x.saturating_sub(1),
        row: y.saturating_sub(1),
        modifiers: KeyModifiers::NONE,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::keymap::Chord;
    use proptest::prelude::*;

    /// What the bytes are, a key as it is written.
    fn heard(bytes: &[u8]) -> Vec<String> {
        let mut parser = Parser::default();
        parser.feed(bytes);
        let mut out = Vec::new();
        while let Some(event) = parser.next(false) {
            out.push(said(&event));
        }
        while let Some(event) = parser.next(true) {
            out.push(said(&event));
        }
        out
    }

    fn said(event: &Event) -> String {
        match event {
            Event::Key(key) => Chord::of(key).map_or("-".into(), |k| k.to_string()),
            Event::Paste(text) => format!("paste {text:?}"),
            Event::FocusGained => "focus".into(),
            Event::FocusLost => "blur".into(),
            Event::Mouse(mouse) => format!("{:?} {} {}", mouse.kind, mouse.column, mouse.row),
            Event::Resize(..) => "resize".into(),
        }
    }

    #[test]
    fn keys_as_terminals_send_them() {
        for (bytes, keys) in [
            (&b"jP!"[..], &["j", "P", "!"][..]),
            (b"\x1b[A\x1bOB\x1b[1;2D", &["Up", "Down", "Shift-Left"]),
            (
                b"\x1b[H\x1b[4~\x1b[5~\x1b[6~",
                &["Home", "End", "PgUp", "PgDn"],
            ),
            (
                b"\x04\x15\x0c\x1a\x03",
                &["Ctrl-d", "Ctrl-u", "Ctrl-l", "Ctrl-z", "Ctrl-c"],
            ),
            (
                b"\r\t\x1b[Z\x7f ",
                &["Enter", "Tab", "Shift-Tab", "Bksp", "Space"],
            ),
            (b"\x1bOP\x1b[15~\x1b[24~", &["F1", "F5", "F12"]),
            ("é王".as_bytes(), &["é", "王"]),
            (b"\x1b[112;2u\x1b[27u\x1b[100;5u", &["P", "Esc", "Ctrl-d"]),
            (b"\x1b[I\x1b[O", &["focus", "blur"]),
            (
                b"\x1b[<64;10;5M\x1b[<0;3;4M",
                &["ScrollUp 9 4", "Down(Left) 2 3"],
            ),
            (b"\x1bx", &["Alt-x"]),
            (b"\x1b", &["Esc"]),
            (b"\x1b\x1b[A", &["Esc", "Up"]),
        ] {
            assert_eq!(heard(bytes), keys, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_release_is_no_press() {
        assert_eq!(heard(b"\x1b[80;1:3u"), ["-"]);
    }

    #[test]
    fn answers_and_noise_are_no_keys() {
        for bytes in [
            &b"\x1b[24;80R"[..],
            b"\x1b[?62;4c",
            b"\x1b[?2026;2$y",
            b"\x1b]11;rgb:ffff/ffff/ffff\x07",
            b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\",
            b"\x1bP1+r544e=78\x1b\\",
            b"\x1b[M !!",
            b"\x1b[<35;10;5M",
            b"\xff\xfe",
            b"\x1b[1;2;3;4;5;6;7;8",
        ] {
            let keys = heard(bytes);
            assert!(
                keys.is_empty(),
                "{:?} → {keys:?}",
                String::from_utf8_lossy(bytes)
            );
        }
        assert_eq!(heard(b"\x1b]11;rgb:P/!/B\x07j"), ["j"]);
    }

    #[test]
    fn a_paste_is_one_text_however_it_arrives() {
        let whole = b"\x1b[200~P!B\x1b[A\r\x1b[201~j";
        assert_eq!(heard(whole), ["paste \"P!B\\u{1b}[A\\r\"", "j"]);
        for cut in 1..whole.len() {
            let mut parser = Parser::default();
            let mut out = Vec::new();
            for piece in [&whole[..cut], &whole[cut..]] {
                parser.feed(piece);
                while let Some(event) = parser.next(false) {
                    out.push(said(&event));
                }
            }
            assert_eq!(out, ["paste \"P!B\\u{1b}[A\\r\"", "j"], "cut at {cut}");
        }
    }

    #[test]
    fn a_long_paste_is_cut_and_its_end_still_found() {
        let mut parser = Parser::default();
        parser.feed(b"\x1b[200~");
        for _ in 0..300 {
            parser.feed(&[b'x'; 8_192]);
            assert!(parser.next(false).is_none());
            assert!(parser.bytes.len() < 100 && parser.pasted.len() <= PASTE);
        }
        parser.feed(b"\x1b[201~");
        assert!(matches!(parser.next(false), Some(Event::Paste(text)) if text.len() == PASTE));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_end(bytes in proptest::collection::vec(any::<u8>(), 0..200), cuts in proptest::collection::vec(1usize..9, 0..60)) {
            let mut parser = Parser::default();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                parser.feed(piece);
                rest = tail;
                while parser.next(false).is_some() {}
            }
            parser.feed(rest);
            while parser.next(false).is_some() {}
            while parser.next(true).is_some() {}
            prop_assert!(parser.bytes.len() < PASTE_ENDS.len() || parser.within != Within::Keys);
        }

        #[test]
        fn what_is_typed_is_heard_in_pieces_as_in_one(keys in "[a-zA-Z!?]{1,30}", cut in 0usize..30) {
            let bytes = keys.as_bytes();
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            let mut parser = Parser::default();
            let mut out = String::new();
            for piece in [a, b] {
                parser.feed(piece);
                while let Some(event) = parser.next(false) {
                    out.push_str(&said(&event));
                }
            }
            prop_assert_eq!(out, keys);
        }
    }
}
