//! The program. Everything it does is in the library; here a panic gets manners.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Without the hook a panic is only uglier, so a failure to install it is no reason to stop.
    let _ = color_eyre::config::HookBuilder::default()
        .display_env_section(false)
        .panic_section("This is a mistake in tidegate. No migration is stopped by it: the engine is a process of its own.")
        .install();
    tidegate::cli::main()
}
