//! The real program, called as people call it.

mod live;
mod place;
mod postgres;

use place::{Place, SHOP};
use rusqlite::Connection;
use std::path::Path;

/// Every command there is, as the program itself lists them.
fn commands(place: &Place) -> Vec<String> {
    let help = place.call(&["--help"]).out;
    let list = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    // Two blanks before a name, more before the rest of its description.
    list.lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_has_help_and_none_is_there_that_does_nothing() {
    let place = Place::new();
    let names = commands(&place);
    assert!(names.len() > 5, "{names:?}");
    for name in names.iter().filter(|name| *name != "help") {
        let called = place.call(&[name, "--help"]);
        assert_eq!(called.code, 0, "{name}: {}", called.err);
        assert!(called.out.contains("Usage:"), "{name}: {}", called.out);
    }
    for later in ["cutover", "drill", "reads", "rescue", "pilot", "rollback"] {
        assert!(
            !names.iter().any(|name| name == later),
            "{later} is not in this version"
        );
    }
}

#[test]
fn a_mistyped_command_or_option_is_suggested() {
    let place = Place::new();
    let called = place.call(&["verfy"]);
    assert_eq!(called.code, 2);
    assert!(
        called.err.contains("there is no command \"verfy\""),
        "{}",
        called.err
    );
    assert!(
        called.err.contains("did you mean verify?"),
        "{}",
        called.err
    );
    let called = place.call(&["check", "--confg", "x"]);
    assert_eq!(called.code, 2);
    assert!(called.err.contains("takes no --confg"), "{}", called.err);
    assert!(
        called.err.contains("did you mean --config?"),
        "{}",
        called.err
    );
    let called = place.call(&["init", "--source", "a.db"]);
    assert_eq!(called.code, 2);
    assert!(
        called.err.contains("tidegate init needs --target <URL>"),
        "{}",
        called.err
    );
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.call(&["completions", shell]);
        assert_eq!(script.code, 0);
        for name in commands(&place) {
            assert!(script.out.contains(&name), "{shell} does not know {name}");
        }
    }
    let manual = place.call(&["man"]);
    assert_eq!(manual.code, 0);
    assert!(manual.out.contains(".TH tidegate 1"));
    for name in commands(&place).iter().filter(|name| *name != "help") {
        assert!(
            manual
                .out
                .contains(&format!(".SH \"TIDEGATE {}\"", name.to_uppercase())),
            "{name}"
        );
    }
}

#[test]
fn a_wrong_key_says_file_line_and_remedy() {
    let place = Place::new();
    place.write(
        "t.toml",
        "[migration]\nname = \"a\"\n[source]\nurl = \"a.db\"\n[target]\nurl = \"b.db\"\n[throttle]\nmax_lags = \"3s\"\n",
    );
    let called = place.call(&["check", "-c", "t.toml"]);
    assert_eq!(called.code, 2);
    assert!(
        called.err.starts_with("tidegate: t.toml:8: [throttle] has no \"max_lags\"; did you mean \"max_lag\"?  (keys: max_lag,"),
        "{}",
        called.err
    );
    let called = place.call(&["check", "-c", "none.toml"]);
    assert_eq!(called.code, 2);
    assert!(
        called.err.contains("there is no none.toml"),
        "{}",
        called.err
    );
    assert!(called.err.contains("hint: tidegate init"), "{}", called.err);
}

#[test]
fn a_table_the_source_does_not_have_is_told_with_its_line() {
    let place = Place::new();
    place.database("a.db", SHOP);
    let config = |table: &str| {
        format!(
            "[migration]\nname = \"a\"\n[source]\nurl = \"a.db\"\n[target]\nurl = \"b.db\"\n[[table]]\n{table}\n"
        )
    };
    place.write("t.toml", &config("source = \"ordrs\""));
    let called = place.call(&["check", "-c", "t.toml"]);
    assert_eq!(called.code, 2);
    assert!(
        called.err.contains(
            "t.toml:8: [[table]] the source has no table \"ordrs\"; did you mean \"orders\"?"
        ),
        "{}",
        called.err
    );
    place.write(
        "t.toml",
        &config("source = \"customers\"\nmask = [\"mail\"]"),
    );
    let called = place.call(&["check", "-c", "t.toml"]);
    assert_eq!(called.code, 2);
    assert!(
        called.err.contains(
            "t.toml:9: [[table]] mask: customers has no column \"mail\"; did you mean \"email\"?"
        ),
        "{}",
        called.err
    );
}

#[test]
fn what_is_no_database_is_told_as_what_it_is() {
    let place = Place::new();
    place.database("good.db", SHOP);
    std::fs::create_dir(place.path("folder")).unwrap();
    place.write("text.db", "this is not a database, whatever its name says; it is only text, and long enough for a header");
    let told = |source: &str, code: i32| {
        let called = place.call(&["verify", source, "good.db"]);
        assert_eq!(called.code, code, "{source}: {}", called.err);
        assert!(called.out.is_empty(), "{source}: {}", called.out);
        called.err
    };
    for (source, code, words) in [
        ("nope.db", 3, "nope.db"),
        ("folder", 2, "is a directory"),
        ("text.db", 3, "not a database"),
    ] {
        let err = told(source, code);
        assert!(err.contains(words), "{err}");
        assert!(err.contains("hint:"), "{err}");
    }
    let called = place.call(&["verify", "good.db", "nope.db"]);
    assert_eq!(called.code, 3);
    assert!(!place.path("nope.db").exists(), "a compare makes no file");
}

#[test]
fn a_file_that_may_not_be_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.database("good.db", SHOP);
    drop(place.database("shut.db", SHOP));
    std::fs::set_permissions(
        place.path("shut.db"),
        std::fs::Permissions::from_mode(0o000),
    )
    .unwrap();
    if std::fs::File::open(place.path("shut.db")).is_ok() {
        return; // root reads everything
    }
    let called = place.call(&["verify", "shut.db", "good.db"]);
    assert_eq!(called.code, 3, "{}", called.err);
    assert!(called.err.contains("hint:"), "{}", called.err);
}

#[test]
fn the_same_database_twice_is_refused_also_by_another_name() {
    let place = Place::new();
    place.database("a.db", SHOP);
    std::os::unix::fs::symlink(place.path("a.db"), place.path("link.db")).unwrap();
    for args in [
        ["verify", "a.db", "a.db"],
        ["verify", "a.db", "sqlite:a.db"],
        ["verify", "a.db", "link.db"],
    ] {
        let called = place.call(&args);
        assert_eq!(called.code, 2, "{args:?}");
        assert!(
            called
                .err
                .contains("source and target are the same database"),
            "{}",
            called.err
        );
        assert!(
            called.err.contains("tidegate explain SAME-DATABASE"),
            "{}",
            called.err
        );
    }
    let called = place.call(&["init", "--source", "a.db", "--target", "link.db"]);
    assert_eq!(called.code, 2);
    assert!(!place.path("tidegate.toml").exists());
}

#[test]
fn equal_databases_are_equal_and_every_row_is_counted() {
    let place = Place::new();
    place.database("a.db", SHOP);
    place.database("b.db", SHOP);
    let called = place.call(&["verify", "a.db", "b.db", "--json"]);
    assert_eq!(called.code, 0, "{}{}", called.out, called.err);
    let told: serde_json::Value = serde_json::from_str(&called.out).unwrap();
    assert_eq!(told["answer"], "equal");
    let orders = told["tables"]
        .as_array()
        .unwrap()
        .iter()
        .find(|table| table["source"] == "orders")
        .unwrap();
    assert_eq!(
        (&orders["source_rows"], &orders["target_rows"]),
        (&5000.into(), &5000.into())
    );
    assert_eq!(orders["chunks"], orders["compared"]);
    assert!(orders["chunks"].as_u64().unwrap() > 0);
}

#[test]
fn what_differs_is_told_by_row_and_column() {
    let place = Place::new();
    place.database("a.db", SHOP);
    let b = place.database("b.db", SHOP);
    b.execute_batch("delete from orders where id in (7, 9); update orders set total = 1 where id = 4321; insert into orders values (9000, 1, 1)")
        .unwrap();
    let called = place.call(&["verify", "a.db", "b.db", "--rows"]);
    assert_eq!(called.code, 1, "{}{}", called.out, called.err);
    for line in [
        "customers  2,000 = 2,000  equal",
        "2 missing on the target, 1 only on the target, 1 differs (total)",
        "id 7  missing on the target",
        "id 4321  total: 2160.5 → 1.0",
        "id 9000  only on the target",
        "differs: 4 rows in 1 of 2 tables",
    ] {
        assert!(
            called.out.contains(line),
            "no \"{line}\" in\n{}",
            called.out
        );
    }
    let only = place.call(&["verify", "a.db", "b.db", "-t", "customers"]);
    assert_eq!(only.code, 0, "{}", only.out);
    let typo = place.call(&["verify", "a.db", "b.db", "-t", "custmers"]);
    assert_eq!(typo.code, 2);
    assert!(
        typo.err.contains("did you mean \"customers\"?"),
        "{}",
        typo.err
    );
}

#[test]
fn a_storage_class_is_a_difference() {
    let place = Place::new();
    place.database("a.db", "create table t(id integer primary key, v); insert into t values (1, 1), (2, null), (3, x'31'), (4, 'a')");
    place.database("b.db", "create table t(id integer primary key, v); insert into t values (1, '1'), (2, ''), (3, '1'), (4, 'a')");
    let called = place.call(&["verify", "a.db", "b.db", "--rows"]);
    assert_eq!(called.code, 1);
    for line in [
        "id 1  v: 1 → '1'",
        "id 2  v: NULL → ''",
        "id 3  v: x'31' → '1'",
    ] {
        assert!(
            called.out.contains(line),
            "no \"{line}\" in\n{}",
            called.out
        );
    }
    assert!(called.out.contains("3 differ (v)"), "{}", called.out);
}

#[test]
fn a_pass_over_nothing_proves_nothing() {
    let place = Place::new();
    place.database("empty.db", "");
    place.database("other.db", "");
    place.database("bare.db", "create table t(id integer primary key)");
    place.database("bare2.db", "create table t(id integer primary key)");
    for (a, b) in [("empty.db", "other.db"), ("bare.db", "bare2.db")] {
        let called = place.call(&["verify", a, b]);
        assert_eq!(called.code, 6, "{}{}", called.out, called.err);
        assert!(called.out.contains("INVALID"), "{}", called.out);
    }
}

#[test]
fn a_table_on_one_side_only_is_a_difference() {
    let place = Place::new();
    place.database("a.db", SHOP);
    let b = place.database("b.db", SHOP);
    b.execute_batch("create table more(id integer primary key)")
        .unwrap();
    let called = place.call(&["verify", "a.db", "b.db"]);
    assert_eq!(called.code, 1, "{}", called.out);
    assert!(
        called.out.contains("more       only on the target"),
        "{}",
        called.out
    );
}

#[test]
fn tables_without_a_key_and_with_other_columns_are_compared_as_far_as_they_can() {
    let place = Place::new();
    let log = "create table log(at text, what text); insert into log values ('1', 'a'), ('1', 'a'), ('2', 'b');";
    place.database(
        "a.db",
        &format!(
            "{log} create table t(id integer primary key, x, y); insert into t values (1, 2, 3)"
        ),
    );
    let b = place.database(
        "b.db",
        &format!("{log} create table t(id integer primary key, x); insert into t values (1, 2)"),
    );
    let called = place.call(&["verify", "a.db", "b.db"]);
    assert_eq!(called.code, 1);
    assert!(
        called.out.contains("no key: compared as a whole, equal"),
        "{}",
        called.out
    );
    assert!(
        called.out.contains("the target has no column y"),
        "{}",
        called.out
    );
    b.execute("delete from log where rowid = 1", []).unwrap();
    let called = place.call(&["verify", "a.db", "b.db", "-t", "log"]);
    assert_eq!(
        called.code, 1,
        "one of two equal rows is missing: {}",
        called.out
    );
}

/// While somebody writes and no position is known, nothing is confirmed; what was only late is cleared up.
#[test]
fn a_pair_that_is_written_to_is_not_proven() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let place = Place::new();
    let a = place.database("a.db", SHOP);
    place
        .database("b.db", SHOP)
        .execute("update orders set total = 0 where id = 3", [])
        .unwrap();
    let stop = std::sync::Arc::new(AtomicBool::new(false));
    let writing = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            a.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
            // A slow disk must not make it look as if nobody wrote.
            a.pragma_update(None, "synchronous", "off").unwrap();
            while !stop.load(Ordering::Relaxed) {
                a.execute(
                    "update customers set email = hex(randomblob(8)) where id = 1",
                    [],
                )
                .unwrap();
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        })
    };
    let called = place.call(&["verify", "a.db", "b.db"]);
    stop.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    assert_eq!(called.code, 6, "{}{}", called.out, called.err);
    assert!(
        called.out.contains("not proven: 1 differs (total)"),
        "{}",
        called.out
    );
    assert!(
        called.out.contains("rows that differed were read twice"),
        "{}",
        called.out
    );
    assert!(
        called
            .out
            .contains("customers  2,000 = 2,000  not proven: 1 differs (email)"),
        "{}",
        called.out
    );
    let called = place.call(&["verify", "a.db", "b.db"]);
    assert_eq!(called.code, 1, "nobody writes any more: {}", called.out);
}

#[test]
fn init_writes_a_config_that_checks_and_never_overwrites() {
    let place = Place::new();
    place.database("old shop.db", SHOP);
    let called = place.call(&["init", "--source", "old shop.db", "--target", "new.db"]);
    assert_eq!(called.code, 0, "{}", called.err);
    assert!(called.out.contains("customers.email"), "{}", called.out);
    assert!(
        called.out.contains("next: tidegate check -c tidegate.toml"),
        "{}",
        called.out
    );
    assert!(!place.path("new.db").exists(), "init changes nothing");
    let written = std::fs::read_to_string(place.path("tidegate.toml")).unwrap();
    assert!(written.contains("mask = [\"email\"]"), "{written}");

    let again = place.call(&["init", "--source", "old shop.db", "--target", "new.db"]);
    assert_eq!(again.code, 2);
    assert!(
        again
            .err
            .contains("is there already, and is not overwritten"),
        "{}",
        again.err
    );
    assert_eq!(
        std::fs::read_to_string(place.path("tidegate.toml")).unwrap(),
        written
    );

    let check = place.call(&["check", "--json"]);
    assert_eq!(check.code, 0, "{}{}", check.out, check.err);
    let told: serde_json::Value = serde_json::from_str(&check.out).unwrap();
    assert_eq!(told["may_copy"], true);
    assert_eq!(told["estimate"]["rows"], 7000);
    assert!(!told["will_create"].as_array().unwrap().is_empty());
    assert!(!place.path("new.db").exists(), "check changes nothing");
}

#[test]
fn check_reads_every_signal_once_and_an_init_config_shows_how_to_write_one() {
    let place = Place::new();
    place.database("old.db", SHOP);
    let init = place.call(&["init", "--source", "old.db", "--target", "new.db"]);
    assert_eq!(init.code, 0, "{}", init.err);
    let written = std::fs::read_to_string(place.path("tidegate.toml")).unwrap();
    // What is written as an example is read when it is no comment any more.
    let example = written.split("# [[signal]]").nth(1).unwrap();
    let example = example.split("\n\n").next().unwrap();
    let example: String = example
        .lines()
        .skip(1)
        .map(|line| format!("{}\n", line.trim_start_matches("# ")))
        .collect();
    place.write(
        "tidegate.toml",
        &format!(
            "{written}\n[[signal]]\n{example}\n[[signal]]\nname = \"load\"\ncommand = [\"/bin/sh\", \"-c\", \"echo no disk >&2; exit 3\"]\nlimit = 5\n\
             [[signal]]\nname = \"orders\"\nsql = \"select count(*) from orders\"\non = \"source\"\nlimit = 1e6\n"
        ),
    );
    let check = place.call(&["check", "--json"]);
    assert_eq!(check.code, 0, "{}{}", check.out, check.err);
    let told: serde_json::Value = serde_json::from_str(&check.out).unwrap();
    let found = told["know_before"].as_array().unwrap();
    let unknown: Vec<String> = found
        .iter()
        .filter(|finding| finding["code"] == "SIGNAL-UNKNOWN")
        .map(ToString::to_string)
        .collect();
    assert_eq!(unknown.len(), 2, "{unknown:#?}");
    assert!(
        unknown
            .iter()
            .any(|u| u.contains("/bin/sh failed with exit code 3; no disk")),
        "{unknown:#?}"
    );
    assert!(
        unknown
            .iter()
            .any(|u| u.contains("prometheus:9090 can't be reached")
                || u.contains("no answer within")),
        "{unknown:#?}"
    );
    let explained = place.call(&["explain", "SIGNAL-UNKNOWN"]);
    assert_eq!(explained.code, 0, "{}", explained.err);
}

#[test]
fn check_tells_what_blocks_and_its_sql_can_be_run() {
    let place = Place::new();
    let shop = format!(
        "{SHOP} create table tickets(id integer primary key autoincrement); insert into tickets values (20005)"
    );
    place.database("a.db", &shop);
    let b = place.database(
        "b.db",
        "create table orders(id integer primary key); insert into orders values (1)",
    );
    place.write(
        "t.toml",
        "[migration]\nname = \"a\"\n[source]\nurl = \"a.db\"\n[target]\nurl = \"b.db\"\n",
    );
    let called = place.call(&["check", "-c", "t.toml"]);
    assert_eq!(called.code, 3, "{}", called.err);
    for line in [
        "BLOCKS A LIVE COPY  2",
        "TARGET-NOT-EMPTY",
        "TARGET-COLUMNS",
        "exit 3: a live copy is blocked by 2.",
    ] {
        assert!(
            called.out.contains(line),
            "no \"{line}\" in\n{}",
            called.out
        );
    }
    b.execute_batch("drop table orders").unwrap();
    let profile = place.call(&["check", "-c", "t.toml", "--profile"]);
    assert_eq!(profile.code, 0, "{}", profile.out);
    assert!(profile.out.contains("5,000 real"), "{}", profile.out);

    let sql = place.call(&["check", "-c", "t.toml", "--sql"]).out;
    let counter =
        "UPDATE sqlite_sequence SET seq = 20005 WHERE name = 'tickets' AND seq < 20005;\n";
    assert!(sql.contains(counter), "{sql}");
    assert!(!sql.lines().any(|line| line == ";"), "{sql}");
    let (mut source, mut target) = (String::new(), String::new());
    for part in sql.split("\n-- ").skip(1) {
        let (title, statements) = part.split_once('\n').unwrap();
        let side = if title.starts_with("SOURCE") {
            &mut source
        } else {
            &mut target
        };
        side.push_str(statements);
    }
    let try_out = |seed: &str, sql: &str| {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(seed).unwrap();
        conn.execute_batch(sql)
            .unwrap_or_else(|error| panic!("{error}\n{sql}"));
        let count = "select count(*) from sqlite_schema where name like 'tidegate%'";
        conn.query_row(count, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert!(try_out(&shop, &source) > 1);
    assert!(try_out("", &target) > 1);
}

#[test]
fn explain_knows_its_codes_and_suggests() {
    let place = Place::new();
    let called = place.call(&["explain", "target-not-empty"]);
    assert_eq!(called.code, 0);
    assert!(
        called.out.contains("tidegate never deletes them"),
        "{}",
        called.out
    );
    let called = place.call(&["explain", "TARGET-NOT-EMTY"]);
    assert_eq!(called.code, 2);
    assert!(
        called.err.contains("did you mean TARGET-NOT-EMPTY?"),
        "{}",
        called.err
    );
}

/// A thousand secrets in every place a URL can stand; none may come back.
#[test]
fn no_planted_secret_ever_comes_back() {
    let place = Place::new();
    place.database("good.db", SHOP);
    let mut seed = 42_u64;
    let mut random = |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    const SIGNS: &[u8] =
        b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789!#$%&*+,-./:;=?@^_~";
    let mut planted = 0;
    for round in 0..50 {
        let mut secret = || {
            let body: String = (0..10)
                .map(|_| char::from(SIGNS[random(SIGNS.len() as u64) as usize]))
                .collect();
            planted += 1;
            format!("Zq{body}Xw")
        };
        let urls: Vec<(String, String)> = (0..20)
            .map(|form| {
                let s = secret();
                let url = match form % 6 {
                    0 => format!("postgres://app:{s}@db1:5432/shop"),
                    1 => format!("mysql://root:{s}@localhost/x"),
                    2 => format!("mariadb://u:{s}@h"),
                    3 => format!("oracle://u:{s}@h/sid"),
                    4 => format!(
                        "sqlite:///data/shop.db?password={}",
                        s.replace(['&', ';', ','], "_")
                    ),
                    _ => format!("app:{s}@db1"),
                };
                (s, url)
            })
            .collect();
        let [(_, a), (_, b)] = [&urls[round % 6], &urls[(round / 6) % 6]];
        let in_config = &urls[6 + round % 6].1;
        place.write(
            "t.toml",
            &format!(
                "[migration]\nname = \"a\"\n[source]\nurl = '{in_config}'\n[target]\nurl = '{}'\npassword = '{}'\n",
                urls[12].1, urls[13].1
            ),
        );
        let mut calls = vec![
            place.call(&["verify", a, b]),
            place.call(&["verify", "good.db", b]),
            place.call(&["init", "--source", a, "--target", b]),
            place.call(&["check", "-c", "t.toml"]),
            place.call(&["check", "-c", &urls[14].1]),
            place.call(&["explain", &urls[15].1]),
            place.call(&[urls[16].1.as_str()]),
            place.call(&["verify", a, b, "--rows", &urls[17].1]),
            place.call(&["completions", &urls[18].1]),
        ];
        place.write(
            "t.toml",
            &format!(
                "[migration]\nname = '{}'\n[source]\nurl = '{in_config}'\n[target]\nurl = 'x.db'\n",
                urls[19].1
            ),
        );
        calls.push(place.call(&["check", "-c", "t.toml"]));
        for called in calls {
            assert_ne!(called.code, 0);
            for (secret, url) in &urls {
                for text in [&called.out, &called.err] {
                    // Any eight signs in a row of a secret are too many.
                    let signs: Vec<char> = secret.chars().collect();
                    for window in signs.windows(8) {
                        let piece: String = window.iter().collect();
                        assert!(!text.contains(&piece), "{piece} of {url} in:\n{text}");
                    }
                }
            }
        }
    }
    assert!(planted >= 1_000, "{planted} secrets were planted");
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    let place = Place::new();
    place.database("a.db", SHOP);
    place.database("b.db", SHOP);
    assert!(
        !place
            .call(&["verify", "a.db", "b.db"])
            .out
            .contains('\u{1b}')
    );
    assert!(
        place
            .call(&["verify", "a.db", "b.db", "--color", "always"])
            .out
            .contains('\u{1b}')
    );
    let b = Path::new("b.db");
    Connection::open(place.path("b.db"))
        .unwrap()
        .execute("delete from orders where id = 1", [])
        .unwrap();
    let plain = place.call(&["verify", "a.db", b.to_str().unwrap(), "--ascii", "--rows"]);
    assert!(plain.out.is_ascii(), "{}", plain.out);
}
