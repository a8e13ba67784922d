//! A line of answers of which none may go missing: each comes in several lengths, and the line takes the longest that fit.

use super::{row::Row, text};
use crate::tui::theme::{Role, Theme};
use ratatui::text::Line;

/// Most cells between two parts: on a wide line they stay together.
const MOST: usize = 8;

/// A piece: text by role.
pub type Piece = (Role, String);

/// One answer, in forms from the longest to the shortest.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its forms. The last may be empty: then it is left out when nothing else helps.
    pub forms: Vec<Vec<Piece>>,
    /// Those with a smaller number are shortened first.
    pub weight: u8,
    /// Cells it is given at least, where there is room: so that neighbours don't jump when a figure grows.
    pub min: usize,
}

impl Part {
    /// A part with one form.
    pub fn new(weight: u8, pieces: Vec<Piece>) -> Self {
        Self {
            forms: vec![pieces],
            weight,
            min: 0,
        }
    }
    /// With a shorter form.
    pub fn or(mut self, pieces: Vec<Piece>) -> Self {
        self.forms.push(pieces);
        self
    }
    /// With the cells it is given at least.
    pub fn at_least(mut self, cells: usize) -> Self {
        self.min = cells;
        self
    }
}

fn cells(pieces: &[Piece]) -> usize {
    pieces.iter().map(|(_, t)| text::width(t)).sum()
}

/// Chooses forms and spreads them over the line; the last part ends at its end. Two cells lie between parts, one where it
/// is tight, and one before the first where it does not begin with one.
pub fn strip(theme: &Theme, width: usize, parts: &[Part]) -> Line<'static> {
    let mut chosen = vec![0usize; parts.len()];
    let first = parts.first().and_then(|part| part.forms.first()?.first());
    let lead = usize::from(!first.is_some_and(|(_, text)| text.starts_with(' ')));
    let form = |chosen: &[usize], i: usize| -> &[Piece] {
        parts[i].forms.get(chosen[i]).map_or(&[], Vec::as_slice)
    };
    let total = |chosen: &[usize], between: usize| -> usize {
        let shown: Vec<usize> = (0..parts.len())
            .map(|i| cells(form(chosen, i)))
            .filter(|w| *w > 0)
            .collect();
        lead + shown.iter().sum::<usize>() + between * shown.len().saturating_sub(1)
    };
    while total(&chosen, 2) > width {
        let Some(give) = (0..parts.len())
            .filter(|i| chosen[*i] + 1 < parts[*i].forms.len())
            .min_by_key(|i| parts[*i].weight)
        else {
            break;
        };
        chosen[give] += 1;
    }
    let shown: Vec<(&[Piece], usize)> = (0..parts.len())
        .map(|i| (form(&chosen, i), parts[i].min))
        .filter(|(pieces, _)| cells(pieces) > 0)
        .collect();
    let gaps = shown.len().saturating_sub(1).max(1);
    let padded: usize = shown.iter().map(|(p, min)| cells(p).max(*min)).sum();
    let bare: usize = shown.iter().map(|(p, _)| cells(p)).sum();
    let pad = lead + padded + 2 * gaps <= width;
    let free = width.saturating_sub(lead + if pad { padded } else { bare });
    let between = (free / gaps).clamp(1, MOST);
    let mut row = Row::new(theme, width).gap(lead);
    for (i, (pieces, min)) in shown.iter().enumerate() {
        let last = i + 1 == shown.len();
        if last && i > 0 {
            let gap = row.room().saturating_sub(cells(pieces)).max(1);
            row = row.gap(gap);
        } else if i > 0 {
            row = row.gap(between);
        }
        for (role, piece) in *pieces {
            row = row.put(*role, piece);
        }
        if pad && !last {
            row = row.gap(min.saturating_sub(cells(pieces)));
        }
    }
    row.line()
}

#[cfg(test)]
mod tests {
    use super::super::row::plain;
    use super::*;

    fn piece(text: &str) -> Vec<Piece> {
        vec![(Role::Text, text.to_string())]
    }

    #[test]
    fn light_parts_give_way_first() {
        let theme = Theme::default();
        let parts = [
            Part::new(9, piece("WRITES source")),
            Part::new(1, piece("db1/shop → db2/shop"))
                .or(piece("db1→db2"))
                .or(vec![]),
            Part::new(5, piece("lag 1.2s of 3s")).or(piece("lag 1.2s")),
        ];
        let at = |w| plain(&strip(&theme, w, &parts));
        assert_eq!(
            at(51),
            " WRITES source  db1/shop → db2/shop  lag 1.2s of 3s"
        );
        assert_eq!(at(39), " WRITES source  db1→db2  lag 1.2s of 3s");
        assert_eq!(at(30), " WRITES source  lag 1.2s of 3s");
        assert_eq!(at(24), " WRITES source  lag 1.2s");
        assert!(at(60).ends_with("lag 1.2s of 3s") && text::width(&at(60)) == 60);
    }
}
