//! `tidegate completions SHELL` and `tidegate man`: made from the same table of commands that is parsed.

use super::world::{Exit, World, own};
use crate::domain::fault::Result;
use clap::{Args, Command};
use clap_complete::Shell;

/// `tidegate completions`
#[derive(Debug, Args)]
pub struct Options {
    /// bash, elvish, fish, powershell or zsh
    #[arg(hide_possible_values = true)]
    shell: Shell,
}

/// Prints the script.
pub fn run(options: &Options, world: &World, mut command: Command) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "tidegate", &mut script);
    world.say(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Prints the manual page: the program, then each command.
pub fn manual(world: &World, mut command: Command) -> Result<Exit> {
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(|cause| own("the manual can't be made", cause))?;
    for part in command
        .get_subcommands()
        .filter(|part| part.get_name() != "help" && !part.is_hide_set())
    {
        let man = clap_mangen::Man::new(part.clone());
        let mut written = Vec::new();
        man.render_synopsis_section(&mut written)
            .and_then(|()| man.render_description_section(&mut written))
            .and_then(|()| man.render_options_section(&mut written))
            .map_err(|cause| own("the manual can't be made", cause))?;
        page.extend_from_slice(
            format!(".SH \"TIDEGATE {}\"\n", part.get_name().to_uppercase()).as_bytes(),
        );
        let text = String::from_utf8_lossy(&written).replace(".SH ", ".SS ");
        page.extend_from_slice(text.as_bytes());
    }
    world.say(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Done)
}
