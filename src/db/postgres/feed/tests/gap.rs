//! The gap between what is delivered and what is visible. It is made as wide as wanted on a server of the test's own, whose
//! commits wait for a standby that does not exist: written to the log, and invisible.

use super::private::Private;
use super::*;
use tokio::task::JoinHandle;

impl Bed {
    /// Only who asks for it waits for the standby.
    async fn with_gap(server: &Private) -> Self {
        let bed = Self::at(&server.url("postgres")).await;
        bed.run("ALTER ROLE postgres SET synchronous_commit = local")
            .await;
        bed.server.forget();
        bed.reload("SET synchronous_standby_names = 'nobody'").await;
        bed
    }

    async fn reload(&self, setting: &str) {
        sql(&self.server, &format!("ALTER SYSTEM {setting}")).await;
        sql(&self.server, "SELECT pg_reload_conf()").await;
        let waits = self
            .text("SELECT (current_setting('synchronous_standby_names') <> '')::text")
            .await;
        // A session hears of it before its next statement, or the one after.
        if waits != setting.starts_with("SET").to_string() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Commits, and hangs there: written, not visible.
    async fn commit_unseen(&self, statements: &str) -> JoinHandle<()> {
        let statements =
            format!("SET synchronous_commit = on; SET search_path = public; {statements}");
        let mut session = self.server.session().await.unwrap();
        let task = tokio::spawn(async move { run(&mut session, &statements).await });
        while self
            .text("SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            .await
            == "0"
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        task
    }

    async fn xmin(&self) -> u64 {
        let xmin = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text";
        self.text(xmin).await.parse().unwrap()
    }

    async fn rows(&self) -> String {
        self.text("SELECT count(*)::text FROM public.t").await
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_commit_between_log_and_sight_is_fenced_off() {
    let server = Private::start().await;
    let bed = Bed::with_gap(&server).await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    let commit = bed.commit_unseen("INSERT INTO t VALUES (1, 1)").await;
    let delivered = txn(&mut feed).await;
    assert_eq!(delivered.changes, [t(1, Image::Inserted(row(1, 1, "")))]);
    assert_eq!(bed.rows().await, "0", "delivered, and not visible");
    drop(feed);

    // An engine that was started anew, behind what it had applied.
    let mut feed = bed.feed(delivered.head.position).await.unwrap();
    let Fenced::Least(least) = bed.fence.now() else {
        panic!("the stream is open");
    };
    assert!(bed.xmin().await < least, "no read may be used yet");
    // What would be lost: a read now does not have the row, and up to a marker after that read the stream does not bring it.
    assert_eq!(bed.rows().await, "0");
    bed.marker(5).await;
    assert_eq!(item(&mut feed).await, Item::Marker(Nonce(5)));

    bed.reload("RESET synchronous_standby_names").await;
    commit.await.unwrap();
    assert_eq!(bed.fence.least().await, Some(least));
    assert!(bed.xmin().await >= least, "reads may be used");
    assert_eq!(bed.rows().await, "1");
    drop(feed);
    bed.end().await;
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: tests/run starts one"]
async fn a_row_is_read_again_once_it_can_be_seen() {
    let server = Private::start().await;
    let bed = Bed::with_gap(&server).await;
    let mut feed = bed.feed(Position::START).await.unwrap();
    bed.run(&format!("INSERT INTO t VALUES (1, 1, '{}')", big()))
        .await;
    txn(&mut feed).await;
    let commit = bed.commit_unseen("UPDATE t SET id = 2").await;
    let early = async {
        loop {
            match feed.next().await.unwrap() {
                Item::Idle(_) => {}
                item => return item,
            }
        }
    };
    let early = tokio::time::timeout(Duration::from_millis(500), early).await;
    assert!(early.is_err(), "{early:?}");
    bed.reload("RESET synchronous_standby_names").await;
    commit.await.unwrap();
    let whole = [t(1, Image::Gone), t(2, Image::Inserted(row(2, 1, &big())))];
    assert_eq!(txn(&mut feed).await.changes, whole);
    drop(feed);
    bed.end().await;
}
