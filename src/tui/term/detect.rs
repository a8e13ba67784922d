//! What the terminal can show, from what the environment says. It is never asked: an answer that comes late would be a key.

use crate::tui::model::Caps;
use crate::tui::theme::{Depth, Theme};
use nix::unistd::{Pid, getpgid, getsid};

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// As the environment says.
    #[default]
    Auto,
    /// As many as the terminal has, whatever NO_COLOR says.
    Always,
    /// None.
    Never,
    /// The terminal's own sixteen.
    Sixteen,
    /// xterm's 256.
    Many,
    /// 24 bits.
    True,
}

/// What the person asked for on the command line or in the config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// How many colours.
    pub colour: Colour,
    /// Letters only.
    pub ascii: bool,
    /// A light background; none to find out.
    pub light: Option<bool>,
}

/// The theme for this environment. What was asked for wins over what is found; NO_COLOR wins over what is found.
pub fn theme(wish: Wish, env: impl Fn(&str) -> Option<String>) -> Theme {
    let set = |name: &str| env(name).filter(|v| !v.is_empty());
    let term = set("TERM").unwrap_or_default();
    let depth = match wish.colour {
        Colour::Never => Depth::Mono,
        Colour::Sixteen => Depth::Ansi,
        Colour::Many => Depth::Indexed,
        Colour::True => Depth::True,
        Colour::Auto if set("NO_COLOR").is_some() || term == "dumb" || term.ends_with("-m") => {
            Depth::Mono
        }
        Colour::Auto | Colour::Always => {
            let many = set("COLORTERM").unwrap_or_default();
            if many == "truecolor" || many == "24bit" || term.ends_with("-direct") {
                Depth::True
            } else if term.contains("256color") {
                Depth::Indexed
            } else {
                Depth::Ansi
            }
        }
    };
    // Text is "foreground;background" in the terminal's sixteen; 7 and 15 are white.
    let background = set("COLORFGBG");
    let background = background.as_deref().and_then(|v| v.rsplit(';').next());
    let light = wish.light.unwrap_or(matches!(background, Some("7" | "15")));
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|n| set(n));
    let utf8 = locale.is_some_and(|l| {
        let l = l.to_ascii_lowercase();
        l.contains("utf-8") || l.contains("utf8")
    });
    // The Linux console reads UTF-8, but its font has few of our symbols.
    let ascii = wish.ascii || !utf8 || term == "linux";
    Theme::new(depth, light, ascii)
}

/// What else the terminal and the shell allow.
pub fn caps(env: impl Fn(&str) -> Option<String>) -> Caps {
    let set = |name: &str| env(name).is_some_and(|v| !v.is_empty());
    Caps {
        suspend: has_shell(),
        multiplexed: set("TMUX"),
        remote: set("SSH_CONNECTION") || set("SSH_TTY"),
    }
}

/// Whether a shell with job control started us: it gives each job a process group of its own, inside its session.
fn has_shell() -> bool {
    match (getpgid(None), getsid(None)) {
        (Ok(group), Ok(session)) => group != session && group != Pid::from_raw(0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vars: &[(&str, &str)], wish: Wish) -> Theme {
        theme(wish, |name| {
            let found = vars.iter().find(|(n, _)| *n == name);
            found.map(|(_, v)| (*v).to_string())
        })
    }

    #[test]
    fn colours_as_the_environment_says() {
        let utf8 = ("LANG", "en_US.UTF-8");
        let depth = |vars: &[(&str, &str)]| with(vars, Wish::default()).depth;
        assert_eq!(depth(&[utf8, ("TERM", "xterm")]), Depth::Ansi);
        assert_eq!(depth(&[utf8, ("TERM", "tmux-256color")]), Depth::Indexed);
        let both = [utf8, ("TERM", "xterm-256color"), ("COLORTERM", "truecolor")];
        assert_eq!(depth(&both), Depth::True);
        assert_eq!(depth(&[("TERM", "dumb")]), Depth::Mono);
        let none = [
            ("TERM", "xterm-256color"),
            ("NO_COLOR", "1"),
            ("COLORTERM", "24bit"),
        ];
        assert_eq!(depth(&none), Depth::Mono);
        assert_eq!(
            depth(&[("TERM", "xterm"), ("NO_COLOR", "")]),
            Depth::Ansi,
            "an empty NO_COLOR is none"
        );
    }

    #[test]
    fn what_was_asked_for_wins() {
        let wish = Wish {
            colour: Colour::Many,
            ..Wish::default()
        };
        assert_eq!(with(&[("NO_COLOR", "1")], wish).depth, Depth::Indexed);
        let wish = Wish {
            colour: Colour::Always,
            ..Wish::default()
        };
        assert_eq!(with(&[("NO_COLOR", "1")], wish).depth, Depth::Ansi);
        let wish = Wish {
            ascii: true,
            ..Wish::default()
        };
        assert_eq!(with(&[("LANG", "de_DE.UTF-8")], wish).glyphs.cursor, ">");
    }

    #[test]
    fn symbols_only_where_they_can_be_shown() {
        let cursor = |vars: &[(&str, &str)]| with(vars, Wish::default()).glyphs.cursor;
        assert_eq!(cursor(&[("LANG", "en_US.UTF-8")]), "▸");
        assert_eq!(cursor(&[("LANG", "C")]), ">");
        assert_eq!(cursor(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]), ">");
        assert_eq!(cursor(&[("LANG", "C.utf8")]), "▸");
        assert_eq!(cursor(&[("LANG", "en_US.UTF-8"), ("TERM", "linux")]), ">");
        assert_eq!(cursor(&[]), ">");
    }

    #[test]
    fn a_light_background_is_seen() {
        assert!(with(&[("COLORFGBG", "0;15")], Wish::default()).light);
        assert!(!with(&[("COLORFGBG", "15;0")], Wish::default()).light);
    }
}
