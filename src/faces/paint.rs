//! Colour and signs for text on a terminal. Nothing is said by colour alone.

/// How text may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paint {
    /// Use ANSI colours.
    pub color: bool,
    /// Use ASCII only.
    pub ascii: bool,
}

/// What a text is, not how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A heading.
    Heading,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong, or in the way.
    Bad,
    /// Of less interest.
    Dim,
}

/// A sign that goes before a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// In the way.
    Cross,
    /// Know this.
    Bang,
    /// As it should be.
    Check,
    /// Not the same.
    Unequal,
    /// One of a list.
    Dot,
}

impl Paint {
    /// The text in its role's colour.
    pub fn role(self, role: Role, text: &str) -> String {
        let code = match role {
            Role::Heading => "1",
            Role::Good => "32",
            Role::Warn => "33",
            Role::Bad => "31",
            Role::Dim => "2",
        };
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// The sign, one column wide.
    pub fn sign(self, sign: Sign) -> &'static str {
        match (sign, self.ascii) {
            (Sign::Cross, false) => "✖",
            (Sign::Cross, true) => "x",
            (Sign::Bang, _) => "!",
            (Sign::Check, false) => "✓",
            (Sign::Check, true) => "+",
            (Sign::Unequal, false) => "≠",
            (Sign::Unequal, true) => "#",
            (Sign::Dot, false) => "·",
            (Sign::Dot, true) => "-",
        }
    }

    /// What stands for a masked value.
    pub fn masked(self) -> &'static str {
        if self.ascii { "****" } else { "••••" }
    }

    /// Text of ours, made ASCII where that is asked for. Values from databases are left as they are.
    pub fn plain(self, text: &str) -> String {
        if !self.ascii {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '·' => out.push('-'),
                '→' => out.push_str("->"),
                '≠' => out.push('#'),
                '–' | '—' => out.push('-'),
                '…' => out.push_str("..."),
                '≤' => out.push_str("<="),
                '≥' => out.push_str(">="),
                '×' => out.push('x'),
                'µ' => out.push('u'),
                '✖' => out.push('x'),
                '✓' => out.push('+'),
                '•' => out.push('*'),
                c => out.push(c),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_there_is_no_escape() {
        let paint = Paint::default();
        assert_eq!(paint.role(Role::Bad, "blocked"), "blocked");
        let bright = Paint {
            color: true,
            ascii: false,
        };
        assert_eq!(bright.role(Role::Bad, "blocked"), "\x1b[31mblocked\x1b[0m");
    }

    #[test]
    fn ascii_is_ascii() {
        let paint = Paint {
            color: false,
            ascii: true,
        };
        for sign in [
            Sign::Cross,
            Sign::Bang,
            Sign::Check,
            Sign::Unequal,
            Sign::Dot,
        ] {
            assert!(paint.sign(sign).is_ascii());
            assert_eq!(paint.sign(sign).chars().count(), 1);
        }
        assert!(paint.plain("old → new · 3 µs ≤ 4 × 2 …").is_ascii());
    }
}
