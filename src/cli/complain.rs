//! The one place where errors are printed: what, why, what to try. No secret passes here.

use super::world::{PIPE_CLOSED, World};
use crate::config::url::redact;
use crate::domain::fault::{Fault, Kind};
use crate::faces::paint::{Paint, Role};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::io::Write;
use std::process::ExitCode;

/// Prints a fault and gives its exit code.
pub fn fault(world: &World, fault: &Fault) -> ExitCode {
    if fault.code != PIPE_CLOSED {
        let _ = std::io::stderr()
            .lock()
            .write_all(text(fault, world.paint_errors()).as_bytes());
    }
    ExitCode::from(fault.exit_code())
}

/// A fault as people read it.
pub fn text(fault: &Fault, paint: Paint) -> String {
    let mut out = format!(
        "{} {}\n",
        paint.role(Role::Bad, "tidegate:"),
        redact(&fault.what)
    );
    if let Some(cause) = &fault.cause {
        out.push_str(&format!("  because: {}\n", redact(cause)));
    }
    if let Some(hint) = &fault.hint {
        out.push_str(&format!(
            "  {} {}\n",
            paint.role(Role::Heading, "hint:"),
            redact(hint)
        ));
    }
    if !fault.code.is_empty() && super::explain::known(&fault.code) {
        out.push_str(&format!("  more: tidegate explain {}\n", fault.code));
    }
    out
}

/// What clap has to say: help and version as they are, mistakes in our form.
pub fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            let fault = wrong_call(error);
            let _ = std::io::stderr()
                .lock()
                .write_all(text(&fault, Paint::default()).as_bytes());
            ExitCode::from(fault.exit_code())
        }
    }
}

fn wrong_call(error: &clap::Error) -> Fault {
    let given = |kind| error.get(kind).map(plain).unwrap_or_default();
    let command = called(error);
    let help = format!("{command} --help");
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let near = given(ContextKind::SuggestedSubcommand);
            Fault::new(
                Kind::Usage,
                format!(
                    "there is no command \"{}\"",
                    given(ContextKind::InvalidSubcommand)
                ),
            )
            .hint(if near.is_empty() {
                "tidegate help lists all commands".into()
            } else {
                format!("did you mean {near}?")
            })
        }
        ErrorKind::UnknownArgument => {
            let near = given(ContextKind::SuggestedArg);
            let what = format!("{command} takes no {}", given(ContextKind::InvalidArg));
            Fault::new(Kind::Usage, what).hint(if near.is_empty() {
                help
            } else {
                format!("did you mean {near}?")
            })
        }
        ErrorKind::MissingRequiredArgument => Fault::new(
            Kind::Usage,
            format!("{command} needs {}", given(ContextKind::InvalidArg)),
        )
        .hint(help),
        ErrorKind::InvalidValue if given(ContextKind::InvalidValue).is_empty() => Fault::new(
            Kind::Usage,
            format!("{} needs a value", given(ContextKind::InvalidArg)),
        )
        .hint(help),
        ErrorKind::InvalidValue => {
            let what = format!(
                "{} can't be \"{}\"",
                given(ContextKind::InvalidArg),
                given(ContextKind::InvalidValue)
            );
            Fault::new(Kind::Usage, what)
                .hint(format!("choices: {}", given(ContextKind::ValidValue)))
        }
        _ => {
            let rendered = error.render().to_string();
            let first = rendered.split("\n\n").next().unwrap_or_default();
            let what = first.trim_start_matches("error: ").replace('\n', " ");
            Fault::new(
                Kind::Usage,
                what.split_whitespace().collect::<Vec<_>>().join(" "),
            )
            .hint(help)
        }
    }
}

/// `tidegate verify`, as far as clap says which command was meant.
fn called(error: &clap::Error) -> String {
    let usage = error.get(ContextKind::Usage).map(plain).unwrap_or_default();
    let words = usage
        .split_whitespace()
        .skip_while(|word| *word != "tidegate");
    let command: Vec<&str> = words
        .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    if command.is_empty() {
        "tidegate".into()
    } else {
        command.join(" ")
    }
}

fn plain(value: &ContextValue) -> String {
    match value {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.join(", "),
        ContextValue::StyledStr(text) => text.to_string(),
        other => other.to_string(),
    }
}
