//! A table of the catalog as data, for a target of another kind.
//!
//! Definitions are the server's own words, with complete names; what is read out of them has one form.

use super::catalog::{Column, Constraint, Index, Relation};
use super::form::{Token, tokens};
use super::names::shown;
use super::objects::Sequence;
use super::render::Source;
use crate::db::across::{Counter, Fold, Foreign, IndexPart, Moment, Outline, Part, Preset};
use crate::domain::value::Value;

pub(super) fn outline(source: Source<'_>, relation: &Relation) -> Outline {
    let key = relation.key().map(|index| index.oid);
    let parts = relation
        .columns
        .iter()
        .map(|column| part(source, relation, column));
    let indexes = relation
        .indexes
        .iter()
        .filter(|index| !index.primary && Some(index.oid) != key)
        .map(|index| self::index(relation, index));
    let mut foreign = Vec::new();
    let mut beside = Vec::new();
    for constraint in &relation.constraints {
        match constraint.kind {
            'f' => match self::foreign(constraint) {
                Some(found) => foreign.push(found),
                None => beside.push(told(constraint)),
            },
            'c' | 'x' => beside.push(told(constraint)),
            _ => {}
        }
    }
    if relation.partition_key.is_some() {
        beside.push("its partitions: it becomes one table".to_owned());
    }
    Outline {
        parts: parts.collect(),
        indexes: indexes.collect(),
        foreign,
        beside,
    }
}

fn told(constraint: &Constraint) -> String {
    format!("{}: {}", constraint.name, constraint.definition)
}

fn part(source: Source<'_>, relation: &Relation, column: &Column) -> Part {
    let owned = |sequence: &&Sequence| matches!(sequence.owner, Some((table, number, _)) if table == relation.oid && number == column.number);
    let counted = source.sequences.iter().find(owned);
    let counter = counted.map(|sequence| Counter {
        last: sequence.last,
    });
    let default = column.expression.as_deref();
    let default = default.filter(|_| column.generated.is_none() && counter.is_none());
    Part {
        name: column.name.clone(),
        not_null: column.not_null,
        preset: default.map(preset),
        counter,
        computed: column.generated.is_some(),
        folds: column.folds.then_some(Fold::Own),
        collation: column.collation.clone(),
        seen: Vec::new(),
    }
}

fn index(relation: &Relation, index: &Index) -> crate::db::across::Index {
    let written = &index.definition;
    let columns = index.columns.iter().map(|number| {
        let mut columns = relation.columns.iter();
        columns.find(|column| column.number == *number && *number != 0)
    });
    let parts: Option<Vec<IndexPart>> = columns
        .map(|column| {
            let column = column?;
            Some(IndexPart {
                column: column.name.clone(),
                desc: false,
                folds: column.folds.then_some(Fold::Own),
            })
        })
        .collect();
    let tokens = tokens(written);
    let has = |word: &str| tokens.iter().any(|(_, token)| token.is(word));
    // What SQLite has no index for: other methods, conditions, NULLs that are equal, columns beside the key.
    let plain = has("btree") && !has("where") && !has("nulls") && !has("include");
    crate::db::across::Index {
        name: Some(index.name.clone()),
        unique: has("unique"),
        parts: parts.filter(|_| plain),
        condition: None,
        written: written.clone(),
    }
}

/// `FOREIGN KEY (a, b) REFERENCES public.parent(x, y) ON UPDATE CASCADE ON DELETE SET NULL`; none for a match or an action of
/// another kind.
fn foreign(constraint: &Constraint) -> Option<Foreign> {
    let tokens = tokens(&constraint.definition);
    let words: Vec<Token<'_>> = tokens.into_iter().map(|(_, token)| token).collect();
    let mut at = 2;
    let columns = list(&words, &mut at)?;
    words.get(at).filter(|word| word.is("references"))?;
    let (schema, name) = match (words.get(at + 1), words.get(at + 2), words.get(at + 3)) {
        (Some(schema), Some(Token::Sign(".")), Some(name)) => (schema.name()?, name.name()?),
        _ => return None,
    };
    at += 4;
    let refers = list(&words, &mut at)?;
    let mut foreign = Foreign {
        parent: shown(&schema, &name),
        columns,
        refers,
        on_update: String::new(),
        on_delete: String::new(),
    };
    while let Some(word) = words.get(at) {
        // How and when it is checked is the database's own affair, but for MATCH FULL.
        if word.is("match") {
            return None;
        }
        if word.is("on") {
            let action = match words.get(at + 2) {
                Some(first) if first.is("cascade") => "CASCADE",
                Some(first) if first.is("restrict") => "RESTRICT",
                Some(first) if first.is("set") => {
                    let last = words.get(at + 3)?;
                    // SET NULL (a): some of the columns only.
                    let some = matches!(words.get(at + 4), Some(Token::Sign("(")));
                    match last {
                        _ if some => return None,
                        last if last.is("null") => "SET NULL",
                        _ => "SET DEFAULT",
                    }
                }
                _ => "NO ACTION",
            };
            match words.get(at + 1) {
                Some(when) if when.is("update") => foreign.on_update = action.to_owned(),
                _ => foreign.on_delete = action.to_owned(),
            }
        }
        at += 1;
    }
    Some(foreign)
}

/// Names in parentheses, from `at` on; `at` is behind them then.
fn list(words: &[Token<'_>], at: &mut usize) -> Option<Vec<String>> {
    words.get(*at).filter(|word| **word == Token::Sign("("))?;
    let mut names = Vec::new();
    loop {
        names.push(words.get(*at + 1)?.name()?);
        *at += 2;
        match words.get(*at)? {
            Token::Sign(",") => {}
            _ => break,
        }
    }
    *at += 1;
    Some(names)
}

/// A default of the catalog's: a literal with its type, the time, or something of PostgreSQL's own.
fn preset(written: &str) -> Preset {
    let own = || Preset::Own(written.to_owned());
    match written {
        "now()" | "CURRENT_TIMESTAMP" | "transaction_timestamp()" => {
            return Preset::Now(Moment::Both);
        }
        "CURRENT_DATE" => return Preset::Now(Moment::Date),
        "true" => return Preset::Value(Value::Integer(1)),
        "false" => return Preset::Value(Value::Integer(0)),
        _ => {}
    }
    let tokens = tokens(written);
    match tokens.as_slice() {
        [(_, Token::Literal(text)), (_, Token::Sign("::")), kind @ ..]
            if text.starts_with('\'') =>
        {
            let inner = text[1..text.len() - 1].replace("''", "'");
            let cast: Vec<&str> = kind.iter().map(|(_, token)| token.text()).collect();
            const AS_WRITTEN: [&str; 13] = [
                "integer",
                "bigint",
                "smallint",
                "double",
                "real",
                "numeric",
                "text",
                "character",
                "bytea",
                "date",
                "json",
                "jsonb",
                "uuid",
            ];
            // A value of a type of the application's is the text that it is written as, too.
            let plain = cast.first().is_some_and(|first| AS_WRITTEN.contains(first));
            if plain || cast.contains(&".") {
                Preset::Value(Value::text(&inner))
            } else {
                own()
            }
        }
        [(_, Token::Word(_)), ..] if written.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            Preset::Value(Value::text(written))
        }
        _ => own(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_key_is_read_from_the_servers_words() {
        let read = |definition: &str| {
            foreign(&Constraint {
                name: "f".into(),
                kind: 'f',
                definition: definition.into(),
                valid: true,
                inherited: false,
                index: Default::default(),
                refers: Default::default(),
            })
        };
        let found = read("FOREIGN KEY (a, \"B c\") REFERENCES shop.\"Parent\"(x, y) ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE").unwrap();
        assert_eq!(found.parent, "shop.\"Parent\"");
        assert_eq!(found.columns, ["a", "B c"]);
        assert_eq!(found.refers, ["x", "y"]);
        assert_eq!(found.actions(), " ON UPDATE CASCADE ON DELETE SET NULL");
        assert!(read("FOREIGN KEY (a) REFERENCES s.p(x) MATCH FULL").is_none());
        assert!(read("FOREIGN KEY (a) REFERENCES s.p(x) ON DELETE SET NULL (a)").is_none());
        let plain = read("FOREIGN KEY (a) REFERENCES s.p(x)").unwrap();
        assert_eq!(plain.actions(), "");
    }

    #[test]
    fn a_default_is_a_value_the_time_or_the_servers_own() {
        let value = |v| Preset::Value(v);
        for (written, expected) in [
            ("'x''y'::text", value(Value::text("x'y"))),
            ("'-1'::integer", value(Value::text("-1"))),
            ("0", value(Value::text("0"))),
            ("1.50", value(Value::text("1.50"))),
            ("false", value(Value::Integer(0))),
            ("'new'::public.state", value(Value::text("new"))),
            ("'a'::character varying", value(Value::text("a"))),
            ("now()", Preset::Now(Moment::Both)),
        ] {
            assert_eq!(preset(written), expected, "{written}");
        }
        assert!(matches!(preset("gen_random_uuid()"), Preset::Own(_)));
        assert!(matches!(preset("'1 day'::interval"), Preset::Own(_)));
    }
}
