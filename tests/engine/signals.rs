//! Figures from elsewhere: read from real programs, sockets and files, and a copy that stands still by them and goes on.

use crate::support::{PATIENCE, Read, Running, World};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tidegate::domain::command::Command;
use tidegate::domain::plan::{Side, SignalPlan};
use tidegate::domain::signal::{Figure, Limit};
use tidegate::domain::unit::Span;
use tidegate::domain::value::Value;
use tidegate::signal::Outside;
use tidegate::signal::command::Program;
use tidegate::signal::http::Address;

fn figure(value: f64) -> Figure {
    Figure::new(value).unwrap()
}

fn program(words: &[&str]) -> Outside {
    Outside::Command(Program {
        program: words[0].into(),
        args: words[1..].iter().map(|word| (*word).to_owned()).collect(),
        folder: std::env::temp_dir(),
    })
}

async fn trouble(outside: &Outside) -> String {
    let fault = outside.read().await.expect_err("no figure");
    assert_eq!(fault.code, "SIGNAL-UNKNOWN");
    format!("{fault} {}", fault.hint.as_deref().unwrap_or_default())
}

#[tokio::test]
async fn a_program_prints_a_figure_or_it_is_said_why_not() {
    let read = program(&["printf", " 71.5\\n"]).read().await;
    assert_eq!(read.unwrap(), figure(71.5));
    // No shell stands between.
    let read = program(&["printf", "%s", "$((1+1))"]);
    assert!(trouble(&read).await.contains("printed no number"));
    let failing = program(&["sh", "-c", "echo 5; echo is the disk gone >&2; exit 3"]);
    let said = trouble(&failing).await;
    assert!(said.contains("sh failed with exit code 3"), "{said}");
    assert!(said.contains("is the disk gone"), "{said}");
    let none = trouble(&program(&["/nowhere/cpu", "s3cret"])).await;
    assert!(none.contains("/nowhere/cpu can't be run"), "{none}");
    assert!(!none.contains("s3cret"), "{none}");
    let endless = program(&["sh", "-c", "while :; do echo 1; done"]);
    assert!(
        !trouble(&endless).await.is_empty(),
        "what it prints is bounded"
    );
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_with_everything_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", pid.display());
    let hanging = program(&["sh", "-c", &script]);
    let read = tokio::time::timeout(Duration::from_millis(700), hanging.read()).await;
    assert!(read.is_err(), "{read:?}");
    let pid = std::fs::read_to_string(&pid).unwrap();
    let stat = format!("/proc/{}/stat", pid.trim());
    let began = Instant::now();
    // Gone, or waiting to be buried by whoever does that here.
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(began.elapsed() < PATIENCE, "the sleep lives on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A server that answers each request with the next answer, or never, and tells what it was asked.
struct Told {
    port: u16,
    asked: mpsc::Receiver<String>,
}

impl Told {
    fn server(answers: Vec<Option<String>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, asked) = mpsc::channel();
        std::thread::spawn(move || {
            let mut open: Vec<TcpStream> = Vec::new();
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let mut request = String::new();
                while let Some(Ok(line)) =
                    lines.next().filter(|l| !matches!(l, Ok(l) if l.is_empty()))
                {
                    request += &line;
                    request.push('\n');
                }
                let _ = tell.send(request);
                match answer {
                    Some(answer) => (&stream).write_all(answer.as_bytes()).unwrap(),
                    None => open.push(stream),
                }
            }
            // What was not answered stays open for as long as the test.
            std::thread::park();
        });
        Self { port, asked }
    }

    fn at(&self, rest: &str) -> Address {
        Address::parse(&format!("http://ana:s3cret@127.0.0.1:{}{rest}", self.port)).unwrap()
    }

    fn asked(&self) -> String {
        self.asked.recv_timeout(PATIENCE).unwrap()
    }
}

fn answer(status: &str, body: &str) -> Option<String> {
    let length = body.len();
    Some(format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
}

#[tokio::test]
async fn a_url_answers_with_a_figure_or_it_is_said_why_not() {
    let big = "1".repeat(2 << 20);
    let server = Told::server(vec![
        answer("200 OK", "0.72\n"),
        answer("200 OK", r#"{"disk": {"free": "12"}}"#),
        answer("200 OK", r#"{"disk": {}}"#),
        answer("200 OK", "<html>"),
        answer("503 Service Unavailable", "5"),
        answer("302 Found", "5"),
        answer("401 Unauthorized", "5"),
        answer("200 OK", &big),
        Some("what?\r\n\r\n".into()),
    ]);
    let http = |pick: Option<&str>| Outside::Http {
        at: server.at("/s3cret/cpu?token=s3cret"),
        pick: pick.map(str::to_owned),
    };
    assert_eq!(http(None).read().await.unwrap(), figure(0.72));
    let request = server.asked();
    assert!(
        request.starts_with("GET /s3cret/cpu?token=s3cret HTTP/1.1\n"),
        "{request}"
    );
    assert!(
        request
            .to_lowercase()
            .contains("authorization: basic yw5honm"),
        "{request}"
    );
    assert_eq!(http(Some("/disk/free")).read().await.unwrap(), figure(12.0));
    for (pick, expected) in [
        (Some("/disk/free"), "has no /disk/free"),
        (None, "no number"),
        (None, "answered 503"),
        (None, "redirects are not followed"),
        (None, "a user and password"),
        (None, "gave no answer"),
        (None, "gave no answer"),
    ] {
        let said = trouble(&http(pick)).await;
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(
            said.contains("127.0.0.1") && !said.contains("s3cret"),
            "{said}"
        );
    }
    let nobody = Outside::Http {
        at: Address::parse("http://127.0.0.1:1/").unwrap(),
        pick: None,
    };
    assert!(trouble(&nobody).await.contains("can't be reached"));
    let plain = Told::server(vec![answer("400 Bad Request", "")]);
    let tls = Outside::Http {
        at: Address::parse(&format!("https://127.0.0.1:{}/", plain.port)).unwrap(),
        pick: None,
    };
    assert!(trouble(&tls).await.contains("no TLS that is trusted"));
}

#[tokio::test]
async fn prometheus_is_asked_in_its_own_words() {
    let vector = |values: &[&str]| {
        let one = |value: &&str| format!(r#"{{"metric":{{}},"value":[1700000000,"{value}"]}}"#);
        let all: Vec<String> = values.iter().map(one).collect();
        let body = format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#,
            all.join(",")
        );
        answer("200 OK", &body)
    };
    let server = Told::server(vec![
        vector(&["71.25"]),
        vector(&[]),
        vector(&["1", "2"]),
        vector(&["NaN"]),
        answer(
            "400 Bad Request",
            r#"{"status":"error","error":"parse error at char 4"}"#,
        ),
        answer("502 Bad Gateway", "<html>"),
    ]);
    let prometheus = Outside::Prometheus {
        at: server.at("/prom/"),
        query: "max(cpu{db=\"1\"})".into(),
    };
    assert_eq!(prometheus.read().await.unwrap(), figure(71.25));
    let asked = server.asked();
    assert!(
        asked.starts_with("GET /prom/api/v1/query?query=max%28cpu%7Bdb%3D%221%22%7D%29 "),
        "{asked}"
    );
    for expected in [
        "knows nothing",
        "2 series",
        "no number",
        "parse error at char 4",
        "answered 502",
    ] {
        let said = trouble(&prometheus).await;
        assert!(
            said.contains(expected) && !said.contains("s3cret"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_url_that_never_answers_is_left() {
    let server = Told::server(vec![None]);
    let http = Outside::Http {
        at: server.at("/"),
        pick: None,
    };
    let read = tokio::time::timeout(Duration::from_millis(300), http.read()).await;
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_of_a_database_gives_one_figure_and_ends_in_time() {
    let world = World::with(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n REAL); INSERT INTO t VALUES (1, 0.5), (2, 7)",
    );
    let (source, _) = world.ends().await;
    let ask = async |sql: &str| source.figure(sql, Span::seconds(5)).await;
    assert_eq!(ask("select count(*) from t").await, Ok(Value::Integer(2)));
    assert_eq!(
        ask("select n from t where id = 1;").await,
        Ok(Value::Real(0.5))
    );
    for (sql, expected) in [
        ("select n from t", "several rows"),
        ("select n from t where id = 3", "no row"),
        ("select id, n from t where id = 1", "2 columns"),
        ("delete from t", "only reads"),
        ("select 1; select 2", "only reads"),
    ] {
        let said = ask(sql).await.unwrap_err().to_string();
        assert!(said.contains(expected), "{sql}: {said}");
    }
    let endless =
        "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n";
    let began = Instant::now();
    let cut = source.figure(endless, Span::millis(200)).await;
    assert!(cut.unwrap_err().to_string().contains("no answer within"));
    assert!(began.elapsed() < Duration::from_secs(20));
    // Dropped halfway it ends too, and its connection is good again.
    let dropped = source.figure(endless, Span::seconds(60));
    assert!(
        tokio::time::timeout(Duration::from_millis(100), dropped)
            .await
            .is_err()
    );
    for _ in 0..8 {
        assert_eq!(ask("select 1").await, Ok(Value::Integer(1)));
    }
}

fn watched(name: &str, limit: u32) -> SignalPlan {
    SignalPlan {
        name: name.into(),
        from: "command cat".into(),
        limit: Limit::most(limit),
        measure: Default::default(),
        every: Span::millis(100),
        timeout: Span::millis(500),
    }
}

fn says(file: &Path, text: &str) {
    // Whole at once: half a figure is another figure.
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, file).unwrap();
}

/// It is held by what is asked for, and stands still: what was begun has landed, and nothing more does.
async fn stands_still(running: &Running, by: &str) -> f64 {
    let state = running.until(by, |s| s.sample.held_by.contains(by)).await;
    let from = state.sample_tick;
    let settled = running
        .until("measured again", |s| {
            s.sample_tick.since(from) > Span::seconds(1)
        })
        .await;
    let later = running
        .until("measured once more", |s| {
            s.sample_tick.since(from) > Span::seconds(3)
        })
        .await;
    assert_eq!(
        settled.copied(),
        later.copied(),
        "it moves while held by {by}"
    );
    assert!(later.copied() < 1.0, "it was copied before");
    assert!(
        later.sample.held_by.contains(by),
        "{}",
        later.sample.held_by
    );
    later.copied()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_above_its_limit_holds_the_copy_and_below_it_lets_it_go_on() {
    let mut world = World::shop(20_000);
    world.set.pace = Some(4_000);
    world.set.chunk_time = Span::millis(100);
    let level = world.folder.join("level");
    says(&level, "10");
    let cat = Read::Command(vec!["cat".into(), level.to_string_lossy().into()]);
    world.set.signals = vec![(watched("cpu", 80), cat)];
    let running = world.start().await;
    running.until("copying", |s| s.copied() > 0.1).await;
    says(&level, "95");
    let held = stands_still(&running, "cpu 95 of 80").await;
    // Below the limit, and not far enough below it.
    says(&level, "70");
    let still = stands_still(&running, "cpu 70 of 80, goes on below 64").await;
    assert_eq!(held, still);
    let signals = running.state().await.sample.signals.clone();
    let cpu = signals.iter().find(|signal| signal.name == "cpu").unwrap();
    assert!(cpu.holds && cpu.figure == Some(figure(70.0)), "{cpu:?}");
    // A looser limit, set while it runs, lets it go as well; a stricter one holds it again.
    let limit = |at: u32| Command::Limit {
        signal: "cpu".into(),
        at: at.into(),
    };
    running.order(limit(200)).await;
    running.until("moving", |s| s.copied() > still).await;
    running.order(limit(60)).await;
    stands_still(&running, "cpu 70 of 60").await;
    says(&level, "20");
    let state = running
        .until("synced and equal", |s| s.synced_and_equal())
        .await;
    assert!(
        !state.sample.held_by.contains("cpu"),
        "{}",
        state.sample.held_by
    );
    running.park().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_that_hangs_is_cut_named_and_closes_the_copy_once_its_figure_is_old() {
    let mut world = World::shop(20_000);
    world.set.pace = Some(2_000);
    world.set.chunk_time = Span::millis(100);
    world.set.stale_after = Span::seconds(1);
    let script = world.folder.join("cpu.sh");
    let run = |how: &str| {
        says(&script, &format!("#!/bin/sh\n{how}\n"));
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    };
    run("sleep 600");
    let read = Read::Command(vec!["sh".into(), script.to_string_lossy().into()]);
    let count = Read::Sql(Side::Source, "select count(*) from orders".into());
    world.set.signals = vec![
        (watched("cpu", 80), read),
        (watched("orders", 1_000_000), count),
    ];
    let running = world.start().await;
    // Never read: nobody knows that all is well, so nothing begins.
    let copied = stands_still(&running, "cpu unknown: no answer within 0.5s").await;
    assert_eq!(copied, 0.0);
    let signals = running.state().await.sample.signals.clone();
    let orders = signals
        .iter()
        .find(|signal| signal.name == "orders")
        .unwrap();
    assert!(orders.figure.is_some_and(|n| n.get() > 0.0), "{orders:?}");
    run("echo 5");
    running.until("copying", |s| s.copied() > 0.1).await;
    run("echo no idea >&2; exit 1");
    let held = "cpu unknown for";
    stands_still(&running, held).await;
    let state = running.state().await;
    assert!(
        state.sample.held_by.contains("no idea"),
        "{}",
        state.sample.held_by
    );
    run("echo 5");
    running
        .until("synced and equal", |s| s.synced_and_equal())
        .await;
    running.park().await;
}
