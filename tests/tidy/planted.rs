//! The checks find what is planted for them, and nothing in what only looks like it.

use crate::checks::{self, Only};
use crate::imports::{self, Unit};
use crate::source::{File, blank, mark_tests};

fn file(path: &str, text: &str) -> File {
    File::new(path, text)
}

const UNITS: &[Unit] = &[
    Unit {
        path: "domain",
        may: &[],
    },
    Unit {
        path: "db",
        may: &["domain"],
    },
    Unit {
        path: "db::sqlite",
        may: &["domain", "db"],
    },
    Unit {
        path: "journal",
        may: &["domain"],
    },
    Unit {
        path: "engine",
        may: &["domain", "db"],
    },
    Unit {
        path: "tui",
        may: &["domain", "journal::Reader"],
    },
];

fn wrong(path: &str, text: &str) -> usize {
    imports::check(UNITS, &file(path, text)).len()
}

#[test]
fn an_import_of_a_higher_layer_is_found_however_it_is_written() {
    for text in [
        "use crate::engine::Engine;",
        "use crate::{domain::id::Seq, engine};",
        "use crate::{\n    domain::{id::Seq, key::{Key, Bound}},\n    engine::{self, clock},\n};",
        "fn f() { crate::engine::start() }",
        "use super::super::engine::clock;",
        "use super::super::{domain::id, engine::clock};",
        "pub use super::super::engine as other;",
    ] {
        assert_eq!(wrong("src/db/canon.rs", text), 1, "{text}");
    }
    assert_eq!(wrong("src/domain/mod.rs", "use super::engine;"), 1);
    assert_eq!(
        wrong("src/domain/deep/er.rs", "use super::super::super::tui::x;"),
        1
    );
    // Siblings of one layer, and adapters behind their traits.
    assert_eq!(wrong("src/db/mod.rs", "use crate::journal::Journal;"), 1);
    assert_eq!(
        wrong("src/engine/mod.rs", "use crate::db::sqlite::open;"),
        1
    );
    assert_eq!(
        wrong("src/engine/mod.rs", "use crate::db::{View, sqlite};"),
        1
    );
    // A part of a layer may be open where the rest of it is closed.
    assert_eq!(wrong("src/tui/mod.rs", "use crate::journal::Reader;"), 0);
    assert_eq!(
        wrong("src/tui/mod.rs", "use crate::journal::{Reader, Journal};"),
        1
    );
    // A module that no layer knows.
    assert_eq!(wrong("src/novel.rs", "fn f() {}"), 1);
}

#[test]
fn what_may_be_imported_is_let_through() {
    for text in [
        "use crate::domain::id::{Seq, ChunkId};",
        "use super::View;",
        "use super::{View, canon::digest};",
        "// use crate::engine::Engine;\n/* crate::engine */",
        "const A: &str = \"crate::engine::x\"; const B: &str = r#\"crate::engine\"#;",
        "#[cfg(test)]\nmod tests {\n    use crate::engine::Engine;\n}",
        "#[cfg(test)]\n#[allow(unused)]\nuse crate::engine::Engine;\nfn f() {}",
    ] {
        assert_eq!(wrong("src/db/canon.rs", text), 0, "{text}");
    }
}

const CLOCK: Only = Only {
    what: "reads a clock",
    patterns: &["Instant::now", "SystemTime::now"],
    may: &[
        ("src/engine/clock.rs", "the one clock"),
        ("src/demo/", "not tidegate"),
    ],
};

#[test]
fn what_belongs_elsewhere_is_found_and_a_stale_excuse_too() {
    let now = "fn f() { let t = std::time::Instant::now(); }";
    let files = [
        file("src/engine/clock.rs", now),
        file("src/demo/app.rs", now),
        file("src/state/pace.rs", "\n\nfn f() { g(Instant::now) }"),
        file("tests/any.rs", now),
    ];
    assert_eq!(
        checks::only(&CLOCK, &files),
        ["src/state/pace.rs:3: reads a clock (Instant::now)"]
    );
    let stale = checks::only(&CLOCK, &files[..1]);
    assert!(
        stale.len() == 1 && stale[0].contains("`src/demo/`"),
        "{stale:?}"
    );
}

#[test]
fn a_call_that_ends_the_program_needs_its_proof() {
    for text in [
        "fn f() { x.unwrap(); }",
        "fn f() { x.expect(\"it is there\"); }",
        "fn f() { todo!() }",
        "fn f() { panic!(\"no\") }",
        "// proven: short\nfn f() { x.unwrap(); }",
        "// proven: the list was made by us, just above\n\nfn f() { x.unwrap(); }",
        "#[cfg(not(test))]\nfn f() { x.unwrap() }",
    ] {
        assert_eq!(checks::unproven(&file("src/a.rs", text)).len(), 1, "{text}");
    }
    for text in [
        "fn f() { x.unwrap(); } // proven: the list was made by us",
        "// proven: the list was made by us, with one element\n// at least.\nfn f() { x.unwrap(); }",
        "#[cfg(test)]\nmod tests { fn f() { x.unwrap(); } }",
        "/// x.unwrap()\nfn f() { x.unwrap_or_default() }",
        "#[test]\n#[cfg(test)]\nfn f() { x.unwrap() }",
    ] {
        assert!(
            checks::unproven(&file("src/a.rs", text)).is_empty(),
            "{text}"
        );
    }
    assert!(checks::unproven(&file("tests/a.rs", "fn f() { x.unwrap() }")).is_empty());
}

#[test]
fn a_module_for_tests_only_may_do_what_tests_do() {
    let mut files = [
        file("src/a/mod.rs", "mod b;\n#[cfg(test)]\nmod tests;"),
        file("src/a/b.rs", "fn f() { x.unwrap() }"),
        file("src/a/tests/mod.rs", "mod deep;\nfn f() { x.unwrap() }"),
        file("src/a/tests/deep.rs", "fn f() { x.unwrap() }"),
    ];
    mark_tests(&mut files);
    let found: Vec<_> = files.iter().flat_map(checks::unproven).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("src/a/b.rs:1"));
}

#[test]
fn texts_comments_characters_and_lifetimes_are_told_apart() {
    let code = blank(
        "let a = \"x \\\" panic!\"; let b = 'p'; let c: &'a str = r##\"panic! \"# \"##; let d = b'\\''; // panic!\n/* a /* panic! */ panic! */ f('\\u{1F600}', '—')",
    );
    assert!(!code.contains("panic!"), "{code}");
    assert!(
        code.contains("let b =") && code.contains("&'a str") && code.contains("let d ="),
        "{code}"
    );
    assert!(code.contains("f('"), "{code}");
}

#[test]
fn files_that_nothing_leads_to_are_found() {
    let files = [
        file("src/lib.rs", "mod a;\n#[path = \"other/place.rs\"]\nmod b;"),
        file("src/a.rs", "pub mod c;"),
        file("src/a/c.rs", ""),
        file("src/a/lost.rs", ""),
        file("src/other/place.rs", ""),
        file("tests/one.rs", "#[path = \"one/world.rs\"]\nmod world;"),
        file("tests/one/world.rs", ""),
        file("tests/one/lost.rs", ""),
        file(
            "tests/two/main.rs",
            "#[path = \"../shared/mod.rs\"]\n#[allow(dead_code)]\nmod shared;\nmod three;",
        ),
        file("tests/shared/mod.rs", ""),
        file("tests/two/three.rs", ""),
    ];
    assert_eq!(
        checks::orphans(&files),
        [
            "src/a/lost.rs: no `mod` leads to it",
            "tests/one/lost.rs: no `mod` leads to it"
        ]
    );
}

#[test]
fn long_silent_and_badly_named_files_are_found() {
    assert!(checks::too_long(&file("src/a.rs", &"\n".repeat(801)), 800).is_some());
    assert!(checks::too_long(&file("src/a.rs", &"\n".repeat(800)), 800).is_none());
    assert!(checks::unsaid(&file("src/a.rs", "use std::fmt;")).is_some());
    assert!(checks::unsaid(&file("src/a.rs", "#![x]\n\n//! What it is.\n")).is_none());
    for path in [
        "src/utils.rs",
        "src/common/x.rs",
        "src/db/key_helpers.rs",
        "src/Manager.rs",
    ] {
        assert!(checks::says_nothing(path).is_some(), "{path}");
    }
    assert!(checks::says_nothing("src/commons_of_paris.rs").is_none());
}

#[test]
fn a_test_left_out_in_silence_is_found() {
    let text = "#[test]\n#[ignore]\nfn a() {}\n#[test]\n#[ignore = \"slow\"]\nfn b() {}\n#[test]\n#[ignore = \"run by parent\"]\nfn c() {}\n#[test]\n#[ignore = \"run by nobody\"]\nfn d() {}\nfn parent() { ignore() }\n#[ignore = \"for looking at it\"]\nfn e() {}";
    let found = checks::left_out(&[file("src/a.rs", text)]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[2].starts_with("src/a.rs:11"));
    let text =
        "#[test]\n#[ignore = \"needs a PostgreSQL server: tests/run starts one\"]\nfn a() {}";
    assert!(checks::left_out(&[file("tests/postgres/a.rs", text)]).is_empty());
    assert_eq!(checks::left_out(&[file("tests/cli/a.rs", text)]).len(), 1);
}

#[test]
fn a_map_that_is_not_the_country_is_found() {
    let files = [
        file("src/a/one.rs", "fn it_holds_for_all() {}"),
        file("src/a/deep/two.rs", ""),
        file("src/b/three.rs", ""),
    ];
    let there = |path: &str| path == "src/a" || path == "src/a/one.rs";
    let map = "`src/a/` and `src/a/one.rs`: *`it_holds_for_all`*; `some_name`, `src/a b`";
    assert_eq!(
        checks::mapped(map, &files, there),
        ["the map does not show src/b/"]
    );
    let map = "`src/a/`, `src/b/`, `src/a/gone.rs`, `it_held_for_all_once`";
    assert_eq!(checks::mapped(map, &files, there).len(), 3);
}

#[test]
fn a_path_of_one_machine_is_found() {
    let telling = format!("see /{}main for more", "work/");
    let texts = [
        ("a.md".to_owned(), format!("one\n{telling}\n")),
        (
            "b.md".to_owned(),
            "src/work/x and https://a.b/work".to_owned(),
        ),
    ];
    assert_eq!(checks::telling(&texts), [format!("a.md:2: {telling}")]);
}

#[test]
fn a_crate_or_a_clock_in_the_wrong_part_is_found() {
    let crates = checks::dependencies(
        "[package]\nname = \"x\"\n[dependencies]\n# text = here\nratatui = \"1\"\ntui-textarea = { version = \"1\" } # why\nserde = \"1\"\n[profile.dev]\nx = 1\n",
    );
    assert_eq!(crates, ["ratatui", "tui_textarea", "serde"]);
    let allowed: &[(&str, &[&str])] = &[("ratatui", &["src/tui/"])];
    let text = "use ratatui::buffer::Buffer;\nuse serde::Serialize;";
    assert!(checks::foreign(&file("src/tui/a.rs", text), allowed, &crates).is_empty());
    assert_eq!(
        checks::foreign(&file("src/state/a.rs", text), allowed, &crates).len(),
        1
    );
    let pure: &[(&str, &[&str])] = &[("src/state/", &["serde"])];
    assert_eq!(
        checks::impure(&file("src/state/a.rs", text), pure, &crates).len(),
        1
    );
    assert_eq!(
        checks::impure(
            &file("src/state/a.rs", "use std::time::{Instant, Duration};"),
            pure,
            &crates
        )
        .len(),
        1
    );
    assert!(checks::impure(&file("src/tui/a.rs", text), pure, &crates).is_empty());
}
