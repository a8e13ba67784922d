//! `tidegate init`: looks at two databases, changes nothing, and writes a commented config.

use super::ends::Ends;
use super::world::{Exit, World, own};
use crate::config::url::{HIDDEN, Url};
use crate::db::across::names;
use crate::db::{Survey, Surveyed};
use crate::domain::fault::{Fault, Kind, Result};
use crate::domain::plan::Side;
use crate::domain::table::{Mode, Table};
use crate::domain::unit::{Rows, counted, roughly};
use crate::engine::clock::Watch;
use crate::faces::paint::Role;
use clap::Args;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// `tidegate init`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  tidegate init --source sqlite:///data/shop.db --target sqlite:///data/shop-new.db\n  \
    tidegate init --source postgres://tidegate@db1/shop --target postgres://tidegate@db2/shop\n  \
    tidegate init --source 'postgres://?service=shop_old' --target 'postgres://?service=shop_new'"
)]
pub struct Options {
    /// Where rows come from: postgres://user@host/database, postgres://?service=NAME, sqlite:///path or a path
    #[arg(long, value_name = "URL")]
    source: String,
    /// Where they go; a SQLite file need not exist yet, a PostgreSQL database must
    #[arg(long, value_name = "URL")]
    target: String,
    /// The config to write; one that is there is never overwritten
    #[arg(long, short, value_name = "FILE", default_value = "tidegate.toml")]
    output: PathBuf,
    /// The migration's name [default: the source's name and the year]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Looks and writes.
pub async fn run(options: &Options, world: &World) -> Result<Exit> {
    refuse_overwrite(&options.output)?;
    let watch = Watch::start();
    let ends = Ends::open(world.url(&options.source)?, world.url(&options.target)?).await?;
    let name = match &options.name {
        Some(name) => crate::domain::id::MigrationName::new(name.as_str())
            .map_err(|why| Fault::new(Kind::Usage, why).hint("--name shop-2026"))?
            .to_string(),
        None => guessed_name(&ends.from.end().label),
    };
    let took = watch.took();
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&options.output)
        .map_err(|cause| {
            own(
                &format!("{} can't be written", options.output.display()),
                cause,
            )
        })?;
    file.write_all(config(&name, &ends).as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|cause| {
            own(
                &format!("{} can't be written", options.output.display()),
                cause,
            )
        })?;
    let paint = world.paint();
    let shown = options.output.display();
    let mut out = format!("looked at both, changed nothing ({took})\n");
    let _ = writeln!(out, "  source  {}", described(&ends.from, &ends.ours));
    let _ = writeln!(out, "  target  {}", described(&ends.to, &ends.theirs));
    let _ = writeln!(out, "  way     {}", ends.from.engine().words().way);
    for (at, line) in care(&ends).iter().enumerate() {
        let label = if at == 0 { "care" } else { "" };
        let _ = writeln!(out, "  {label:6}  {line}");
    }
    let _ = writeln!(
        out,
        "{} {shown}   environment = \"prod\" (safest; change it if this is not)",
        paint.role(Role::Good, "wrote")
    );
    if let Some(note) = passwords(&ends) {
        let _ = writeln!(out, "{} {note}", paint.role(Role::Warn, "note"));
    }
    let _ = writeln!(out, "next: tidegate check -c {shown}");
    world.say(&paint.plain(&out))?;
    Ok(Exit::Done)
}

/// The environment's name for a side's password.
fn variable(side: Side) -> String {
    format!("TIDEGATE_{}_PASSWORD", side.label().to_uppercase())
}

/// A URL as it stands in a config: its password is looked up where the engine starts, and lies in no file of ours.
fn without_password(url: &Url, side: Side) -> String {
    url.to_string()
        .replace(HIDDEN, &format!("${{{}}}", variable(side)))
}

/// What to do about passwords that were in the URLs.
fn passwords(ends: &Ends) -> Option<String> {
    let sides = [(&ends.from, Side::Source), (&ends.to, Side::Target)];
    let names: Vec<String> = sides
        .into_iter()
        .filter(|(url, _)| url.to_string().contains(HIDDEN))
        .map(|(_, side)| variable(side))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "a password on the command line is seen in ps and in your shell's history. The config reads {} from the \
             environment instead: set it, written as in the URL; or take it out and use ~/.pgpass",
            names.join(" and ")
        )
    })
}

fn refuse_overwrite(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(Fault::new(
            Kind::Usage,
            format!(
                "{} is there already, and is not overwritten",
                path.display()
            ),
        )
        .code("CONFIG-EXISTS")
        .hint("write another one with -o FILE, or move it away"));
    }
    Ok(())
}

/// The source's name and the year: what people call such a thing anyway.
fn guessed_name(label: &str) -> String {
    let year = jiff::Timestamp::from_millisecond(crate::engine::clock::wall().0)
        .map(|now| now.to_zoned(jiff::tz::TimeZone::UTC).year())
        .unwrap_or(1970);
    let plain: String = label
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let plain = plain.trim_matches('-');
    let stem = if plain.is_empty() { "migration" } else { plain };
    format!("{}-{year}", stem.chars().take(50).collect::<String>())
}

fn described(url: &Url, survey: &Survey) -> String {
    if survey.tables.is_empty() {
        return format!("{}  {url}  empty", survey.version);
    }
    let (rows, exact) = survey.rows();
    let mode = survey
        .properties
        .iter()
        .find(|(name, _)| name == "journal_mode");
    let mode = mode.map_or(String::new(), |(name, value)| format!("  {name} {value}"));
    format!(
        "{}  {url}  {}  {}  {}{mode}",
        survey.version,
        counted(survey.tables.len() as u64, "table"),
        roughly(rows, exact),
        survey.bytes
    )
}

/// What a table of the source is called on the target.
fn named(ends: &Ends, table: &Table) -> String {
    names::across(ends.from.engine(), ends.to.engine(), &table.source)
}

/// What its user should know before anything else.
fn care(ends: &Ends) -> Vec<String> {
    let (ours, theirs) = (&ends.ours, &ends.theirs);
    let mut lines = Vec::new();
    if let Some((setting, needed)) = ends.from.engine().words().needs
        && let Some((_, value)) = ours.properties.iter().find(|(name, _)| name == setting)
        && value != needed
    {
        lines.push(format!(
            "{setting} is {value} on the source, and live it goes only with {needed}: check says how to set it"
        ));
    }
    let personal: Vec<String> = ours
        .tables
        .iter()
        .flat_map(|found| {
            personal_columns(&found.table)
                .map(move |column| format!("{}.{column}", found.table.source))
        })
        .collect();
    if !personal.is_empty() {
        let s = if personal.len() == 1 {
            " looks"
        } else {
            "s look"
        };
        lines.push(format!(
            "{} column{s} personal ({}): shown as •••• everywhere",
            personal.len(),
            some(&personal)
        ));
    }
    for found in &ours.tables {
        if let Mode::LeftOut(why) = &found.table.mode {
            lines.push(format!("{} is not moved: {why}", found.table.source));
        }
    }
    let filled: Vec<String> = theirs
        .tables
        .iter()
        .filter(|there| there.rows > Rows::ZERO)
        .filter(|there| {
            ours.tables
                .iter()
                .any(|our| named(ends, &our.table).eq_ignore_ascii_case(&there.table.target))
        })
        .map(|there| format!("{} ({})", there.table.target, counted(there.rows.0, "row")))
        .collect();
    if !filled.is_empty() {
        lines.push(format!(
            "on the target there are rows already: {}; say what to do with them",
            some(&filled)
        ));
    }
    lines
}

fn some(names: &[String]) -> String {
    let shown = names.iter().take(4).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 4 {
        format!("{shown} and {} more", names.len() - 4)
    } else {
        shown
    }
}

/// Columns whose names say that a person is behind them.
fn personal_columns(table: &Table) -> impl Iterator<Item = &str> {
    const WORDS: [&str; 26] = [
        "email",
        "mail",
        "phone",
        "mobile",
        "fax",
        "birth",
        "birthday",
        "dob",
        "ssn",
        "passport",
        "iban",
        "password",
        "passwd",
        "secret",
        "token",
        "street",
        "address",
        "surname",
        "firstname",
        "lastname",
        "fullname",
        "salary",
        "gender",
        "religion",
        "note",
        "ip",
    ];
    table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .filter(|name| {
            let lower = name.to_ascii_lowercase();
            let whole = lower.replace(['_', '-'], "");
            WORDS.contains(&whole.as_str())
                || lower
                    .split(['_', '-', ' '])
                    .any(|word| WORDS.contains(&word))
        })
}

fn config(name: &str, ends: &Ends) -> String {
    let mut out = format!(
        "# Written by tidegate {} after looking at both databases. Next: tidegate check\n\n\
         [migration]\n\
         {:32} # typed by hand to arm what can't be undone\n\
         environment = \"prod\"             # prod, staging or dev: colours the header\n\n\
         [source]\n\
         url = {}\n\
         {}\n\
         [target]\n\
         url = {}\n\n",
        env!("CARGO_PKG_VERSION"),
        format!("name = {}", quoted(name)),
        quoted(&without_password(&ends.from, Side::Source)),
        ends.from.engine().words().source_keys,
        quoted(&without_password(&ends.to, Side::Target)),
    );
    out.push_str("# Every table of the source. Take one out, and it stays behind.\n");
    for found in &ends.ours.tables {
        let name = named(ends, &found.table);
        table(&mut out, found, &name, &ends.theirs);
    }
    out.push_str(
        "[backfill]\n\
         # chunk_time = \"500ms\"           # how long reading one chunk takes; sizes adapt to it\n\
         # max_rows_per_second = \"20k\"    # the pace at the start; none: as fast as the signals allow\n\
         # workers = 2                    # chunks that land at once, where the target gains from it\n\n\
         [throttle]\n\
         # max_lag = \"3s\"                 # the copy slows as the stream's lag nears this, and waits beyond it\n\
         # max_lock_wait = \"50ms\"         # the longest a write of the application may wait for tidegate\n\
         # stale_after = \"10s\"            # a signal older than this pauses the copy\n\
",
    );
    out.push_str(ends.from.engine().words().throttle_keys);
    out.push_str(
        "\n\
         # [[signal]]                     # what no database tells: CPU, free disk, an error budget\n\
         # name = \"cpu of the source\"\n\
         # prometheus = \"http://prometheus:9090\"   # or command = [\"/opt/cpu\"], http = \"http://…\", sql = \"select …\"\n\
         # query = \"max(…)\"             # http: pick = \"/json/pointer\"; sql: on = \"source\" or \"target\"\n\
         # limit = 80                     # slows from 40, stands still at 80; min = \"10GB\" for what should stay above\n\
         # every = \"5s\"\n\n\
         [verify]\n\
         # max_age = \"1h\"                 # once in step, no row's last compare is older\n\
         # max_rows_per_second = \"50k\"\n\n\
         # [[shadow]]                     # a read that is run on both sides and compared\n\
         # name = \"orders of a customer\"\n\
         # sql = \"select * from orders where customer = ?1\"\n\
         # params = \"select id from customers order by random() limit 1\"\n\
         # ordered = false\n",
    );
    out
}

/// `name`: what the table is called on the target.
fn table(out: &mut String, found: &Surveyed, name: &str, theirs: &Survey) {
    let table = &found.table;
    if let Mode::LeftOut(why) = &table.mode {
        let _ = writeln!(
            out,
            "# {} is not moved: {why}\n",
            table.source.replace('\n', " ")
        );
        return;
    }
    let _ = writeln!(
        out,
        "[[table]]\n{:32} # {}",
        format!("source = {}", quoted(&table.source)),
        roughly(found.rows, found.exact)
    );
    let masked: Vec<String> = personal_columns(table).map(quoted).collect();
    if !masked.is_empty() {
        let _ = writeln!(
            out,
            "{:32} # never shown",
            format!("mask = [{}]", masked.join(", "))
        );
    }
    let there = theirs
        .tables
        .iter()
        .find(|there| there.table.target.eq_ignore_ascii_case(name));
    if let Some(there) = there.filter(|there| there.rows > Rows::ZERO) {
        let _ = writeln!(
            out,
            "# existing = \"verify\"   # the target has {}: compare them with the source, then repair",
            counted(there.rows.0, "row")
        );
    }
    out.push('\n');
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::table::Column;

    #[test]
    fn columns_that_look_personal_are_told_by_whole_words() {
        let named = |names: &[&str]| Table {
            source: "t".into(),
            target: "t".into(),
            columns: names
                .iter()
                .map(|name| Column {
                    name: (*name).into(),
                    declared: String::new(),
                    masked: false,
                    becomes: String::new(),
                })
                .collect(),
            mode: Mode::LeftOut(String::new()),
            shape: String::new(),
        };
        let table = named(&[
            "id",
            "email",
            "work_phone",
            "First_Name",
            "notes",
            "shipping_id",
            "zip",
            "order_note",
        ]);
        let found: Vec<&str> = personal_columns(&table).collect();
        assert_eq!(found, ["email", "work_phone", "First_Name", "order_note"]);
    }

    #[test]
    fn a_guessed_name_is_a_name() {
        for label in ["shop", "my shop (old)", "", "…", &"x".repeat(200)] {
            let name = guessed_name(label);
            assert!(
                crate::domain::id::MigrationName::new(name.as_str()).is_ok(),
                "{name}"
            );
        }
    }
}
