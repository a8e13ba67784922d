//! What a figure was measured on: printed above every table, because a figure without its machine says nothing.

use std::fs::read_to_string;

/// One line: processor, cores, memory, system, how the program was built.
pub fn print() {
    let field = |file: &str, name: &str| {
        let text = read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|l| l.split_once(':')).map_or_else(
            || "unknown".to_owned(),
            |(_, value)| value.trim().to_owned(),
        )
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory: u64 = field("/proc/meminfo", "MemTotal")
        .split(' ')
        .next()
        .and_then(|kb| kb.parse().ok())
        .unwrap_or(0);
    let system = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "{} × {cores}, {} GB, Linux {}, load before {}, {} build",
        field("/proc/cpuinfo", "model name"),
        memory >> 20,
        system.trim(),
        load.split(' ').next().unwrap_or("unknown"),
        if cfg!(debug_assertions) {
            "debug: figures mean little"
        } else {
            "release"
        },
    );
}
