//! A table as data that no kind of database owns.

use crate::domain::value::Value;

/// What a table is made of, beside its name and its key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outline {
    /// Every column, those that are not copied too, in order.
    pub parts: Vec<Part>,
    /// Secondary indexes, unique constraints among them.
    pub indexes: Vec<Index>,
    /// Foreign keys.
    pub foreign: Vec<Foreign>,
    /// What else there is, in words: checks, exclusion constraints.
    pub beside: Vec<String>,
}

impl Outline {
    /// The column of that name.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Whether it takes no NULL.
    pub not_null: bool,
    /// What it holds where an INSERT says nothing.
    pub preset: Option<Preset>,
    /// Whether the database numbers its rows.
    pub counter: Option<Counter>,
    /// Whether the database computes it from others.
    pub computed: bool,
    /// How it compares text, where it takes different text for the same.
    pub folds: Option<Fold>,
    /// The collation that it has for itself, where it is not the database's.
    pub collation: Option<String>,
    /// What values were seen in it, where its declared type does not tell: `bit` (0 and 1), `integer`, `real`, `text`, `blob`.
    pub seen: Vec<String>,
}

/// A default.
#[derive(Debug, Clone, PartialEq)]
pub enum Preset {
    /// This value.
    Value(Value),
    /// The time of the INSERT.
    Now(Moment),
    /// Something that only the source can say, as it says it.
    Own(String),
}

/// Which part of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The date.
    Date,
    /// The time of the day.
    Time,
    /// Both.
    Both,
}

/// The database gives each new row a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// The last number given out, where the database keeps it.
    pub last: Option<i64>,
}

/// Text that is taken for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Whatever the case of ASCII letters.
    Case,
    /// Whatever spaces end it.
    Spaces,
    /// By rules of the database's own.
    Own,
}

/// A secondary index.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// Its name; none for one that a constraint made and named itself.
    pub name: Option<String>,
    /// Whether no two rows hold the same.
    pub unique: bool,
    /// Its columns; none where they can't be told (an expression).
    pub parts: Option<Vec<IndexPart>>,
    /// Its condition, where it has one.
    pub condition: Option<Vec<Word>>,
    /// As the source writes it.
    pub written: String,
}

/// A column of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexPart {
    /// Its name.
    pub column: String,
    /// Whether it goes down.
    pub desc: bool,
    /// Text that the index takes for the same.
    pub folds: Option<Fold>,
}

/// A word of a condition: comparisons, NULL tests and what joins them, which mean the same everywhere.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// A column.
    Column(String),
    /// A value.
    Value(Value),
    /// A keyword or a sign: `AND`, `<>`, `(`.
    Sign(String),
    /// What is not known to mean the same elsewhere.
    Own,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The table it refers to, by its name on the source.
    pub parent: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Columns of the parent; none stands for the parent's key.
    pub refers: Vec<String>,
    /// `CASCADE`, `SET NULL` …
    pub on_update: String,
    /// Likewise.
    pub on_delete: String,
}

impl Foreign {
    /// ` ON UPDATE … ON DELETE …`, as both kinds of database write it; what happens anyway is not said.
    pub fn actions(&self) -> String {
        let one = |when: &str, action: &str| match action {
            "" | "NO ACTION" => String::new(),
            action => format!(" ON {when} {action}"),
        };
        format!(
            "{}{}",
            one("UPDATE", &self.on_update),
            one("DELETE", &self.on_delete)
        )
    }
}
