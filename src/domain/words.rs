//! What is true of one kind of database and not of another, in words: the one place where they stand, so that no sentence is
//! said of a database that it does not fit.

use super::plan::Engine;

/// How one kind of database is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// How its changes are read: `init` says it.
    pub way: &'static str,
    /// Keys of `[source]` that only this kind has, as comments of a config; empty where it has none.
    pub source_keys: &'static str,
    /// Keys of `[throttle]` that only this kind can heed, as comments of a config; empty where it has none.
    pub throttle_keys: &'static str,
    /// What ours on a source consists of.
    pub capture: &'static str,
    /// What the source does while nobody reads its changes.
    pub unread: &'static str,
    /// What is kept on the source until it is applied: stands before its figures in the console.
    pub log: &'static str,
    /// Who is held up by us there: stands before the figure in the console.
    pub lock: &'static str,
    /// Said in its place while nobody is.
    pub unlocked: &'static str,
    /// Bytes that one change costs our log beside its key; none where the database writes its own log anyway.
    pub log_row: Option<u64>,
    /// What is kept on the source for each change, where it is no row of ours.
    pub kept: &'static str,
    /// Why its free space is not known, or what to do about it.
    pub free: &'static str,
    /// Why it is not known how long a pause may last.
    pub runway: &'static str,
    /// The same in at most 40 columns.
    pub no_runway: &'static str,
    /// What nobody can ask its SQL for; empty where there is no server that would have it.
    pub unseen: &'static str,
    /// The setting of the source without which nothing can be moved live, and its value; none where it needs none.
    pub needs: Option<(&'static str, &'static str)>,
    /// Keys of the config with figures that this kind of source does not have, and why: refused, never passed over.
    pub unheeded: &'static [(&'static str, &'static str)],
}

const SQLITE: Words = Words {
    way: "live, by change capture: triggers log which rows change, and the rows are read again",
    source_keys: "# prune = \"at-end\"               # for an application that gives up at its first SQLITE_BUSY: tidegate's log on\n\
                  #                                 # the source is pruned only at the end, not in short transactions meanwhile\n",
    throttle_keys: "",
    capture: "triggers, log",
    unread: "the source's change log grows meanwhile, until its disk is full",
    log: "log",
    lock: "locks",
    unlocked: "none held",
    log_row: Some(32),
    kept: "",
    free: "free: not known",
    runway: "",
    no_runway: "how long a pause may last: not known",
    unseen: "",
    needs: None,
    unheeded: &[
        (
            "max_lag_bytes",
            "SQLite's changes are counted in rows, not in bytes: max_lag limits how old they may get",
        ),
        (
            "max_active",
            "SQLite has no server that could count statements: max_lock_wait limits how long they wait for us",
        ),
        ("max_replica_lag", "SQLite has no standbys"),
        ("replicas", "SQLite has no standbys"),
        (
            "wal_space",
            "what is free where a SQLite file lies is measured",
        ),
    ],
};

const POSTGRES: Words = Words {
    way: "live, by logical replication: a slot of the source keeps its WAL until the changes in it are applied",
    source_keys: "# wal_space = \"200GB\"            # how much WAL may be kept for tidegate, where max_slot_wal_keep_size is not set\n",
    throttle_keys: "# max_lag_bytes = \"2GB\"          # the same in bytes of WAL\n\
                    # max_active = 40                # statements of others that run on the source at once\n\
                    # max_replica_lag = \"1s\"         # how far standbys of the source may be behind\n\
                    # replicas = [\"standby1\"]        # those that must be there; none: whichever are\n",
    capture: "slot, publication",
    unread: "the source keeps its WAL for the slot meanwhile, up to max_slot_wal_keep_size or until its disk is full",
    log: "WAL kept",
    lock: "waits on us",
    unlocked: "none",
    log_row: None,
    kept: "the source keeps all WAL that its server writes until the changes in it are applied; nothing more is written for it",
    free: "free: SQL does not tell; df on its server does",
    runway: "how long a pause may last is unknown: max_slot_wal_keep_size is not set on the source, nor [source] wal_space here, so only its disk ends it",
    no_runway: "pause: ? no max_slot_wal_keep_size set",
    unseen: "CPU, free disk, error budgets: not in SQL; a [[signal]] in the config reads them",
    needs: Some(("wal_level", "logical")),
    unheeded: &[(
        "prune",
        "PostgreSQL's own log is read, which the server prunes itself",
    )],
};

impl Engine {
    /// How it is spoken of.
    pub fn words(self) -> &'static Words {
        match self {
            Self::Sqlite | Self::Sim => &SQLITE,
            Self::Postgres => &POSTGRES,
        }
    }
}
